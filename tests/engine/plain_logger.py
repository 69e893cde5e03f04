"""A logger of one's own, of which denseup knows nothing."""

from typing import Any

from pytorch_lightning.loggers.logger import Logger


class PlainLogger(Logger):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    @property
    def name(self) -> str:
        return "plain"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.seen.append((step, metrics))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.seen.append(params)

    def finalize(self, status: str) -> None:
        self.seen.append(status)
