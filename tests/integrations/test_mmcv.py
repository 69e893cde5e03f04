"""mmcv and mmengine: layers and a neck from their configs, and CARAFE behind mmcv's names."""

import copy
import importlib
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from golden import array, manifest
from processes import python
from rounding import check_sums
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("mmcv.cnn", reason="mmcv is not installed: pip install 'denseup[mmcv]'")

from mmcv.cnn import build_upsample_layer
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, Registry

import denseup.integrations.mmcv as door
from denseup import CARAFE, FADE, DySample, Upsampler, create_upsampler, list_upsamplers, register_upsampler
from denseup.upsamplers.registry import UPSAMPLERS

MMCVS = {"nearest", "bilinear", "deconv", "pixel_shuffle"}
WIDTHS = (8, 12, 16)


def layer(**config: Any) -> nn.Module:
    return build_upsample_layer(config)


@pytest.mark.parametrize("name", list_upsamplers())
def test_every_upsampler_is_a_layer(name: str) -> None:
    for kind in {f"denseup.{name}", name} - MMCVS:
        built = layer(type=kind, de_channels=32, en_channels=32)
        assert type(built) is type(create_upsampler(name, de_channels=32))
        built.load_state_dict(create_upsampler(name, de_channels=32).state_dict())


def test_options_and_a_call() -> None:
    built = layer(type="fade", de_channels=8, en_channels=5, scale_factor=3, kernel_size=3, start="neutral")
    assert isinstance(built, FADE)
    assert (built.kernel_size, built.scale_factor, built.start) == (3, 3, "neutral")
    assert built(torch.randn(1, 8, 5, 7), torch.randn(1, 5, 11, 13)).shape == (1, 8, 11, 13)
    assert layer(type="dysample", in_channels=8, out_channels=8, scale_factor=2).de_channels == 8


def test_mmcvs_own_names_stay_theirs() -> None:
    assert type(layer(type="bilinear", scale_factor=2, align_corners=False)) is nn.Upsample
    assert layer(type="nearest", scale_factor=2).mode == "nearest"
    deconv = layer(type="deconv", in_channels=4, out_channels=3, kernel_size=2, stride=2)
    assert isinstance(deconv, nn.ConvTranspose2d)
    shuffle = layer(type="pixel_shuffle", in_channels=4, out_channels=3, scale_factor=2, upsample_kernel=3)
    assert type(shuffle).__module__ == "mmcv.cnn.bricks.upsample"
    x = torch.randn(1, 4, 5, 6)
    assert layer(type="bilinear", scale_factor=2)(x).equal(F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_carafe_in_mmcvs_words_and_in_ours() -> None:
    theirs = layer(type="carafe", channels=8, scale_factor=2, up_kernel=3, up_group=2, compressed_channels=16)
    ours = layer(type="carafe", de_channels=8, kernel_size=3, groups=2, embed_channels=16)
    assert type(theirs) is door.CARAFEPack
    assert type(ours) is CARAFE
    names = {"channel_compressor": "compress", "content_encoder": "encode"}
    ours.load_state_dict({f"{names[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in theirs.state_dict().items()})
    x = torch.randn(2, 8, 5, 7)
    check_sums(theirs(x), ours(x), "out", 8)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "fade", "de_channels": 8, "kernelsize": 3}, "no option 'kernelsize'. Did you mean 'kernel_size'?"),
        ({"type": "fade"}, "'fade' needs de_channels"),
        ({"type": "fade", "in_channels": 8, "out_channels": 4}, "got in_channels=8, out_channels=4"),
        ({"type": "fade", "de_channels": 8, "kernel_size": 4}, "kernel_size is 4"),
        ({"type": "dysample_pl", "de_channels": 8, "style": "lp"}, "no option 'style'"),
        ({"type": "denseup.fad", "de_channels": 8}, "'fad' is unknown. Did you mean 'fade'?"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        build_upsample_layer(config)


def test_a_reload_changes_nothing() -> None:
    before = dict(MODELS.module_dict), MODELS.children["denseup"]
    importlib.reload(door)
    assert (dict(MODELS.module_dict), MODELS.children["denseup"]) == before


def test_one_registered_later_is_found_by_its_full_name_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UPSAMPLERS, "factories", dict(UPSAMPLERS.factories))
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS.module_dict))
    register_upsampler("later")(FADE)
    assert type(layer(type="denseup.later", de_channels=8)) is FADE
    with pytest.raises(KeyError):
        layer(type="later", de_channels=8)
    door.register_upsamplers()
    assert type(layer(type="later", de_channels=8)) is FADE


