"""`torch.export` as its users call it, with denseup's operators in the program: one program for any size."""

import pytest
import torch
from upsamplers.stages import FEWER, Stage

from denseup import create_upsampler, list_upsamplers

CHANNELS = 16
ANY = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)


@pytest.mark.parametrize("name", list_upsamplers())
def test_a_program_takes_any_size(name: str) -> None:
    """Traced at odd sizes, where ratios are no whole numbers, it serves even ones, and other batches."""
    torch.manual_seed(0)
    upsampler = create_upsampler(name, de_channels=CHANNELS, **FEWER.get(name, {}))
    stage = Stage(upsampler).eval()
    sizes = ((12, 16), (8, 30)) if upsampler.exact_factor_only else ((13, 17), (14, 20), (9, 12))
    program = torch.export.export(stage, (torch.randn(2, CHANNELS, *sizes[0]),), dynamic_shapes=(ANY,)).module()
    for number, size in enumerate(sizes, 1):
        x = torch.randn(number, CHANNELS, *size)
        with torch.no_grad():
            expected = stage(x)
        torch.testing.assert_close(program(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", ["a2u", "bilinear", "fade"])
def test_a_program_of_even_sizes_takes_odd_ones(name: str, strict: bool) -> None:
    stage, x = Stage(create_upsampler(name, de_channels=CHANNELS)).eval(), torch.randn(2, CHANNELS, 12, 16)
    program = torch.export.export(stage, (x,), dynamic_shapes=(ANY,), strict=strict).module()
    for size in ((13, 17), (12, 9), (13, 16)):
        x = torch.randn(1, CHANNELS, *size)
        with torch.no_grad():
            expected = stage(x)
        torch.testing.assert_close(program(x), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
