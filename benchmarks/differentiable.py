"""Forward, and forward with all gradients, of one call: the two kinds that every operator is measured in."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cases import Entrant, Work
from benchmarks.parity import Results, worst_error

FORWARD, BOTH = "forward", "forward+backward"
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
BASELINE = "bilinear channels_last"


def differentiable_work(
    compute: Callable[[], Tensor | Sequence[Tensor]],
    wanted: Mapping[str, Tensor],
    grad: Tensor | Sequence[Tensor],
    maps: Mapping[str, Tensor],
    truth: Callable[[], Results],
    linear: bool = False,
) -> Work:
    """Work of a differentiable call.

    Args:
        compute: the call, of no arguments; it may give several outputs.
        wanted: name → leaf tensor whose gradient is computed.
        grad: gradient of the output, which it must have the shape of; as many as there are outputs.
        maps: the big inputs, among `wanted`. What has to be moved are these and the output, once each forward; backward
            once more these and the output's gradient, and their gradients.
        truth: the true output and gradients, named as by `gradients`.
        linear: in all maps at once: then backward does not read them again.
    """

    def forward() -> Tensor | Sequence[Tensor]:
        with torch.no_grad():
            return compute()

    def forward_and_backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(compute(), list(wanted.values()), grad)

    read, written = (sum(x.numel() * x.element_size() for x in xs) for xs in (maps.values(), _each(grad)))
    forward_traffic = read + written
    backward_traffic = written + (1 if linear else 2) * read
    traffic = {FORWARD: forward_traffic, BOTH: forward_traffic + backward_traffic}
    calls = {FORWARD: forward, BOTH: forward_and_backward}
    return Work(calls, lambda: worst_error(gradients(compute, wanted, grad), truth()), traffic)


def gradients(
    compute: Callable[[], Tensor | Sequence[Tensor]], wanted: Mapping[str, Tensor], grad: Tensor | Sequence[Tensor]
) -> Results:
    """Outputs and gradients of a call, by name."""
    out = compute()
    found = torch.autograd.grad(out, list(wanted.values()), grad)
    named = {f"gradient of {name}": value for name, value in zip(wanted, found, strict=True)}
    outputs = {f"output {k}" if k else "output": x.detach() for k, x in enumerate(_each(out))}
    return {**outputs, **named}


def _each(x: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [x] if isinstance(x, Tensor) else x


def leaf(x: Tensor, layout: torch.memory_format = torch.contiguous_format, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of a tensor that takes a gradient, in another layout or precision."""
    return x.detach().to(dtype or x.dtype).clone(memory_format=layout).requires_grad_()


def bilinear_entrant(layout: str, de: Tensor, grad: Tensor) -> Entrant:
    """Bilinear interpolation of `de` to the size of `grad`, in one of `LAYOUTS`: the baseline of every operator."""

    def compute(x: Tensor) -> Tensor:
        return F.interpolate(x, size=grad.shape[2:], mode="bilinear", align_corners=False)

    def truth() -> Results:
        x = leaf(de, dtype=torch.float64)
        return gradients(lambda: compute(x), {"de": x}, grad.double())

    def prepare() -> Work:
        x, laid_out = leaf(de, LAYOUTS[layout]), leaf(grad, LAYOUTS[layout]).detach()
        return differentiable_work(lambda: compute(x), {"de": x}, laid_out, {"de": x}, truth, linear=True)

    return Entrant(f"bilinear {layout}", prepare)