def test_from_the_registry_of_another_library(tmp_path: Path) -> None:
    """As in MMDetection: a config that imports us, a registry of its own scope, which is the default one."""
    file = tmp_path / "config.py"
    file.write_text("""
custom_imports = dict(imports=["denseup.integrations.mmcv"])
neck = dict(type="denseup.FPN", in_channels=[8, 12, 16], out_channels=8, num_outs=3, upsample_cfg=dict(type="fade"))
layer = dict(type="fade", de_channels=8)
""")
    config = Config.fromfile(str(file))
    models = MODELS.children.get("other") or Registry("model", parent=MODELS, scope="other")
    with DefaultScope.overwrite_default_scope("other"):
        assert type(models.build(config.neck)) is door.FPN
        assert type(build_upsample_layer(config.layer)) is FADE
        assert type(build_upsample_layer({"type": "denseup.bilinear", "de_channels": 8})).__module__.startswith(
            "denseup"
        )
    MODELS.children.pop("other")


def test_a_layer_is_copied_and_pickled_with_its_start() -> None:
    built = layer(type="dysample", de_channels=8)
    for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):
        nn.init.ones_(twin.offset.weight)
        twin.init_weights()
        assert float(twin.offset.weight.detach().std()) == pytest.approx(0.001, rel=0.5)
    assert built.init_weights.args[0] is built


def pyramid(upsample: dict[str, Any] | None, **options: Any) -> Any:
    config = {"type": "denseup.FPN", "in_channels": WIDTHS, "out_channels": 8, "num_outs": 3, **options}
    return MODELS.build(config if upsample is None else {**config, "upsample_cfg": upsample})


def maps(*sizes: tuple[int, int]) -> list[Tensor]:
    sizes = sizes or ((17, 22), (9, 11), (5, 6))
    return [torch.randn(2, width, *size) for width, size in zip(WIDTHS, sizes, strict=True)]


def written_out(neck: Any, inputs: list[Tensor], up: Any) -> list[Tensor]:
    """The paper's top-down path, line by line."""
    l2, l3, l4 = (F.conv2d(x, c.conv.weight, c.conv.bias) for x, c in zip(inputs, neck.lateral_convs, strict=True))
    p4 = l4
    p3 = l3 + up(1, p4, l3)
    p2 = l2 + up(0, p3, l2)
    convs = [c.conv for c in neck.fpn_convs]
    return [F.conv2d(p, c.weight, c.bias, padding=1) for p, c in zip((p2, p3, p4), convs, strict=False)]


@pytest.mark.parametrize("upsample", [None, {"mode": "nearest"}, {"type": "nearest"}])
def test_by_nearest_neighbours_it_is_the_plain_pyramid(upsample: dict[str, Any] | None) -> None:
    neck, inputs = pyramid(upsample), maps()
    expected = written_out(neck, inputs, lambda _, de, en: F.interpolate(de, size=en.shape[2:], mode="nearest"))
    for out, wanted in zip(neck(inputs), expected, strict=True):
        assert out.equal(wanted)


