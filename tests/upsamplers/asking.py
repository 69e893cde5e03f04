"""What an upsampler asks for beside `de` and `en`."""

from typing import Any

from torch import Tensor

from denseup.upsamplers import Upsampler


def asked(module: Upsampler, en: Tensor) -> dict[str, Any]:
    """Keyword arguments of a call with `en`; where an image is asked for, it is of `en`'s channels."""
    image = en[:, :3] if en.shape[1] >= 3 else en[:, :1].expand(-1, 3, -1, -1)
    return {"image": image} if module.needs_image else {}
