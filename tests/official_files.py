"""Files as the authors publish them, made of our networks: the layouts of `denseup.checkpoints` turned around.

And the command that evaluates them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from configuring import configure
from torch import Tensor, nn

from denseup.checkpoints.layouts import for_module
from denseup.cli import evaluate
from denseup.engine import RunFolder
from denseup.networks.base import EncoderDecoder

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
LEAVES = ("weight", "bias")


def official(module: nn.Module, aliases: str = "first") -> dict[str, Tensor]:
    """The state dict of a network of ours, by the authors' keys and shapes.

    Args:
        module: a published matting network, SegFormer, or one of the upsamplers.
        aliases: which of several spellings of an upsampler's keys, "first" or "last".
    """
    own, convert = module.state_dict(), for_module(module)
    found: dict[str, Tensor] = {}
    covered: set[str] = set()
    for key in _keys(module, aliases):
        targets = convert(key)
        if not targets or key in found or any(target not in own or target in covered for target in targets):
            continue
        covered |= set(targets)
        found[key] = torch.cat([own[target] for target in targets]) if own[targets[0]].dim() else own[targets[0]]
        if ".proj.weight" in key and "linear_c" in key:
            found[key] = found[key].flatten(1)  # a linear layer there
    left = {key for key in own if key not in covered}
    assert not left, f"no official key for {sorted(left)[:5]}"
    return found


def published(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """A checkpoint as A2U's: of a data-parallel network, with what a training leaves beside the weights."""
    return {"epoch": 30, "state_dict": {f"module.{key}": value for key, value in tensors.items()}}


def write(path: Path, tensors: dict[str, Tensor], **beside: Any) -> str:
    torch.save({**published(tensors), **beside}, path)
    return f"official:{path}"


@contextmanager
def watched() -> Iterator[list[EncoderDecoder]]:
    """The networks that run while this lasts, in evaluation mode."""
    seen: list[EncoderDecoder] = []

    def look(module: nn.Module, *_: Any) -> None:
        if isinstance(module, EncoderDecoder):
            assert not module.training
            if module not in seen:
                seen.append(module)

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def evaluated(folder: Path, *overrides: str) -> tuple[dict[str, Any], EncoderDecoder]:
    """What the command leaves behind, and the network that it ran."""
    cfg = configure(*overrides, "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", name="evaluate")
    with watched() as networks:
        result = evaluate.run(cfg, RunFolder(folder))
    (network,) = networks
    return result, network


def _keys(module: nn.Module, aliases: str) -> Iterator[str]:
    kind = type(module).__name__
    if "Matting" in kind:
        yield from _matting(module, aliases)
    elif kind == "SegFormerHead":
        yield from _head(module, aliases)
    elif "Seg" in kind:
        yield from (f"backbone.{key}" for key in _backbone())
        yield from (f"decode_head.{key}" for key in _head(module.head, aliases))
    elif kind == "MixTransformer":
        yield from _backbone()
    else:
        yield from _operator(module, aliases)


def _operator(upsampler: nn.Module, aliases: str) -> Iterator[str]:
    back: dict[str, list[str]] = {}
    for theirs, ours in upsampler.official_keys.items():
        if ours is not None:
            back.setdefault(ours, []).append(theirs)
    for key in upsampler.state_dict():
        prefix = max((p for p in back if key == p or key.startswith(f"{p}.")), key=len, default=None)
        if prefix is None:
            yield key
        else:
            yield back[prefix][0 if aliases == "first" else -1] + key[len(prefix) :]


def _matting(module: nn.Module, aliases: str) -> Iterator[str]:
    names = [f"layer0.{i}.{leaf}" for i in (0, 1) for leaf in NORM]
    blocks = [f"layer{layer}.block{n}.convs" for layer in ("1", "2_2", "3_2") for n in range(1, 9)]
    parts = [f"{part}{i}" for part in ("conv", "bn") for i in (1, 2)]
    names += [f"{block}.{part}.{leaf}" for block in blocks for part in parts for leaf in NORM]
    first = ["layer1.conv1", "layer1.bn1", "layer2.conv2", "layer2.bn2", "proj_conv", "proj_bn"]
    names += [f"layer{layer}_1.{part}.{leaf}" for layer in (2, 3) for part in first for leaf in NORM]
    names += [f"dconv_pp.aspp{n}.atrous_conv.{i}.{leaf}" for n in range(1, 5) for i in range(4) for leaf in NORM]
    names += [
        f"dconv_pp.{part}.{i}.{leaf}"
        for part in ("global_avg_pool", "bottleneck_conv")
        for i in range(3)
        for leaf in NORM
    ]
    stages = [f"decoder_layer{n}.{conv}" for n in range(1, 5) for conv in ("dconv", "dconv1")]
    parts += ["proj_conv", "proj_bn"]
    names += [
        f"{stage}.{inner}{part}.{leaf}"
        for stage in stages
        for inner in ("dep_sep_conv.", "")
        for part in parts
        for leaf in NORM
    ]
    names += [f"short{n}.{i}.{leaf}" for n in range(4) for i in (0, 1) for leaf in NORM]
    names += [f"pred.0.{i}.{leaf}" for i in (0, 1) for leaf in NORM] + ["pred.1.weight"]
    yield from names
    places = ["layer3_1.bilinear", "layer2_1.bilinear", "bilinear1", "bilinear0"]
    for i, upsampler in enumerate(module.upsamplers):
        prefix = places[i] if upsampler.paired else f"decoder_layer{4 - i}.up"
        yield from (f"{prefix}.{key}" for key in _operator(upsampler, aliases))


def _backbone() -> Iterator[str]:
    for stage in range(1, 5):
        yield from (f"patch_embed{stage}.{part}.{leaf}" for part in ("proj", "norm") for leaf in LEAVES)
        yield from (f"norm{stage}.{leaf}" for leaf in LEAVES)
        parts = ["norm1", "norm2", "attn.q", "attn.kv", "attn.proj", "attn.sr", "attn.norm"]
        parts += ["mlp.fc1", "mlp.fc2", "mlp.dwconv.dwconv", "mlp.dwconv"]
        yield from (f"block{stage}.{n}.{part}.{leaf}" for n in range(40) for part in parts for leaf in LEAVES)


def _head(head: nn.Module, aliases: str) -> Iterator[str]:
    yield from (f"linear_c{n}.proj.{leaf}" for n in range(1, 5) for leaf in LEAVES)
    yield from (f"linear_fuse.{part}.{leaf}" for part in ("conv", "bn") for leaf in NORM)
    yield from (f"linear_pred.{leaf}" for leaf in LEAVES)
    for i, upsampler in enumerate(head.upsamplers):
        yield from (f"upsamplers.{i}.{key}" for key in _operator(upsampler, aliases))
