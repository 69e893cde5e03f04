"""What a comparison of runs can say: estimates over seeds and over images, paired; NumPy and SciPy, nothing above.

A metric of one evaluation is a number for each upsampler and seed, and beside it what each image adds to that number
(`ImageParts`). `Comparison` takes both and tells differences to a reference, which of them stay after correction,
ranks, and what could have been seen. docs/comparing.md derives all of it.
"""

from denseup.statistics.comparison import Comparison, Limit
from denseup.statistics.correction import holm
from denseup.statistics.differences import Difference, difference
from denseup.statistics.images import ImageParts, resamples
from denseup.statistics.power import Spread, detectable, seeds_needed
from denseup.statistics.ranks import Rank, ranks
from denseup.statistics.seeds import CONFIDENCE, Estimate, estimate, paired, t_quantile

__all__ = [
    "CONFIDENCE",
    "Comparison",
    "Difference",
    "Estimate",
    "ImageParts",
    "Limit",
    "Rank",
    "Spread",
    "detectable",
    "difference",
    "estimate",
    "holm",
    "paired",
    "ranks",
    "resamples",
    "seeds_needed",
    "t_quantile",
]
