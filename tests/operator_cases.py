"""The operators' cases of the golden vectors: our module with the authors' weights, how to run it, what they got."""

from collections.abc import Callable
from typing import Any

import torch
from golden import array, arrays_of, manifest
from rounding import Nudge, Values, nudged
from torch import Tensor, nn

from denseup.checkpoints import load_official
from denseup.checkpoints.layouts import for_module
from denseup.upsamplers import (
    A2U,
    CARAFE,
    DLU,
    FADE,
    FRFU,
    JBU,
    LDAAQU,
    NAF,
    SAPA,
    SAPAD,
    DySample,
    FADELite,
    FreqFusion,
    IndexNet,
    JBUStack,
    SemiShift,
    Upsampler,
)
from denseup.upsamplers.semishift import SemiShiftKernels

SECOND_WAVE = ("freqfusion", "dlu", "sapa_d", "jbu", "jbu_stack", "lda_aqu", "naf", "frfu")
FILES = ("fade", "carafe", "a2u", "indexnet", "sapa", "dysample", *SECOND_WAVE)
GATE = "L2H_GateGenerator_C8"  # no operator by itself
CASES = [
    (file, name, mode)
    for file in FILES
    for name, case in manifest(file).items()
    for mode in case["modes"]
    if name != GATE
]
INDEX_BLOCKS = {"Holistic": "holistic", "DepthwiseO2O": "o2o", "DepthwiseM2O": "m2o"}


def renamed(arguments: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in arguments.items()}


def build_fade(case: dict[str, Any]) -> nn.Module:
    args, kind = case["args"], case["module"].split()[0].split(".")[1]
    channels = (args["in_channels_de"] or args["in_channels_en"], args["in_channels_en"])
    if kind == "SemiShift":
        return SemiShiftKernels(*channels)
    operator = {"FADE": FADE, "FADELite": FADELite, "SemiShiftUp": SemiShift}[kind]
    return operator(*channels, kernel_size=args["up_kernel_size"])


CARAFE_NAMES = {
    "channels": "de_channels",
    "up_kernel": "kernel_size",
    "up_group": "groups",
    "encoder_kernel": "encoder_kernel_size",
    "compressed_channels": "embed_channels",
}


def build_carafe(case: dict[str, Any]) -> CARAFE:
    return CARAFE(**renamed(case["args"], CARAFE_NAMES))


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
    return A2U(**renamed(case["args"], names), own_downsampling="bconv_DP" in str(case["state_dict_keys"]))


def build_indexnet(case: dict[str, Any]) -> IndexNet:
    args = case["args"]
    kind = next(kind for block, kind in INDEX_BLOCKS.items() if f"{block}IndexBlock" in case["module"])
    channels, options = args.get("inp", args.get("in_channels")), (args["use_nonlinear"], args["use_context"])
    return IndexNet(channels, nonlinear=options[0], context=options[1], kind=kind)


def build_sapa(case: dict[str, Any]) -> SAPA:
    args = case["args"]
    query = args.get("q_mode", "encoder_only").replace("encoder_only", "en")
    options = {"embed_channels": args["embedding_dim"]} if "embedding_dim" in args else {}
    return SAPA(args.get("dim_x", args["dim_y"]), args["dim_y"], query=query, **options)


def build_dysample(case: dict[str, Any]) -> DySample:
    return DySample(
        **renamed(case["args"], {"in_channels": "de_channels", "scale": "scale_factor", "dyscope": "dynamic_scope"})
    )


def build_freqfusion(case: dict[str, Any]) -> FreqFusion:
    names = {
        "lr_channels": "de_channels",
        "hr_channels": "en_channels",
        "compressed_channels": "embed_channels",
        "lowpass_kernel": "kernel_size",
        "highpass_kernel": "high_kernel_size",
        "encoder_kernel": "encoder_kernel_size",
        "hamming_window": "hamming",
        "comp_feat_upsample": "refine",
        "use_high_pass": "high_pass",
        "hr_residual": "residual",
        "feature_resample": "resample",
        "feature_resample_group": "resample_groups",
        "feature_resample_norm": "resample_norm",
    }
    return FreqFusion(**renamed(case["args"], names))


def build_dlu(case: dict[str, Any]) -> DLU:
    return DLU(**renamed(case["args"], CARAFE_NAMES))


def build_sapa_d(case: dict[str, Any]) -> SAPAD:
    names = {"num_point": "points", "embedding_dim": "embed_channels", "high_offset": "fine_offsets"}
    args = renamed(case["args"], names)
    en = args.pop("dim_y")
    return SAPAD(args.pop("dim_x", en), en, **args)


def build_jbu(case: dict[str, Any]) -> JBU:
    names = {"guidance_dim": "image_channels", "feat_dim": "de_channels", "key_dim": "embed_channels"}
    return JBU(**renamed(case["args"], names))


def build_jbu_stack(case: dict[str, Any]) -> JBUStack:
    return JBUStack(case["args"]["feat_dim"])


def build_lda_aqu(case: dict[str, Any]) -> LDAAQU:
    names = {
        "in_channels": "de_channels",
        "reduction_factor": "reduction",
        "nh": "heads",
        "n_groups": "groups",
        "k_u": "kernel_size",
        "k_e": "encoder_kernel_size",
        "range_factor": "reach",
        "rpb": "position_bias",
    }
    return LDAAQU(**renamed(case["args"], names))


def build_naf(case: dict[str, Any]) -> NAF:
    names = {
        "dim": "embed_channels",
        "heads_attn": "heads",
        "heads_rope": "rotary_heads",
        "img_layers": "blocks",
    }
    return NAF(case["inputs"]["features"][1], **renamed(case["args"], names))


