"""Runs kept in one file: the same report from it, nothing of the machine in it, and files that are none."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from reporting.synthetic import base_config, run_config, write_run, write_sweep

from denseup.cli import report
from denseup.reporting import archive, group_runs, load_runs, write_archive


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of three upsamplers in both tasks, on data of this machine, and a run that failed."""
    root = tmp_path_factory.mktemp("sweep")
    write_sweep(root, upsamplers=("bilinear", "carafe", "fade"), seeds=(0, 1), images=5)
    config = run_config(base_config("matting", "data=matting_folder", f"data.root={root}"), "fade", 2)
    failed = write_run(root, config, status="failed", error=f"OSError: no such file: '{root}/image'")
    (failed / "error.txt").write_text(f"OSError: no such file: '{root}/image'")
    return root


def texts(folder: Path, source: Path) -> dict[str, str]:
    """A report's tables and its text, without where the runs lie."""
    found = {str(file.relative_to(folder)): file.read_text() for file in [*folder.rglob("*.csv"), folder / "report.md"]}
    return {
        name: text.replace(f"'{source}/image'", "'image'").replace(str(source), "RUNS") for name, text in found.items()
    }


def test_a_report_of_the_archive_is_that_of_the_runs(sweep: Path, tmp_path: Path) -> None:
    """Intervals over images too, and what did not finish; through the command line."""
    kept = tmp_path / "runs.tar.xz"
    flags = ["latency=false", "examples=0"]
    assert report.main([str(sweep), f"output={tmp_path / 'one'}", f"archive={kept}", *flags]) == 0
    assert report.main([str(kept), f"output={tmp_path / 'other'}", *flags]) == 0
    expected = texts(tmp_path / "one", sweep)
    assert texts(tmp_path / "other", kept) == expected
    assert {"segmentation_classes.csv", "matting.csv", "runs.csv"} < set(expected)
    assert len(load_runs([kept])) == 13
    assert kept.stat().st_size < 40_000


def test_the_same_runs_give_the_same_bytes(sweep: Path, tmp_path: Path) -> None:
    """Whenever it is written, and from itself."""
    runs = load_runs([sweep])
    for number, found in enumerate((runs, runs[::-1])):
        write_archive(found, tmp_path / f"{number}.tar.xz")
        os.utime(sweep)
    write_archive(load_runs([tmp_path / "0.tar.xz"]), tmp_path / "2.tar.xz")
    assert len({file.read_bytes() for file in tmp_path.glob("*.tar.xz")}) == 1


def test_it_has_no_path_of_this_machine(sweep: Path, tmp_path: Path) -> None:
    write_archive(load_runs([sweep]), tmp_path / "runs.tar.xz")
    config = run_config(base_config("matting", "data=matting_folder", f"data.root={tmp_path}/mine"), "fade", 0)
    write_archive(load_runs([write_run(tmp_path / "one", config)]), tmp_path / "one.tar.xz")
    (run,) = load_runs([tmp_path / "one.tar.xz"])
    assert run.config["data"]["root"] == "mine"
    for file in tmp_path.glob("*.tar.xz"):
        with tarfile.open(file) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                assert all(str(folder).encode() not in content.read() for folder in (sweep, tmp_path, Path.cwd()))
                assert (member.uname, member.mtime) == ("", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/data/camvid", "camvid"),
        ("/srv/my data/camvid/", "camvid"),
        ("~/data", "data"),
        (r"C:\data\camvid", "camvid"),
        ("checkpoints/best.ckpt", "checkpoints/best.ckpt"),
        ("torch.optim.AdamW", "torch.optim.AdamW"),
        ("a / b, 1/2, /", "a / b, 1/2, /"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("OSError: '/srv/a.png': no such file", "OSError: 'a.png': no such file"),
        (r"in C:\me\run\config.yaml: line 3", "in config.yaml: line 3"),
        (3, 3),
    ],
)
def test_shortened(text: object, expected: object) -> None:
    assert archive._shortened({"key": [text]}, {}) == {"key": [expected]}


def test_runs_of_one_name_stay_apart(sweep: Path, tmp_path: Path) -> None:
    config = run_config(base_config("matting"), "fade", 0)
    folders = [write_run(tmp_path / name, config, steps=steps) for name, steps in (("one", 10), ("other", 20))]
    runs = load_runs(folders)
    write_archive(runs, tmp_path / "runs.tar.xz")
    names = {run.source.name for run in load_runs([tmp_path / "runs.tar.xz"])}
    assert names == {runs[0].source.name, f"{runs[0].source.name}_2"}


