"""W&B never asks and never stops a run for want of a login."""

from pathlib import Path

import pytest

from denseup.engine.loggers import making as loggers


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_offline_without_a_key() -> None:
    assert loggers.wandb_mode() == "offline"


def test_online_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert loggers.wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert loggers.wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert loggers.wandb_mode() == "disabled"


def test_online_with_a_netrc_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {'k' * 40}\n")
    assert loggers.wandb_mode() == "online"


def test_asking_for_online_without_a_key_goes_offline_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.warns(UserWarning, match="no W&B key is configured"):
        assert loggers.wandb_mode() == "offline"


def test_no_logger_writes_nothing(tmp_path: Path) -> None:
    assert loggers.make_loggers(tmp_path, csv=False, wandb=None) == []
    assert list(tmp_path.iterdir()) == []
