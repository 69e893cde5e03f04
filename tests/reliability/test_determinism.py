"""The same bits again: of trainings on a CPU; of operators at any number of threads; on a GPU as torch lets us."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from operator_calls import CALLS
from reliability.small_trainings import TASKS, build, fit
from rounding import check_sums
from torch import Tensor, nn
from torch.nn import functional as F
from upsamplers.asking import asked

from denseup import native, runs
from denseup.data.datamodules import DemoData
from denseup.engine.determinism import check_repeats, fresh_memory, naming_the_option
from denseup.ops.bicubic import bicubic
from denseup.ops.geometry import pad_by_reflection
from denseup.ops.pooling import adaptive_average
from denseup.ops.repeating import as_on_a_gpu, must_repeat
from denseup.ops.sampling import sample_bilinear
from denseup.upsamplers import Upsampler, create_upsampler, list_upsamplers
from denseup.upsamplers.repeating import UNREPEATABLE, unrepeatable

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NAMES = list_upsamplers()
PAGE = Path(__file__).parents[2] / "docs/reliability.md"
SHORT = [("fade", "matting"), ("dysample", "segmentation")]
SUMS_OVER_THREADS = {"encode_content_backward": (2, 3)}
"""Results whose sums are shared by threads: the gradients of weight and bias."""


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def stage(name: str) -> list[Tensor]:
    """Output and all gradients of one upsampler."""
    torch.manual_seed(0)
    module = create_upsampler(name, de_channels=16, en_channels=16).train()
    de, en = (torch.randn(2, 16, *size, requires_grad=True) for size in ((6, 8), (12, 16)))
    state = module.downsample(en)[1] if module.paired else None
    out = module(de, en, state=state, **asked(module, en))
    out.square().sum().backward()
    return [out, *(x.grad for x in (de, en, *module.parameters()) if x.grad is not None)]


@pytest.mark.parametrize("name", NAMES)
def test_an_upsampler_repeats_itself(name: str, deterministic: None) -> None:
    """With whatever torch refuses refused."""
    assert all(torch.equal(one, other) for one, other in zip(stage(name), stage(name), strict=True))


def check_training(name: str, task: str) -> None:
    """Two trainings, and one whose fresh memory is not filled: nothing reads what was never written."""
    (first, weights), *others = (trained(name, task, deterministic) for deterministic in (True, True, "warn"))
    for losses, state in others:
        assert losses == first
        assert all(torch.equal(value, state[key]) for key, value in weights.items())


def trained(name: str, task: str, deterministic: Any) -> tuple[list[float], dict[str, Tensor]]:
    module = build(task, name)
    with fresh_memory(deterministic):
        return fit(module, 3, deterministic=deterministic), module.state_dict()


@pytest.fixture
def after() -> Iterator[None]:
    """Lightning leaves torch's switch where it put it."""
    yield
    torch.use_deterministic_algorithms(False)


class FreshMemory(pl.Callback):
    """What an operator finds in the memory that it asks for while a run trains."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.filled = torch.utils.deterministic.fill_uninitialized_memory
        self.found = torch.empty(2)


@pytest.mark.parametrize(("deterministic", "filled"), [(True, True), ("warn", False)])
def test_fresh_memory_is_filled_only_if_true(deterministic: Any, filled: bool, tmp_path: Path, after: None) -> None:
    """By a run; then torch's switch is where it was."""
    seen = FreshMemory()
    data = DemoData("matting", crop_size=64, image_size=64, batch_size=2, val_length=1)
    options = {"deterministic": deterministic}
    runs.train(partial(build, "matting", "fade"), data, tmp_path, max_steps=1, callbacks=[seen], trainer=options)
    assert seen.filled == filled
    assert not filled or seen.found.isnan().all()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_what_a_user_has_switched_off_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    for deterministic in (True, "warn", False):
        with fresh_memory(deterministic):
            assert not torch.utils.deterministic.fill_uninitialized_memory
        assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(("name", "task"), SHORT)
def test_a_training_repeats_itself(name: str, task: str, after: None) -> None:
    check_training(name, task)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_training_repeats_itself(name: str, task: str, number: int, after: None, threads: None) -> None:
    torch.set_num_threads(number)
    check_training(name, task)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_operators_give_the_same_bits_at_any_number_of_threads(
    name: str, layout: torch.memory_format, threads: None
) -> None:
    """Of a batch that is enough for all; each thread has whole results, but of `SUMS_OVER_THREADS`."""
    found = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        out = getattr(torch.ops.denseup, name)(*arguments(name, layout))
        found.append([out] if isinstance(out, Tensor) else out)
    for others in found[1:]:
        for place, (one, other) in enumerate(zip(found[0], others, strict=True)):
            if place in SUMS_OVER_THREADS.get(name, ()):
                check_sums(other, one, f"{name}, {place}")
            else:
                assert torch.equal(one, other), place


