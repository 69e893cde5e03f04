"""The networks' cases of the golden vectors: our network with the recipe's weights, how to run it, what they got."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from golden import arrays_of, manifest, normal, probe, probe_of_sizes, recipe_state_dict
from rounding import FACTOR, Nudge, Values, exact, nudged, quotient, quotients, spread, typical
from torch import Tensor, nn

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.networks import MattingResNet34, MixTransformer, SegFormer, SegFormerHead

MATTING = {"resnet34_fade_repo_bilinear": "bilinear", "resnet34_fade_repo_fade": "fade", "resnet34_a2u_share1": "a2u"}
HEADS = {
    "head_bilinear": "bilinear",
    "head_fade": "fade",
    "head_carafe": "carafe",
    "head_a2u": "a2u",
    "head_indexnet_hin": "indexnet",
}
BACKBONE, WHOLE = "backbone_mit_b1", "segformer_b1_bilinear"


def matting_taps(module: MattingResNet34) -> dict[str, nn.Module]:
    encoder, decoder = module.encoder, module.decoder
    return {
        "layer0": encoder.stem,
        "layer1": encoder.layer1,
        "layer2_2": encoder.layer2[-1],
        "layer3_2": encoder.layer3[-1],
        "dconv_pp": module.aspp,
        "short3": decoder[0].shortcut,
        **{f"decoder_layer{4 - i}": stage for i, stage in enumerate(decoder)},
        "pred": module.head,
    }


def guides(module: MattingResNet34) -> dict[str, nn.Module]:
    """`expand` is no submodule: an identity behind it gives the hook something to hold on to."""
    recorders: dict[str, nn.Module] = {}
    for name, block in (("layer2_1.layer1", module.encoder.layer2[0]), ("layer3_1.layer1", module.encoder.layer3[0])):
        recorder = nn.Identity()
        object.__setattr__(block, "expand", lambda x, expand=block.expand, recorder=recorder: recorder(expand(x)))
        recorders[name] = recorder
    return recorders


def head_taps(module: SegFormerHead) -> dict[str, nn.Module]:
    """The authors' linear layers give [B, H·W, C] where ours give [B, C, H, W]."""
    recorders: dict[str, nn.Module] = {f"linear_c{i + 1}": nn.Identity() for i in range(4)}
    for project, recorder in zip(module.project, list(recorders.values()), strict=True):
        project.register_forward_hook(lambda _m, _i, out, r=recorder: (r(out.flatten(2).mT), None)[1])
    return recorders | {"linear_fuse": module.fuse}


def build(name: str, network: Any = None) -> tuple[str, nn.Module, dict[str, nn.Module]]:
    """File of the vectors, our network, and its submodules by the authors' names for their outputs.

    The network is built, or one that has its weights already.
    """
    if name in MATTING:
        matting = network or MattingResNet34(MATTING[name], dropout=0.0)
        return "matting", matting, matting_taps(matting) | guides(matting)
    if name in HEADS:
        head = network or SegFormerHead([64, 128, 320, 512], 150, HEADS[name], dropout=0.0)
        return "segformer", head, head_taps(head)
    if name == BACKBONE:
        return "segformer", network or MixTransformer("b1", drop_path=0.0), {}
    return "segformer", network or SegFormer("b1", 150, "bilinear", dropout=0.0, drop_path=0.0), {}


