"""The operators equal their authors' code in float64: outputs and every gradient, at the vectors' stated precision."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden import array, arrays_of, check, check_parameter_gradients, manifest
from torch import nn

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.upsamplers import CARAFE, FADE, FADELite, SemiShift
from denseup.upsamplers.semishift import SemiShiftKernels


def fade_arguments(args: dict[str, Any]) -> dict[str, Any]:
    de_channels = args["in_channels_de"] or args["in_channels_en"]
    return {"de_channels": de_channels, "en_channels": args["in_channels_en"], "kernel_size": args["up_kernel_size"]}


def carafe(args: dict[str, Any]) -> CARAFE:
    names = {
        "channels": "de_channels",
        "up_kernel": "kernel_size",
        "up_group": "groups",
        "encoder_kernel": "encoder_kernel_size",
        "compressed_channels": "embed_channels",
    }
    return CARAFE(**{names.get(key, key): value for key, value in args.items()})


BUILD: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "FADE_L2H.FADE": lambda args: FADE(**fade_arguments(args)),
    "FADE_L2H.FADELite": lambda args: FADELite(**fade_arguments(args)),
    "FADE_L2H.SemiShiftUp": lambda args: SemiShift(**fade_arguments(args)),
    "FADE_L2H.SemiShift": lambda args: SemiShiftKernels(args["in_channels_de"], args["in_channels_en"]),
    "FADE_H2L.FADE (root file, square input)": lambda args: FADE(**fade_arguments(args)),
    "mmcv CARAFEPack": carafe,
}
CASES = [
    (file, name)
    for file in ("fade", "carafe")
    for name, case in manifest(file).items()
    if case["module"] in BUILD
]  # fmt: skip


@pytest.mark.parametrize(("file", "name"), CASES)
def test_equals_the_authors_code(file: str, name: str) -> None:
    case = manifest(file)[name]
    module = BUILD[case["module"]](case["args"])
    assert sum(p.numel() for p in module.parameters()) == case["n_params"]
    report = load_official(module, dict(arrays_of(file, name, "param")))
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
    inputs = {key: value.double().requires_grad_() for key, value in arrays_of(file, name, "in")}
    out = (
        module.double()(inputs.get("de", inputs.get("x")), inputs.get("en"))
        if "en" in inputs
        else module.double()(inputs["x"])
    )
    check(out, array(file, f"{name}/eval/out"), "out")
    out.backward(array(file, f"{name}/G/out").double())
    for key, expected in arrays_of(file, name, "eval/grad_in"):
        check(inputs[key].grad, expected, f"gradient of {key}")
    check_parameter_gradients(module, dict(arrays_of(file, name, "eval/grad_param")), for_module(module))


def test_the_gate_equals_the_authors() -> None:
    case, name = manifest("fade")["L2H_GateGenerator_C8"], "L2H_GateGenerator_C8"
    fade = FADE(case["args"]["in_channels"]).double()
    parameters = {f"gate_generator.{key}": value for key, value in arrays_of("fade", name, "param")}
    assert not load_official(fade, parameters).unexpected
    gate = torch.sigmoid(fade.gate(array("fade", f"{name}/in/de").double()))
    expected = array("fade", f"{name}/eval/out")
    factor = expected.shape[2] // gate.shape[2]
    check(gate.repeat_interleave(factor, 2).repeat_interleave(factor, 3), expected, "gate")


def test_every_case_of_the_files_is_tested() -> None:
    tested = {name for _, name in CASES} | {"L2H_GateGenerator_C8"}
    assert tested == set(manifest("fade")) | set(manifest("carafe"))


def test_load_official_reports_what_does_not_fit() -> None:
    fade = FADE(16)
    tensors = dict(arrays_of("fade", "L2H_FADE_C16_k5", "param"))
    tensors["extra.weight"] = torch.zeros(3)
    tensors["gate_generator.conv.weight"] = torch.zeros(1, 8, 1, 1)
    del tensors["ker_generator.compressor_en.bias"]
    before = fade.kernels.embed_en.bias.clone()
    report = load_official(fade, {"state_dict": {f"module.{key}": value for key, value in tensors.items()}})
    assert report.unexpected == ["extra.weight"]
    assert report.missing == ["kernels.embed_en.bias", "gate.weight"]
    assert "[1, 8, 1, 1]" in report.mismatched["gate_generator.conv.weight"]
    assert torch.equal(fade.kernels.embed_en.bias, before)
    assert "1 unexpected: extra.weight" in str(report)


def test_load_official_refuses_a_foreign_module() -> None:
    with pytest.raises(ValueError, match="no official layout for Linear"):
        load_official(nn.Linear(2, 2), {})
