"""The networks equal the authors' in float64: outputs, taps, gradients, running statistics, both modes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden import Taps, arrays_of, check, check_probe, manifest, normal, probe, recipe_state_dict, recipe_value
from torch import Tensor, nn

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.networks import MattingResNet34, SegFormer, SegFormerHead
from denseup.networks.segformer import MixTransformer

MATTING = {"resnet34_fade_repo_bilinear": "bilinear", "resnet34_fade_repo_fade": "fade", "resnet34_a2u_share1": "a2u"}
HEADS = {
    "head_bilinear": "bilinear",
    "head_fade": "fade",
    "head_carafe": "carafe",
    "head_a2u": "a2u",
    "head_indexnet_hin": "indexnet",
}
ILL_CONDITIONED = {("resnet34_a2u_share1", "train")}
"""Where some gradients move by more than 1e-12 when the weights move by one unit in the last place: see `spread`."""
UNUSED = ["conv_seg.weight", "conv_seg.bias"]


def test_recipe_gives_the_values_of_its_check_file() -> None:
    expected = manifest("recipe_check")
    key = "value(matting_fade, layer0.0.weight, (64,4,7,7), gain2=0.6).ravel()[:4]"
    actual = recipe_value("matting_fade", "layer0.0.weight", (64, 4, 7, 7), 0.6).ravel()[:4]
    assert actual.tolist() == pytest.approx(expected[key], rel=1e-7)


def run(module: nn.Module, file: str, name: str, mode: str, taps: dict[str, nn.Module]) -> None:
    """Load the recipe's weights, run one mode and hold everything the manifest stores against it."""
    case = manifest(file)[name]
    tag, stored = case["tag"], dict(arrays_of(file, name, mode))
    report = load_official(module, recipe_state_dict(case), inplace_abn=False)
    assert not report.missing
    assert not report.mismatched
    module.double().train(mode == "train")
    allowed = spread(module, case) if (name, mode) in ILL_CONDITIONED else None
    recorded = Taps(taps)
    inputs, outputs = forward_and_backward(module, case)
    for short, o in outputs.items():
        if short in stored:
            check(o, stored[short], short)
        check_probe(o, stored[f"{short}_probe"], f"{tag}|{short}")
    for i, tap in enumerate(case.get("taps", [])):
        output = recorded.outputs[tap]
        check_probe(output, stored["tap_probe"][i], f"{tag}|tap|{tap}")
    for key, value in inputs.items():
        check_probe(value.grad, stored[f"grad_in_probe/{key}"], f"{tag}|gin|{key}")
    check_gradients(module, case, tag, stored["grad_param_probe"], allowed)
    if mode == "train":
        check_buffers(module, case, tag, stored["buf_after_probe"])


