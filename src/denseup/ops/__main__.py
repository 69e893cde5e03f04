"""`python -m denseup.ops`: which back ends serve which tensors here, and why the others do not."""

import torch

from denseup import native
from denseup.ops.dispatch import available_backends, get_backend

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def main() -> None:
    """Print a line for each device and back end."""
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, C kernels: {_kernels()}")
    for device in devices:
        for name in available_backends():
            print(f"{device:5} {name:10} {_usable(device, name)}")


def _kernels() -> str:
    return native.why_missing() or f"instruction set {native.instructions()}"


def _usable(device: str, name: str) -> str:
    """The dtypes that the back end serves on this device, else its objections to float32."""
    reasons = {dtype: _objections(device, name, dtype) for dtype in DTYPES}
    served = [str(dtype).removeprefix("torch.") for dtype, found in reasons.items() if not found]
    return ", ".join(served) if served else "no: " + "; ".join(reasons[torch.float32])


def _objections(device: str, name: str, dtype: torch.dtype) -> list[str]:
    de = torch.empty(1, 16, 4, 4, dtype=dtype, device=device)
    return get_backend(name).objections(de, 5, 1)


if __name__ == "__main__":
    main()
