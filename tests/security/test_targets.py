"""What a config from a file may ask for: what our own configs name, and nothing else."""

import json
import os
import sys
import types
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from configuring import configure
from safetensors.torch import save_file
from security.hostile import FORMER, checkpoint_of

import denseup
from denseup.cli import evaluate, report, trusted
from denseup.cli.config import plain
from denseup.cli.loading import rebuilt_data, rebuilt_task
from denseup.cli.places import CONF
from denseup.cli.trusted import held, may_name, ours
from denseup.engine import RunFolder
from denseup.engine.evaluation import read_checkpoint
from denseup.networks.encoders.registry import ENCODERS

REFUSED = r"its config asks for .*_target_=.*none of denseup's own.*DENSEUP_TRUSTED="
TARGETS = [
    *("os.mkdir", "os.system", "posix.mkdir", "shutil.rmtree", "subprocess.run", "subprocess.Popen", "builtins.eval"),
    *("builtins.exec", "builtins.open", "builtins.__import__", "importlib.import_module", "torch.load", "pickle.load"),
    *("hydra.utils.get_method", "hydra.utils.get_object", "hydra.utils.call", "hydra.utils.instantiate"),
    *("hydra._internal.utils._locate", "functools.partial", "operator.methodcaller", "runpy.run_path"),
    # an alias: a module of ours has imported it
    *("denseup.data.reading.folders.os.mkdir", "denseup.data.caching.folder.shutil.rmtree"),
    *("denseup.networks.torch.load", "denseup.networks.MattingNetwork.load_state_dict", "denseup.data.DataError"),
    # ours, but not what this group of conf/ names
    *("denseup.engine.loggers.csv_file.csv_logger", "denseup.cli.sweep.jobs.clear", "denseup.load", "torch.nn.Conv2d"),
    *("denseup.networks.MattingNetwork ", "denseup.networks", "", ".", "denseup..networks", "..", "os"),
]  # fmt: skip


@cache
def former_config() -> dict[str, Any]:
    return read_checkpoint(FORMER / "checkpoints" / "best.ckpt")[0]


def config() -> dict[str, Any]:
    return deepcopy(former_config())


@pytest.mark.parametrize("part", ["task", "model", "data", "encoder", "upsampler"])
def test_a_target_that_no_config_of_ours_names_is_refused(part: str) -> None:
    hostile = config()
    for target in [*TARGETS, 3, None, ["os.mkdir"], {"_target_": "os.mkdir"}]:
        hostile[part] = {**hostile[part], "_target_": target}
        with pytest.raises(ValueError, match=REFUSED) as caught:
            held(hostile, "ckpt=a.ckpt")
        assert f"{part}._target_={target!r}" in str(caught.value)


NESTED = {
    "value": lambda inner: {"width": inner},
    "list": lambda inner: {"width": [1, [inner]]},
    "partial": lambda inner: {"width": {**inner, "_partial_": True}},
    "arguments": lambda inner: {"_args_": [inner]},
    "deep": lambda inner: {"a": {"b": {"c": [{"d": inner}]}}},
    "method": lambda inner: {"width": {"_target_": "hydra.utils.get_method", "path": "os.mkdir"}},
    "tuple": lambda inner: {"width": (inner,)},
}


@pytest.mark.parametrize("part", ["task", "model", "data", "encoder", "upsampler"])
def test_at_any_depth(part: str, tmp_path: Path) -> None:
    inner = {"_target_": "os.mkdir", "_args_": [str(tmp_path / "mark")]}
    for nest in NESTED.values():
        hostile = config()
        hostile[part] = {**hostile[part], **nest(inner)}
        for build in (rebuilt_task, rebuilt_data) if part == "data" else (rebuilt_task,):
            with pytest.raises(ValueError, match=REFUSED):
                build(hostile)
        assert not (tmp_path / "mark").exists()


WAYS_IN = ["load", "evaluate", "exported", "report"]


