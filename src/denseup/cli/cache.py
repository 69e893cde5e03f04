"""The kept features of frozen encoders, listed and cleared: `denseup cache [clear=all | clear=KEY]`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from denseup.cli import stopping
from denseup.cli.composing import printed_errors, settings
from denseup.cli.importing import quick_imports
from denseup.cli.places import CONF
from denseup.cli.saying import say

if TYPE_CHECKING:
    from denseup.data.caching import Entry


def parse(arguments: Sequence[str] | None) -> DictConfig:
    """The command line: values of conf/cache.yaml."""
    parser = argparse.ArgumentParser(
        prog="cache",
        description=(__doc__ or "").strip(),
        epilog=(CONF / "cache.yaml").read_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="a value of the config below")
    words = parser.parse_args(arguments).words
    for word in words:
        if "=" not in word:
            parser.error(f"{word!r} is no KEY=VALUE; clear={word} removes the entry of that key")
    with printed_errors():
        return settings("cache", words, {})


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    cfg = parse(arguments)
    with quick_imports():
        from denseup.data.caching import SampleCache, cache_folder

    cache = SampleCache(cache_folder(cfg.cache.folder), limit=0)
    wanted = cfg["clear"]  # cfg.clear is a method
    if wanted is not None:
        keys = None if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
        try:
            removed = cache.clear(keys)
        except (ValueError, OSError) as error:
            sys.exit(f"clear: {error}")
        say(f"removed from {cache.folder}: {_total(removed)}")
    entries = cache.entries()
    if entries:
        Console().print(_table(entries))
    say(f"{cache.folder}: {_total(entries)}")


def _total(entries: Sequence["Entry"]) -> str:
    return f"{len(entries)} entries, {sum(entry.bytes for entry in entries) / 1e9:.2f} GB"


def _table(entries: Sequence["Entry"]) -> Table:
    table = Table(Column("key", no_wrap=True), "split", "samples", "encoder", "data", "GB", "last used")
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.key, *_described(entry), f"{entry.bytes / 1e9:.2f}", used)
    return table


def _described(entry: "Entry") -> list[str]:
    if not entry.whole:
        return ["not whole", "", "", ""]
    of = entry.description
    try:
        data = str(of["data"].get("root") or of["data"].get("_target_", "").rpartition(".")[2])
        return [of["split"], str(of["samples"]), of["encoder"]["class"], data]
    except (KeyError, TypeError, AttributeError):
        return ["of another version", "", "", ""]


if __name__ == "__main__":
    sys.exit(stopping.run(main))
