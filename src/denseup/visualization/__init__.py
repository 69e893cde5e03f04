"""Pictures of samples and predictions, as plain RGB arrays."""

from denseup.visualization.layout import grid, save_png
from denseup.visualization.palette import palette
from denseup.visualization.panels import matting_panel, segmentation_panel

__all__ = ["grid", "matting_panel", "palette", "save_png", "segmentation_panel"]
