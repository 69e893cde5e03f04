"""Files of weights → tensors by name.

Nothing in a file is executed: one that holds more than tensors and plain values is refused, with the names of its
classes.
"""

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from torch import Tensor

SAFETENSORS = ".safetensors"
INNER = ("state_dict", "model")
"""Entries of a checkpoint under which the weights lie."""
PREFIX = "module."
"""Of `nn.DataParallel`."""
PLAIN = re.compile(
    r"collections\.OrderedDict|(builtins|__builtin__)\.(set|dict)|_codecs\.encode|torch\.\w+|torch\.(_utils|storage|_tensor)\.\w+"
    r"|torch\.nn\.parameter\.(Buffer|Parameter)|numpy\.dtype|numpy\.dtypes\.\w+|numpy\.(core|_core)\.multiarray\.scalar"
)
"""Names that torch reads by itself, or that single numbers of NumPy are made of."""


def read_weights(path: str | Path, argument: str) -> dict[str, Tensor]:
    """The tensors of a file, by their names; `state_dict` and `module.` around them are taken away.

    Args:
        path: of torch.save's file, or of one that ends in .safetensors.
        argument: what the path was given as, for messages.

    Raises:
        ValueError: no such file, one that can't be read or holds other classes, or something in it is no tensor.
    """
    return unwrap(read_content(path, argument), f"{argument}={path}")


def read_content(path: str | Path, argument: str) -> Mapping[str, Any]:
    """All that a file holds; arguments and errors as in `read_weights`."""
    path = Path(path)
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise ValueError(f"{argument}={path}: {what}; expected a file of weights")
    content = _safetensors(path, argument) if path.suffix == SAFETENSORS else _pickled(path, argument)
    if not isinstance(content, Mapping):
        raise ValueError(f"{argument}={path}: a {type(content).__name__}, expected a state_dict")
    return content


def unwrap(content: Mapping[str, Any], where: str = "state_dict") -> dict[str, Tensor]:
    """The weights of a checkpoint, or of a bare state dict, by their names without `module.`; arrays become tensors.

    Raises:
        ValueError: something is no tensor; the message begins with `where`.
    """
    inner = next((content[key] for key in INNER if isinstance(content.get(key), Mapping)), content)
    wrong = [str(key) for key, value in inner.items() if not hasattr(value, "shape")]
    if wrong:
        raise ValueError(f"{where}: {', '.join(wrong[:5])} of it {'is' if len(wrong) == 1 else 'are'} no tensor")
    return {str(key).removeprefix(PREFIX): torch.as_tensor(value) for key, value in inner.items()}


def classes_in(path: Path) -> list[str]:
    """Names of the classes and functions that a pickle would call, without those of tensors and plain values.

    Read from its opcodes: nothing is imported.
    """
    with path.open("rb") as file:
        names = set(_names(file) if not zipfile.is_zipfile(path) else _names_in_archive(path))
    return sorted(name for name in names if not PLAIN.fullmatch(name))


def _pickled(path: Path, argument: str) -> Any:
    try:
        with torch.serialization.safe_globals(_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError, AttributeError) as error:
        found = _classes_or_none(path)
        if found:
            text = f"it holds {', '.join(found)}: only tensors and plain values are read, and nothing is executed"
            instead = "save its state_dict alone where it was made"
            raise ValueError(f"{argument}={path}: {text}; {instead}") from error
        raise ValueError(f"{argument}={path}: not a whole file of torch.save ({type(error).__name__})") from error


def _numbers() -> list[Any]:
    """What single numbers of NumPy are pickled by, under their names in NumPy 1 and 2; [] without NumPy."""
    try:
        import numpy as np
        from numpy.dtypes import Float32DType, Float64DType, Int64DType
    except ImportError:
        return []
    from _codecs import encode

    scalar: Any = np.float64(0).__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*named, np.dtype, Float32DType, Float64DType, Int64DType, encode]


def _safetensors(path: Path, argument: str) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError(f"{argument}={path}: needs the package safetensors: pip install safetensors") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{argument}={path}: not a whole safetensors file ({error})") from error


def _classes_or_none(path: Path) -> list[str]:
    """[] of a file that is no pickle either."""
    try:
        return classes_in(path)
    except (ValueError, OSError, EOFError, IndexError, KeyError, zipfile.BadZipFile):
        return []


def _names_in_archive(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                with archive.open(name) as file:
                    yield from _names(file)  # type: ignore[arg-type]


def _names(file: BinaryIO) -> Iterator[str]:
    """Of the pickles that follow each other in a stream, up to the first byte that is none."""
    while True:
        strings: list[Any] = []
        memo: dict[int, Any] = {}
        try:
            for opcode, argument, _ in pickletools.genops(file):
                yield from _named(opcode.name, argument, strings, memo)
        except ValueError:
            return


def _named(opcode: str, argument: Any, strings: list[Any], memo: dict[int, Any]) -> Iterator[str]:
    """The name that an opcode looks up; `strings` and `memo` are those of the pickle so far."""
    if opcode in ("GLOBAL", "INST"):
        yield argument.replace(" ", ".")
    elif opcode == "STACK_GLOBAL" and len(strings) > 1:
        yield f"{strings[-2]}.{strings[-1]}"
    elif opcode == "MEMOIZE":
        memo[len(memo)] = strings[-1] if strings else None
    elif opcode.endswith("PUT"):
        memo[argument] = strings[-1] if strings else None
    elif opcode.endswith("GET"):
        strings.append(memo.get(argument))
    elif isinstance(argument, str):
        strings.append(argument)
