"""Predictions of anyone's pictures: files in, results out, in parts where an image is large."""

from denseup.prediction.files import Settings, predict_files
from denseup.prediction.predictor import MEMORY, Predictor
from denseup.prediction.prompting import Prompting
from denseup.prediction.sources import Source, find_partners, find_sources

__all__ = [
    "MEMORY",
    "Predictor",
    "Prompting",
    "Settings",
    "Source",
    "find_partners",
    "find_sources",
    "predict_files",
]
