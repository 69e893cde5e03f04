"""What an upsampler asks for beside `de` and `en`."""

from typing import Any

from torch import Tensor

from denseup.upsamplers import Upsampler


def asked(module: Upsampler, en: Tensor) -> dict[str, Any]:
    """Keyword arguments of a call with `en`; where an image is asked for, it is `en`'s first channels."""
    return {"image": en[:, :3]} if module.needs_image else {}
