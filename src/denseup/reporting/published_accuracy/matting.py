"""Matting on Composition-1k with a ResNet-34 network."""

from denseup.reporting.published_accuracy.facts import TaskAccuracy

ACCURACY = TaskAccuracy(
    settings="Composition-1k, ResNet-34 matting network",
    caveats=(
        "Published matting SAD and Grad of FADE come from the Python metrics computed during training, not from the "
        "MATLAB script of the benchmark.",
        "The published row IndexNet stands beside indexnet_m2o, as in the cost table: its variant is unsaid, and this "
        "one comes nearest in cost.",
    ),
    metrics=("sad", "mse", "grad", "conn"),
    rows={
        "bilinear": "37.31 0.0103 21.38 35.39",
        "carafe": "41.01 0.0118 21.39 39.01",
        "indexnet_m2o": "34.28 0.0081 15.94 31.91",
        "a2u": "32.15 0.0082 16.39 29.25",
        "fade": "31.10 0.0073 14.52 28.11",
        "fade_lite": "31.36 0.0075 14.83 28.21",
    },
)
