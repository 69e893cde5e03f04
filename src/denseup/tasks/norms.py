"""Batch norms that a recipe keeps as they are: which, and that they stay so."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = _BatchNorm
"""Of any kind: also those that are synchronised over processes."""


def batch_norms(network: nn.Module) -> Iterator[BatchNorm]:
    """All batch norms of a network."""
    return (module for module in network.modules() if isinstance(module, BatchNorm))


def backbone_norms(network: nn.Module) -> list[BatchNorm]:
    """Those of the backbone, as `backbone_parameters()` says."""
    backbone = {id(p) for p in network.backbone_parameters()}  # type: ignore[operator]
    return [norm for norm in batch_norms(network) if norm.weight is not None and id(norm.weight) in backbone]
