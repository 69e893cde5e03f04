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
from denseup.cli import evaluate, train
from denseup.cli.build import build_data, build_task
from denseup.engine import RunFolder
from denseup.engine.compiling import compiled
from denseup.upsamplers import list_upsamplers

SIZES = [(32, 48), (48, 32), (64, 64), (80, 48), (48, 112), (96, 96), (112, 80), (64, 128)]
"""Of whole images, beside the crops of 64."""
NO_COMPILER = not any(map(shutil.which, ("c++", "g++", "clang++")))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()


def network(task: str, upsampler: str) -> torch.nn.Module:
    cfg = configure(f"task={task}", f"upsampler={upsampler}", *TINY[task])
    return build_task(cfg, build_data(cfg)).network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def image(task: str, batch: int, height: int, width: int) -> Tensor:
    channels = {"matting": 4, "segmentation": 3}[task]
    return torch.rand(batch, channels, height, width).contiguous(memory_format=torch.channels_last)


def holds(task: str, upsampler: str, backend: Any, rounding: float) -> None:
    """One step on a crop and evaluations of whole images, of any size, by compiled and by plain code."""
    plain, fast = network(task, upsampler), network(task, upsampler)
    fast.load_state_dict(plain.state_dict())
    with compiled(fast, True, backend=backend, fullgraph=True):
        crop = image(task, 2, 64, 64)
        outputs = []
        for one in (plain, fast):
            torch.manual_seed(1)
            one.train()
            output = one(crop)
            output.square().mean().backward()
            outputs.append(output.detach())
        torch.testing.assert_close(outputs[1], outputs[0], rtol=rounding, atol=rounding)
        for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
            if one.grad is not None:
                scale = max(1.0, float(one.grad.abs().max()))
                torch.testing.assert_close(other.grad, one.grad, rtol=rounding, atol=rounding * scale, msg=name)
        plain.eval()
        fast.eval()
        with torch.no_grad():
            for size in SIZES[:3]:
                whole = image(task, 1, *size)
                torch.testing.assert_close(fast(whole), plain(whole), rtol=rounding, atol=rounding)
    assert fast.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", ["bilinear", "fade"])
def test_networks_are_one_graph(task: str, upsampler: str) -> None:
    """The same operations by the graph: the same numbers."""
    holds(task, upsampler, "eager", 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_networks_of_every_upsampler_are_one_graph(task: str, upsampler: str) -> None:
    holds(task, upsampler, "aot_eager", 1e-5)


@pytest.mark.slow
@pytest.mark.skipif(NO_COMPILER, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("task", TINY)
@pytest.mark.parametrize("upsampler", ["bilinear", "carafe", "fade", "indexnet", "dysample", "sapa"])
def test_what_inductor_makes_of_networks(task: str, upsampler: str) -> None:
    holds(task, upsampler, "inductor", 1e-4)


@pytest.mark.parametrize("task", TINY)
def test_images_of_many_sizes_need_few_graphs(task: str) -> None:
    """One for crops, one for whole images, which come one at a time; none for another size."""
    counter = CompileCounterWithBackend("eager")
    module = network(task, "fade")
    with compiled(module, True, backend=counter):
        module(image(task, 2, 64, 64))
        module.eval()
        with torch.no_grad():
            module(image(task, 1, *SIZES[0]))
            module(image(task, 1, *SIZES[1]))
            few = counter.frame_count
            for size in SIZES:
                module(image(task, 1, *size))
    assert counter.frame_count == few <= 3


def test_a_switch_is_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trainer\.compile is 'fast', expected true or false"):
        train.run(tiny_run("trainer.compile=fast"), RunFolder(tmp_path))


def test_a_module_is_itself_again() -> None:
    module = network("matting", "bilinear")
    with compiled(module, True, backend="eager"):
        assert module._compiled_call_impl is not None
    assert module._compiled_call_impl is None
    with compiled(module, False):
        assert module._compiled_call_impl is None


@pytest.mark.skipif(NO_COMPILER, reason="inductor needs a C++ compiler")
@pytest.mark.slow
def test_compiled_runs_go_on_uncompiled_and_the_reverse(tmp_path: Path) -> None:
    """Their checkpoints have the same keys, load, are evaluated and resumed, whichever way they were made."""
    results: dict[bool, Any] = {}
    for fast in (True, False):
        cfg = tiny_run(f"trainer.compile={fast}", "trainer.max_steps=2", "recipe.average=0.5")
        results[fast] = train.run(cfg, RunFolder(tmp_path / str(fast)))
        checkpoint = tmp_path / str(fast) / "checkpoints/last.ckpt"
        weights = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert not any("_orig_mod" in key for key in weights)
        assert denseup.load(checkpoint).network.state_dict().keys() == {k.removeprefix("network.") for k in weights}
        resumed = tiny_run(f"trainer.compile={not fast}", "trainer.max_steps=4", f"resume='{checkpoint}'")
        with pytest.warns(UserWarning, match=r"trainer\.compile is"):
            assert train.run(resumed, RunFolder(tmp_path / f"{fast} resumed"))["steps"] == 4
        cfg = configure(f"ckpt='{checkpoint}'", f"+trainer.compile={not fast}", "data.val_length=1", name="evaluate")
        assert evaluate.run(cfg, RunFolder(tmp_path / f"{fast} evaluated"))["status"] == "finished"
    losses = [results[fast]["metrics"]["last"]["sad"] for fast in (True, False)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


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
    module = network(task, upsampler).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = module(image(task, 2, 64, 64))
    output.float().square().mean().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.dtype == torch.float32, name
            assert parameter.grad.isfinite().all(), name
