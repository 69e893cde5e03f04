"""The augmentation of the published recipes, as facts: what `test_recipe_steps.py` holds the code to.

Matting: GCA-Matting and its followers, for crops of 512 pixels; segmentation: SegFormer on ADE20K.
"""

from typing import Any

COMPOSITION_1K: list[tuple[str, dict[str, Any]]] = [
    ("combine", {"probability": 0.5}),
    ("resize", {"probability": 0.25, "side": 640}),
    ("affine", {"rotation": 30, "scale": (0.8, 1.25), "shear": 10, "flip": 0.5, "least": 512}),
    ("flip", {"probability": 0.5}),
    ("trimap", {"widths": (1, 29), "scale": 1}),
    ("crop", {"sizes": (512, 640, 800), "size": 512}),
    ("jitter", {"hue": 40, "shift": 0.1}),
    ("composite", {"size": 512}),
]
"""Steps in their order, with their numbers: pixels, degrees, probabilities, factors."""

PHOTOGRAPHS = ("flip", "trimap", "crop")
"""What is left of it where the foreground's colours are not known."""

ADE20K: list[tuple[str, dict[str, Any]]] = [
    ("resize", {"short_side": 512, "long_side": 2048, "ratio": (0.5, 2.0)}),
    ("crop", {"size": 512, "max_class_share": 0.75}),
    ("flip", {"probability": 0.5}),
    (
        "photometric",
        {"brightness": 32, "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": 36},
    ),
    ("pad", {"size": 512}),
]
"""The same; normalisation, which comes before the padding, is the task's."""
