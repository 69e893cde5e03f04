"""A2U, IndexNet, SAPA and DySample equal their authors' code in float64, as `test_parity.py` does for FADE and CARAFE:
outputs, gradients of inputs and of every parameter, and running statistics after a step of training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden import RELATIVE, array, arrays_of, check, check_parameter_gradients, manifest
from torch import Tensor

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.upsamplers import A2U, SAPA, DySample, IndexNet, IndexNetM2O, IndexNetO2O, SAPACat, SAPAGate, Upsampler

Inputs = dict[str, Tensor]
FILES = ("a2u", "indexnet", "sapa", "dysample")
CASES = [(file, name, mode) for file in FILES for name, case in manifest(file).items() for mode in case["modes"]]
INDEX_BLOCKS = {"Holistic": IndexNet, "DepthwiseO2O": IndexNetO2O, "DepthwiseM2O": IndexNetM2O}
LOOSER = {"DySample_in_channels12_scale3_stylelp_groups2": 2e-8}
"""As the vectors' README states: their initial positions are thirds of a pixel in float32; ours are computed."""


def build_a2u(case: dict[str, Any]) -> A2U:
    names = {
        "c": "de_channels",
        "in_channels": "de_channels",
        "share": "shared",
        "encode_kernel_size": "encoder_kernel_size",
        "up_kernel_size": "kernel_size",
        "up_kernel": "kernel_size",
        "downupsample_group": "groups",
        "scale": "scale_factor",
    }
    arguments = {names[key]: value for key, value in case["args"].items()}
    return A2U(**arguments, own_downsampling="bconv_DP" in str(case["state_dict_keys"]))


def build_indexnet(case: dict[str, Any]) -> IndexNet:
    args = case["args"]
    kind = next(kind for block, kind in INDEX_BLOCKS.items() if f"{block}IndexBlock" in case["module"])
    return kind(args.get("inp", args.get("in_channels")), nonlinear=args["use_nonlinear"], context=args["use_context"])


def build_sapa(case: dict[str, Any]) -> SAPA:
    args = case["args"]
    kind = {"encoder_only": SAPA, "cat": SAPACat, "gate": SAPAGate}[args.get("q_mode", "encoder_only")]
    options = {"embed_channels": args["embedding_dim"]} if "embedding_dim" in args else {}
    return kind(args.get("dim_x", args["dim_y"]), args["dim_y"], **options)


def build_dysample(case: dict[str, Any]) -> DySample:
    names = {"in_channels": "de_channels", "scale": "scale_factor", "dyscope": "dynamic_scope"}
    return DySample(**{names.get(key, key): value for key, value in case["args"].items()})


BUILD: dict[str, Callable[[dict[str, Any]], Upsampler]] = {
    "a2u": build_a2u,
    "indexnet": build_indexnet,
    "sapa": build_sapa,
    "dysample": build_dysample,
}


def a2u_kernels(module: A2U, x: Inputs) -> list[Tensor]:
    """Ours are kept before their softmax, which the operators do."""
    affinity = module.affinity(x["x"])
    groups = (module.groups, -1)
    logits = (module.down_logits(x["x"], affinity), module.up_logits(x["x"], affinity))
    return [kernels.unflatten(1, groups).softmax(2).flatten(1, 2) for kernels in logits]


def stage(module: Upsampler, x: Inputs) -> list[Tensor]:
    pooled, state = module.downsample(x["x"])
    return [pooled, module(x["de"], x["x"], state=state)]


def indexed_stage(module: IndexNet, x: Inputs) -> list[Tensor]:
    pooled, state = module.downsample(x["x"])
    return [module.skip(x["x"], state), pooled, module(x["de"], x["x"], state=state)]


RUN: dict[tuple[str, ...], Callable[[Any, Inputs], list[Tensor]]] = {
    ("out_d", "out_u"): a2u_kernels,
    ("down", "up"): stage,
    ("idx_en", "idx_de"): lambda module, x: list(module.index(x["x"])),
    ("masked", "pooled", "up"): indexed_stage,
    ("out",): lambda module, x: [module(x.get("de", x.get("x")), x.get("en", x.get("y")))],
}


@pytest.mark.parametrize(("file", "name", "mode"), CASES)
def test_equals_the_authors_code(file: str, name: str, mode: str) -> None:
    case, relative = manifest(file)[name], LOOSER.get(name, RELATIVE)
    module = BUILD[file](case)
    assert sum(p.numel() for p in module.parameters()) == case["n_params"]
    report = load_official(module, dict(arrays_of(file, name, "param")))
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
    module.double().train(mode == "train")
    inputs = {key: value.double().requires_grad_() for key, value in arrays_of(file, name, "in")}
    outputs = RUN[tuple(case["outputs"])](module, inputs)
    for key, out in zip(case["outputs"], outputs, strict=True):
        check(out, array(file, f"{name}/{mode}/{key}"), key, relative)
    torch.autograd.backward(outputs, [array(file, f"{name}/G/{key}").double() for key in case["outputs"]])
    for key, expected in arrays_of(file, name, f"{mode}/grad_in"):
        check(inputs[key].grad, expected, f"gradient of {key}", relative)
    check_parameter_gradients(module, dict(arrays_of(file, name, f"{mode}/grad_param")), for_module(module), relative)
    buffers = dict(module.named_buffers())
    for key, expected in arrays_of(file, name, f"{mode}/buf_after"):
        check(buffers[for_module(module)(key)[0]], expected, key, relative)
