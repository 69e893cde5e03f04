"""A task into a file of a format: traced, written beside its place, compared, and only then put there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from torch.export import ExportedProgram

from denseup.exporting.checking import Compared, compare, latency
from denseup.exporting.formats import FORMATS, Format
from denseup.exporting.program import Size, traced
from denseup.profiling.measuring import Timing
from denseup.tasks import DenseTask
from denseup.writing import check_writable, written_whole

SIZES: tuple[Size, ...] = ((1, 64, 96), (1, 75, 101), (3, 80, 64))
"""At which a file is compared: one that all strides divide, an odd one, and another batch."""
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: of the file.
        compared: with the network, at each size.
        timings: "eager" and "file"; {} if it was not timed.
    """

    path: Path
    compared: Sequence[Compared]
    timings: Mapping[str, Timing]


def export_task(
    task: DenseTask,
    path: Path,
    format: str,
    metadata: Mapping[str, str],
    *,
    sizes: Sequence[Size] = SIZES,
    tolerance: float = TOLERANCE,
    timed: tuple[Size, int] | None = None,
) -> Exported:
    """Write a task's network as a file that takes and gives what `DenseTask.serving` says.

    Args:
        task: with its weights, in evaluation mode, on the CPU.
        path: of the file; what was there is replaced once the new one is known to be right.
        format: "onnx", "torch_export" or "torchscript".
        metadata: what the file says of itself.
        sizes: batch, height and width at which it is compared with the network.
        tolerance: the largest difference, relative to the largest value of the output where that is above 1.
        timed: the size and the number of repeats of the timing; None: not timed.

    Raises:
        ValueError: unknown format, a package is missing, the network can't be traced or written, or (`MismatchError`)
            the file is not within the tolerance; then what was there stays.
        WriteError: the file can't be written.
    """
    check_format(format)
    kind = FORMATS[format]
    check_writable(path.parent)
    program = traced(task)
    with written_whole(path, with_suffix=True) as unchecked:
        _write(kind, program, unchecked, task, metadata)
        call = kind.read(unchecked)
        compared = compare(task, call, sizes, tolerance)
        timings = latency(task, call, *timed) if timed else {}
    return Exported(path, compared, timings)


def _write(kind: Format, program: ExportedProgram, path: Path, task: DenseTask, metadata: Mapping[str, str]) -> None:
    try:
        kind.write(program, path, task.serving, metadata)
    except OSError:
        raise
    except Exception as error:  # whatever an exporter meets in a network
        raise ValueError(f"{kind.SUFFIX}: the network can't be written: {type(error).__name__}: {error}") from error


def check_format(format: str) -> None:
    """ValueError for an unknown format, or one whose packages are missing."""
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}, valid: {', '.join(FORMATS)}")
    missing = [package for package in FORMATS[format].NEEDS if find_spec(package) is None]
    if missing:
        raise ValueError(f"format={format} needs {', '.join(missing)}: pip install 'denseup[onnx]'")
