"""The segmentation recipe, ADE20K's: `recipe.py` is its order, the other modules its steps."""

from denseup.data.transforms.segmentation.recipe import SegmentationAugmentation, labelled_steps
from denseup.data.transforms.segmentation.shapes import fitted_size

__all__ = ["SegmentationAugmentation", "fitted_size", "labelled_steps"]
