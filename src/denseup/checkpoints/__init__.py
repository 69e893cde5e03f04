"""Load the authors' published checkpoints into this package's modules."""

from denseup.checkpoints.official import LoadReport, load_official

__all__ = ["LoadReport", "load_official"]
