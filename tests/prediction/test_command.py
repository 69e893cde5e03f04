"""`denseup predict` and `denseup.predict`: what a person gets for their pictures, and what is said when they do not."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from configuring import configure, tiny_run
from data.sample_folders import noise, save
from PIL import Image
from processes import GUARD, ROOT, python

import denseup
from denseup.cli import train
from denseup.cli.build import build_data
from denseup.cli.predict import main
from denseup.engine import RunFolder
from denseup.prediction import files
from denseup.results import LabelMap, Matte

PHOTO = noise(0, 41, 53)
TRIMAP = np.full((41, 53), 128, np.uint8)
TRIMAP[:15], TRIMAP[30:] = 0, 255


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run of each task."""
    root = tmp_path_factory.mktemp("runs")
    for task in ("matting", "segmentation"):
        train.run(tiny_run(task=task), RunFolder(root / task))
    return {task: root / task for task in ("matting", "segmentation")}


def predict(*words: str) -> int:
    """The command, with quotes around what Hydra would take apart."""
    pairs = [word.partition("=") for word in words]
    return main([f"{key}='{value}'" if " " in value else f"{key}={value}" for key, _, value in pairs])


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("task", ["matting", "segmentation"])
def test_it_predicts_what_the_evaluation_does(runs: dict[str, Path], task: str) -> None:
    """On the demo's validation images, to the bit."""
    loaded = denseup.load(runs[task] / "checkpoints/best.ckpt")
    small = ["data.image_size=75", "data.val_length=2"]
    data = build_data(configure(f"task={task}", "upsampler=bilinear", *small))
    data.setup("validate")
    for batch in data.val_dataloader():
        with torch.no_grad():
            expected = loaded.predict(batch)[0].numpy()
        image = batch["image"][0].permute(1, 2, 0).numpy()
        prompts = {"trimap": batch["trimap"][0, 0].numpy()} if task == "matting" else {}
        found = denseup.predict(loaded, image, **prompts)
        values = np.rint(found.values * 255) if task == "matting" else found.values
        assert np.array_equal(values, expected)
        assert len(np.unique(expected)) > 1


def test_a_folder_of_all_kinds_of_files(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sub-folders, a tag, alpha, grey, CMYK, 16 bits and two files of one name; what is broken stops no other."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = np.dstack([PHOTO, PHOTO[..., 0]])
    photos = {
        "turned.png": (Image.fromarray(PHOTO), {"exif": exif}),
        "in/clear.png": (Image.fromarray(rgba), {}),
        "grey.png": (Image.fromarray(PHOTO[..., 0]), {}),
        "deep.png": (Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257), {}),
        "ink.jpg": (Image.fromarray(PHOTO).convert("CMYK"), {}),
        "same.bmp": (Image.fromarray(PHOTO), {}),
        "same.png": (Image.fromarray(PHOTO), {}),
        "a dot.b.png": (Image.fromarray(PHOTO[:1, :1]), {}),
    }
    for name, (image, options) in photos.items():
        save(tmp_path / "photos" / name, image, **options)
    (tmp_path / "photos/broken.png").write_bytes((tmp_path / "photos/grey.png").read_bytes()[:200])
    output = tmp_path / "photos/out"
    for _ in range(2):  # what the first call has written is no picture of the second
        assert predict(f"ckpt={runs['segmentation']}", f"input={tmp_path}/photos", f"output={output}") == 1
        shown = capsys.readouterr().err
        assert "8 of 9 predicted" in shown
        assert "1 failed:" in shown
        assert "broken.png: " in shown
    names = ["turned", "in/clear", "grey", "deep", "ink", "same.bmp", "same.png", "a dot.b"]
    kinds = {f"{name}_{kind}.png" for name in names for kind in ("labels", "overlay")}
    assert {str(p.relative_to(output)) for p in output.rglob("*.*")} == kinds | {"legend.png", "classes.csv"}
    assert read(output / "turned_labels.png").shape == (53, 41)
    expected = denseup.predict(runs["segmentation"], PHOTO)
    assert isinstance(expected, LabelMap)
    for name in ("in/clear", "same.bmp", "same.png"):
        assert np.array_equal(read(output / f"{name}_labels.png"), expected.labels)
        assert np.array_equal(read(output / f"{name}_overlay.png"), expected.overlay())
    assert np.array_equal(read(output / "grey_labels.png"), read(output / "deep_labels.png"))
    assert read(output / "a dot.b_labels.png").shape == (1, 1)


