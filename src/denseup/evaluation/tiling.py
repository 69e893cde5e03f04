"""Parts of an image, each seen with what lies around it, put together to the scores of the whole image."""

from contextlib import nullcontext
from functools import cached_property, partial

from torch import Tensor

from denseup.prediction.parts import decode_with, place, put_together
from denseup.prediction.reach import Reach, measure_reach
from denseup.prediction.sample import Sample
from denseup.prediction.windows import Window, spans
from denseup.tasks import DenseTask
from denseup.tasks.watched import Batch


class Tiles:
    """Scores of an image in parts; where a part sees all that has a say in it, those of the whole but for rounding.

    What a network makes of the whole image (the mean of an image pyramid) is made of the whole first, in parts too; and
    a decoder in which every pixel has a say everywhere runs as a whole on the encoder's maps of the parts.

    Args:
        task: gives the scores.
        tile: side of the parts in pixels, rounded up to the network's coarsest stride.
        overlap: pixels that are seen around them, rounded up likewise; None: as many as have a say.

    Raises:
        ValueError: when called, with overlap=None, for a network in which every pixel has a say everywhere.
    """

    def __init__(self, task: DenseTask, tile: int, overlap: int | None) -> None:
        self.task, self.tile, self.overlap = task, tile, overlap

    @cached_property
    def reach(self) -> Reach:
        """Of the network; measured on the first image that is larger than a tile."""
        return measure_reach(self.task.network, self.task.in_channels)

    def __call__(self, batch: Batch) -> Tensor:
        """Scores `[1, C, h, w]` of a batch of one image, as `DenseTask.scores` gives them."""
        image = batch["image"]
        if max(image.shape[2:]) <= self.tile:
            return self.task.scores(batch)
        maps = {key: batch[key][0, 0].cpu().numpy() for key in self.task.prompts}
        whole = Sample(image[0].permute(1, 2, 0).cpu().numpy(), maps, str(next(iter(batch.get("name", ())), "image")))
        sample = whole.padded(self.task.padding)
        decodes_whole = self.overlap is None and self.reach.direct is None
        scores = self._decoded_whole(sample) if decodes_whole else self._put_together(sample)
        if sample is whole:
            return scores
        stride = sample.size[0] // scores.shape[2]  # which divides what is padded
        height, width = (-(-side // stride) for side in whole.size)
        return scores[..., :height, :width]

    def _put_together(self, sample: Sample) -> Tensor:
        task, (core, halo, step) = self.task, self._sides()
        context = self._context(sample)
        whole: list[Tensor] = []
        for rows in spans(sample.size[0], core, halo, step):
            for columns in spans(sample.size[1], core, halo, step):
                window = Window(rows, columns)
                run = (
                    nullcontext() if context is None else task.running(decode_with(task, context, sample, window, step))
                )
                with run:
                    part = task.scores(sample.batch(task.device, rows.seen, columns.seen))
                whole = place(task, whole, [part], window, sample.size, step)
        return whole[0]

    def _sides(self) -> tuple[int, int, int]:
        """Of what is wanted of a part, of what is seen around it, and the step that both are multiples of."""
        step = self.reach.step
        halo = self.reach.direct if self.overlap is None else self.overlap
        assert halo is not None
        return -(-self.tile // step) * step, -(-halo // step) * step, step

    def _context(self, sample: Sample) -> Tensor | None:
        deep = self.reach.deep
        if deep is None:
            return None
        maps = put_together(self.task, sample, "deep_maps", deep, self.reach.step, self._pixels(deep))
        context: Tensor = self.task.network.context(maps)  # type: ignore[operator]
        return context

    def _decoded_whole(self, sample: Sample) -> Tensor:
        """The encoder in parts, and what follows as a whole."""
        task, reach = self.task, self.reach
        if reach.maps is None:
            raise ValueError(
                "evaluation.overlap is null, but in this network every pixel has a say everywhere, so that no part "
                "gives what the whole gives; expected evaluation.overlap=PIXELS, with which parts come near it"
            )
        maps = put_together(task, sample, "encode", reach.maps, reach.step, self._pixels(reach.maps))
        with task.running(partial(task.network, maps=maps)):
            return task.scores(sample.batch(task.device))

    def _pixels(self, halo: int) -> int:
        """Of a tile with what is seen around it."""
        return (-(-self.tile // self.reach.step) * self.reach.step + 2 * halo + self.reach.step) ** 2
