"""CPU back end: the compiled kernels of `denseup.native` (reassembly.c), for float32 and bfloat16.

They read and write channels-last maps, with all channels of a window in vector registers; maps in another layout are
copied, and the result comes back in the layout of the first argument. Kernels are float32, and so are all sums.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from denseup import native
from denseup.ops.c_kernels import MISSING, check, dense, like_layout, pointer
from denseup.ops.geometry import Size, size_of
from denseup.ops.reassembly.contractions import Gradients

NAME = "cpu"
MAX_KERNEL_SIZE = 15
DTYPES = (torch.float32, torch.bfloat16)


class _Shape(ctypes.Structure):
    """`geometry` of reassembly.h."""

    _fields_ = [
        ("batch", ctypes.c_long),
        ("height", ctypes.c_long),
        ("width", ctypes.c_long),
        ("out_height", ctypes.c_long),
        ("out_width", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("groups", ctypes.c_long),
        ("kernel_size", ctypes.c_long),
        ("threads", ctypes.c_int),
    ]


def unsupported_reasons(de: Tensor, kernel_size: int, groups: int) -> list[str]:
    """Why this back end cannot serve a call."""
    found = []
    if MISSING:
        found.append(MISSING)
    if de.device.type != "cpu":
        found.append(f"the tensors are on {de.device.type!r}, not on 'cpu'")
    if de.dtype not in DTYPES:
        found.append(f"dtype is {de.dtype}, it has float32 and bfloat16")
    if kernel_size > MAX_KERNEL_SIZE:
        found.append(f"kernel_size is {kernel_size}, it has up to {MAX_KERNEL_SIZE}")
    return found


def reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return _reassemble(de, kernels, None, None, kernel_size, groups, normalize=False)


def softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int
) -> Tensor:
    """Softmax, reassembly and gate in one: `[B, C, h, w]`, `[B, G·K², H, W]` → `[B, C, H, W]`."""
    return _reassemble(de, logits, en, gate, kernel_size, groups, normalize=True)


def adjoint(grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, size: Size) -> Tensor:
    """`[B, C, H, W]`, `[B, G·K², H, W]` → `[B, C, *size]`."""
    _require(grad, kernel_size, groups)
    high, weights = dense(grad), dense(kernels.float())
    out = _empty(grad, grad.shape[1], size, grad.dtype)
    shape = _shape(size, high, kernel_size, groups)
    pointers = (high.data_ptr(), weights.data_ptr(), out.data_ptr())
    check(_library().denseup_adjoint(shape, _is_bfloat16(grad), *pointers))
    return like_layout(out, grad)


def similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> Tensor:
    """`[B, C, H, W]`, `[B, C, h, w]` → `[B, G·K², H, W]`."""
    _require(query, kernel_size, groups)
    high, low = dense(query), dense(key)
    out = _empty(query, groups * kernel_size**2, size_of(query), torch.float32)
    shape = _shape(size_of(key), high, kernel_size, groups)
    _library().denseup_similarity(shape, _is_bfloat16(query), high.data_ptr(), low.data_ptr(), out.data_ptr())
    return like_layout(out.to(query.dtype), query)


def softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
) -> Gradients:
    """Gradients of `softmax_reassemble` in de, logits, en and gate."""
    _require(de, kernel_size, groups)
    high, low, weights = dense(grad), dense(de), dense(logits.float())
    guide, blend = None if en is None else dense(en), None if gate is None else dense(gate.float())
    grad_logits, scaled = torch.empty_like(weights), torch.empty_like(weights)
    grad_en = None if guide is None else torch.empty_like(guide)
    grad_gate = None if blend is None else torch.empty_like(blend)
    shape = _shape(size_of(de), high, kernel_size, groups)
    _library().denseup_fused_backward(
        shape,
        _is_bfloat16(de),
        *(pointer(x) for x in (high, low, weights, guide, blend, grad_logits, scaled, grad_en, grad_gate)),
    )
    grad_de = adjoint(grad, scaled, kernel_size, groups, size_of(de))
    return (
        like_layout(grad_de, de),
        like_layout(grad_logits.to(logits.dtype), logits),
        None if grad_en is None or en is None else like_layout(grad_en, en),
        None if grad_gate is None or gate is None else like_layout(grad_gate.to(gate.dtype), gate),
    )


def _reassemble(
    de: Tensor,
    kernels: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    normalize: bool,
) -> Tensor:
    _require(de, kernel_size, groups)
    low, weights = dense(de), dense(kernels.float())
    guide, blend = None if en is None else dense(en), None if gate is None else dense(gate.float())
    out = _empty(de, de.shape[1], size_of(kernels), de.dtype)
    shape = _shape(size_of(de), out, kernel_size, groups)
    pointers = (pointer(guide), pointer(blend), out.data_ptr())
    check(
        _library().denseup_reassemble(shape, _is_bfloat16(de), low.data_ptr(), weights.data_ptr(), normalize, *pointers)
    )
    return like_layout(out, de)


def _require(x: Tensor, kernel_size: int, groups: int) -> None:
    """The kernels trust what they are given, and an operator can be called with any back end's name."""
    reasons = unsupported_reasons(x, kernel_size, groups)
    if reasons:
        raise ValueError(f"backend {NAME!r} cannot serve this call: {'; '.join(reasons)}")


def _empty(like: Tensor, channels: int, size: Size, dtype: torch.dtype) -> Tensor:
    shape = (like.shape[0], channels, *size)
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=torch.channels_last)


def _is_bfloat16(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16


def _shape(low: Size, high: Tensor, kernel_size: int, groups: int) -> _Shape:
    batch, channels, *out = high.shape
    return _Shape(batch, *low, *out, channels, groups, kernel_size, native.threads())


@cache
def _library() -> ctypes.CDLL:
    """The library, with the types of the arguments declared."""
    library = native.library()
    assert library is not None
    address = ctypes.c_void_p
    arguments: dict[str, list[type]] = {
        "reassemble": [address, address, ctypes.c_int, address, address, address],
        "adjoint": [address] * 3,
        "similarity": [address] * 3,
        "fused_backward": [address] * 9,
    }
    for name, types in arguments.items():
        function = getattr(library, f"denseup_{name}")
        function.argtypes = [ctypes.POINTER(_Shape), ctypes.c_int, *types]
        function.restype = ctypes.c_int if name in ("reassemble", "adjoint") else None
    return library