def forward_and_backward(
    module: nn.Module, case: dict[str, Any], nudge: Callable[[Tensor], Tensor] = lambda x: x
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs, with their gradients, and outputs of one run of the manifest's loss."""
    tag = case["tag"]
    inputs = {
        key: nudge(torch.from_numpy(normal(tag, f"input:{key}", tuple(shape))).double()).requires_grad_()
        for key, shape in case["inputs"].items()
    }
    out = module(*inputs.values()) if len(inputs) == 1 else module(list(inputs.values()))
    outputs = {f"out{i}": o for i, o in enumerate(out)} if isinstance(out, list) else {"out": out}
    sum((torch.from_numpy(normal(tag, f"G:{key}", tuple(o.shape))) * o).sum() for key, o in outputs.items()).backward()
    return inputs, outputs


def spread(module: nn.Module, case: dict[str, Any], runs: int = 4) -> Tensor:
    """How far the probe of each gradient moves when weights and inputs move by a unit in the last place.

    Two implementations that round differently differ by a few times this, however right they both are. In A2U's
    matting network in training, the gradients of the predicted convolutions are small differences of large sums: their
    probes move by up to 1e-11 of their scale.
    """
    generator, before = torch.Generator().manual_seed(0), copy.deepcopy(module.state_dict())

    def nudge(x: Tensor) -> Tensor:
        signs = torch.randint(-1, 2, x.shape, generator=generator).to(x.dtype)
        return x * (1 + torch.finfo(x.dtype).eps * signs)

    base = gradient_probes(module, case)
    largest = torch.zeros_like(base)
    for _ in range(runs):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(nudge(parameter))
        largest = torch.maximum(largest, (gradient_probes(module, case, nudge) - base).abs())
        module.load_state_dict(before)
    return largest


def gradient_probes(module: nn.Module, case: dict[str, Any], nudge: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    """Probes of the gradients of `case["param_keys"]`, one run; the module is left without gradients."""
    forward_and_backward(module, case, nudge)
    convert, own = for_module(module), dict(module.named_parameters())
    probes = [probe(own[convert(key)[0]].grad, f"{case['tag']}|g|{key}") for key in case["param_keys"]]
    module.zero_grad()
    return torch.stack(probes)


def check_gradients(
    module: nn.Module, case: dict[str, Any], tag: str, probes: Tensor, spreads: Tensor | None = None
) -> None:
    """A bias in front of a batch norm in training has gradient zero but for rounding: hence the floor."""
    convert, own = for_module(module), dict(module.named_parameters())
    floor = 1e-3 * max(p.grad.abs().max().item() for p in own.values() if p.grad is not None)
    for i, (key, expected) in enumerate(zip(case["param_keys"], probes, strict=True)):
        targets = [own[target] for target in convert(key) if target in own]
        if key in case.get("no_grad_params", []):
            assert all(target.grad is None for target in targets)
            continue
        assert targets, key
        gradient = torch.cat([target.grad for target in targets])
        slack = 0 if spreads is None else 4 * spreads[i]
        check_probe(gradient, expected, f"{tag}|g|{key}", floor=floor, slack=slack)


def check_buffers(module: nn.Module, case: dict[str, Any], tag: str, probes: Tensor) -> None:
    convert, own = for_module(module), dict(module.named_buffers())
    for key, expected in zip(case["buffer_keys"], probes, strict=True):
        check_probe(own[convert(key)[0]], expected, f"{tag}|b|{key}")


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


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", MATTING)
def test_matting_network(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = MattingResNet34(MATTING[name], dropout=0.0)
    assert sum(p.numel() for p in module.parameters()) == manifest("matting")[name]["n_params"]
    guides = _record_guides(module, monkeypatch)
    recorded = matting_taps(module)
    case_taps = manifest("matting")[name]["taps"]
    assert set(case_taps) - set(recorded) == set(guides)
    run(module, "matting", name, mode, {**recorded, **guides})


def _record_guides(module: MattingResNet34, monkeypatch: pytest.MonkeyPatch) -> dict[str, nn.Module]:
    """`expand` is no submodule: an identity behind it gives the hook something to hold on to."""
    recorders = {}
    for name, block in (("layer2_1.layer1", module.encoder.layer2[0]), ("layer3_1.layer1", module.encoder.layer3[0])):
        recorder = nn.Identity()
        monkeypatch.setattr(block, "expand", lambda x, expand=block.expand, recorder=recorder: recorder(expand(x)))
        recorders[name] = recorder
    return recorders


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", HEADS)
def test_segformer_head(name: str, mode: str) -> None:
    module = SegFormerHead([64, 128, 320, 512], 150, HEADS[name], dropout=0.0)
    unused = 150 * 128 + 150
    assert sum(p.numel() for p in module.parameters()) == manifest("segformer")[name]["n_params"] - unused
    run(module, "segformer", name, mode, _HeadTaps(module))


class _HeadTaps(dict):
    """The authors' linear layers give [B, H·W, C] where ours give [B, C, H, W]."""

    def __init__(self, module: SegFormerHead) -> None:
        self.recorders = {f"linear_c{i + 1}": nn.Identity() for i in range(4)} | {"linear_fuse": nn.Identity()}
        super().__init__(self.recorders)
        for i, project in enumerate(module.project):
            recorder = self.recorders[f"linear_c{i + 1}"]
            project.register_forward_hook(lambda _m, _i, out, r=recorder: (r(out.flatten(2).mT), None)[1])
        module.fuse.register_forward_hook(lambda _m, _i, out: (self.recorders["linear_fuse"](out), None)[1])


def test_mix_transformer() -> None:
    module = MixTransformer("b1", drop_path=0.0)
    assert sum(p.numel() for p in module.parameters()) == 13_151_424
    run(module, "segformer", "backbone_mit_b1", "eval", {})


def test_whole_segformer() -> None:
    module = SegFormer("b1", 150, "bilinear", dropout=0.0, drop_path=0.0)
    assert sum(p.numel() for p in module.parameters()) == 13_715_798
    run(module, "segformer", "segformer_b1_bilinear", "eval", {})
    case = manifest("segformer")["segformer_b1_bilinear"]
    report = load_official(module, recipe_state_dict(case))
    assert report.unexpected == [f"decode_head.{key}" for key in UNUSED]


def test_matting_parameter_count() -> None:
    assert sum(p.numel() for p in MattingResNet34("bilinear").parameters()) == 8_049_003


def test_every_case_of_the_vectors_is_tested() -> None:
    assert set(MATTING) == set(manifest("matting"))
    assert set(HEADS) | {"backbone_mit_b1", "segformer_b1_bilinear"} == set(manifest("segformer"))
