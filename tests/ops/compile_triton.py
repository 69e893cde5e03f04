"""Compile every kernel of the Triton back end for an H100/H200 (sm_90), on a machine that need not have one.

Run it to see, for the shapes of a decoder (bfloat16, 256 channels, ×2, K = 5, and one odd ratio), the registers and
spilled bytes of each kernel and how its memory is read: `python tests/ops/compile_triton.py`.
"""

import collections
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from denseup.ops import geometry
from denseup.ops.attention import triton as attention_backend
from denseup.ops.attention.triton import kernels as attention_kernels
from denseup.ops.reassembly import triton as triton_backend
from denseup.ops.reassembly.triton import kernels as triton_kernels
from denseup.ops.reassembly.triton import launching as triton_launch

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64"}
INSTRUCTIONS = r"(?:ld|st)\.(?:global|shared)[.\w:]*|bar\.sync|shfl\.sync|fma\.rn\.f32"


def compile_launch(name: str, programs: int, arguments: tuple[Any, ...], constants: dict[str, int]) -> None:
    """In the place of `triton_backend.launch`: compile with the specialisations that Triton would choose."""
    kernel = getattr(triton_kernels, name, None) or getattr(attention_kernels, name)
    signature, values, attributes = {}, {}, {}
    for index, (argument, value) in enumerate(zip(kernel.arg_names, arguments, strict=False)):
        if isinstance(value, Tensor):
            signature[argument] = TYPES[value.dtype]
        elif isinstance(value, float):
            signature[argument] = "fp32"
            continue
        elif value == 1:
            signature[argument], values[(index,)] = "constexpr", 1
        else:
            signature[argument] = "i32" if value < 2**31 else "i64"
        if isinstance(value, Tensor) or (value % 16 == 0):
            attributes[(index,)] = [["tt.divisibility", 16]]
    for argument, value in constants.items():
        signature[argument], values[(kernel.arg_names.index(argument),)] = "constexpr", value
    source = ASTSource(kernel, signature, values, attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": triton_launch.WARPS})
    report(name, compiled.asm["ptx"])


def report(name: str, ptx: str) -> None:
    """One line of what ptxas says of a kernel, one of the instructions in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        command = [triton.knobs.nvidia.ptxas.path, "-v", "--gpu-name=sm_90a", path, "-o", path.with_suffix(".cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    numbers = [re.search(pattern, said) for pattern in (r"Used (\d+) registers", r"(\d+) bytes spill stores")]
    registers, spilled = (int(found[1]) if found else -1 for found in numbers)
    print(f"{name}: {registers} registers, {spilled} bytes spilled")
    print("   ", dict(collections.Counter(re.findall(INSTRUCTIONS, ptx))))


def empty(like: Tensor, channels: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """In the place of `triton_backend.empty_map`, which takes a map without a GPU for one of the interpreter."""
    last = geometry.layout(like) == torch.channels_last
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((like.shape[0], channels, *size), dtype=dtype, device="meta", memory_format=layout)


def compile_all(low: tuple[int, int], high: tuple[int, int], kernel_size: int, layout: torch.memory_format) -> None:
    """All functions of the back end, on maps that have a shape and no memory."""
    taps = kernel_size**2
    shapes = (16, 256, *low), (16, taps, *high), (16, 256, *high), (16, 1, *low)
    de, kernels, en, gate = (
        torch.empty(shape, dtype=torch.bfloat16, device="meta", memory_format=layout) for shape in shapes
    )
    print(f"-- {low} to {high}, K = {kernel_size}, {layout}")
    triton_backend.reassemble(de, kernels, kernel_size, 1)
    triton_backend.softmax_reassemble(de, kernels, en, gate, kernel_size, 1)
    triton_backend.softmax_reassemble_backward(en, de, kernels, en, gate, kernel_size, 1)


def compile_attention(low: tuple[int, int], high: tuple[int, int], layout: torch.memory_format) -> None:
    """NAF's: 256 channels of the query, 384 of the value, four heads, 9 × 9."""
    shapes = (1, 256, *high), (1, 256, *low), (1, 384, *low), (1, 384, *high)
    maps = (torch.empty(shape, dtype=torch.bfloat16, device="meta", memory_format=layout) for shape in shapes)
    query, key, value, grad = maps
    print(f"-- attention, {low} to {high}, {layout}")
    attention_backend.attention(query, key, value, 9, 4, 0.125)
    attention_backend.attention_backward(grad, query, key, value, 9, 4, 0.125)


if __name__ == "__main__":
    triton_backend.launch = attention_backend._launch = compile_launch
    triton_backend.empty_map = attention_backend.empty_map = empty
    for layout in (torch.contiguous_format, torch.channels_last):
        compile_all((64, 64), (128, 128), 5, layout)
        compile_attention((32, 32), (448, 448), layout)
    compile_all((33, 33), (67, 71), 3, torch.contiguous_format)
