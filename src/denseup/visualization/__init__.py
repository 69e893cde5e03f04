"""Pictures of samples, predictions and features, as plain RGB arrays."""

from denseup.visualization.animation import animation, comparison_sheet, contact_sheet, save_animation, tile
from denseup.visualization.confusion import confusion_picture
from denseup.visualization.feature_map import principal_map, same_sign
from denseup.visualization.layout import grid, save_png, save_webp
from denseup.visualization.maps import ClassMaps, Maps, ValueMaps
from denseup.visualization.palette import palette
from denseup.visualization.panels import matting_panel, segmentation_panel
from denseup.visualization.samples import sample_sheet, step_sheet

__all__ = [
    "ClassMaps",
    "Maps",
    "ValueMaps",
    "animation",
    "comparison_sheet",
    "confusion_picture",
    "contact_sheet",
    "grid",
    "matting_panel",
    "palette",
    "principal_map",
    "same_sign",
    "sample_sheet",
    "save_animation",
    "save_png",
    "save_webp",
    "segmentation_panel",
    "step_sheet",
    "tile",
]
