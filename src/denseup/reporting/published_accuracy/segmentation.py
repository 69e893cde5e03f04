"""Segmentation of ADE20K with SegFormer-B1."""

from denseup.reporting.published_accuracy.facts import TaskAccuracy

ACCURACY = TaskAccuracy(
    settings="ADE20K, SegFormer-B1, values in per cent",
    caveats=(
        "The published mIoU column is the best of ten evaluations of one run; FADE's last evaluation was 44.25, not "
        "44.41.",
    ),
    metrics=("miou", "biou"),
    rows={
        "bilinear": "41.68 27.80",
        "carafe": "42.82 29.84",
        "indexnet": "41.50 28.27",
        "a2u": "41.45 27.31",
        "fade": "44.41 32.65",
        "fade_lite": "43.49 31.55",
    },
)
