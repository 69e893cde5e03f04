"""What a state dict of the authors is of, told by its keys and shapes alone: the network, and the upsampler in it."""

from denseup.checkpoints.recognition.networks import Recognised, recognise
from denseup.checkpoints.recognition.operators import Candidate, Stage, candidates

__all__ = ["Candidate", "Recognised", "Stage", "candidates", "recognise"]