@pytest.mark.parametrize("part", ["task", "model", "data", "encoder"])
@pytest.mark.parametrize("way", WAYS_IN)
def test_nothing_runs_whichever_way_a_file_comes_in(way: str, part: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def change(config: dict[str, Any]) -> None:
        hostile = {"_target_": "os.mkdir", "_args_": [str(mark)]}
        config[part] = hostile if part != "encoder" else {"name": "resnet34", "width": hostile}

    file = checkpoint_of(tmp_path / "run" / "checkpoints" / "best.ckpt", change)
    content = torch.load(file, weights_only=True)
    if way == "exported":
        facts = {"config": content["denseup_config"]}
        save_file({"a": torch.zeros(1)}, file.parent / "model.safetensors", {"denseup": json.dumps(facts)})
        with pytest.raises(ValueError, match=r"SHA-256|none of denseup's own"):
            denseup.load(file.parent)
    elif way == "report":
        folder = RunFolder(tmp_path / "run")
        folder.write_config(json.dumps(content["denseup_config"]))
        folder.write_result(json.loads((FORMER / "result.json").read_text()))
        report.run([tmp_path], latency=True, examples=1)
        assert "none of denseup" in (tmp_path / "report" / "report.md").read_text()
    else:
        cfg, out = configure(f"ckpt='{file}'", name="evaluate"), RunFolder(tmp_path / "out")
        with pytest.raises(ValueError, match=REFUSED):
            denseup.load(file) if way == "load" else evaluate.run(cfg, out)
    assert not mark.exists()


def test_nothing_is_looked_up_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key in the environment, which a path or an address could then carry away."""
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    for place, value in (("data", {"root": "${oc.env:WANDB_API_KEY}"}), ("sweep", {"name": ["${run_name:}"]})):
        with pytest.raises(ValueError, match=rf"{place}\..* is '\$\{{.*looks nothing up") as caught:
            held({**config(), place: value}, "ckpt=a.ckpt")
        assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize(
    "option", ["trust_remote_code", "checkpoint_path", "pretrained_cfg_overlay", "attn_implementation"]
)
def test_an_encoder_fetches_no_code(option: str) -> None:
    for options in ({option: True}, {"config": {option: "a/b"}}):
        with pytest.raises(ValueError, match=rf"encoder\..*{option} is an option that may load code"):
            held({**config(), "encoder": {"name": "auto", "source": "a/b", **options}}, "ckpt=a.ckpt")


def test_a_folder_of_weights_with_code_beside_them_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers would ask at the terminal whether to run it, and run it."""
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    code = {"AutoConfig": "code.Config"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": code}))
    (tmp_path / "code.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\n")
    with pytest.raises(ValueError, match="trust_remote_code"):
        ENCODERS.find("auto")(source=tmp_path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "broken", [3, [], "text", {"data": 3}, {"data": [1]}, {"upsampler": []}, {"model": {"_target_": {}}}]
)
def test_a_config_that_is_none(broken: Any, tmp_path: Path) -> None:
    torch.save({"denseup_config": broken, "state_dict": {}}, tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match=r"its config|the config in it"):
        denseup.load(tmp_path / "best.ckpt")


def test_our_own_configs_are_all_allowed() -> None:
    for group in ("task", "model", "data"):
        assert ours()[group]
        assert all(may_name(group, target) for target in ours()[group])
    for task in ("matting", "segmentation"):
        for file in sorted((CONF / "recipe").glob(f"{task}_*.yaml")):
            cfg = configure(f"task={task}", f"recipe={file.stem}")
            held(plain(cfg), "ckpt=a.ckpt")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package that can be imported, and has imported `os`."""
    module = types.ModuleType("someones")
    module.os, module.__path__ = os, []  # type: ignore[attr-defined]
    module.Network = type("Network", (torch.nn.Module,), {"__module__": "someones"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "someones", module)
    monkeypatch.setattr(ENCODERS, "factories", dict(ENCODERS.factories))
    return module


def test_a_plugin_that_was_imported_is_allowed_and_what_it_has_imported_is_not(plugin: types.ModuleType) -> None:
    assert not may_name("model", "someones.Network")
    ENCODERS.register("someones")(plugin.Network)
    assert may_name("model", "someones.Network")
    for target in ("someones.os.mkdir", "someones.os", "someones", "someones.Missing", "someonesother.Network"):
        assert not may_name("model", target)


@pytest.mark.parametrize("said", ["someones", "other, someones.Network ,"])
def test_what_the_environment_names_is_allowed(
    plugin: types.ModuleType, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trusted.VARIABLE, said)
    assert may_name("model", "someones.Network")
    assert not may_name("model", "someones.os.mkdir")
    assert not may_name("model", "os.mkdir")


def test_what_the_user_of_this_process_has_configured_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "_named", set())
    assert not may_name("model", "mine.Network")
    trusted.trust(trusted.targets({"model": {"_target_": "mine.Network"}, "logger": {"_target_": "os.mkdir"}}))
    assert may_name("model", "mine.Network")
    assert not may_name("model", "os.mkdir")