def build_frfu(case: dict[str, Any]) -> FRFU:
    return FRFU(**renamed(case["args"], {"in_channels": "de_channels"}))


BUILD: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "fade": build_fade,
    "carafe": build_carafe,
    "a2u": build_a2u,
    "indexnet": build_indexnet,
    "sapa": build_sapa,
    "dysample": build_dysample,
    "freqfusion": build_freqfusion,
    "dlu": build_dlu,
    "sapa_d": build_sapa_d,
    "jbu": build_jbu,
    "jbu_stack": build_jbu_stack,
    "lda_aqu": build_lda_aqu,
    "naf": build_naf,
    "frfu": build_frfu,
}


def a2u_kernels(module: A2U, x: Values) -> list[Tensor]:
    """Ours are kept before their softmax, which the operators do."""
    affinity = module.affinity(x["x"])
    groups = (module.groups, -1)
    logits = (module.down_logits(x["x"], affinity), module.up_logits(x["x"], affinity))
    return [kernels.unflatten(1, groups).softmax(2).flatten(1, 2) for kernels in logits]


def stage(module: Upsampler, x: Values) -> list[Tensor]:
    pooled, state = module.downsample(x["x"])
    return [pooled, module(x["de"], x["x"], state=state)]


def indexed_stage(module: IndexNet, x: Values) -> list[Tensor]:
    pooled, state = module.downsample(x["x"])
    out, masked = module(x["de"], x["x"], state=state, return_en=True)
    return [masked, pooled, out]


def fused(module: FreqFusion, x: Values) -> list[Tensor]:
    out, changed = module(x["lr_feat"], x["hr_feat"], return_en=True)
    return [changed, out]


class Single:
    """One map in, with a guide or an image, one out; `output_size` where the case gives it."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.size = case.get("output_size")

    def __call__(self, module: nn.Module, x: Values) -> list[Tensor]:
        by_kind = {kind: next((x[name] for name in names if name in x), None) for kind, names in INPUTS.items()}
        image, given = by_kind["image"], {}
        if image is not None:
            given = {"image": image, "output_size": self._size(module, by_kind["de"], image)}
        return [module(by_kind["de"], *([] if by_kind["en"] is None else [by_kind["en"]]), **given)]

    def _size(self, module: nn.Module, de: Tensor, image: Tensor) -> tuple[int, ...] | None:
        """A step of JBU gives the size of its guide, the stack 16 times that of its map."""
        if self.size is not None:
            return tuple(self.size)
        return tuple(image.shape[2:]) if isinstance(module, JBU) else None


INPUTS = {"de": ("de", "x", "source", "features"), "en": ("en", "y"), "image": ("guidance", "image")}
"""What the authors call the inputs."""


FORWARD: dict[tuple[str, ...], Callable[[Any, Values], list[Tensor]]] = {
    ("out_d", "out_u"): a2u_kernels,
    ("down", "up"): stage,
    ("idx_en", "idx_de"): lambda module, x: list(module.index(x["x"])),
    ("masked", "pooled", "up"): indexed_stage,
    ("hr_feat", "lr_feat"): fused,
}


class OperatorCase:
    """One operator in one mode; calling it runs forward and backward on nudged values."""

    def __init__(self, file: str, name: str, mode: str) -> None:
        self.case = manifest(file)[name]
        self.inputs = {key: value.double() for key, value in arrays_of(file, name, "in")}
        self.outputs = list(self.case["outputs"])
        self.cotangents = [array(file, f"{name}/G/{key}").double() for key in self.outputs]
        self.expected = dict(arrays_of(file, name, mode))
        self.module = BUILD[file](self.case)
        self.run = FORWARD.get(tuple(self.outputs)) or Single(self.case)
        assert sum(p.numel() for p in self.module.parameters()) == self.case["n_params"]
        weights = dict(arrays_of(file, name, "param"))
        report = load_official(self.module, weights)
        assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
        self.module.double().train(mode == "train")
        if file == "dysample" and self.module.style == "lp":
            self._use_stored_positions(weights["init_pos"])

    def _use_stored_positions(self, positions: Tensor) -> None:
        """The authors keep where bilinear interpolation reads in float32; at scale 3, thirds of a pixel. Ours are
        computed: what theirs are off by goes into the bias of the offsets, in quarters of which both count."""
        cells = 2 * self.module.scale_factor
        true = (positions.double() * cells).round() / cells
        with torch.no_grad():
            self.module.offset.bias += 4 * (positions - true).flatten()

    def __call__(self, nudge: Nudge) -> Values:
        inputs = {key: nudge(value).requires_grad_() for key, value in self.inputs.items()}
        with nudged(self.module, nudge):
            outputs = self.run(self.module, inputs)
            torch.autograd.backward(outputs, [nudge(g) for g in self.cotangents])
            values = {key: out.detach() for key, out in zip(self.outputs, outputs, strict=True)}
            if "extra_outputs_not_in_loss" in self.case:
                values["mask_lr"] = self.module.kernels(inputs["lr_feat"], inputs["hr_feat"]).detach()
            values |= {f"grad_in/{key}": value.grad for key, value in inputs.items() if value.grad is not None}
            return values | self._state()

    def _state(self) -> Values:
        """Gradients of parameters and running statistics, by the authors' keys."""
        convert = for_module(self.module)
        parameters, buffers = dict(self.module.named_parameters()), dict(self.module.named_buffers())
        keys = [key.split("/", 1) for key in self.expected if "/" in key]
        gradients = {
            f"grad_param/{key}": parameters[convert(key)[0]].grad.reshape(self.expected[f"grad_param/{key}"].shape)
            for kind, key in keys
            if kind == "grad_param"
        }
        after = {f"buf_after/{key}": buffers[convert(key)[0]].clone() for kind, key in keys if kind == "buf_after"}
        return gradients | after
