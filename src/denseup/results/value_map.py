"""One value a pixel, of a task that says nothing more about it."""

from dataclasses import dataclass

from PIL import Image

from denseup.results.base import Result


@dataclass(frozen=True)
class ValueMap(Result):
    """A map of uint8 values.

    Args:
        image, values: see `Result`.
        name: of the quantity.
    """

    kinds = ("values",)

    name: str

    def picture(self, kind: str, bits: int = 8) -> Image.Image:
        """The values as grey levels."""
        self.check_picture(kind, bits)
        return Image.fromarray(self.values)
