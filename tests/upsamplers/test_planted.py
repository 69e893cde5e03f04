"""The bounds of the parity tests are tight: what a mistake changes exceeds them a thousand times and more."""

from collections.abc import Callable

import pytest
import torch
from operator_cases import OperatorCase
from rounding import exact, quotients, spread
from torch import Tensor, nn
from torch.nn import functional as F

from denseup.ops import reassemble
from denseup.ops.geometry import centre_grid
from denseup.upsamplers import carafe, dlu, dysample, freqfusion, frfu, jbu, lda_aqu, naf, sapa_d, semishift

Plant = Callable[[nn.Module, pytest.MonkeyPatch], None]
FADE, FADE_LITE, SEMISHIFT = "L2H_FADE_C16_k5", "L2H_FADELite_C16_k5", "L2H_SemiShiftUp_en12_de8_k5"
DYSAMPLE = "DySample_in_channels16_stylelp_groups4_dyscopeFalse"
CARAFE, DILATED = "CARAFEPack_default_C8_s2", "CARAFEPack_C8_s2_dil2"
INDEX, INDEX_STAGE = "HolisticIndexBlock_C8_nl1_cx1", "IndexedPoolUp_M2O_nl1_cx1"


def scaling(parameter: str, factor: float) -> Plant:
    def plant(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
        with torch.no_grad():
            module.get_parameter(parameter).mul_(factor)

    return plant


def setting(path: str, value: object) -> Plant:
    *parents, name = path.split(".")
    return lambda module, patch: patch.setattr(module.get_submodule(".".join(parents)), name, value)


def both(*plants: Plant) -> Plant:
    return lambda module, patch: [plant(module, patch) for plant in plants]  # type: ignore[return-value]


def leaving_out(parent: str, name: str) -> Plant:
    return lambda module, patch: patch.setitem(module.get_submodule(parent)._modules, name, nn.Identity())


def changing(holder: object, name: str, change: Callable[..., Callable[..., Tensor]]) -> Plant:
    """Put a wrapper around a function that the operator calls, or change a constant of its module."""
    return lambda module, patch: patch.setattr(holder, name, change(getattr(holder, name)))


def transposed_taps(reassemble: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(de: Tensor, kernels: Tensor, kernel_size: int, *args, **kwargs) -> Tensor:
        turned = kernels.unflatten(1, (-1, kernel_size, kernel_size)).transpose(2, 3).flatten(1, 3)
        return reassemble(de, turned, kernel_size, *args, **kwargs)

    return wrong


def softmax_over_the_map(reassemble: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(de: Tensor, kernels: Tensor, kernel_size: int, *args, normalize: str) -> Tensor:
        return reassemble(de, kernels.flatten(2).softmax(2).view_as(kernels), kernel_size, *args)

    return wrong


def transposed_cells(shuffle: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(x: Tensor, factor: int) -> Tensor:
        return shuffle(x.unflatten(1, (-1, factor, factor)).transpose(2, 3).flatten(1, 3), factor)

    return wrong


def shifted(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The map is read one pixel further to the right, as with a padding off by one."""
    return lambda convolution, x, *low: convolve(convolution, F.pad(x, (-1, 1, 0, 0)), *low)


def padded_with_its_border(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def wrong(convolution: nn.Conv2d, x: Tensor) -> Tensor:
        edge = convolution.padding[0]
        padded = F.pad(x, (edge,) * 4, mode="replicate")
        return F.conv2d(padded, convolution.weight, convolution.bias, dilation=convolution.dilation)

    return wrong


def swapped_axes(sample: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda de, positions, groups: sample(de, positions.roll(groups, 1), groups)


def doubled_gradient(module: nn.Module, patch: pytest.MonkeyPatch) -> None:
    embed = module.kernels.embed_en
    convolve = embed.forward
    patch.setattr(embed, "forward", lambda x: 2 * (out := convolve(x)) - out.detach())


def with_corners(interpolate: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, size, mode, align_corners: interpolate(x, size, mode=mode, align_corners=not align_corners)


def of_centres(parent_grid: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return centre_grid


def swapped_rows(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Positions with rows before columns."""
    return lambda one, other, positions: attend(one, other, positions.flip(2))


def with_zeros_outside(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return reassemble


def padded_with_zeros(pad: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, edge: F.pad(x, (edge,) * 4)


def in_another_order(taps: list[int]) -> list[int]:
    return taps[::-1]


def one_window_on(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Keys and values moved by one pixel to the right."""
    return lambda query, key, value, *rest: attend(query, key.roll(1, 3), value.roll(1, 3), *rest)


FREQFUSION, RESAMPLED = "FreqFusion_default_compressed6", "FreqFusion_resample_hammingFalse_groups2"
DLU, FRFU, SAPA_D = "DLUPack_channels12_compressed8", "FRFU_in16_default", "SAPADeform_dimy12_dimx8_embed6"
JBU, LDA, NAF = "JBULearnedRange_published", "LDA_AQU_in16_default", "NAF_dim32_kernel3"

MISTAKES: dict[str, tuple[str, str, str, Plant]] = {
    "fade: bias counted once": ("fade", FADE, "eval", scaling("kernels.encode.bias", 0.5)),
    "fade: gate and 1 - gate": ("fade", FADE, "eval", both(scaling("gate.weight", -1), scaling("gate.bias", -1))),
    "fade: padding": ("fade", FADE, "eval", changing(semishift, "encode_content", shifted)),
    "fade lite: bias counted once": ("fade", FADE_LITE, "eval", scaling("kernels.encode.bias", 0.5)),
    "semi-shift: bias counted once": ("fade", SEMISHIFT, "eval", scaling("kernels.encode.bias", 0.5)),
    "semi-shift: taps": ("fade", SEMISHIFT, "eval", changing(semishift, "reassemble", transposed_taps)),
    "semi-shift: gradient counted twice": ("fade", SEMISHIFT, "eval", doubled_gradient),
    "carafe: taps": ("carafe", CARAFE, "eval", changing(carafe, "reassemble", transposed_taps)),
    "carafe: softmax over the map": ("carafe", CARAFE, "eval", changing(carafe, "reassemble", softmax_over_the_map)),
    "carafe: order of the shuffle": ("carafe", CARAFE, "eval", changing(F, "pixel_shuffle", transposed_cells)),
    "carafe: zeros or border": ("carafe", CARAFE, "eval", changing(carafe, "encode_content", padded_with_its_border)),
    "carafe: dilation": (
        "carafe",
        DILATED,
        "eval",
        both(setting("encode.dilation", (1, 1)), setting("encode.padding", (1, 1))),
    ),
    "indexnet: epsilon": ("indexnet", INDEX, "train", setting("branches.0.1.eps", 1e-3)),
    "indexnet: momentum": ("indexnet", INDEX, "train", setting("branches.0.1.momentum", 0.01)),
    "indexnet: activation left out": ("indexnet", INDEX, "eval", leaving_out("branches.0", "2")),
    "indexnet: order of the shuffle": (
        "indexnet",
        INDEX_STAGE,
        "eval",
        changing(F, "pixel_shuffle", transposed_cells),
    ),
    "a2u: order of the shuffle": ("a2u", "A2UUp_C32", "eval", changing(F, "pixel_shuffle", transposed_cells)),
    "a2u: epsilon": ("a2u", "A2UUp_C32", "eval", setting("norm_u.eps", 1e-6)),
    "sapa: epsilon": ("sapa", "SAPA_dim_y8", "eval", setting("norm_de.eps", 1e-6)),
    "sapa: gate and 1 - gate": (
        "sapa",
        "SAPAExp_q_modegate",
        "eval",
        both(scaling("gate.weight", -1), scaling("gate.bias", -1)),
    ),
    "dysample: range of the offsets": (
        "dysample",
        DYSAMPLE,
        "eval",
        scaling("offset.weight", 2),
    ),
    "dysample: order of the shuffle": (
        "dysample",
        DYSAMPLE,
        "eval",
        changing(F, "pixel_shuffle", transposed_cells),
    ),
    "dysample: down and right": ("dysample", DYSAMPLE, "eval", changing(dysample, "sample_bilinear", swapped_axes)),
    "freqfusion: bias counted once": ("freqfusion", FREQFUSION, "eval", scaling("encode_high.bias", 0.5)),
    "freqfusion: window": ("freqfusion", FREQFUSION, "eval", setting("window", None)),
    "freqfusion: taps": ("freqfusion", FREQFUSION, "eval", changing(freqfusion, "reassemble", transposed_taps)),
    "freqfusion: epsilon": ("freqfusion", RESAMPLED, "eval", setting("resampler.norm_en.eps", 1e-6)),
    "freqfusion: neighbours": ("freqfusion", RESAMPLED, "eval", changing(freqfusion, "NEIGHBOURS", in_another_order)),
    "dlu: centres": ("dlu", DLU, "eval", changing(dlu, "parent_grid", of_centres)),
    "dlu: down and right": ("dlu", DLU, "eval", changing(dlu, "sample_bilinear", swapped_axes)),
    "frfu: order of the shuffle": ("frfu", FRFU, "eval", changing(F, "pixel_shuffle", transposed_cells)),
    "frfu: gate": ("frfu", FRFU, "eval", scaling("encode_gate.weight", -1)),
    "frfu: down and right": ("frfu", FRFU, "eval", changing(frfu, "sample_bilinear", swapped_axes)),
    "sapa-d: down and right": (
        "sapa_d",
        SAPA_D,
        "eval",
        both(changing(sapa_d, "point_similarity", swapped_rows), changing(sapa_d, "gather_points", swapped_rows)),
    ),
    "sapa-d: centres": ("sapa_d", SAPA_D, "eval", changing(sapa_d, "parent_grid", of_centres)),
    "jbu: zeros or reflection": ("jbu", JBU, "eval", changing(jbu, "reassemble_folded", with_zeros_outside)),
    "jbu: correction": ("jbu", JBU, "eval", changing(jbu, "CORRECTION", lambda factor: 2 * factor)),
    "lda-aqu: corners of the query": ("lda_aqu", LDA, "eval", changing(F, "interpolate", with_corners)),
    "lda-aqu: reach": ("lda_aqu", LDA, "eval", setting("reach", 10)),
    "lda-aqu: down and right": (
        "lda_aqu",
        LDA,
        "eval",
        both(changing(lda_aqu, "point_similarity", swapped_rows), changing(lda_aqu, "gather_points", swapped_rows)),
    ),
    "naf: window": ("naf", NAF, "eval", changing(naf, "neighbourhood_attention", one_window_on)),
    "naf: zeros or reflection": ("naf", NAF, "eval", changing(naf, "pad_by_reflection", padded_with_zeros)),
    "naf: periods": ("naf", NAF, "eval", changing(naf, "BASE", lambda base: 1.01 * base)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_shows_in_some_number(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, name, mode, plant = MISTAKES[mistake]
    case = OperatorCase(file, name, mode)
    moved = spread(case, case(exact))
    plant(case.module, monkeypatch)
    assert max(quotients(case, case.expected, moved).values()) >= 1e3