def test_mattes(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With trimaps beside the pictures; one without is named, and how to give one."""
    for name in ("a.png", "sub/b c.png", "lonely.png"):
        save(tmp_path / "in" / name, Image.fromarray(PHOTO))
    for name in ("a_tri.png", "sub/b c_tri.png"):
        save(tmp_path / "in" / name, Image.fromarray(TRIMAP))
    words = [f"ckpt={runs['matting']}", f"input={tmp_path}/in", f"output={tmp_path}/out", "trimap=NAME_tri.png"]
    assert predict(*words, "files=[alpha]", "bits=16") == 1
    shown = capsys.readouterr().err
    assert "2 of 3 predicted" in shown
    assert f"{tmp_path}/in/lonely.png: there is no trimap, which matting needs; expected trimap=…" in shown
    matte = denseup.predict(runs["matting"], PHOTO, trimap=TRIMAP)
    assert isinstance(matte, Matte)
    for name in ("a", "sub/b c"):
        deep = read(tmp_path / f"out/{name}_alpha.png")
        assert deep.dtype == np.uint16
        assert np.array_equal(deep, np.rint(matte.alpha * np.float32(65535)))
    assert (matte.alpha[:15] == 0).all()
    assert (matte.alpha[30:] == 1).all()
    assert matte.alpha[15:30].std() > 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


def test_a_cut_out(runs: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("pymatting", reason="needs the extra: pip install 'denseup[predict]'")
    photo, trimap = save(tmp_path / "a.png", Image.fromarray(PHOTO)), save(tmp_path / "t.png", Image.fromarray(TRIMAP))
    words = [f"ckpt={runs['matting']}", f"input={photo}", f"output={tmp_path}/out", f"trimap={trimap}"]
    assert predict(*words) == 0
    cut = read(tmp_path / "out/a_cutout.png")
    assert cut.shape == (41, 53, 4)
    assert np.array_equal(cut[..., 3], read(tmp_path / "out/a_alpha.png"))
    assert np.array_equal(cut[30:, :, :3], PHOTO[30:])


def test_a_cut_out_without_pymatting(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    photo, trimap = save(tmp_path / "a.png", Image.fromarray(PHOTO)), save(tmp_path / "t.png", Image.fromarray(TRIMAP))
    words = [f"ckpt={runs['matting']}", f"input={photo}", f"output={tmp_path}/out", f"trimap={trimap}"]
    assert predict(*words) == 1
    assert "pip install 'denseup[predict]'; files=[alpha] does without" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_rough_mask_will_do(runs: dict[str, Path], tmp_path: Path) -> None:
    mask = np.zeros((41, 53), np.uint8)
    mask[20:] = 255
    photo, rough = save(tmp_path / "a.png", Image.fromarray(PHOTO)), save(tmp_path / "m/a.png", Image.fromarray(mask))
    words = [f"ckpt={runs['matting']}", f"input={photo}", f"output={tmp_path}/out", "files=[alpha]"]
    assert predict(*words, f"mask={rough}", "band=5") == 0
    trimap = np.full((41, 53), 128, np.uint8)
    trimap[:15], trimap[25:] = 0, 255
    expected = denseup.predict(runs["matting"], PHOTO, trimap=trimap)
    assert np.array_equal(read(tmp_path / "out/a_alpha.png"), np.rint(expected.values * np.float32(255)))
    assert np.array_equal(denseup.predict(runs["matting"], photo, mask=mask > 0, band=5).values, expected.values)


def test_trimaps_are_read_as_those_of_training(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = save(tmp_path / "a.png", Image.fromarray(PHOTO))
    coded = save(tmp_path / "coded.png", Image.fromarray(np.digitize(TRIMAP, [1, 200]).astype(np.uint8)))
    small = save(tmp_path / "small.png", Image.fromarray(TRIMAP[:40]))
    words = [f"ckpt={runs['matting']}", f"input={photo}", f"output={tmp_path}/out", "files=[alpha]"]
    assert predict(*words, f"trimap={coded}") == 1
    assert "'trimap_values={0: 0, 1: 128, 2: 255}'" in capsys.readouterr().err
    assert main([*words, f"trimap={coded}", "trimap_values={0: 0, 1: 128, 2: 255}"]) == 0
    assert predict(*words, f"trimap={small}") == 1
    assert "found 40 x 53 (height x width); expected 41 x 53" in capsys.readouterr().err


def test_the_weights_that_a_run_tells(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of its protocol, and it is said which."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("best", "last"):
        state = torch.load(runs["segmentation"] / f"checkpoints/{name}.ckpt", weights_only=True)
        state["state_dict"] = {key: value + (name == "last") for key, value in state["state_dict"].items()}
        torch.save(state, folder / f"checkpoints/{name}.ckpt")
    config = (runs["segmentation"] / "config.yaml").read_text().replace("evaluation: best", "evaluation: last")
    (folder / "config.yaml").write_text(config)
    assert "evaluation: last" in config
    photo = save(tmp_path / "a.png", Image.fromarray(PHOTO))
    assert predict(f"ckpt={folder}", f"input={photo}", f"output={tmp_path}/out") == 0
    assert f"weights: {folder}/checkpoints/last.ckpt" in capsys.readouterr().err
    last = denseup.predict(folder / "checkpoints/last.ckpt", PHOTO).values
    assert np.array_equal(read(tmp_path / "out/a_labels.png"), last)


def test_standard_input_and_output(runs: dict[str, Path]) -> None:
    photo = io.BytesIO()
    Image.fromarray(PHOTO).save(photo, "PNG")
    command = [sys.executable, "-m", "src.predict", f"ckpt={runs['segmentation']}", "input=-", "output=-"]
    done = subprocess.run(command, input=photo.getvalue(), capture_output=True, cwd=ROOT, timeout=GUARD, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert np.array_equal(np.asarray(image), denseup.predict(runs["segmentation"], PHOTO).values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input=nowhere.png"], "input=nowhere.png: there is no such file or folder"),
        (["output=-", "input=FOLDER"], "output is -, for one picture, but input has 2; expected a folder"),
        (["output=FILE/x"], "output=.*: nothing can be written there"),
        (["files=[alhpa]"], "files is .'alhpa'., valid: labels, overlay"),
        (["memory=plenty"], "memory is 'plenty', expected a size such as 4GiB"),
        (["memory=1MiB"], "memory is 0.000977 GiB, expected at least [0-9.]+ GiB"),
        (["device=gpu"], "device is 'gpu', expected cpu, cuda or auto"),
        (["bits=12"], "bits is 12, valid: 8, 16"),
        (["band=-2"], "band is -2, expected an integer"),
        (["trimap=FILE"], "trimap is given, but segmentation takes the image alone"),
        (["ckpt=FOLDER"], "ckpt=.*: there are no weights in this folder"),
        (["ckpt=nowhere.ckpt"], "ckpt=nowhere.ckpt: there is no such file"),
        (["ckpt=FILE"], "not a checkpoint written by this package"),
        (["apply_orientation=perhaps"], "apply_orientation is 'perhaps', expected true or false"),
    ],
)
def test_wrong_options(
    words: list[str], message: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = save(tmp_path / "in/a.png", Image.fromarray(PHOTO))
    save(tmp_path / "in/b.png", Image.fromarray(PHOTO))
    given = [word.replace("FOLDER", str(file.parent)).replace("FILE", str(file)) for word in words]
    defaults = [f"ckpt={runs['segmentation']}", f"input={file}", f"output={tmp_path}/out"]
    keys = {word.partition("=")[0] for word in given}
    assert predict(*given, *(word for word in defaults if word.partition("=")[0] not in keys)) == 1
    text = " ".join(capsys.readouterr().err.split())
    assert re.search(message, text), text


def test_what_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (([], "predict needs ckpt=…, input=…"), (["photo.png"], "such as input=photo.png")):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code != 0
        assert message in f"{caught.value.code}{capsys.readouterr().err}"
    with pytest.raises(SystemExit, match=r"(?s)memroy.*Did you mean 'memory'"):
        main(["ckpt=x", "input=y", "memroy=3GiB"])


def test_the_console_command_knows_it() -> None:
    done = python("-m", "denseup", "predict", "--help")
    assert done.returncode == 0
    assert "memory: 4GiB" in done.stdout
