"""ONNX, for ONNX Runtime, TensorRT, OpenVINO and others.

The opset is 18: from 20 on, GridSample, which DySample is made of, has other names of its modes, and TensorRT computes
it wrongly; at 18 it is right.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from denseup.tasks.serving import Serving

SUFFIX = ".onnx"
NEEDS = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18


def write(program: ExportedProgram, path: Path, serving: Serving, metadata: Mapping[str, str]) -> None:
    """One file, with `metadata` as its metadata_props; dimensions that are free have names."""
    names = list(serving.inputs), list(serving.outputs)
    with _quiet(), _each_node_once():
        made = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=names[0], output_names=names[1], verbose=False
        )
    assert made is not None
    made.model.metadata_props.update(metadata)
    made.model.producer_name, made.model.producer_version = "denseup", metadata["denseup"]
    made.save(path, external_data=False)


def read(path: Path) -> Callable[..., Tensor]:
    """By ONNX Runtime, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def call(*inputs: Tensor) -> Tensor:
        (output,) = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        return torch.from_numpy(output)

    return call


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the steps that torch reports of its exporter, which are for those who write exporters."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _each_node_once() -> Iterator[None]:
    """Without the one rule of onnxscript's optimiser (0.7) that goes through the whole graph at each of its nodes.

    It makes a Split of two Slices that share a map. In a graph of some thousand nodes, as those with large windows are,
    looking for them takes minutes.
    """
    try:
        from onnxscript.rewriter.rules.common import slice_split_rule
    except ImportError:  # another version's
        yield
        return
    slice_split_rule.try_rewrite = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del slice_split_rule.try_rewrite
