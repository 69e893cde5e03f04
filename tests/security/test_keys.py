"""Keys and passwords reach no file of a run, and nothing that is printed of it."""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from configuring import TINY, configure, tiny_run
from processes import python_module

from denseup.cli import report, train
from denseup.cli.config import RunError, user_errors
from denseup.engine import RunFolder, masking
from denseup.engine.masking import MASK, mask_files, masked, masked_text
from denseup.reporting import load_runs, write_archive

KEY, PASSWORD, TOKEN = "0123456789abcdef0123456789abcdef01234567", "correct horse battery", "hf_abcdefghijklmnop"


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    monkeypatch.setattr(masking, "_seen", set())


@pytest.mark.parametrize(
    "name",
    ["api_key", "API_KEY", "apikey", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "token", "auth-token",
     "password", "passwd", "MLFLOW_TRACKING_PASSWORD", "client_secret", "credentials", "private_key",
     "api_keys", "a.token"],
)  # fmt: skip
def test_names_of_keys(name):
    assert masked({name: KEY, "list": [{name: KEY}], "text": f"with {KEY}"}) == {
        name: MASK,
        "list": [{name: MASK}],
        "text": f"with {MASK}",
    }
    assert masked({name: "short"})[name] == MASK


@pytest.mark.parametrize(
    "name", ["key", "keys", "monkey", "tokens_per_image", "tokenizer", "passage", "secretary", "keypoints", "name"]
)
def test_names_of_other_things(name):
    assert masked({name: "fade"}) == {name: "fade"}
    assert masked({"num_tokens": 3, "token": None, "password": ""}) == {"num_tokens": 3, "token": None, "password": ""}


def test_keys_of_the_environment_and_in_addresses(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("SOME_TOKEN", KEY[:12])  # the beginning of the other
    assert masked_text(f"a {KEY} b {KEY[:12]} c") == f"a {MASK} b {MASK} c"
    assert masked_text("http://me:pass@host/x?a=b@c") == f"http://{MASK}@host/x?a=b@c"
    masked({"password": PASSWORD})
    assert masked_text(PASSWORD.replace(" ", "\n    ")) == MASK
    assert masked_text("file:///a/b@c, http://host/a") == "file:///a/b@c, http://host/a"


def where(folder: Path, *secrets: str) -> list[str]:
    """Files that hold a key, in plain bytes or in what torch has written."""
    found = [
        file
        for file in folder.rglob("*")
        if file.is_file()
        for secret in secrets
        if secret.encode() in file.read_bytes()
    ]
    for file in folder.rglob("*.ckpt"):
        config = repr(torch.load(file, weights_only=True).get("denseup_config"))
        found += [file for secret in secrets if secret in config]
    return sorted(str(file.relative_to(folder)) for file in found)


SHORT = [*TINY["matting"], "trainer=short", "trainer.max_steps=1", "trainer.limit_val_batches=1", "data.batch_size=2"]
GIVEN = [f"+extra.api_key={KEY}", f"+extra.password='{PASSWORD}'", f"+extra.list=[{{token: {TOKEN}}}]"]


def test_a_run_and_its_report_hold_none(tmp_path):
    """From the command line, with all that Hydra writes, and with a key in the environment that a message repeats."""
    words = ["task=matting", "upsampler=bilinear", *SHORT, *GIVEN, f"+extra.note=user says {KEY}", "data.image_size=64"]
    done = python_module(
        "src.train",
        *words,
        "logger=csv",
        f"hydra.run.dir={tmp_path}/run",
        env=os.environ | {"A_TOKEN": "seen-once"},
    )
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["extra"]["api_key"] == config["extra"]["password"] == config["extra"]["list"][0]["token"] == MASK
    assert (tmp_path / "run/.hydra/overrides.yaml").is_file()
    assert where(tmp_path, KEY, PASSWORD, TOKEN) == []
    write_archive(load_runs([tmp_path / "run"]), tmp_path / "runs.tar.xz")
    report.run([tmp_path / "run"], latency=False)
    assert where(tmp_path, KEY, PASSWORD, TOKEN) == []


def test_a_failure_holds_none(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    cfg, folder = tiny_run(f"+logger.csv.api_key='{PASSWORD}'"), RunFolder(tmp_path)
    with pytest.raises(TypeError, match="api_key"), user_errors(folder, cfg):
        train.run(cfg, folder)
    assert MASK in folder.config.read_text()
    with pytest.raises(RunError) as shown, user_errors(folder, cfg):
        raise ValueError(f"401: bad key {KEY} of http://me:{TOKEN}@host")
    assert KEY not in str(shown.value)
    assert folder.error.is_file()
    assert "401" in json.loads(folder.result.read_text())["error"]
    assert where(tmp_path, KEY, PASSWORD, TOKEN) == []


def test_what_others_have_written_is_cleaned(tmp_path):
    masked({"api_key": KEY})
    for name in (".hydra/overrides.yaml", "multirun.yaml", "output.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"before \xff " + KEY.encode() + b" after")
    mask_files(tmp_path)
    assert where(tmp_path, KEY) == []
    assert (tmp_path / "output.log").read_bytes() == b"before \xff <masked> after"


@pytest.mark.slow
def test_a_sweep_holds_none(tmp_path):
    words = ["-m", "task=matting", "upsampler=bilinear,nearest", *SHORT, *GIVEN, "data.image_size=64", "logger=csv"]
    done = python_module("src.train", *words, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert where(tmp_path, KEY, PASSWORD, TOKEN) == []


def test_a_config_keeps_its_keys_for_its_logger():
    from denseup.cli.config import run_info

    info = run_info(configure("logger=csv", f"+logger.csv.api_key={KEY}"))
    assert info.logger["csv"]["api_key"] == KEY
    assert info.config["logger"]["csv"]["api_key"] == MASK
