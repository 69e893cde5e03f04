"""Predictions, truths and trimaps that belong together: files of one path below their folders."""

from collections.abc import Collection, Mapping
from pathlib import Path

from denseup.data.reading.decoding import DataError
from denseup.data.reading.folders import Listing, list_files

FIRST = 20
"""Names that an error lists."""

Group = dict[str, Path]
"""What ("prediction", "truth", …) → its file."""


def matched(folders: Mapping[str, Path], suffixes: Mapping[str, str]) -> dict[str, Group]:
    """The files of each name; their sub-folders and names up to the suffix and the extension are the same.

    Args:
        folders: what → where it is; the second is the truth, which says what there has to be.
        suffixes: what → what its names end in before the extension.

    Raises:
        DataError: a missing or empty folder, or files without a partner, prediction or truth, with their number and
            the first names.
    """
    listings = {what: list_files(folder, what, suffixes[what]) for what, folder in folders.items()}
    truth = listings["truth"]
    lacking = [_lacking(truth, listing) for what, listing in listings.items() if what != "truth"]
    lacking.append(_lacking(listings["prediction"], truth))
    if problems := [line for line in lacking if line]:
        raise DataError("\n".join(problems))
    return {key: {what: listing.files[key] for what, listing in listings.items()} for key in truth.files}


def _lacking(those: Listing, partners: Listing) -> str:
    """Which of those files have no partner, in a line; empty if all have one."""
    missing = [key for key in those.files if key not in partners.files]
    if not missing:
        return ""
    return (
        f"{partners.folder}: found no {partners.what} file for {len(missing)} of the {len(those.files)} {those.what} "
        f"files in {those.folder}: {listed(missing)}. A partner has the same path below its folder up to the "
        f"extension; what names end in before it is said by {those.what}_suffix and {partners.what}_suffix (now "
        f"{those.suffix!r} and {partners.suffix!r}), and there is {next(iter(partners.files.values())).name}"
    )


def listed(names: Collection[str]) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(list(names)[:FIRST])
    return first if len(names) <= FIRST else f"{first} and {len(names) - FIRST} more"
