"""A logger that fails, at the start or in the middle, ends no run and says so once; a server may come and go."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import wandb
from configuring import tiny_run
from engine.plain_logger import PlainLogger

from denseup.cli import train
from denseup.engine import RunFolder
from denseup.engine.loggers.context import RunContext
from denseup.engine.loggers.guarding import PAUSE, SHARE, Guard
from denseup.engine.loggers.making import finish_loggers, log_image, log_summary, log_table, make_loggers
from denseup.engine.state import read_result


class Flaky(PlainLogger):
    """Fails in whatever it is told."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        raise ConnectionError("the server is gone")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.seen.append(params)

    def save(self) -> None:
        raise OSError("the server is gone")

    def finalize(self, status: str) -> None:
        raise OSError("the server is gone")


FLAKY = {"_target_": f"{__name__}.Flaky"}


def test_a_training_goes_on_and_says_so_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.run(tiny_run(f"+logger.flaky={{_target_:{__name__}.Flaky}}"), RunFolder(tmp_path))
    assert read_result(RunFolder(tmp_path))["status"] == "finished"
    said = capsys.readouterr().err
    assert said.count("Flaky failed, and the run goes on without it: ") == 1
    assert said.count("Flaky lacks what ") == 1
    steps = (tmp_path / "metrics.csv").read_text().splitlines()
    assert len(steps) > 4


def test_pictures_tables_and_summary_are_guarded_too(tmp_path: Path) -> None:
    (logger,) = loggers = make_loggers(RunContext(tmp_path), {"flaky": FLAKY})

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError(name)

    from denseup.engine.loggers.adapters import ADAPTERS

    adapter = ADAPTERS.of(logger)
    for name in ("image", "table", "summary"):
        setattr(adapter, name, lambda *arguments: Broken().x)
    log_image(loggers, "x", None, 0)  # type: ignore[arg-type]
    log_table(loggers, "x", [{"step": 1}])
    log_summary(loggers, {})
    finish_loggers(loggers, 0)
    assert adapter.guard.lost == 3


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_logger_is_tried_again_and_costs_a_tenth_of_the_time_at_most() -> None:
    clock = Clock()
    guard = Guard("slow", clock)
    called = []

    def waits(seconds: float) -> None:
        called.append(clock.now)
        clock.now += seconds
        raise TimeoutError

    guard(waits, 120.0)
    begun = clock.now
    while len(called) == 1:
        clock.now += 1
        guard(waits, 0.0)
    assert called[1] - begun == SHARE * 120
    begun = clock.now
    while len(called) == 2:
        clock.now += 1
        guard(waits, 0.0)
    assert called[2] - begun == PAUSE
    assert guard(lambda: "back") is None
    clock.now += PAUSE
    assert guard(lambda: "back") == "back"


@pytest.mark.parametrize(
    ("works", "asked", "words"),
    [
        ("offline", "online", ["logging offline"]),
        ("disabled", "online", ["logging offline", "the run goes on without it"]),
        ("disabled", "offline", ["the run goes on without it"]),
    ],
)
def test_wandb_that_cannot_begin(
    works: str, asked: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = wandb.init

    def init(mode: str, **arguments: Any) -> Any:
        if mode == works:
            return begin(mode="disabled", **arguments)
        raise wandb.errors.CommError("unreachable") if mode == "online" else OSError(28, "No space left on device")

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", asked)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    chosen = {"wandb": {"_target_": "denseup.engine.loggers.wandb_run.wandb_logger", "project": "p"}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loggers = make_loggers(RunContext(tmp_path, {}, "train", "id"), chosen)
    told = [str(warning.message) for warning in caught if "W&B could not begin" in str(warning.message)]
    assert len(told) == len(words)
    assert all(word in text for word, text in zip(words, told, strict=True))
    loggers[0].log_metrics({"x": 1.0}, 0)
    finish_loggers(loggers, 0)
