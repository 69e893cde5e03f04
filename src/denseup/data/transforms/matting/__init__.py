"""The matting recipe, Composition-1k's: `recipe.py` is its order, the other modules its steps."""

from denseup.data.transforms.matting.recipe import MattingAugmentation, composite_steps, photograph_steps

__all__ = ["MattingAugmentation", "composite_steps", "photograph_steps"]
