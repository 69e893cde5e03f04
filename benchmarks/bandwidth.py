"""How fast this machine moves memory: the measure of the floor that no implementation gets below."""

from pathlib import Path

import torch

from benchmarks.cases import SkipError
from denseup.profiling import time_side_by_side

COPY_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""Far beyond every cache."""


def copy_bandwidth(device: torch.device, size: int | None = None, rounds: int = 9) -> float:
    """Bytes read and written a second by copying `size` bytes on a device; the fastest of several rounds."""
    size = size or COPY_BYTES.get(device.type, 2**28)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    timing = time_side_by_side({"copy": lambda: target.copy_(source)}, repeats=rounds, device=device)["copy"]
    return 2 * size / min(timing.seconds)


def available_bytes(device: torch.device) -> int | None:
    """Free memory of a device; None where it cannot be known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def require_memory(needed: int, device: torch.device) -> None:
    """SkipError where a call would need more than half of what is free: a machine that swaps measures nothing."""
    free = available_bytes(device)
    if free is not None and needed > free / 2:
        raise SkipError(f"needs about {needed / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} GiB free")
