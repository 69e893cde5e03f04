"""`python -m denseup.ops`: which back end serves which operator for which tensors here, and why the others do not."""

from collections.abc import Iterable
from typing import Any

import torch

import denseup.ops  # noqa: F401  registers all operators
from denseup import native
from denseup.ops.dispatch import BACKENDS_OF, Backends
from denseup.ops.registration import OPERATORS

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def main() -> None:
    """For each operator, device and back end the dtypes that it serves; below, what stands against the others."""
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, C kernels: {_kernels()}")
    for backends in BACKENDS_OF.values():
        for device in devices:
            for name in backends.names():
                print(f"{backends.operator:10} {device:4} {name:9} {_described(backends, device, name)}")
    print(f"by torch's own operators, everywhere: {', '.join(_without_choice())}")


def _kernels() -> str:
    return native.why_missing() or f"instruction set {native.instructions()}"


def _described(backends: Backends[Any], device: str, name: str) -> str:
    """What a back end serves, and a line for each reason, with the dtypes that it stands against."""
    reasons = {dtype: backends.get(name).unsupported_reasons(*backends.example(dtype, device)) for dtype in DTYPES}
    served = _names(dtype for dtype, found in reasons.items() if not found)
    lines = [served or "nothing"]
    for reason in dict.fromkeys(reason for found in reasons.values() for reason in found):
        against = [dtype for dtype, found in reasons.items() if reason in found]
        lines.append(f"not {_names(against)}: {reason}" if len(against) < len(DTYPES) else f"not here: {reason}")
    return "\n    ".join(lines)


def _names(dtypes: Iterable[torch.dtype]) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def _without_choice() -> list[str]:
    """The operators of `torch.ops.denseup` that have one implementation."""
    schemas = {name: operator.overload._schema for name, operator in OPERATORS.items()}
    return [name for name, schema in schemas.items() if all(x.name != "backend" for x in schema.arguments)]


if __name__ == "__main__":
    main()
