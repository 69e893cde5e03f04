"""The page in a browser: a picture dropped, brushed, predicted, magnified; and what it says of what is missing."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configuring import tiny_run
from PIL import Image
from processes import GUARD, ROOT, python_module, started, wait_for

from denseup.cli import train
from denseup.cli.demo import listed
from denseup.engine import RunFolder

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-sync")
needs_gradio = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('gradio')", reason="no gradio")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two upsamplers in matting, and one in segmentation, hardly trained."""
    folder = tmp_path_factory.mktemp("runs")
    for task, upsampler in (("matting", "fade"), ("matting", "bilinear"), ("segmentation", "fade")):
        train.run(tiny_run(f"upsampler={upsampler}", task=task), RunFolder(folder / f"{task}_{upsampler}"))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH or in CHROMIUM")
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS])
        yield found
        found.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts the command on checkpoints; gives the port."""
    processes = []

    def start(*checkpoints: Path) -> int:
        pytest.importorskip("gradio", reason="no gradio")
        port = free_port()
        words = [f"ckpt={','.join(map(str, checkpoints))}", f"port={port}"]
        processes.append(started("-m", "src.demo", *words, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}))
        wait_for(lambda: answers("127.0.0.1", port) or processes[-1].poll() is not None)
        assert processes[-1].poll() is None
        return port

    yield start
    for process in processes:
        process.terminate()
        process.wait(GUARD)


def open_page(browser: Any, port: int, asked: list[str]) -> Any:
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    page.set_default_timeout(1000 * GUARD)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{port}/", wait_until="domcontentloaded")
    page.wait_for_selector("#predict")
    return page


def drop(page: Any, picture: Path) -> None:
    page.set_input_files("#picture input[type=file]", str(picture))


def brush(page: Any) -> None:
    """A stroke through the middle of the picture."""
    page.wait_for_selector("#picture canvas")
    page.wait_for_timeout(2000)  # until the picture has been laid out
    box = page.query_selector("#picture canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 30, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1], steps=10)
    page.mouse.up()
    page.wait_for_timeout(500)


def enlarged(page: Any) -> list[str]:
    return [image.get_attribute("src") for image in page.query_selector_all("#closer img")]


def test_a_picture_is_brushed_predicted_and_magnified(
    browser: Any, serve: Any, runs: Path, picture: Path, tmp_path: Path
) -> None:
    asked: list[str] = []
    port = serve(runs / "matting_fade", runs / "matting_bilinear")
    page = open_page(browser, port, asked)
    drop(page, picture)
    brush(page)
    page.click("text=alpha")
    page.click("#predict")
    page.wait_for_selector("#closer img")
    page.wait_for_function("document.querySelectorAll('#closer img').length >= 3")
    assert page.inner_text("#times").startswith("120 × 90 pixels: fade ")
    assert "bilinear" in page.inner_text("#times")
    assert len(page.query_selector_all("#slider img")) == 2
    before = enlarged(page)
    page.click("#spot img", position={"x": 20, "y": 20})
    changed = "before => [...document.querySelectorAll('#closer img')].some(image => !before.includes(image.src))"
    page.wait_for_function(changed, arg=before)
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000
    local = (f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(local)] == []


def test_what_is_missing_is_said_on_the_page(browser: Any, serve: Any, runs: Path, picture: Path) -> None:
    page = open_page(browser, serve(runs / "matting_fade"), [])
    page.click("#predict")
    page.wait_for_selector("text=Drop a picture first.")
    drop(page, picture)
    page.wait_for_selector("#picture canvas")
    page.wait_for_timeout(2000)
    page.click("#predict")
    page.wait_for_selector("text=Nothing is brushed")


def test_segmentation_needs_no_brush(browser: Any, serve: Any, runs: Path, picture: Path) -> None:
    page = open_page(browser, serve(runs / "segmentation_fade"), [])
    drop(page, picture)
    page.wait_for_selector("#picture img")
    page.click("#predict")
    page.wait_for_selector("#closer img")
    assert page.inner_text("#times").startswith("120 × 90 pixels: fade ")


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="sockets are looked up in /proc")
def test_only_this_machine_sees_it(serve: Any, runs: Path) -> None:
    port = serve(runs / "matting_fade")
    tables = [path.read_text().splitlines()[1:] for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))]
    listening = [line.split()[1] for lines in tables for line in lines if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


@needs_gradio
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ckpt={runs}/matting_fade,{runs}/segmentation_fade"], "ckpt has networks of several tasks"),
        (["ckpt={runs}/nowhere"], "nowhere: there is no such file"),
        (["ckpt={runs}/matting_fade", "port=0"], "port is 0, expected 1 … 65535, or null"),
        (["ckpt={runs}/matting_fade", "prt=1"], "prt"),
        ([], "demo needs ckpt=…"),
    ],
)
def test_what_can_not_be_shown_is_named(runs: Path, words: list[str], message: str) -> None:
    done = python_module("src.demo", *(word.format(runs=runs) for word in words))
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_checkpoints_are_listed_with_commas() -> None:
    assert listed("ckpt=a,b") == "ckpt=[a,b]"
    assert listed("ckpt=[a,b]") == "ckpt=[a,b]"
    assert listed("host=a,b") == "host=a,b"
