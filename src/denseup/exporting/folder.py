"""Weights without pickle: a folder of model.safetensors, whose header tells all that is known of it, and its card."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denseup.exporting.card import model_card
from denseup.exporting.facts import Facts
from denseup.writing import staged, write_whole

WEIGHTS, CARD = "model.safetensors", "README.md"
ENTRY = "denseup"
"""Of the header: the facts as JSON."""


def is_exported(path: Path) -> bool:
    """Whether a folder is one of these."""
    return (path / WEIGHTS).is_file()


def write_folder(weights: Mapping[str, Any], facts: Facts, folder: Path, license: str | None = None) -> Path:
    """Write weights and card.

    Args:
        weights: a task's state_dict.
        facts: of them (`denseup.exporting.facts`).
        folder: made if it is not there; files of these names in it are replaced.
        license: identifier of the weights' licence; None: the one that the facts name, if any.

    Returns:
        The file of the weights.

    Raises:
        ValueError: something in the state_dict is no tensor, or the folder's place is taken by a file.
        WriteError: the folder can't be written to; what was in it stays.
    """
    from safetensors.torch import save

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output is {str(folder)!r}, a file; expected a folder for {WEIGHTS} and {CARD}")
    tensors = _dense(weights)
    license = license or facts.get("license")
    facts = {**facts, "weights_sha256": digest(tensors), "license": license}
    header = {"format": "pt", ENTRY: json.dumps(facts)}
    content = save(tensors, metadata=header)
    hashes = {WEIGHTS: hashlib.sha256(content).hexdigest()}
    with staged(folder) as stage:  # weights and card belong together
        write_whole(stage / WEIGHTS, content)
        write_whole(stage / CARD, model_card(facts, folder.name, license, hashes))
    return folder / WEIGHTS


def read_folder(folder: Path) -> tuple[Facts, dict[str, Tensor]]:
    """Facts and weights.

    Raises:
        ValueError: no file of weights, a broken one, one that denseup did not write, or weights that are not those that
            were written.
    """
    facts, weights = read_facts(folder), _weights(folder / WEIGHTS)
    found = digest(weights)
    if found != facts.get("weights_sha256"):
        raise ValueError(f"{folder / WEIGHTS}: the weights' SHA-256 is {found}, expected {facts.get('weights_sha256')}")
    return facts, weights


def read_facts(folder: Path) -> Facts:
    """The facts alone; errors as `read_folder`."""
    from safetensors import SafetensorError, safe_open

    file = folder / WEIGHTS
    if not file.is_file():
        raise ValueError(f"{folder}: there is no {WEIGHTS} in it")
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{file}: not a whole safetensors file ({error})") from error
    if ENTRY not in header:
        raise ValueError(f"{file}: not written by denseup: its header has no entry {ENTRY!r}")
    try:
        facts: Facts = json.loads(header[ENTRY])
        if isinstance(facts["config"], dict):
            return facts
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{file}: the entry {ENTRY!r} of its header is broken: {type(error).__name__}") from error
    raise ValueError(f"{file}: the entry {ENTRY!r} of its header has no config")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: their names, dtypes, shapes and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _weights(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file}: not a whole safetensors file ({error})") from error


def _dense(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Contiguous copies, no two of which share memory, as the format wants them."""
    for name, value in weights.items():
        if not torch.is_tensor(value):
            raise ValueError(f"{name} of the state_dict is {type(value).__name__}; safetensors holds tensors alone")
    return {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