def test_a_run_is_kept_once(sweep: Path, tmp_path: Path) -> None:
    """Given by its folder and by archives that have it."""
    part, whole, again = (tmp_path / f"{name}.tar.xz" for name in ("part", "whole", "again"))
    runs = load_runs([sweep])
    write_archive(runs[:3], part)
    write_archive(runs, whole)
    write_archive(load_runs([part, sweep, whole]), again)
    assert {run.source.name for run in load_runs([again])} == {run.source.name for run in runs}


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("../result.json", tarfile.REGTYPE, "a run's folder is one name"),
        ("/etc/result.json", tarfile.REGTYPE, "a run's folder is one name"),
        ("a/b/result.json", tarfile.REGTYPE, "a run's folder is one name"),
        ("result.json", tarfile.REGTYPE, "a run's folder is one name"),
        ("run/best.ckpt", tarfile.REGTYPE, "it is no file of a run"),
        ("run/result.json", tarfile.SYMTYPE, "it is no file of a run"),
        ("run/result.json", tarfile.DIRTYPE, "it is no file of a run"),
    ],
)
def test_anything_else_in_it_is_refused(name: str, kind: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.tar.xz"
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(file, "w:xz") as tar:
        tar.addfile(member, io.BytesIO())
    with pytest.raises(ValueError, match=words):
        load_runs([file])


def test_what_is_none_is_refused(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut, text = (tmp_path / f"{name}.tar.xz" for name in ("whole", "cut", "text"))
    write_archive(load_runs([sweep]), whole)
    cut.write_bytes(whole.read_bytes()[:-200])
    text.write_text("no archive")
    for file in (cut, text):
        with pytest.raises(ValueError, match="is not an archive of runs"):
            load_runs([file])
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1000)
    monkeypatch.setattr(archive, "_unpacked", archive._unpacked.__wrapped__)
    with pytest.raises(ValueError, match="has over 1000 bytes"):
        load_runs([whole])
    with pytest.raises(ValueError, match=r"archive is '.*runs\.zip', expected a name that ends in \.tar\.xz"):
        write_archive(load_runs([sweep]), tmp_path / "runs.zip")


def test_logged_runs_have_no_folder_to_keep(tmp_path: Path) -> None:
    file = tmp_path / "offline-run-20260101_000000-a" / "run-a.wandb"
    file.parent.mkdir()
    file.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"run-a\.wandb' is an offline W&B run; only run folders can be kept"):
        write_archive(load_runs([tmp_path]), tmp_path / "runs.tar.xz")


def test_paths_that_differ_stay_different(tmp_path: Path) -> None:
    """Else runs of two data sets, or of two encoders, would be compared."""

    def write(name: str, seed: int, **data: str) -> None:
        config = run_config(base_config("matting", "data=matting_folder", "data.root=/nowhere"), name, seed)
        write_run(tmp_path / "runs", {**config, "data": {**config["data"], **data}})

    for seed in (0, 1):
        write("bilinear", seed, root="/data/v1/set")
        write("fade", seed, root="/data/v2/set")
    write("bilinear", 0, root="/data/v2/set")
    runs = load_runs([tmp_path / "runs"])
    write_archive(runs, tmp_path / "runs.tar.xz")
    (before, _), (after, left_out) = group_runs(runs), group_runs(load_runs([tmp_path / "runs.tar.xz"]))
    members = [[{label: set(by) for label, by in group.members.items()} for group in one] for one in (before, after)]
    assert members[0] == members[1]
    assert len(after) == 2
    assert not left_out
    assert {group.settings["data.root"] for group in after} == {"v1/set", "v2/set"}


def test_the_run_that_counts_is_the_same(tmp_path: Path) -> None:
    """Of two with the same upsampler, seed and settings: the one that is named first."""
    config = run_config(base_config("matting"), "bilinear", 0)
    folders = [write_run(tmp_path / "any", config, images=4).rename(tmp_path / name) for name in ("z", "a")]
    runs = load_runs(folders)
    write_archive(runs, tmp_path / "runs.tar.xz")
    for found in (runs, load_runs([tmp_path / "runs.tar.xz"])):
        (group,), [(again, _)] = group_runs(found)
        assert [run.source.name for run in group.runs] == ["z"]
        assert again.source.name == "a"
        assert group.images["bilinear"][0].parts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", b'{"status": "fin'),
        ("config.yaml", b"a: [1"),
        ("per_image.csv", b""),
        ("per_image_counts.npz", b"PK\x03\x04 cut"),
        ("per_image_counts.npz", b""),
    ],
)
def test_a_broken_file_stops_nobody(tmp_path: Path, name: str, content: bytes) -> None:
    write_sweep(tmp_path / "runs", ["segmentation"], ("bilinear", "fade"), (0,), images=3)
    (broken,) = (tmp_path / "runs").glob("*fade*")
    (broken / name).write_bytes(content)
    runs = load_runs([tmp_path / "runs"])
    write_archive(runs, tmp_path / "runs.tar.xz")
    (before, _), (after, left_out) = group_runs(runs), group_runs(load_runs([tmp_path / "runs.tar.xz"]))
    assert [list(group.members) for group in after] == [list(group.members) for group in before]
    assert [run.source.name for run, _ in left_out] == ([broken.name] if not name.startswith("per_image") else [])


def test_names_of_images_with_strange_ends_of_lines(tmp_path: Path) -> None:
    write_sweep(tmp_path / "runs", ["matting"], ("bilinear", "fade"), (0, 1), images=4)
    for file in (tmp_path / "runs").glob("*/per_image.csv"):
        file.write_text(file.read_text().replace("image 3", 'a\u2028b "c"').replace('a\u2028b "c"', '"a\u2028b ""c"""'))
    runs = load_runs([tmp_path / "runs"])
    write_archive(runs, tmp_path / "runs.tar.xz")
    for found in (runs, load_runs([tmp_path / "runs.tar.xz"])):
        ((group,), _) = group_runs(found)
        assert group.images["fade"][1].names[3] == 'a\u2028b "c"'
        assert group.compare(group.measures[0]).differences["fade"].over_images is not None
