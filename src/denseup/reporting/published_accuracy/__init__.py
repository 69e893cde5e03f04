"""The published accuracy of the upsamplers, and what a reader has to know about it.

Lu et al., "FADE: A Task-Agnostic Upsampling Operator for Encoder-Decoder Architectures", IJCV 2024, arXiv:2407.13500:
matting on Composition-1k with a ResNet-34 network, segmentation on ADE20K with SegFormer-B1. Nothing here was measured
by this package, and nothing measured stands in a column with it.
"""

from collections.abc import Mapping

SOURCE = "FADE, IJCV 2024, arXiv:2407.13500"
SETTINGS = {
    "matting": "Composition-1k, ResNet-34 matting network",
    "segmentation": "ADE20K, SegFormer-B1, values in per cent",
}
CAVEATS = {
    "matting": (
        "Published matting SAD and Grad of FADE come from the Python metrics computed during training, not from the "
        "MATLAB script of the benchmark.",
        "The published row IndexNet stands beside indexnet_m2o, as in the cost table: its variant is unsaid, and this "
        "one comes nearest in cost.",
    ),
    "segmentation": (
        "The published mIoU column is the best of ten evaluations of one run; FADE's last evaluation was 44.25, not "
        "44.41.",
    ),
}

_MATTING = ("sad", "mse", "grad", "conn")
_SEGMENTATION = ("miou", "biou")
_ROWS = {
    "matting": {
        "bilinear": "37.31 0.0103 21.38 35.39",
        "carafe": "41.01 0.0118 21.39 39.01",
        "indexnet_m2o": "34.28 0.0081 15.94 31.91",
        "a2u": "32.15 0.0082 16.39 29.25",
        "fade": "31.10 0.0073 14.52 28.11",
        "fade_lite": "31.36 0.0075 14.83 28.21",
    },
    "segmentation": {
        "bilinear": "41.68 27.80",
        "carafe": "42.82 29.84",
        "indexnet": "41.50 28.27",
        "a2u": "41.45 27.31",
        "fade": "44.41 32.65",
        "fade_lite": "43.49 31.55",
    },
}

ACCURACY: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    task: {
        name: dict(zip({"matting": _MATTING, "segmentation": _SEGMENTATION}[task], row.split(), strict=True))
        for name, row in rows.items()
    }
    for task, rows in _ROWS.items()
}
"""Task → upsampler → metric → the value as printed."""


def published_accuracy(task: str, upsampler: str, metric: str) -> str | None:
    """The value as printed, None where nothing was published."""
    return ACCURACY.get(task, {}).get(upsampler, {}).get(metric)
