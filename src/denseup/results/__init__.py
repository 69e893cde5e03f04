"""What a prediction is once it is made: values of one image, and the pictures that are written of them."""

from denseup.results.base import File, Result
from denseup.results.label_map import LabelMap
from denseup.results.matte import Matte
from denseup.results.value_map import ValueMap

__all__ = ["File", "LabelMap", "Matte", "Result", "ValueMap"]
