"""Programs of torch's own operators: none of ours is in them, and they serve sizes of every ratio."""

import pytest
import torch
from torch import Tensor, nn

from denseup import create_upsampler
from denseup.networks.encoders.base import crop, pad_to_side
from denseup.ops import in_torch_operators, sample_bilinear
from denseup.ops.geometry import divided_up
from denseup.ops.transforms import is_taken_apart

ANY = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}


class Raise(nn.Module):
    """An upsampler on a map and a guide of any ratio."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.upsampler = create_upsampler(name, de_channels=16)

    def forward(self, de: Tensor, en: Tensor) -> Tensor:
        return self.upsampler(de, en)


@pytest.mark.parametrize("name", ["nearest", "carafe", "fade", "sapa", "dysample"])
def test_any_ratio(name: str) -> None:
    """Traced at ×2, where nearest-neighbour resizing has a shorter way; from 6 to 74 rows that one rounds wrongly."""
    module = Raise(name).eval()
    with in_torch_operators(), torch.no_grad():
        program = torch.export.export(
            module, (torch.rand(2, 16, 6, 8), torch.rand(2, 16, 12, 16)), dynamic_shapes=(ANY, ANY)
        )
    assert "denseup" not in str(program.graph)
    served = program.module(check_guards=False)
    for size, guide in (((6, 8), (12, 16)), ((5, 7), (9, 13)), ((6, 4), (74, 11))):
        de, en = torch.rand(1, 16, *size), torch.rand(1, 16, *guide)
        with torch.no_grad():
            torch.testing.assert_close(served(de, en), module(de, en), rtol=1e-4, atol=1e-5)


def test_outside_of_it_nothing_changes() -> None:
    with in_torch_operators():
        assert not is_taken_apart()  # nothing is exported
    module, inputs = Raise("carafe").eval(), (torch.rand(1, 16, 5, 7), torch.rand(1, 16, 10, 14))
    assert "denseup" in str(torch.export.export(module, inputs).graph)


@pytest.mark.parametrize(("length", "divisor"), [(1, 4), (4, 4), (5, 4), (0, 3)])
def test_divided_up(length: int, divisor: int) -> None:
    assert divided_up(length, divisor) == -(-length // divisor)


class Padded(nn.Module):
    """Padding to a least side, and cropping to a stride."""

    def forward(self, x: Tensor) -> Tensor:
        return crop([pad_to_side(x, 8)], [4], (x.shape[2], x.shape[3]))[0]


def test_padding_goes_by_no_size() -> None:
    program = torch.export.export(Padded(), (torch.rand(2, 3, 5, 21),), dynamic_shapes=(ANY,))
    served = program.module(check_guards=False)
    for size in ((5, 21), (21, 5), (9, 9), (3, 3)):
        x = torch.rand(1, 3, *size)
        assert torch.equal(served(x), Padded()(x))


class Sampled(nn.Module):
    """Bilinear sampling of zeros outside the map."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        return sample_bilinear(x, positions, 2, padding="zeros")


def test_sampling_zeros() -> None:
    example = (torch.rand(2, 4, 5, 6), torch.rand(2, 4, 7, 8))
    with in_torch_operators():
        program = torch.export.export(Sampled(), example, dynamic_shapes=(ANY, ANY))
    assert "denseup" not in str(program.graph)
    served = program.module(check_guards=False)
    for size in ((5, 6), (1, 9)):
        x, positions = torch.randn(3, 4, *size), torch.rand(3, 4, 8, 5) * 12 - 3
        positions[0, 0, 0, 0], positions[1, 2, 3, 4] = torch.inf, -torch.inf
        torch.testing.assert_close(served(x, positions), Sampled()(x, positions))
