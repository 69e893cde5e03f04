"""What a training sample goes through: named steps in an order, each with a random stream of its own."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from denseup.data.transforms.streams import Generator, Streams

Arrays = dict[str, Any]
"""A sample on its way: names → numpy arrays. No step changes an array that it was given."""


class Step:
    """One step: a function of a sample and of the random numbers of its own stream."""

    name: ClassVar[str]
    """Of its stream; two steps of one pipeline never share it."""

    @abstractmethod
    def __call__(self, sample: Arrays, rng: Generator) -> Arrays:
        """The sample after this step."""


class Pipeline:
    """Steps in their order.

    Args:
        steps: of different names.

    Raises:
        ValueError: two steps have one name.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"steps: got {', '.join(self.names)}; expected different names, for each names a stream")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the steps, in their order."""
        return tuple(step.name for step in self.steps)

    def __call__(self, sample: Arrays, streams: Streams) -> Arrays:
        """The sample after all steps."""
        for step in self.steps:
            sample = step(sample, streams(step.name))
        return sample

    def stages(self, sample: Arrays, streams: Streams) -> Iterator[tuple[str, Arrays]]:
        """(name of the step, the sample after it), step by step; the last one is what a call gives."""
        for step in self.steps:
            sample = step(sample, streams(step.name))
            yield step.name, sample

    def without(self, *names: str) -> "Pipeline":
        """The pipeline without some steps: what the others draw stays the same.

        Raises:
            ValueError: there is no step of that name.
        """
        for name in names:
            if name not in self.names:
                raise ValueError(f"names: got {name!r}; expected some of {', '.join(self.names)}")
        return Pipeline(step for step in self.steps if step.name not in names)
