"""The metrics, with any arrays and tensors: what the definitions give pixel by pixel, or an error that names one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from naive_metrics import naive_areas, naive_conn, naive_grad
from properties import spoiling
from properties.outcomes import Refused, called
from properties.running import Cases, by_day_and_night, run
from properties.tensors import LAYOUTS
from torch import Tensor

from denseup import metrics

UNIT = 2.0**-52
ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "as it is": lambda x: x,
    "flipped": lambda x: x[..., ::-1].copy()[..., ::-1],
    "upside down": lambda x: x[::-1].copy()[::-1],
    "in Fortran's order": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "a matrix": lambda x: x.view(np.matrix) if x.ndim == 2 else x,
    "one row": lambda x: np.broadcast_to(x[..., :1, :], x.shape),
    "without a mask": np.ma.masked_array,
    **{name: lambda x, lay=lay: lay(torch.from_numpy(x.copy())) for name, lay in LAYOUTS.items() if name != "negated"},
}
NO_IMAGES: dict[str, Callable[[np.ndarray], Any]] = {
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "a string": lambda x: "image",
    "a number": lambda x: 3,
}
SPOILED: dict[str, Callable[[np.ndarray], Any]] = {
    **NO_IMAGES,
    "int64": lambda x: x.astype(np.int64),
    "big-endian": lambda x: x.astype(">i4"),
    "uint16": lambda x: x.astype(np.uint16),
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "extended": lambda x: x.astype(np.longdouble),
    "complex": lambda x: x.astype(np.complex64),
    "booleans": lambda x: x > 1,
    "objects": lambda x: x.astype(object),
    "words": lambda x: x.astype(str),
    "dates": lambda x: x.astype("datetime64[s]"),
    "masked": lambda x: np.ma.masked_array(x, np.ones_like(x, bool)),
    "not a number": lambda x: np.full(x.shape, np.nan),
    "infinite": lambda x: np.full(x.shape, np.inf, np.float32),
    "of all sizes": lambda x: np.linspace(-1.7e308, 1.7e308, x.size).reshape(x.shape),
    "denormal": lambda x: x * 5e-324,
    "bfloat16": lambda x: torch.from_numpy(x.copy()).bfloat16(),
    "float8": lambda x: torch.from_numpy(x.copy()).float().to(torch.float8_e5m2),
    "quantized": lambda x: torch.quantize_per_tensor(torch.from_numpy(x.copy()).float(), 1, 0, torch.quint8),
    "sparse": lambda x: torch.from_numpy(x.copy()).to_sparse(),
    "nested": lambda x: torch.nested.nested_tensor(list(torch.from_numpy(x.copy()))),
    "conjugate": lambda x: torch.from_numpy(x.astype(np.complex64)).conj(),
    "negated": lambda x: torch._neg_view(-torch.from_numpy(x.astype(np.float32))),
    "learned": lambda x: torch.from_numpy(x.astype(np.float32)).requires_grad_(),
    "another device": lambda x: torch.from_numpy(x.copy()).to("meta"),
    "another label": lambda x: np.full_like(x, 77),
    "a row more": lambda x: np.concatenate([x, x[..., :1, :]], -2),
    "a column less": lambda x: x[..., 1:],
    "no pixel": lambda x: x[..., :0],
    "a dimension less": lambda x: x[0],
    "a dimension more": lambda x: x[None],
    "two more": lambda x: x[None, None],
    "a scalar": lambda x: x.flat[0],
    "an array of one": lambda x: np.array(x.flat[0]),
}
ALPHAS, LABELS = ("pred", "target", "trimap"), ("pred", "target")
MATTING = {name: getattr(metrics, name) for name in ("sad", "mse", "grad", "grad_a2u", "conn")}
SEGMENTATION = {
    name: getattr(metrics, name) for name in ("mean_iou", "mean_accuracy", "pixel_accuracy", "boundary_iou")
}


@dataclass
class Case:
    name: str
    arguments: dict[str, Any]
    spoiled: str = ""
    how: str = ""


def naive_matting(name: str, pred: np.ndarray, target: np.ndarray, trimap: np.ndarray) -> float:
    unknown = trimap == 128
    if name.startswith("grad"):
        return naive_grad(pred, target, trimap, name == "grad_a2u")
    if name == "conn":
        return naive_conn(pred, target, trimap)
    difference = [abs(int(p) - int(g)) for p, g in zip(pred[unknown], target[unknown], strict=True)]
    if name == "sad":
        return sum(difference) / 255 / 1000
    return sum(d * d for d in difference) / 255**2 / len(difference) if difference else float("nan")


def naive_segmentation(
    name: str, pred: np.ndarray, target: np.ndarray, num_classes: int, more: dict[str, Any]
) -> float:
    ignored, void = more.get("ignore_index", 255), more.get("void", "void_excluded")
    areas = np.zeros((3, num_classes))
    for p, g in zip(pred.reshape(-1, *pred.shape[-2:]), target.reshape(-1, *pred.shape[-2:]), strict=True):
        counted = g != ignored if name != "boundary_iou" or void == "void_excluded" else np.ones_like(g, bool)
        width = max(1, round(0.02 * np.hypot(*p.shape))) if name == "boundary_iou" else None
        areas += naive_areas(p, g, num_classes, counted, width)
    both, in_pred, in_target = areas
    if name == "pixel_accuracy":
        return both.sum() / in_target.sum() if in_target.sum() else float("nan")
    whole = in_target if name == "mean_accuracy" else in_pred + in_target - both
    return float((both[whole > 0] / whole[whole > 0]).mean()) if (whole > 0).any() else float("nan")


def plain(x: Any) -> np.ndarray:
    if isinstance(x, Tensor):
        x = (
            x.detach().as_subclass(Tensor).to_dense()
            if x.layout is not torch.strided
            else x.detach().as_subclass(Tensor)
        )
        x = x.resolve_neg().to(torch.float64 if x.is_floating_point() else x.dtype).numpy()
    x = np.asarray(x)
    return x.astype(x.dtype.newbyteorder("="))


@st.composite
def cases_of(draw: Any, name: str) -> Case:
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = draw(st.sampled_from(((1, 1), (1, 4), (5, 1), (3, 4), (6, 7), (9, 8), (20, 3))))
    if name in MATTING:
        levels = draw(st.sampled_from(((0, 255), (0, 128, 255), range(256), (7,))))
        found = {key: random.choice(levels, size).astype(np.uint8) for key in ("pred", "target")}
        found["trimap"] = random.choice((0, 128, 128, 255), size).astype(np.uint8)
        more: dict[str, Any] = {}
    else:
        size = draw(st.sampled_from((size, (2, *size))))
        classes, more = draw(st.sampled_from((1, 2, 5, 30))), {}
        found = {key: random.integers(0, classes, size).astype(np.uint8) for key in LABELS}
        found["target"][random.random(size) < 0.2] = 255
        more = {"num_classes": classes, "ignore_index": 255}
        if name == "boundary_iou":
            more["void"] = draw(st.sampled_from(("void_excluded", "no_ignore")))
    case = Case(name, {**found, **more})
    for key in found:
        case.arguments[key] = ARRAYS[draw(st.sampled_from(list(ARRAYS)))](found[key])
    if draw(st.booleans()):
        case.spoiled = key = draw(st.sampled_from([*found, *found, *more]))
        if key in more:
            case.arguments[key] = draw(spoiling.words if key == "void" else spoiling.numbers)
        else:
            case.how = draw(st.sampled_from(list(SPOILED)))
            case.arguments[key] = SPOILED[case.how](found[key])
    return case


def check(case: Case) -> None:
    names = [case.spoiled] if case.how in NO_IMAGES else list(case.arguments)
    try:
        found = called((MATTING | SEGMENTATION)[case.name], case.arguments, names)
    except Refused:
        assert case.spoiled, "refused what fits"
        return
    assert isinstance(found, float)
    if case.name in MATTING:
        true = naive_matting(case.name, *(plain(case.arguments[key]) for key in ALPHAS))
    else:
        more = {key: x for key, x in case.arguments.items() if key not in (*LABELS, "num_classes")}
        maps = (plain(case.arguments[key]) for key in LABELS)
        true = naive_segmentation(case.name, *maps, int(case.arguments["num_classes"]), more)
    pixels = plain(case.arguments["pred"]).size
    # sums of 169 products for each pixel, in another order, of numbers of at most 1, squared
    allowed = 1000 * UNIT * pixels if case.name.startswith("grad") else 16 * UNIT * abs(true)
    assert abs(found - true) <= allowed or (np.isnan(found) and np.isnan(true)), f"{found}, expected {true}"


@pytest.mark.parametrize("group", [["grad", "grad_a2u"], ["sad", "mse", "conn"], list(SEGMENTATION)], ids="/".join)
@by_day_and_night(150)
def test_any_images(group: list[str], cases: Cases) -> None:
    run(cases, check, st.sampled_from(group).flatmap(cases_of))


def check_classes(case: Case) -> None:
    """A metric class on one image, or on what is none: as its functions, and after an error as if nothing had come."""
    if case.name in MATTING:
        metric, names = metrics.MattingMetrics(), ALPHAS
    else:
        metric, names = metrics.SegmentationMetrics(5), LABELS
    for key in names:
        if isinstance(x := case.arguments[key], np.ndarray) and x.dtype == np.uint8 and names == LABELS:
            case.arguments[key] = np.where(x == 255, x, x % 5)
    before = {key: x.clone() for key, x in metric.metric_state.items()}
    given = [case.arguments[key] for key in names]
    try:
        called(lambda **given: metric.update(*given.values()), dict(zip(names, given, strict=True)), names)
    except Refused:
        assert all(torch.equal(x, before[key]) for key, x in metric.metric_state.items())
        assert not metric.per_image()
        return
    values, batch = metric.compute(), plain(given[0]).ndim > 2
    if names == LABELS:
        assert values["miou"].item() == pytest.approx(metrics.mean_iou(*given, 5), nan_ok=True, rel=1e-12)
        assert values["biou"].item() == pytest.approx(metrics.boundary_iou(*given, 5), nan_ok=True, rel=1e-12)
    elif not batch:
        for key, value in values.items():
            assert value.item() == pytest.approx(MATTING[key](*given), nan_ok=True, rel=1e-12)


@by_day_and_night(80)
def test_any_updates(cases: Cases) -> None:
    run(cases, check_classes, st.sampled_from(["sad", "mean_iou"]).flatmap(cases_of))


def check_reduction(case: Case) -> None:
    label = case.arguments["target"]
    try:
        reduced = called(metrics.reduce_zero_label, {"label": label}, ["label"])
    except Refused:
        assert case.spoiled, "refused what fits"
        return
    true = [255 if x in (0, 255) else x - 1 for x in plain(label).ravel().tolist()]
    assert isinstance(reduced, Tensor) == isinstance(label, Tensor)
    assert plain(reduced).ravel().tolist() == true


@by_day_and_night(60)
def test_any_label(cases: Cases) -> None:
    run(cases, check_reduction, cases_of("mean_iou"))


@pytest.mark.parametrize("wrong", [3.0, None, "3", True, 0, 256, [3], 2**64 + 3])
def test_numbers_of_classes(wrong: Any) -> None:
    with pytest.raises(ValueError, match="num_classes must be"):
        metrics.SegmentationMetrics(wrong)
    with pytest.raises(ValueError, match="ignore_index must be"):
        metrics.SegmentationMetrics(3, ignore_index=wrong if wrong != 3 else -1)
