"""Matting metrics against published values, and against their definitions written out pixel by pixel."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from naive_metrics import naive_conn, naive_levels

from denseup.metrics import conn, grad, grad_a2u, mse, sad
from denseup.metrics.functional import connectivity_levels
from denseup.metrics.functional.connectivity import THRESHOLDS
from denseup.metrics.functional.gradient import RADIUS, SIGMA, gaussian_and_derivative

pytestmark = pytest.mark.usefixtures("way")

REFERENCE = Path(__file__).parents[1] / "reference" / "metrics"
FULL_SIZE = Path(__file__).parents[2].parent / "shared" / "reference" / "metrics" / "matting_fullsize.npz"
MANIFEST = json.loads((REFERENCE / "manifest.json").read_text())
TOLERANCES = MANIFEST["tolerances"]
METRICS = {"SAD": sad, "MSE": mse, "Grad": grad, "Conn": conn}
CASES = list(MANIFEST["matting"])


def images(case, file=REFERENCE / "matting_cases.npz"):
    with np.load(file) as arrays:
        return tuple(arrays[f"{case}__{name}"] for name in ("pred", "gt", "trimap"))


def random_case(seed, height=22, width=17):
    """Smooth alphas with plateaus at thresholds, several components, ties and diagonal contacts."""
    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.random((6, 5)), (width, height), interpolation=cv2.INTER_NEAREST)
    alphas = [(base + rng.normal(0, 0.12, base.shape)).clip(0, 1) * 255 for _ in range(2)]
    steps = np.asarray([0, 25, *THRESHOLDS, 254])
    pred, target = (steps[np.abs(alpha[..., None] - steps).argmin(-1)].astype(np.uint8) for alpha in alphas)
    return pred, target, rng.choice(np.asarray([0, 128, 255], np.uint8), base.shape, p=[0.2, 0.6, 0.2])


def assert_close(value, expected, relative, absolute):
    if expected is None:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(expected, rel=relative, abs=absolute)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_float64_reference(case, metric):
    value = METRICS[metric](*images(case))
    assert_close(value, MANIFEST["matting"][case]["float64"][metric], TOLERANCES["vs_float64"][metric], 1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_official_values(case, metric):
    value, official = METRICS[metric](*images(case)), MANIFEST["matting"][case]["official"][metric]
    assert_close(value, official, TOLERANCES["vs_official"]["relative"], TOLERANCES["vs_official"]["absolute"])


@pytest.mark.parametrize("case", CASES)
def test_a2u_gradient(case):
    value, printed = grad_a2u(*images(case)), MANIFEST["matting"][case]["python_ports"]["a2u_py"]["Grad"]
    assert_close(value, printed, TOLERANCES["vs_float64"]["float32_impl"], 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_connectivity_levels(case):
    with np.load(REFERENCE / "matting_reference.npz") as arrays:
        np.testing.assert_array_equal(connectivity_levels(*images(case)[:2]), arrays[f"{case}__conn_level"])


@pytest.mark.skipif(not FULL_SIZE.exists(), reason=f"the 1080 x 1920 cases are not next to the repository: {FULL_SIZE}")
@pytest.mark.parametrize("case", list(MANIFEST["matting_fullsize"]))
def test_full_size(case):
    expected = MANIFEST["matting_fullsize"][case]
    for name, metric in METRICS.items():
        value = metric(*images(case, FULL_SIZE))
        assert_close(value, expected["float64"][name], TOLERANCES["vs_float64"][name], 1e-12)
        assert_close(value, expected["official_octave"][name], **TOLERANCES["vs_official"])


def test_constants_are_the_published_ones():
    with np.load(REFERENCE / "matting_reference.npz") as arrays:
        assert list(THRESHOLDS) == arrays["conn_uint8_thresholds"][1:].tolist()
        for ours, published in zip(gaussian_and_derivative(SIGMA, RADIUS), ("gauss", "dgauss"), strict=True):
            np.testing.assert_allclose(ours / np.linalg.norm(ours), arrays[f"grad_{published}_1d"], rtol=0, atol=1e-15)


def naive_magnitude(image, gauss, derivative, mode):
    """Gradient magnitude of the stretched image by one tap of the two-dimensional filters at a time."""
    radius, (height, width) = len(gauss) // 2, image.shape
    alpha = (image.astype(float) - image.min()) / (image.max() - image.min())
    padded = np.pad(alpha, radius, mode=mode)
    gx, gy = np.zeros(alpha.shape), np.zeros(alpha.shape)
    for i in range(2 * radius + 1):
        for j in range(2 * radius + 1):
            gx += gauss[i] * derivative[j] * padded[i : i + height, j : j + width]
            gy += derivative[i] * gauss[j] * padded[i : i + height, j : j + width]
    return np.sqrt(gx**2 + gy**2)


def naive_grad(pred, target, trimap):
    x = np.arange(-4, 5)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    filters = (gauss, -x * gauss) / np.sqrt(((gauss[:, None] * (x * gauss)) ** 2).sum() ** 0.5)
    p, g = (naive_magnitude(image, *filters, "edge") for image in (pred, target))
    return ((p - g) ** 2)[trimap == 128].sum() / 1000


def naive_grad_a2u(pred, target, trimap):
    x = np.arange(-6, 7)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    gauss /= gauss.sum()
    p, g = (naive_magnitude(image, gauss, -x / 1.4**2 * gauss, "symmetric") for image in (pred, target))
    return ((p - g) ** 2)[trimap == 128].sum() / 10


@pytest.mark.parametrize("seed", range(12))
def test_definitions(seed):
    case = random_case(seed)
    p, g, u = case[0].astype(int), case[1].astype(int), case[2] == 128
    assert sad(*case) == pytest.approx(np.abs(p - g)[u].sum() / 255000, rel=1e-12)
    assert mse(*case) == pytest.approx(((p - g) ** 2)[u].sum() / 255**2 / u.sum(), rel=1e-12)
    np.testing.assert_array_equal(connectivity_levels(*case[:2]), naive_levels(*case[:2]))
    assert conn(*case) == pytest.approx(naive_conn(*case), rel=1e-9)
    assert grad(*case) == pytest.approx(naive_grad(*case), rel=1e-9)
    assert grad_a2u(*case) == pytest.approx(naive_grad_a2u(*case), rel=1e-9)


def test_half_of_the_pixels_is_no_majority():
    # At the low thresholds both blocks have four pixels and the left one comes first, at the high ones only the right
    # one is left.
    alpha = np.zeros((4, 7), np.uint8)
    alpha[1:3, 1:3] = 60
    alpha[1:3, 4:6] = 255
    trimap = np.full_like(alpha, 128)
    levels = connectivity_levels(alpha, alpha)
    np.testing.assert_array_equal(levels, naive_levels(alpha, alpha))
    assert (levels[1:3, 1:3] == 2).all()
    assert (levels[1:3, 4:6] == 0).all()
    assert conn(alpha, alpha // 2, trimap) == pytest.approx(naive_conn(alpha, alpha // 2, trimap), rel=1e-9)


def test_gradient_window_may_be_anywhere():
    pred, target, _ = random_case(3, 60, 50)
    for window in (np.s_[:1, :1], np.s_[-2:, 10:14], np.s_[20:30, 20:25], np.s_[:, -1:]):
        trimap = np.zeros_like(pred)
        trimap[window] = 128
        case = (pred, target, trimap)
        assert grad(*case) == pytest.approx(naive_grad(*case), rel=1e-9)
        assert grad_a2u(*case) == pytest.approx(naive_grad_a2u(*case), rel=1e-9)


@pytest.mark.parametrize("metric", [grad, grad_a2u])
def test_gradient_strips_change_nothing(metric, monkeypatch):
    pred, target, trimap = random_case(4, 75, 40)
    trimap[20:50] = 0
    whole = metric(pred, target, trimap)
    for rows in (1, 5, 16, 74):
        monkeypatch.setattr("denseup.metrics.functional.gradient.STRIP", rows)
        assert metric(pred, target, trimap) == whole


@pytest.mark.parametrize("metric", [sad, mse, grad, conn, grad_a2u])
def test_arrays_tensors_and_views_agree(metric):
    case = random_case(5)
    expected = metric(*case)
    assert metric(*map(torch.from_numpy, case)) == expected
    wide = [np.stack([image, image], axis=-1)[..., 0] for image in case]
    assert metric(*wide) == expected
    flipped = [image[:, ::-1] for image in case]
    assert metric(*flipped) == metric(*map(np.ascontiguousarray, flipped))


@pytest.mark.parametrize("metric", [grad, grad_a2u])
@pytest.mark.parametrize("value", [0, 90, 255])
def test_constant_image_has_no_gradient(metric, value):
    constant, trimap = np.full((9, 8), value, np.uint8), np.full((9, 8), 128, np.uint8)
    assert metric(constant, np.full_like(constant, 13), trimap) == pytest.approx(0, abs=1e-20)


def test_a2u_takes_alpha_before_rounding():
    pred, target, trimap = random_case(2)
    as_float = [torch.from_numpy(image) / 255 for image in (pred, target)]
    assert grad_a2u(*as_float, trimap) == pytest.approx(grad_a2u(pred, target, trimap), rel=1e-6)
    assert grad_a2u(as_float[0].bfloat16(), as_float[1], trimap) == pytest.approx(
        grad_a2u(pred, target, trimap), rel=0.05
    )
    with pytest.raises(ValueError, match="target must be finite"):
        grad_a2u(pred, np.full(target.shape, np.nan), trimap)
    with pytest.raises(ValueError, match="pred must be uint8 or floating point, got int64"):
        grad_a2u(pred.astype(np.int64), target, trimap)


@pytest.mark.parametrize("metric", [sad, mse, grad, conn])
def test_errors_name_the_argument(metric):
    a, t = np.zeros((4, 5), np.uint8), np.full((4, 5), 128, np.uint8)
    with pytest.raises(ValueError, match=r"pred must be uint8 .* got float32"):
        metric(torch.zeros(4, 5), a, t)
    with pytest.raises(ValueError, match=r"same shape, got pred \[4, 5\], target \[4, 4\], trimap \[4, 5\]"):
        metric(a, a[:, :4], t)
    with pytest.raises(ValueError, match=r"trimap may hold 0 .* got \[7, 128\]"):
        metric(a, a, np.where(np.eye(4, 5) > 0, 7, t).astype(np.uint8))
    with pytest.raises(ValueError, match=r"shape \[H, W\], got \[1, 4, 5\]"):
        metric(a[None], a[None], t[None])
    with pytest.raises(ValueError, match=r"target must be a torch.Tensor or a numpy.ndarray, got list"):
        metric(a, a.tolist(), t)
    with pytest.raises(ValueError, match="at least one pixel"):
        metric(a[:0], a[:0], t[:0])
