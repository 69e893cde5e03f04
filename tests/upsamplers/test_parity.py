"""The operators equal their authors' code in float64 but for rounding: outputs, the gradients of inputs and of every
parameter, and running statistics after a step of training. How much rounding may be is measured: see `rounding`."""

import pytest
import torch
from golden import array, arrays_of, manifest
from operator_cases import CASES, FILES, GATE, OperatorCase
from rounding import Nudge, Values, check, nudged
from torch import nn

from denseup.checkpoints import load_official
from denseup.upsamplers import FADE


@pytest.mark.parametrize(("file", "name", "mode"), CASES)
def test_equals_the_authors_code(file: str, name: str, mode: str) -> None:
    case = OperatorCase(file, name, mode)
    check(case, case.expected)


def test_the_gate_equals_the_authors() -> None:
    fade = FADE(manifest("fade")[GATE]["args"]["in_channels"]).double()
    parameters = {f"gate_generator.{key}": value for key, value in arrays_of("fade", GATE, "param")}
    assert not load_official(fade, parameters).unexpected
    de, expected = array("fade", f"{GATE}/in/de").double(), array("fade", f"{GATE}/eval/out")
    factor = expected.shape[2] // de.shape[2]

    def run(nudge: Nudge) -> Values:
        with nudged(fade, nudge), torch.no_grad():
            gate = torch.sigmoid(fade.gate(nudge(de)))
            return {"gate": gate.repeat_interleave(factor, 2).repeat_interleave(factor, 3)}

    check(run, {"gate": expected})


def test_every_case_of_the_files_is_tested() -> None:
    assert {name for _, name, _ in CASES} | {GATE} == {name for file in FILES for name in manifest(file)}


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
