"""Memory: how much may be used, how much a process has, and what a network takes for each pixel."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from denseup.profiling.measuring import peak_memory

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
PROBE = 256
"""Side of the image on which a network's memory is measured."""
SPARE = 1.25
"""What is planned for, over what torch's allocator saw: libraries keep buffers of their own."""
PROCESS = 2**30
"""Of a process with torch and Lightning, where the system does not say."""


def parse_memory(value: Any, name: str = "memory") -> int:
    """Bytes of "4GiB", "800MiB", "2 GB" (read as GiB), or of a number of bytes.

    Raises:
        ValueError: none of these.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(value), re.IGNORECASE)
    number = 0 if found is None or isinstance(value, bool) else int(float(found[1]) * UNITS[found[2].upper()])
    if number <= 0:
        raise ValueError(f"{name} is {value!r}, expected a size such as 4GiB or 800MiB")
    return number


def process_memory() -> int:
    """Bytes that this process has in memory now."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return PROCESS
    kibibytes = next((line.split()[1] for line in lines if line.startswith("VmRSS")), None)
    return PROCESS if kibibytes is None else int(kibibytes) * 2**10


def bytes_per_pixel(run: Callable[[int], Any], device: torch.device) -> float:
    """What a call takes for each pixel of a square image, of whose side it is called."""
    with torch.no_grad():
        run(PROBE)  # once before: kernels may be built, and weights laid out anew
        return SPARE * peak_memory(lambda: run(PROBE), device) / PROBE**2


def free_memory(memory: int, device: torch.device) -> int:
    """What is left of a bound for the network: in this process, and on the device if it has a memory of its own."""
    left = memory - process_memory()
    if device.type != "cuda":
        return left
    free, _ = torch.cuda.mem_get_info(device)
    return min(memory, int(free / SPARE))