def unused(name: str) -> list[str]:
    """Parameters that the operator has for the pooling of an encoder, which a neck leaves to the backbone."""
    upsampler = create_upsampler(name, de_channels=8)
    de = torch.randn(1, 8, 4, 6, requires_grad=True)
    upsampler(de, torch.randn(1, 8, 8, 12)).sum().backward()
    return [key for key, parameter in upsampler.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("name", list_upsamplers())
def test_a_guide_is_the_lateral_map(name: str) -> None:
    if create_upsampler(name, de_channels=8).needs_image:
        with pytest.raises(ValueError, match=f"'{name}' is guided by the image, which a neck does not see"):
            pyramid({"type": name, "start": "neutral"})
        return
    neck = pyramid({"type": name, "start": "neutral"})
    inputs = maps()
    calls: list[tuple[Tensor, ...]] = []
    for upsampler in neck.upsamplers:
        assert isinstance(upsampler, Upsampler)
        upsampler.register_forward_pre_hook(lambda _, args: calls.append(args))
    outs = neck(inputs)
    assert [out.shape[2:] for out in outs] == [x.shape[2:] for x in inputs]
    laterals = [conv(x) for x, conv in zip(inputs, neck.lateral_convs, strict=True)]
    assert calls[0][0].equal(laterals[2])
    if create_upsampler(name, de_channels=8).exact_factor_only:  # they are given no size, and cut to it
        assert [len(args) for args in calls] == [1, 1]
    else:
        assert calls[0][1].equal(laterals[1])
        assert calls[1][1].equal(laterals[0])
    sum(out.square().mean() for out in outs).backward()
    without = {n for n, p in neck.named_parameters() if p.grad is None}
    assert without == {f"upsamplers.{i}.{n}" for i in (0, 1) for n in unused(name)}
    assert all(p.grad.isfinite().all() for p in neck.parameters() if p.grad is not None)


def test_fades_values() -> None:
    neck, inputs = pyramid({"type": "denseup.fade", "kernel_size": 3}), maps()
    assert neck.upsamplers[0].kernel_size == 3
    expected = written_out(neck, inputs, lambda i, de, en: neck.upsamplers[i](de, en))
    for out, wanted in zip(neck(inputs), expected, strict=True):
        assert out.equal(wanted)


def test_further_levels() -> None:
    inputs = maps()
    outs = pyramid(None, num_outs=5)(inputs)
    assert outs[3].equal(outs[2][..., ::2, ::2])
    assert outs[4].equal(outs[3][..., ::2, ::2])
    for source in ("on_input", "on_lateral", "on_output"):
        neck = pyramid(None, num_outs=5, add_extra_convs=source, relu_before_extra_convs=True)
        outs = neck(inputs)
        taken = {"on_input": inputs[2], "on_lateral": neck.lateral_convs[2](inputs[2]), "on_output": outs[2]}[source]
        first, second = (c.conv for c in neck.fpn_convs[3:])
        assert outs[3].equal(F.conv2d(taken, first.weight, first.bias, stride=2, padding=1))
        assert outs[4].equal(F.conv2d(outs[3].relu(), second.weight, second.bias, stride=2, padding=1))
    assert pyramid(None, num_outs=5, add_extra_convs=True).fpn_convs[3].conv.in_channels == WIDTHS[-1]


def test_levels_and_blocks() -> None:
    inputs = maps()
    assert [out.shape[2:] for out in pyramid(None, start_level=1, num_outs=2)(inputs)] == [(9, 11), (5, 6)]
    assert [out.shape[2:] for out in pyramid(None, end_level=1, num_outs=2)(inputs)] == [(17, 22), (9, 11)]
    neck = pyramid(None, norm_cfg={"type": "BN"}, act_cfg={"type": "ReLU"}, no_norm_on_lateral=True)
    assert not neck.lateral_convs[0].with_norm
    assert neck.fpn_convs[0].with_norm
    assert neck.lateral_convs[0].with_activation
    assert all(float(out.detach().min()) >= 0 for out in neck(inputs))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_outs": 2}, "num_outs is 2, expected 3 or more"),
        ({"end_level": 1, "num_outs": 3}, "expected 2, for end_level"),
        ({"start_level": 3}, "start_level is 3"),
        ({"add_extra_convs": "on_top"}, "'on_top', valid: True, False, on_input"),
        ({"upsample_cfg": {"type": "fad"}}, "Did you mean 'fade'?"),
        ({"upsample_cfg": {"type": "fade", "kernelsize": 3}}, "no option 'kernelsize'"),
        ({"upsample_cfg": {"type": "fade", "de_channels": 8}}, "de_channels, which FPN gives itself"),
    ],
)
def test_a_pyramids_mistakes_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        pyramid(None, **options)


