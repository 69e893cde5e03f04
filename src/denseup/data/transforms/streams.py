"""Random streams: every step of a training sample has one of its own.

A stream is seeded by (seed, epoch, index, name of the step). It is the same whatever the number of workers and
processes, and whatever the other steps draw: one that is left out, or has other options, changes none of them.
"""

from zlib import crc32

import numpy as np

Generator = np.random.Generator


class Streams:
    """The streams of one training sample.

    Args:
        seed: of the run.
        epoch, index: of the sample.
    """

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        self.entropy = (seed, epoch, index)

    def __call__(self, name: str) -> Generator:
        """The stream of a step, from its beginning."""
        return np.random.default_rng([*self.entropy, crc32(name.encode())])
