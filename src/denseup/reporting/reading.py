"""How to read a report: what stands in it beside the numbers of a group."""

from denseup.reporting.group import REFERENCE
from denseup.reporting.published_accuracy import SOURCE

TITLE = "Comparison of feature upsamplers"
READING = (
    "A number is the mean over the runs of an upsampler, which differ in the seed alone, ± the half width of its 95 % "
    "interval over seeds (Student's t). A single run has no interval and is marked n = 1.",
    f"Δ {REFERENCE} is the mean difference at equal seeds on the same images, ± the half width of its 95 % interval "
    "for other seeds and other images of their kind (from one seed: for other images alone; without values of images: "
    "for other seeds alone). ▲ and ▼ mark a gain or a loss, of two seeds or more, that stays after Holm's correction "
    f"for all upsamplers of its column: if none differed from {REFERENCE}, one column in twenty would have a mark; "
    "docs/comparing.md has the formulas, and says what they can't tell.",
    "rank: the place among all upsamplers, in brackets the 95 % interval of a bootstrap over seeds and images.",
    "best: at each run's best evaluation, chosen by the task's first metric on the same validation data, hence "
    "optimistic; last: at its last evaluation.",
    "The best value of a column is bold on green, the second best underlined.",
    f"Published columns were not measured here: {SOURCE}. They come from other data or longer training, and "
    "are no yardstick for short runs.",
    "GFLOPs are 10⁹ multiply-adds of the whole network. An empty cell is a number that nobody has measured.",
)