def test_a_map_for_each_level() -> None:
    with pytest.raises(ValueError, match="got 2 maps, expected 3"):
        pyramid(None)(maps()[:2])


def test_initialisation_leaves_the_upsamplers_their_start() -> None:
    config = {"type": "dysample", "groups": 1}
    neck = pyramid(config, init_cfg={"type": "Constant", "layer": "Conv2d", "val": 0.25})
    neck.init_weights()
    assert torch.all(neck.lateral_convs[0].conv.weight == 0.25)
    assert all(isinstance(u, DySample) and float(u.offset.weight.detach().abs().max()) < 0.01 for u in neck.upsamplers)


def test_a_state_goes_to_a_file_and_back(tmp_path: Path) -> None:
    neck, twin, inputs = pyramid({"type": "fade"}), pyramid({"type": "fade"}), maps()
    assert {key.split(".")[0] for key in neck.state_dict()} == {"lateral_convs", "fpn_convs", "upsamplers"}
    torch.save(neck.state_dict(), tmp_path / "neck.pth")
    twin.init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "neck.pth")}
    twin.init_weights()
    for ours, theirs in zip(twin(inputs), neck(inputs), strict=True):
        assert ours.equal(theirs)


def test_mmengine_trains_it(tmp_path: Path) -> None:
    example = importlib.import_module("examples.mmengine_fpn")
    torch.manual_seed(0)
    runner = example.main(tmp_path, steps=2)
    saved = torch.load(tmp_path / "iter_2.pth", weights_only=False)["state_dict"]
    assert saved.keys() == runner.model.state_dict().keys()
    fresh = MODELS.build(example.config(example.neck()))
    report = fresh.load_state_dict(saved)
    assert not report.missing_keys
    moved = fresh.neck.upsamplers[0].kernels.encode.weight
    assert not moved.equal(MODELS.build(example.config(example.neck())).neck.upsamplers[0].kernels.encode.weight)


CASES = [name for name in manifest("ops") if name.startswith("carafe")]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("function", ["carafe", "carafe_naive"])
def test_values_behind_mmcvs_names(case: str, function: str) -> None:
    """Against mmcv's own kernel, run once in float64 (tests/reference/vectors)."""
    from mmcv import ops

    facts = manifest("ops")[case]
    de, masks, grad = (array("ops", f"{case}/{key}").double() for key in ("features", "masks", "grad_out"))
    inputs = de.requires_grad_(), masks.requires_grad_()
    out = getattr(ops, function)(*inputs, facts["kernel_size"], facts["group_size"], facts["scale_factor"])
    found = (out, *torch.autograd.grad(out, inputs, grad))
    for actual, key in zip(found, ("out", "grad_features", "grad_masks"), strict=True):
        check_sums(actual, array("ops", f"{case}/{key}"), key)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_layers_of_mmcv_on_this_device(dtype: torch.dtype) -> None:
    from mmcv.ops import CARAFE as MMCVCARAFE
    from mmcv.ops import CARAFENaive, CARAFEPack

    de = torch.randn(2, 6, 3, 4, dtype=dtype, requires_grad=True)
    masks = torch.rand(2, 18, 9, 12).to(dtype)
    windows = F.unfold(de.double(), 3, padding=1).unflatten(1, (2, 3, 9)).unflatten(-1, (3, 4))
    windows = windows.repeat_interleave(3, -2).repeat_interleave(3, -1)
    expected = (windows * masks.double().unflatten(1, (2, 1, 9))).sum(3).flatten(1, 2)
    for kind in (MMCVCARAFE, CARAFENaive):
        out = kind(3, 2, 3)(de, masks)
        assert out.dtype is dtype
        torch.testing.assert_close(out.double(), expected, rtol=0, atol=18 * torch.finfo(dtype).eps * 4)
    CARAFEPack(6, 2).to(dtype)(de).sum().backward()
    assert de.grad.isfinite().all()


