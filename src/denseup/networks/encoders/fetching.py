"""Where pretrained weights come from, a file, a folder or a hub that may not be there; and whether all of them came."""

from pathlib import Path
from typing import Any

from denseup.weights import Shapes

SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".ckpt", ".safetensors")
"""Of files of weights: what ends in one of these is no name of a hub."""
SHOWN = 5


def is_file(source: str | Path) -> bool:
    """Whether a source is a file, there or not, rather than a folder or the name of something on a hub."""
    return Path(source).is_file() or (not Path(source).is_dir() and str(source).endswith(SUFFIXES))


def from_hub(kind: Any, name: str, files: str, argument: str, **options: Any) -> Any:
    """A model of transformers, from a folder or the hub, with all its weights.

    Args:
        kind: class of transformers with `from_pretrained`.
        name: of the folder, or on the hub.
        files: what has to be fetched by hand where the hub is not to be had, in words.
        argument: what the name was given as, for messages.
        options: of `from_pretrained`.

    Raises:
        ValueError: it is not there, weights are missing, or of other shapes.
    """
    try:
        model, report = kind.from_pretrained(name, output_loading_info=True, **options)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{argument}={name}: {not_there(name, files, argument)} ({_first_line(error)})") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{argument}={name}: {_listed(missing)} missing: the weights would be random")
    return model


def not_there(name: str, files: str, argument: str) -> str:
    """What to do where neither a folder nor the hub gives `name`, in words."""
    if Path(name).is_dir():
        return f"the folder can't be read as weights; it has to hold {files}"
    return (
        f"neither a local folder, nor to be had from the hub; fetch {files} of {name} where there is a network, put it "
        f"into a folder, and say {argument}=FOLDER"
    )


def check_complete(own: Shapes, loaded: Shapes, where: str) -> None:
    """ValueError that names the weights which a file lacks, or has in another shape, and begins with `where`."""
    missing = [key for key in own if key not in loaded]
    if missing:
        raise ValueError(f"{where}: {_listed(missing)} missing: the weights would be random")
    wrong = [f"{key!r} is {list(loaded[key])}, expected {list(own[key])}" for key in own if loaded[key] != own[key]]
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong[:SHOWN])}{' …' if len(wrong) > SHOWN else ''}")


def _listed(keys: list[str]) -> str:
    """The first few of the keys, and the verb behind them."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{', '.join(map(repr, keys[:SHOWN]))}{more} {'is' if len(keys) == 1 else 'are'}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
