"""What commands print: a line as it is, however long, with nothing in it taken for markup."""

from rich.console import Console


def say(text: str, console: Console | None = None) -> None:
    """Print a line.

    Args:
        text: of the line.
        console: where to; None for standard output.
    """
    (console or Console()).print(text, highlight=False, soft_wrap=True, markup=False)


def tell(text: str) -> None:
    """Print a line on standard error, beside what a command gives out."""
    say(text, Console(stderr=True))
