"""State dicts of others: read from files without executing anything, and told by their keys."""

from denseup.weights.files import read_content, read_weights, unwrap
from denseup.weights.renaming import Rules, Shapes, rename, shapes_of

__all__ = ["Rules", "Shapes", "read_content", "read_weights", "rename", "shapes_of", "unwrap"]
