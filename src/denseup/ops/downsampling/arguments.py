"""What the operators of down-sampling ask of their arguments."""

from torch import Tensor

from denseup.ops.arguments import check_alike, check_device, check_groups, check_map, check_shape
from denseup.ops.geometry import Size, size_of


def check_downsampling(
    features: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, whole: bool = False
) -> None:
    """A map `[B, C, H, W]` and kernels of its size divided, rounding up; of its first pixels alone, if not `whole`."""
    check_map("features", features, "[B, C, H, W]")
    _check_numbers(features.shape[1], kernel_size, scale_factor, groups, "features")
    batch, _, height, width = features.shape
    check_map("kernels", kernels)
    expected = [batch, groups * kernel_size**2, -(-height // scale_factor), -(-width // scale_factor)]
    came = expected if whole else [*expected[:2], *kernels.shape[2:]]
    check_shape("kernels", kernels, came, "(batch, groups·kernel_size², ⌈H/scale_factor⌉, ⌈W/scale_factor⌉)")
    check_device("kernels", kernels, "features", features)
    _check_low("kernels", kernels, (height, width), scale_factor)


def check_downsampling_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, scale_factor: int, groups: int, height: int, width: int
) -> None:
    """A gradient `[B, C, h, w]`, its kernels, and the size of the map."""
    check_map("grad", grad)
    _check_numbers(grad.shape[1], kernel_size, scale_factor, groups, "grad")
    check_shape("kernels", kernels, [grad.shape[0], groups * kernel_size**2, *grad.shape[2:]], "as grad has")
    check_map("kernels", kernels)
    check_device("kernels", kernels, "grad", grad)
    _check_low("grad", grad, (height, width), scale_factor)


def check_downsampling_similarity(
    grad: Tensor, features: Tensor, kernel_size: int, scale_factor: int, groups: int
) -> None:
    """A gradient `[B, C, h, w]` and the map `[B, C, H, W]`."""
    check_map("grad", grad)
    check_map("features", features, "[B, C, H, W]")
    _check_numbers(grad.shape[1], kernel_size, scale_factor, groups, "grad")
    check_shape("features", features, [*grad.shape[:2], *features.shape[2:]], "as grad has")
    check_alike("features", features, "grad", grad)
    _check_low("grad", grad, size_of(features), scale_factor)


def _check_numbers(channels: int, kernel_size: int, scale_factor: int, groups: int, name: str) -> None:
    for argument, value in (("kernel_size", kernel_size), ("scale_factor", scale_factor)):
        if value < 1:
            raise ValueError(f"{argument} is {value}, expected a whole number ≥ 1")
    check_groups(groups, channels, name)


def _check_low(name: str, low: Tensor, size: Size, scale_factor: int) -> None:
    most = tuple(-(-length // scale_factor) for length in size)
    if low.shape[2] > most[0] or low.shape[3] > most[1]:
        raise ValueError(
            f"{name} is {size_of(low)} in size, expected at most {most}, that of {tuple(size)} downsampled"
        )
