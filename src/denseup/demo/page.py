"""The page itself, in Gradio; what it shows comes from the other modules. Extra `demo`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # it would report to its maker when it is imported

import gradio as gr

from denseup.demo.comparing import IMAGE, Answers, ask
from denseup.demo.looking import enlarged, where_they_differ
from denseup.demo.strokes import FOREGROUND, UNSURE, trimap_of
from denseup.prediction import Predictor, Prompting
from denseup.prediction.prompting import TRIMAP
from denseup.prediction.trimaps import BAND
from denseup.results.base import Array

SIZE = 360
"""Of an enlarged square on the page, in pixels."""
SIDE = 64
ADVICE = (
    "Brush **green** over what certainly belongs to the foreground and **blue** over hair and edges. Without blue, a "
    "band around the green is taken."
)
FONTS = ["system-ui", "sans-serif"]
"""Those of the machine: the page loads nothing from elsewhere."""


class Page:
    """The page for networks of one task.

    Args:
        predictors: name → network.
        title: of the page.
    """

    def __init__(self, predictors: Mapping[str, Predictor], title: str) -> None:
        self.predictors = dict(predictors)
        task = next(iter(self.predictors.values())).task
        self.kinds = task.result_class.kinds
        self.brushed = TRIMAP in task.prompts
        self.title = title

    def build(self) -> gr.Blocks:
        """Inputs on the left, results on the right, the magnifier below."""
        names = [IMAGE, *self.predictors]
        with gr.Blocks(title=self.title, analytics_enabled=False) as blocks:
            gr.Markdown(f"## {self.title}")
            answers, centre = gr.State(), gr.State()
            with gr.Row():
                with gr.Column():
                    inputs = self._inputs()
                    run = gr.Button("Predict", variant="primary", elem_id="predict")
                with gr.Column():
                    kind = gr.Radio(list(self.kinds), value=self.kinds[-1], label="Shown", elem_id="kind")
                    with gr.Row():
                        left = gr.Dropdown(names, value=names[-2], label="Left", elem_id="left")
                        right = gr.Dropdown(names, value=names[-1], label="Right", elem_id="right")
                    slider = gr.ImageSlider(label="Result", elem_id="slider", interactive=False)
                    times = gr.Markdown(elem_id="times")
            gr.Markdown("### Magnifier\nClick into the image to look somewhere else.")
            with gr.Row():
                spot = gr.Image(label=IMAGE, interactive=False, elem_id="spot", buttons=["fullscreen"])
                closer = gr.Gallery(
                    label="Enlarged", columns=3, height="auto", elem_id="closer", object_fit="contain", buttons=[]
                )
            side = gr.Slider(16, 256, value=SIDE, step=8, label="Side of the square, in pixels")
            view = [answers, kind, left, right]
            enlarge = ([answers, kind, centre, side], closer)
            asked = run.click(self._ask, [kind, *inputs], [answers, times, spot])
            asked.success(self._compare, view, slider).then(self._find, [answers, kind, side], centre).then(
                self._enlarge, *enlarge
            )
            for choice in (kind, left, right):
                choice.input(self._compare, view, slider)
            for change in (kind, side):
                change.input(self._enlarge, *enlarge)
            spot.select(self._picked, None, centre).then(self._enlarge, *enlarge)
        return blocks

    def _inputs(self) -> list[Any]:
        if not self.brushed:
            return [gr.Image(label="Picture", type="numpy", sources=["upload", "clipboard"], elem_id="picture")]
        gr.Markdown(ADVICE)
        colours: list[Any] = [FOREGROUND, UNSURE]
        editor = gr.ImageEditor(
            label="Picture",
            type="numpy",
            sources=["upload", "clipboard"],
            brush=gr.Brush(default_size=24, colors=colours, default_color=FOREGROUND, color_mode="fixed"),
            transforms=(),
            layers=False,
            elem_id="picture",
        )
        band = gr.Slider(1, 100, value=BAND, step=1, label="Width of the band on either side of the edge, in pixels")
        with gr.Accordion("A trimap file instead", open=False):
            trimap = gr.Image(label="Trimap", type="filepath", sources=["upload"], elem_id="trimap")
        return [editor, band, trimap]

    def _ask(self, kind: str, picture: Any, band: int = BAND, trimap: str | None = None) -> tuple[Answers, str, Array]:
        """What the button does."""
        background = picture.get("background") if isinstance(picture, dict) else picture
        if background is None:
            raise gr.Error("Drop a picture first.")
        image = np.ascontiguousarray(background[..., :3])
        try:
            prompts = self._prompts(picture, image, band, trimap) if self.brushed else {}
            answers = ask(self.predictors, image, prompts)
            answers.pictures(kind)
        except (ValueError, ImportError) as error:
            raise gr.Error(str(error)) from error
        return answers, answers.times(), image

    def _prompts(self, picture: Any, image: Array, band: int, trimap: str | None) -> dict[str, Array]:
        if trimap is not None:
            return Prompting().read(next(iter(self.predictors.values())).task, image, Path(trimap), None)
        brushed = trimap_of(picture["layers"], band)
        if brushed is None:
            raise ValueError("Nothing is brushed: what belongs to the foreground?")
        return {TRIMAP: brushed}

    def _pictures(self, answers: Answers, kind: str) -> dict[str, Array]:
        try:
            return answers.pictures(kind)
        except ImportError as error:
            raise gr.Error(str(error)) from error

    def _compare(self, answers: Answers | None, kind: str, left: str, right: str) -> Any:
        if answers is None:
            return None
        found = self._pictures(answers, kind)
        return found[left], found[right]

    def _find(self, answers: Answers, kind: str, side: int) -> tuple[int, int]:
        found = self._pictures(answers, kind)
        return where_they_differ([found[name] for name in self.predictors], side)

    def _picked(self, event: gr.SelectData) -> tuple[int, int]:
        x, y = event.index
        return int(x), int(y)

    def _enlarge(self, answers: Answers | None, kind: str, centre: tuple[int, int] | None, side: int) -> Any:
        if answers is None or centre is None:
            return []
        found = self._pictures(answers, kind)
        return [(enlarged(picture, centre, side, SIZE), name) for name, picture in found.items()]


def launch(page: Page, host: str, port: int | None, browser: bool) -> None:
    """Serve a page until it is interrupted; one person's pictures are seen by that person alone.

    Raises:
        OSError: the port is taken.
    """
    theme = gr.themes.Default(font=FONTS, font_mono=["monospace"])
    page.build().launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        quiet=True,
        theme=theme,
        footer_links=[],
        enable_monitoring=False,
        ssr_mode=False,
        show_error=True,
    )