def arguments(name: str, layout: torch.memory_format) -> list[Any]:
    generator = torch.Generator().manual_seed(0)

    def made(value: Any) -> Any:
        if not isinstance(value, tuple):
            return None if value == "reference" else value
        shape = (24, *value[1:]) if value[0] == 2 else value
        x = torch.randn(shape, generator=generator)
        return x.contiguous(memory_format=layout) if x.dim() == 4 else x

    given = [made(value) for value in CALLS[name]]
    return [*given[:-1], "cpu" if native.library() else "reference"] if given[-1] is None else given


# What follows is of a GPU, and runs without one: by what the operators call.


class Foreign(Upsampler):
    """One's own, with a gradient that has no deterministic form."""

    def upsample(self, de: Tensor, en: Tensor | None, size: Any, state: Any) -> Tensor:
        grid = F.affine_grid(torch.eye(2, 3).expand(len(de), 2, 3), [*de.shape[:2], *size], align_corners=False)
        return F.grid_sample(de, grid, align_corners=False)


def on_a_gpu() -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cuda")))


def documented() -> dict[str, str]:
    """The table of the page: upsampler → what torch has no deterministic form of, "-" for nothing."""
    rows = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {name.strip().strip("`"): what.strip() for name, what in rows if name.strip().strip("`") in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_upsampler_can_repeat_itself_on_a_gpu(name: str) -> None:
    """Where torch refuses what does not repeat; where it only warns, as the page's table says."""
    module = create_upsampler(name, de_channels=8, en_channels=8)
    before = copy.deepcopy(module.state_dict())
    assert unrepeatable(module) == ()
    told = ", ".join(sorted({f"`{UNREPEATABLE[found]}`" for found in unrepeatable(module, strict=False)}))
    assert documented()[name] == (told or "-")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_the_list_is_torchs() -> None:
    """Each stands in the documentation of `use_deterministic_algorithms` among those that throw."""
    text = torch.use_deterministic_algorithms.__doc__
    assert text is not None
    throwing = text.split("normally-nondeterministic operations will throw")[1]
    assert all(words in throwing for words in UNREPEATABLE.values())
    assert all(hasattr(torch.ops.aten, name) for name in UNREPEATABLE)


def test_an_upsampler_that_cannot_is_named() -> None:
    task = SimpleNamespace(network=nn.Sequential(create_upsampler("carafe", de_channels=8), Foreign(8)))
    with pytest.raises(ValueError, match=r"trainer\.deterministic is True, but .*: Foreign \(grid_sample\); expected"):
        check_repeats(task, on_a_gpu(), True)  # type: ignore[arg-type]
    task.network[1] = create_upsampler("dysample", de_channels=8)
    check_repeats(task, on_a_gpu(), True)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"deterministic is warn: .*: DySample \(grid_sample\); with true they repeat"):
        check_repeats(task, on_a_gpu(), "warn")  # type: ignore[arg-type]


def test_nothing_is_said_on_a_cpu_or_unasked() -> None:
    task, cpu = (
        SimpleNamespace(network=Foreign(8)),
        SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu"))),
    )
    check_repeats(task, cpu, True)  # type: ignore[arg-type]
    check_repeats(task, on_a_gpu(), False)  # type: ignore[arg-type]
    check_repeats(task, on_a_gpu(), None)  # type: ignore[arg-type]


def test_torchs_refusal_names_the_option() -> None:
    words = r"trainer\.deterministic is true, but .* form of histc_cuda on this device"
    with pytest.raises(ValueError, match=words), naming_the_option():
        raise RuntimeError("histc_cuda does not have a deterministic implementation, but you set …")
    with pytest.raises(RuntimeError, match="other"), naming_the_option():
        raise RuntimeError("other")


def test_what_must_repeat() -> None:
    """Not on a CPU, and not where torch only warns."""
    x, elsewhere = torch.ones(1), torch.ones(1, device="meta")
    try:
        torch.use_deterministic_algorithms(True)
        assert (must_repeat(x), must_repeat(elsewhere)) == (False, True)
        torch.use_deterministic_algorithms(True, warn_only=True)
        assert not must_repeat(elsewhere)
    finally:
        torch.use_deterministic_algorithms(False)


WAYS = {
    "reflection": lambda x: pad_by_reflection(x, 2),
    "adaptive pooling": lambda x: adaptive_average(x, (4, 5)),
    "bicubic": lambda x: bicubic(x, (11, 19)),
    "bicubic, smaller": lambda x: bicubic(x, (3, 4)),
    "sampling, border": lambda x: sample_bilinear(x, POSITIONS, padding="border"),
    "sampling, zeros": lambda x: sample_bilinear(x, POSITIONS, padding="zeros"),
}
POSITIONS = 9 * torch.rand(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1


@pytest.mark.parametrize("name", WAYS)
def test_the_ways_that_repeat_are_the_same_functions(name: str) -> None:
    """In float64, output and gradient; and the gradient of the gradient is there."""
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    plain = WAYS[name](x)
    weights = torch.randn(plain.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad(plain, x, weights)
    with as_on_a_gpu():
        out = WAYS[name](x)
        (found,) = torch.autograd.grad(out, x, weights)
        assert torch.autograd.gradgradcheck(WAYS[name], x, fast_mode=True)
    check_sums(out.detach(), plain.detach(), "output")
    check_sums(found, expected, "gradient")
