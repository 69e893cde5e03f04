"""Trainings from Python: objects in, a run folder out, without a config; needs the extra `train`."""

from denseup.runs.training import train

__all__ = ["train"]
