"""trainer.compile and trainer.precision: the same run by other code; checkpoints do not tell which it was."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from configuring import TINY, configure, tiny_run
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

import denseup
from denseup.cli import train
from denseup.cli.build import build_data, build_task
from denseup.engine import RunFolder
from denseup.engine.compiling import compiled
from denseup.tasks import DenseTask
from denseup.upsamplers import list_upsamplers
from denseup.upsamplers.drawing import Drawing

SIZES = [(32, 48), (48, 32), (64, 64), (80, 48), (48, 112)]
"""Of whole images; crops are of 64."""
NO_COMPILER = not any(map(shutil.which, ("c++", "g++", "clang++")))
needs_compiler = pytest.mark.skipif(NO_COMPILER, reason="inductor needs a C++ compiler")


def built(task: str, upsampler: str) -> DenseTask:
    cfg = configure(f"task={task}", f"upsampler={upsampler}", *TINY[task])
    return build_task(cfg, build_data(cfg))


def image(task: str, batch: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, {"matting": 4, "segmentation": 3}[task], height, width)


def holds(task: str, upsampler: str, dtype: torch.dtype, tolerance: float, **options: Any) -> None:
    """Output and gradients of one step on a crop, by compiled code as by plain code; gradients may differ by
    `tolerance` times the network's largest, whatever their own size: a small one may be the sum of large ones."""
    torch._dynamo.reset()
    plain, fast = (built(task, upsampler).to(dtype) for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    crop = image(task, 2, 64, 64).to(dtype)
    outputs, gradients = [], []
    with compiled(fast, True, **options), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "uniform", _halves)  # compiled code draws from another stream
        for one in (plain, fast):
            torch.manual_seed(1)
            outputs.append(one.train().run_network(crop))
            outputs[-1].square().mean().backward()
            gradients.append({name: p.grad for name, p in one.named_parameters() if p.grad is not None})
    assert fast.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=tolerance, atol=tolerance)
    expected, found = gradients
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=tolerance, atol=tolerance * largest, msg=name)


def _halves(self: Drawing, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.full(shape, 0.5, device=like.device)


FULL = {"matting": True, "segmentation": False}
"""Whether the whole network is one graph: transformers' encoders break theirs where they install hooks."""


def test_a_training_step_is_one_graph_and_evaluations_are_none() -> None:
    """A graph for the size of crops; whole images of any size add no other, and give what they gave."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    task = built("matting", "fade").train()
    crops = [image("matting", 2, 64, 64) for _ in range(2)]
    torch.manual_seed(1)
    expected = task.run_network(crops[0]).detach()
    with compiled(task, True, backend=counter, fullgraph=True):
        torch.manual_seed(1)
        torch.testing.assert_close(task.run_network(crops[0]), expected, rtol=1e-5, atol=1e-5)
        task.run_network(crops[1])
        task.eval()
        with torch.no_grad():
            whole = [image("matting", 1, *size) for size in SIZES]
            assert all(torch.equal(task.run_network(x), task.network(x)) for x in whole)
    assert counter.frame_count == 1
    assert task._trained_by is None
    assert not any("_orig_mod" in key for key in task.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_steps_with_every_upsampler_compile(task: str, upsampler: str) -> None:
    """The operators alone: `tests/upsamplers/test_contract.py`."""
    holds(task, upsampler, torch.float32, 1e-4, backend="aot_eager", fullgraph=FULL[task])


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", ["bilinear", "carafe", "fade", "indexnet", "dysample", "sapa"])
def test_steps_by_inductor(task: str, upsampler: str) -> None:
    """In float64, of which norms of so small a crop leave nine digits at least; in float32 they leave few, and a unit
    that rounding turns on or off gives other gradients altogether."""
    holds(task, upsampler, torch.float64, 1e-9)


@pytest.mark.parametrize(
    ("value", "words"),
    [("3", "is 3, expected true, false or the name"), ("fast", "is 'fast', expected true, false or one of .*eager")],
)
def test_a_back_end_that_there_is_not(value: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.compile {words}"):
        train.run(tiny_run(f"trainer.compile={value}"), RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("eager", "false"),
        pytest.param("false", "eager", marks=pytest.mark.slow),
        pytest.param("true", "false", marks=[pytest.mark.slow, needs_compiler]),
        pytest.param("false", "true", marks=[pytest.mark.slow, needs_compiler]),
    ],
)
def test_compiled_runs_go_on_uncompiled_and_the_reverse(first: str, then: str, tmp_path: Path) -> None:
    """Their checkpoints have the same keys, load, and are resumed, whichever way they were made."""
    torch._dynamo.reset()
    train.run(tiny_run(f"trainer.compile={first}", "trainer.max_steps=2", "recipe.average=0.5"), RunFolder(tmp_path))
    checkpoint = tmp_path / "checkpoints/last.ckpt"
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert denseup.load(checkpoint).state_dict().keys() == weights.keys()
    assert not any("_orig_mod" in key for key in weights)
    resumed = tiny_run(f"trainer.compile={then}", "trainer.max_steps=4", f"resume='{checkpoint}'")
    with pytest.warns(UserWarning, match=r"trainer\.compile is"):
        assert train.run(resumed, RunFolder(tmp_path / "resumed"))["steps"] == 4


@pytest.mark.parametrize("task", TINY)
def test_bfloat16_trains(task: str, tmp_path: Path) -> None:
    """Weights, gradients and checkpoints stay in float32."""
    result = train.run(tiny_run("trainer.precision=bf16-mixed", "upsampler=fade", task=task), RunFolder(tmp_path))
    assert (result["status"], result["steps"]) == ("finished", 4)
    weights = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_every_upsampler_trains_in_bfloat16(task: str, upsampler: str) -> None:
    """Forward and backward of a crop under autocast: finite gradients in float32."""
    module = built(task, upsampler).network.train()
    with torch.autocast("cpu", torch.bfloat16):
        output = module(image(task, 2, 64, 64))
    output.float().square().mean().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.dtype == torch.float32, name
            assert parameter.grad.isfinite().all(), name
