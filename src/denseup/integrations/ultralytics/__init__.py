"""ultralytics YOLO: imported, it makes denseup's upsamplers known to model yamls.

    - [-1, 1, dysample, [2]]                      # ×2
    - [-1, 1, carafe, [2, {kernel_size: 3}]]      # with options
    - [[-1, 6], 1, fade, []]                      # guided by layer 6, whose size the output has

A row's module is the name of an upsampler; its arguments are the factor (2 where there is none) and options by their
names. Channels come from the layers the row names, and the output has those of the first. A name that ultralytics has
too is theirs; `denseup.NAME` is always ours.

`ultralytics.nn.tasks.parse_model` is wrapped: our rows are handed on in a form that it takes, every other row as it is.
No file of theirs is changed, and none of their code is contained here. Importing it twice, or reloading it, changes
nothing. A checkpoint of such a model imports it by itself; to build one from a yaml it has to be imported first.
"""

try:
    import ultralytics.nn.tasks  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "ultralytics":
        raise
    raise ImportError("denseup.integrations.ultralytics needs ultralytics: pip install ultralytics") from error

from denseup.integrations.ultralytics.layer import Upsampling
from denseup.integrations.ultralytics.parsing import wrap_parse_model

__all__ = ["Upsampling"]

wrap_parse_model()