@pytest.mark.parametrize(
    ("masks", "numbers", "words"),
    [
        ((1, 9, 6, 8), (3, 1, 3), "masks is (6, 8) in size, expected (9, 12)"),
        ((1, 8, 6, 8), (3, 1, 2), "kernels"),
        ((1, 9, 6, 8), (2, 1, 2), "kernel_size is 2"),
        ((1, 9, 6, 8), (3, 1, 0), "scale_factor is 0"),
    ],
)
def test_mistakes_of_a_call(masks: tuple[int, ...], numbers: tuple[int, int, int], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        door.carafe(torch.randn(1, 4, 3, 4), torch.randn(masks), *numbers)


def test_what_mmcv_lite_lacks_is_missing_as_before() -> None:
    """Libraries ask for an operator, and do without it where the module is not found."""
    code = """
import importlib.util
import denseup.integrations.mmcv
for line in ("from mmcv.ops import RoIAlign", "import mmcv.ops.roi_align", "import mmcv._ext"):
    try:
        exec(line)
    except ModuleNotFoundError as error:
        assert error.name == "mmcv._ext", error
    else:
        raise SystemExit(f"{line} works")
import mmcv.ops
assert not hasattr(mmcv.ops, "__wrapped__") and importlib.util.find_spec("mmcv.ops") is not None
from mmcv.ops.carafe import CARAFEPack
print(CARAFEPack.__module__)
"""
    done = python("-c", code)
    if "works" in done.stderr:
        pytest.skip("a compiled mmcv is installed")
    assert done.stdout.strip() == "denseup.integrations.mmcv.reassembly", done.stderr


COMPILED = """
import sys
import types
import torch

class Compiled(types.ModuleType):  # stands in for mmcv's compiled operators: any function is there, none computes
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        def function(*args, **options):
            calls.append(name)
        return function

calls = []
sys.modules["mmcv._ext"] = Compiled("mmcv._ext")
import denseup.integrations.mmcv
import mmcv.ops
from denseup.integrations.mmcv import reassembly
from mmcv.cnn import build_upsample_layer

assert mmcv.ops.RoIAlign.__module__ == "mmcv.ops.roi_align"
pack = build_upsample_layer(dict(type="carafe", channels=8, scale_factor=2))
assert type(pack).__module__ == "mmcv.ops.carafe", type(pack)  # theirs
x = torch.randn(1, 8, 3, 4)
out = pack(x)
ours = reassembly.CARAFEPack(8, 2)
ours.load_state_dict(pack.state_dict())
assert out.equal(ours(x)) and float(out.detach().abs().max()) > 0
assert calls == []  # there is no kernel for this device
reassembly.KERNEL_DEVICES = ("cpu",)
pack(x)
mmcv.ops.carafe_naive(x, torch.rand(1, 25, 6, 8), 5, 1, 2)
assert calls == ["carafe_forward", "carafe_naive_forward"], calls
pack.bfloat16()(x.bfloat16())
mmcv.ops.carafe(x, torch.rand(1, 441, 6, 8), 21, 1, 2)  # more than the kernel's shared memory holds
assert len(calls) == 2, calls
"""


def test_a_compiled_mmcv_keeps_its_kernels_and_layers() -> None:
    done = python("-c", COMPILED)
    if "No module named 'mmcv.ops'" in done.stderr:
        pytest.skip("this mmcv-lite brings no source of mmcv.ops")
    assert done.returncode == 0, done.stderr
