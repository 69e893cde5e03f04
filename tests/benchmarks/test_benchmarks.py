"""The benchmarks: their formulations are right, a wrong one is refused, and their quick forms give complete results."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import (
    attention,
    data,
    fade,
    metrics,
    naive_metrics,
    operators,
    reassembly,
    startup,
    steps,
    training,
    upsamplers,
)
from benchmarks.bandwidth import copy_bandwidth, require_memory
from benchmarks.cases import FAILED, OK, SKIPPED, WRONG, Case, Entrant, Row, Settings, SkipError, Work, measure
from benchmarks.differentiable import BOTH, FORWARD, differentiable_work
from benchmarks.forms import by_einsum, by_gathering, by_unfolding
from benchmarks.images import label_maps, mattes
from benchmarks.options import names, numbers
from benchmarks.parity import worst_error
from benchmarks.reporting import COLUMNS, as_record, targets_to_text, to_text
from benchmarks.targets import AUTOMATIC, AUTOMATIC_NCHW, TARGETS, Target, find, floor_ratio, memory_ratio, time_ratio
from denseup.metrics import functional as ours
from denseup.ops import reassemble, resize_nearest
from denseup.ops.geometry import Size
from denseup.profiling import Timing
from denseup.upsamplers import Upsampler
from denseup.upsamplers.registry import UPSAMPLERS

ROOT = Path(operators.__file__).parent.parent
CPU = torch.device("cpu")
SETTINGS = Settings(CPU, rounds=2, least_seconds=0, bandwidth=1e9)


def problem(dtype: torch.dtype = torch.float64) -> reassembly.Problem:
    return reassembly.Problem(2, 6, 5, 4, dtype, CPU)


@pytest.mark.parametrize("form", [by_unfolding, by_einsum, by_gathering])
@pytest.mark.parametrize(("scale", "kernel_size"), [(2, 5), (3, 3), (1, 5), (2, 1)])
def test_formulations_equal_the_reference(form: reassembly.Form, scale: int, kernel_size: int) -> None:
    torch.manual_seed(0)
    de = torch.randn(2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, kernel_size**2, 3 * scale, 5 * scale, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 4, 3 * scale, 5 * scale, dtype=torch.float64)
    results = []
    for out in (form(de, kernels, kernel_size), reassemble(de, kernels, kernel_size, backend="reference")):
        results.append(dict(enumerate([out, *torch.autograd.grad(out, (de, kernels), grad)])))
    error, _ = worst_error(*({str(key): value for key, value in result.items()} for result in results))
    assert error < 1e-13


@pytest.mark.parametrize("build", [fade.fade_case, lambda problem: reassembly.reassembly_case(problem, compiled=False)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_entrant_equals_the_truth(build: object, dtype: torch.dtype) -> None:
    rows = measure(build(problem(dtype)), SETTINGS)
    assert [f"{row.entrant}: {row.reason}" for row in rows if row.status in (WRONG, FAILED)] == []
    assert {"bilinear NCHW", "unfold", "unfold, einsum", "denseup/reference"} <= {
        row.entrant for row in rows if row.status == OK
    }


@pytest.mark.parametrize("size", [(4, 6, 5, 10), (4, 2, 3, 7), (2, 2, 9, 9)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_way_to_attend_equals_the_truth(size: attention.Size, dtype: torch.dtype) -> None:
    rows = measure(attention.attention_case(attention.Problem(size, dtype, CPU, 5, 2)), SETTINGS)
    assert [f"{row.entrant}: {row.reason}" for row in rows if row.status in (WRONG, FAILED)] == []
    assert {(row.entrant, row.kind) for row in rows if row.status == OK} >= {
        (entrant, kind) for entrant in ("windows", "denseup/reference") for kind in (FORWARD, BOTH)
    }


def test_naive_metrics_equal_ours() -> None:
    images = mattes((90, 130))
    assert 0.05 < (images[2] == 128).mean() < 0.95
    for name in ("sad", "mse", "grad", "conn"):
        expected = getattr(naive_metrics, name)(*images)
        assert expected > 0
        assert getattr(ours, name)(*images) == pytest.approx(expected, rel=1e-12), name
    maps = label_maps((90, 130), 20)
    for name in ("mean_iou", "boundary_iou"):
        expected = getattr(naive_metrics, name)(*maps, 20)
        assert 0 < expected < 1
        assert getattr(ours, name)(*maps, 20) == pytest.approx(expected, rel=1e-12), name


def work(factor: float, of_gradient: float = 1) -> Work:
    x = torch.ones(2, 3, requires_grad=True)
    truth = {"output": torch.full((2, 3), 2.0), "gradient of x": torch.full((2, 3), 2.0)}

    def compute() -> Tensor:
        return factor * of_gradient * x + factor * (1 - of_gradient) * x.detach()

    return differentiable_work(compute, {"x": x}, torch.ones(2, 3), {"x": x}, lambda: truth)


def raises(error: Exception) -> Work:
    raise error


def test_only_what_is_right_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    entrants = [
        Entrant("right", lambda: work(2)),
        Entrant("wrong output", lambda: work(2.1)),
        Entrant("wrong gradient", lambda: work(2, of_gradient=0.9)),
        Entrant("not a number", lambda: work(math.nan)),
        Entrant("absent", lambda: raises(SkipError("no such device"))),
        Entrant("broken", lambda: raises(KeyError("x"))),
    ]
    rows = measure(Case("case", entrants, "right", 1e-5), SETTINGS)
    status = {row.entrant: row.status for row in rows}
    assert status == dict(zip([e.name for e in entrants], [OK, WRONG, WRONG, WRONG, SKIPPED, FAILED], strict=True))
    assert {row.entrant for row in rows if row.timing} == {"right"}
    reasons = {row.entrant: row.reason for row in rows}
    assert reasons["wrong output"] == "output: error 5.0e-02, tolerance 1e-05"
    assert reasons["wrong gradient"].startswith("gradient of x: error 1.0e-01")
    assert reasons["absent"] == "no such device"
    text = to_text(rows)
    assert "wrong gradient: wrong: gradient of x" in text
    assert "absent: skipped: no such device" in text


def test_a_wrong_back_end_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = by_unfolding
    monkeypatch.setattr(reassembly, "by_unfolding", lambda de, kernels, k: right(de, kernels.flip(1), k))
    file = tmp_path / "o.json"
    code = operators.main(["--quick", "--device", "cpu", "--case", "reassembly", "--no-memory", "--output", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert code == 1
    unfold = [row for row in rows if row["entrant"] == "unfold"]
    assert [(row["status"], row["seconds"]) for row in unfold] == [(WRONG, [])]


def test_back_ends_that_cannot_serve_say_why() -> None:
    rows = measure(reassembly.reassembly_case(problem(), ["no such back end"], compiled=False), SETTINGS)
    reasons = {row.entrant: row.reason for row in rows if row.status == SKIPPED}
    assert "valid: " in reasons["denseup/no such back end"]
    assert "--no-compile" in reasons["gather, compiled"]


QUICK = ["--quick", "--device", "cpu"]


@pytest.mark.parametrize(
    ("benchmark", "extra", "kinds"),
    [
        (operators, [], {FORWARD, BOTH}),
        (operators, ["--upsamplers", "fade,indexnet"], {FORWARD, BOTH}),
        (upsamplers, [], {FORWARD, BOTH}),
        (training, ["--upsamplers", "fade,max_unpool", "--formulations"], {"training step"}),
        (metrics, [], {"metric"}),
        (data, ["--workers", "0,1"], {"epoch"}),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else "",
)
def test_quick_form_gives_complete_results(
    benchmark: object, extra: list[str], kinds: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main([*QUICK, *extra, "--output", str(tmp_path)]) == 0
    (file,) = tmp_path.glob("*.json")
    result = json.loads(file.read_text())
    assert file.stem == f"{result['date'][:10]}_{result['what']}_cpu"
    assert {"hardware", "versions", "commit", "settings", "targets", "columns"} <= set(result)
    timed = [row for row in result["rows"] if row["status"] == OK]
    assert {row["kind"] for row in timed} == kinds
    for row in timed:
        assert set(row) == set(result["columns"])
        assert len(row["seconds"]) == 2
        assert row["median_seconds"] > 0
        assert row["error"] <= row["tolerance"]
    assert all(row["ratio"] == 1 for row in timed if row["entrant"] == row["baseline"])
    assert str(file) in capsys.readouterr().out


def test_no_result_is_written_over(tmp_path: Path) -> None:
    for _ in range(2):
        metrics.main([*QUICK, "--case", "sad", "--output", str(tmp_path)])
    assert len(list(tmp_path.glob("*.json"))) == 2


def timed(entrant: str, seconds: float, **more: object) -> Row:
    return Row("c, float32", "forward", entrant, timing=Timing((seconds, 2 * seconds)), **more)


def test_targets_are_read_off_the_rows() -> None:
    rows = [
        timed("bilinear", 1.0, peak_bytes=100),
        timed("denseup/slow", 9.0),
        timed("denseup/fast NCHW", 4.0, automatic=True),
        timed("denseup/fast", 3.0, automatic=True, peak_bytes=10, floor_seconds=2.25),
    ]
    assert find(rows, "c", "forward", AUTOMATIC) is rows[3]
    assert find(rows, "c", "forward", AUTOMATIC_NCHW) is rows[2]
    assert time_ratio("c", "forward", AUTOMATIC, "bilinear")(rows) == 3
    assert memory_ratio("c", "forward", AUTOMATIC, "bilinear")(rows) == 0.1
    assert floor_ratio("c", "forward", AUTOMATIC)(rows) == 2
    for limit, at_most, met in ((3, True, True), (2.9, True, False), (3, False, True), (3.1, False, False)):
        judged = Target("t", "cpu", time_ratio("c", "forward", AUTOMATIC, "bilinear"), limit, at_most).judge(rows)
        assert judged["met"] is met
    absent = Target("t", "cpu", time_ratio("c", "forward", AUTOMATIC, "unfold"), 1).judge(rows)
    assert absent["met"] is None
    assert "not measured" in targets_to_text([absent])
    assert set(as_record(rows[0])) == set(COLUMNS)


def test_targets_name_cases_that_exist() -> None:
    made = {"operators": set(), "training": set(), "metrics": set(), "data": set()}
    for kind, sizes in operators.SIZES.items():
        for operator, shapes in sizes.items():
            for shape in shapes:
                for name in operators.PRECISIONS[kind]:
                    label = reassembly.Problem(*shape, getattr(torch, name), CPU).label
                    made["operators"].add(f"{operator} {label}")
    made["attention"] = {f"attention {attention.Problem(size, torch.float32, CPU).label}" for size in attention.SIZES}
    made["training"] = {"matting published", "matting small"}
    made["metrics"] = {"conn 1080×1920", "boundary IoU 512×683, 150 classes"}
    for what, targets in TARGETS.items():
        for target in targets:
            cell = target.value.__closure__
            assert cell is not None
            strings = [c.cell_contents for c in cell if isinstance(c.cell_contents, str)]
            assert any(case.startswith(s) for s in strings for case in made[what]), target.name


def test_wrong_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert operators.main([*QUICK, "--case", "nothing"]) == 2
    assert "'nothing'" in capsys.readouterr().err
    assert operators.main([*QUICK, "--dtype", "int8"]) == 2
    assert "valid: float32" in capsys.readouterr().err
    assert operators.main([*QUICK, "--upsamplers", "fade,fads"]) == 2
    assert "--upsamplers is fads, valid: all, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        operators.main([*QUICK, "--upsamplers", "all", "--dtype", "bfloat16"])
    with pytest.raises(Exception, match="4 positive"):
        numbers("1x2x3", 4)
    assert names(" a, b,") == ["a", "b"]


def test_memory_is_asked_for_before_it_is_taken() -> None:
    with pytest.raises(SkipError, match="GiB free"):
        require_memory(2**60, CPU)
    assert copy_bandwidth(CPU, 2**20, rounds=2) > 1e6


ABSENT = (
    *("pytorch_lightning", "hydra", "omegaconf", "wandb", "numpy", "cv2"),
    *("transformers", "torchmetrics", "rich", "mmcv"),
)
ON_A_BARE_MACHINE = """
import sys
for name in {absent!r}: sys.modules[name] = None
from benchmarks import operators, training, upsamplers
common = ["--quick", "--device", "cpu", "--rounds", "1", "--output", {output!r}]
training_too = [*common, "--case", "matting", "--upsamplers", "fade"]
sys.exit(operators.main(common) or upsamplers.main(common) or training.main(training_too))
"""


def test_a_bare_machine_will_do(tmp_path: Path) -> None:
    code = ON_A_BARE_MACHINE.format(absent=ABSENT, output=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_the_table_of_upsamplers_has_both_layouts_and_kinds() -> None:
    rows = [
        Row(f"upsamplers 1×2×3×4 → ×2, float32, {layout}", kind, name, timing=Timing((ms / 1000,)), ratio=ratio)
        for name, factor in (("bilinear", 1.0), ("fade", 4.0))
        for layout, kind, ms, ratio in (
            ("channels_last", FORWARD, factor, factor),
            ("channels_last", BOTH, 2 * factor, factor),
            ("NCHW", FORWARD, 30 * factor, factor),
        )
    ]
    assert upsamplers.table(rows).splitlines()[2:] == [
        "| `bilinear` | 1.00 | 1.00 | 2.00 | 1.00 | 30.0 | 1.00 |  |  |",
        "| `fade` | 4.00 | 4.00 | 8.00 | 4.00 | 120 | 4.00 |  |  |",
    ]


def test_the_table_of_upsamplers_has_memory_where_it_was_measured_and_a_part_for_each_size() -> None:
    rows = [
        Row(f"upsamplers {size}, float32, NCHW", FORWARD, "fade", timing=Timing((0.004,)), peak_bytes=3 * 2**20)
        for size in ("1×2×3×4", "1×2×6×8")
    ]
    assert upsamplers.table(rows).splitlines()[4] == "| `fade` |  |  |  |  |  |  | 4.00 |  | 3.00 |  |  |  |"
    assert [line for line in upsamplers.table(rows).splitlines() if "×2×" in line] == [
        "upsamplers 1×2×3×4, float32",
        "upsamplers 1×2×6×8, float32",
    ]


class Painting(Upsampler):
    """Needs an image and gives a changed encoder feature, which in float32 is wrong if `wrong` is not 0."""

    guided = needs_image = changes_en = True
    wrong = 0.0

    def upsample(
        self, de: Tensor, en: Tensor | None, size: Size, state: object, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        assert en is not None
        assert image is not None
        grey = image.mean(1, keepdim=True)
        return resize_nearest(de, size) * grey, en * grey * (1 + self.wrong * (en.dtype is torch.float32))


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_upsamplers_get_an_image_and_both_their_results_are_checked(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painting, "wrong", wrong)
    monkeypatch.setitem(UPSAMPLERS.factories, "painting", (Painting, {}))
    cases = dict(upsamplers.cases_of("painting", (1, 4, 3, 5), SETTINGS))
    for make in cases.values():
        rows = {row.entrant: row for row in measure(make(), SETTINGS)}
        assert rows["painting"].status == (WRONG if wrong else OK)
        assert rows["painting"].reason.startswith("changed en: error" if wrong else "")
    assert [name.rpartition(", ")[2] for name in cases] == ["channels_last", "NCHW"]


def test_a_start_is_timed_by_its_processor_time_and_has_to_end_as_it_should() -> None:
    alone = ["-I", "-S", "-c"]
    commands = {
        "sleeps": startup.Command([*alone, "import time; time.sleep(0.3); print('awake')"], says="awake"),
        "works": startup.Command([*alone, "import time\nwhile time.process_time() < 0.15: pass"]),
        "another code": startup.Command([*alone, "raise SystemExit('no')"]),
        "says nothing": startup.Command([*alone, "raise SystemExit(3)"], code=3, says="word"),
    }
    rows = {
        row.entrant: row for row in measure(startup.startup_case(commands), replace(SETTINGS, rounds=1, memory=False))
    }
    assert rows["sleeps"].timing.median < 0.15
    assert rows["works"].timing.median >= 0.15
    for name, words in (("another code", "exit code 1, expected 0"), ("says nothing", "3 and 'word'; printed nothing")):
        assert rows[name].status == FAILED
        assert words in rows[name].reason


def test_steps_of_the_recipes_are_timed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the pipeline, with what comes before and after; the slowest is named."""
    from denseup.data import DemoMatting, MattingAugmentation

    monkeypatch.setattr(steps, "CROP", 32)
    dataset = DemoMatting("train", length=4, augmentation=MattingAugmentation.scaled(32))
    measured = steps.measure("composition1k", dataset, samples=2, rounds=2)
    assert [*measured.steps] == ["source", *dataset._composites.pipeline.names, "tensors"]
    assert min(measured.steps.values()) >= 0
    known = steps.Measured("ade20k", {"crop": 4.0, "pad": 1.0})
    assert (known.per_second, known.slowest) == (200, "crop")
    assert "200.0 samples/s of a core (goal 60: met); slowest step: crop, 80%" in str(known)
