"""Random numbers of operators that draw in training, from streams of their own.

At equal seed all else of two networks is to meet the same random numbers, whichever upsamplers they hold: so these
leave torch's stream where it was. What they draw depends on a seed taken when the module is built and on how many
batches it has seen, which its state keeps, so that a resumed run goes on with the numbers it would have had.
"""

import torch
from torch import Tensor, nn


class Drawing(nn.Module):
    """A module that draws once a batch."""

    num_batches_tracked: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.seed = int(torch.randint(2**31, (), device="cpu"))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Numbers in [0, 1), float32, on the device of `like`; compiled code draws from torch's stream."""
        if torch.compiler.is_compiling():
            return torch.rand(shape, dtype=torch.float32, device=like.device)
        generator = torch.Generator(like.device).manual_seed((self.seed << 31) + int(self.num_batches_tracked))
        self.num_batches_tracked += 1
        return torch.rand(shape, dtype=torch.float32, device=like.device, generator=generator)


class ChannelDropout(Drawing):
    """`nn.Dropout2d`: in training, each channel of each image is 0 with probability p, and else divided by 1 - p."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` → the same."""
        if not self.training:
            return x
        kept = self.uniform((*x.shape[:2], 1, 1), x) >= self.p
        return x * (kept.to(x.dtype) / (1 - self.p))

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