class NetworkCase:
    """One network, in one mode at a time; calling it runs forward and backward on nudged values.

    Args:
        name: of the case.
        network: one that has its weights already; None: ours, which the recipe's are loaded into.
    """

    def __init__(self, name: str, network: nn.Module | None = None) -> None:
        self.file, self.module, self.taps = build(name, network)
        self.name, self.case = name, manifest(self.file)[name]
        if network is None:
            report = load_official(self.module, recipe_state_dict(self.case), inplace_abn=False)
            assert not report.missing
            assert not report.mismatched
        self.module.double()
        self.set_mode("eval")

    def set_mode(self, mode: str) -> None:
        self.module.train(mode == "train")
        self.stored = dict(arrays_of(self.file, self.name, mode))
        self.buffer_keys = self.case["buffer_keys"] if mode == "train" else []  # eval only reads them

    def __call__(self, nudge: Nudge) -> Values:
        inputs = {key: nudge(value).requires_grad_() for key, value in self.inputs().items()}
        with nudged(self.module, nudge):
            values, outputs = self._forward(inputs)
            cotangents = [normal(self.case["tag"], f"G:{key}", tuple(out.shape)) for key, out in outputs.items()]
            torch.autograd.backward(list(outputs.values()), [nudge(torch.from_numpy(g).double()) for g in cotangents])
            values |= {f"gin|{key}": value.grad for key, value in inputs.items() if value.grad is not None}
            return values | self._gradients() | self._buffers()

    @torch.no_grad()
    def forward(self, nudge: Nudge) -> Values:
        """Outputs and taps alone."""
        with nudged(self.module, nudge):
            return self._forward({key: nudge(value) for key, value in self.inputs().items()})[0]

    def _forward(self, inputs: Values) -> tuple[Values, Values]:
        """Outputs and taps, and the outputs with their graph."""
        with recorded(self.taps) as taps:
            out = self.module(list(inputs.values()) if len(inputs) > 1 else inputs["x"])
        outputs = {f"out{i}": o for i, o in enumerate(out)} if isinstance(out, list) else {"out": out}
        values = outputs | {f"tap|{tap}": taps[tap] for tap in self.case.get("taps", [])}
        return {key: value.detach() for key, value in values.items()}, outputs

    def inputs(self) -> Values:
        tag, shapes = self.case["tag"], self.case["inputs"]
        return {
            key: torch.from_numpy(normal(tag, f"input:{key}", tuple(shape))).double() for key, shape in shapes.items()
        }

    def _gradients(self) -> Values:
        convert, own = for_module(self.module), dict(self.module.named_parameters())
        gradients = {}
        for key in self.case["param_keys"]:
            targets = [own[target].grad for target in convert(key) if target in own]
            if key in self.case.get("no_grad_params", []):
                assert all(target is None for target in targets), key
            else:
                assert targets, key
                gradients[f"g|{key}"] = torch.cat(targets)
        return gradients

    def _buffers(self) -> Values:
        convert, own = for_module(self.module), dict(self.module.named_buffers())
        return {f"b|{key}": own[convert(key)[0]].clone() for key in self.buffer_keys}

    def probes(self) -> Values:
        """The stored probes, named as the tensors are."""
        stored = {key.removesuffix("_probe"): value for key, value in self.stored.items() if key.startswith("out")}
        outputs = {key: self.stored[f"{key}_probe"] for key in stored}
        inputs = {f"gin|{key}": self.stored[f"grad_in_probe/{key}"] for key in self.case["inputs"]}
        taps = _rows("tap", self.case.get("taps", []), self.stored.get("tap_probe"))
        gradients = _rows("g", self.case["param_keys"], self.stored["grad_param_probe"])
        buffers = _rows("b", self.buffer_keys, self.stored.get("buf_after_probe"))
        unused = {f"g|{key}" for key in self.case.get("no_grad_params", [])}
        found = outputs | taps | inputs | gradients | buffers
        return {key: value for key, value in found.items() if key not in unused}

    def quotients(self, values: Values | None = None, moved: Values | None = None) -> dict[str, float]:
        """Difference over bound of every number that the vectors hold for this case, or for these values of it."""
        stored = self.probes()
        if values is None:
            values = self(exact)
            assert set(values) == set(stored)
        moved = spread(self, values) if moved is None else moved
        whole = {key: self.stored[key] for key in values if key in self.stored}
        found, usual = quotients(lambda _: values, whole, moved), typical(values, moved)
        for key, value in values.items():
            label = f"{self.case['tag']}|{key}"
            allowed = bound_of_probe(value, moved[key], usual, label)
            found[f"probe of {key}"] = quotient((probe(value, label) - stored[key]).abs(), allowed)
        return found


@lru_cache(maxsize=1)
def network_case(name: str) -> NetworkCase:
    """Both modes, and the mistakes planted in them, share one network."""
    return NetworkCase(name)


def bound_of_probe(value: Tensor, moved: Tensor, usual: float, label: str) -> Tensor:
    """What each number of a probe may differ by: what it sums over moves so far, and the sum itself is rounded too."""
    sizes = probe_of_sizes(value, label)
    summing = torch.finfo(value.dtype).eps * value.numel() ** 0.5
    return torch.maximum(FACTOR * probe_of_sizes(moved, label), FACTOR * usual * sizes) + summing * sizes


def _rows(kind: str, keys: list[str], rows: Tensor | None) -> Values:
    return {f"{kind}|{key}": rows[i] for i, key in enumerate(keys)} if rows is not None else {}


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[Values]:
    """Outputs of the named submodules while this lasts."""
    outputs: Values = {}

    def record(name: str) -> Callable[..., None]:
        return lambda _m, _i, output: outputs.__setitem__(name, output)

    handles = [module.register_forward_hook(record(name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
