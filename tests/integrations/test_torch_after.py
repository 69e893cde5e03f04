"""A model in which steps were replaced is a model: weights, modes, copies, files, exports, compilers."""

import copy
import logging
import pickle
import random
from pathlib import Path

import pytest
import torch
from integrations.planted import Planted, Shared, Sometimes, Transposed, Unet, marking
from torch import Tensor, nn
from torch.nn import functional as F

from denseup import FADE, Upsampler, list_upsamplers
from denseup.integrations.torch import replace_upsampling, replacements
from denseup.ops import decomposition_table

__all__ = ["marking"]  # the fixture

X = (2, 3, 32, 48)
MODELS = {"blocks": Unet, "one shared module": Shared, "a transposed convolution": Transposed, "a helper": Sometimes}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    return replace_upsampling(MODELS[request.param](), "fade", torch.randn(X))


@pytest.mark.parametrize("name", list_upsamplers())
def test_every_upsampler_learns(name: str) -> None:
    torch.manual_seed(0)
    model = replace_upsampling(Even(), name, torch.randn(X))
    ups = [module for module in model.modules() if isinstance(module, Upsampler)]
    assert len(ups) == 2
    assert model(torch.randn(3, 3, 64, 48)).shape == (3, 2, 32, 24)
    for parameter in nn.ModuleList(ups).parameters():  # a start of zeros has no gradient before it
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    model(torch.randn(X)).square().sum().backward()
    lacking = [key for up in ups for key, p in up.named_parameters() if p.grad is None or not p.grad.any()]
    assert lacking == []


class Even(Planted):
    """32 channels in both maps, which every operator takes."""

    def __init__(self) -> None:
        super().__init__(32)
        self.laterals = nn.ModuleList([nn.Conv2d(channels, 32, 1) for channels in (4, 8, 16)])

    def neck(self, *maps: Tensor) -> Tensor:
        one, two, three = (conv(x) for conv, x in zip(self.laterals, maps, strict=True))
        two = two + F.interpolate(three, scale_factor=2)
        return one + F.interpolate(two, scale_factor=2)


def test_everything_else_stays() -> None:
    model = Unet().double().train()
    model.blocks[1].eval()
    model.encoder.one[0].weight.requires_grad_(False)
    state = {key: x.clone() for key, x in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    before = (torch.get_rng_state(), random.getstate())
    replace_upsampling(model, "bilinear", torch.randn(X, dtype=torch.float64, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), before[0])  # an operator that draws nothing
    assert random.getstate() == before[1]
    replace_upsampling(model, "fade", torch.randn(X, dtype=torch.float64))
    after = model.state_dict()
    assert list(state) == [key for key in after if "upsampling" not in key]
    torch.testing.assert_close({key: after[key] for key in state}, state, rtol=0, atol=0)
    assert {name: module.training for name, module in model.named_modules() if name in modes} == modes
    assert [key for key, p in model.named_parameters() if not p.requires_grad] == ["encoder.one.0.weight"]
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert [up.training for up in model.modules() if isinstance(up, FADE)] == [True, False]


def test_copies(model: nn.Module, tmp_path: Path) -> None:
    x = torch.randn(X)
    model.eval()
    expected = model(x)
    torch.save(model, tmp_path / "model.pt")
    for twin in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
    ):
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)
        assert str(replacements(twin)) == str(replacements(model))
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1.5)
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)  # nothing is shared
        with torch.no_grad():
            for p in model.parameters():
                p.div_(1.5)


def test_weights_go_into_a_fresh_model(model: nn.Module, tmp_path: Path) -> None:
    x = torch.randn(X)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    fresh = replace_upsampling(remade(model), "fade", x)
    fresh.load_state_dict(torch.load(tmp_path / "weights.pt"), strict=True)
    torch.testing.assert_close(fresh.eval()(x), model.eval()(x), rtol=0, atol=0)


def remade(model: nn.Module) -> nn.Module:
    (kind,) = {kind for kind in MODELS.values() if isinstance(model, kind)}
    return kind()


def test_modes_and_types(model: nn.Module) -> None:
    assert model.train().training
    assert all(not module.training for module in model.eval().modules())
    out = model.to(torch.bfloat16)(torch.randn(X, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(model.float()(torch.randn(X))).all()


def test_half_precision_example() -> None:
    model = replace_upsampling(Unet().bfloat16(), "fade", torch.randn(X, dtype=torch.bfloat16))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_a_second_call_replaces_the_first() -> None:
    x = torch.randn(X)
    for kind in MODELS.values():
        twice = replace_upsampling(replace_upsampling(kind(), "fade", x, guides="any"), "carafe", x)
        once = replace_upsampling(kind(), "carafe", x)
        assert list(twice.state_dict()) == list(once.state_dict())
        assert str(replacements(twice)) == str(replacements(once))
        once.load_state_dict(twice.state_dict())
        torch.testing.assert_close(twice.eval()(x), once.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize("aligned", [False, True])
def test_bilinear_is_what_was(aligned: bool) -> None:
    model = Shared().eval()
    model.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=aligned)
    x = torch.randn(X)
    before = model(x)
    after = replace_upsampling(model, "bilinear", x)(x)
    assert torch.equal(before, after) != aligned
    note = ["align_corners=True was, half-pixel centres are"]
    assert [step.notes for step in replacements(model)] == [note * aligned] * 2


def test_the_log_has_the_table(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "denseup"):
        model = replace_upsampling(Unet(), "fade", torch.randn(X))
    assert str(replacements(model)) in caplog.text


def test_export(model: nn.Module) -> None:
    model.eval()
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(X),), dynamic_shapes=(dynamic,))
    for size in ((3, 3, 64, 40), (2, 3, 32, 48)):
        x = torch.randn(size)
        torch.testing.assert_close(program.module()(x), model(x))
    assert "denseup" in str(program.graph)
    program.run_decompositions({**torch.export.default_decompositions(), **decomposition_table()})


def test_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'denseup[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'denseup[onnx]'")
    model = replace_upsampling(Unet().eval(), "fade", torch.randn(X))
    x, path = torch.randn(X), tmp_path / "model.onnx"
    torch.onnx.export(model, (x,), path, dynamo=True, verbose=False)
    session = runtime.InferenceSession(path)
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = model(x)
    torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_guides_are_not_kept_from_elsewhere() -> None:
    """A part that runs alone leaves nothing that a later step would take for its guide, or that cannot be copied."""
    model = replace_upsampling(Transposed().eval(), "fade", torch.randn(X))
    maps = model.encoder(torch.randn(X))
    copy.deepcopy(model)
    with pytest.raises(RuntimeError, match=r"encoder\[1\] was not there: it is kept while the model is called"):
        model.neck(*maps)
    x = torch.randn(X)
    expected = model(x)
    with pytest.raises(RuntimeError):
        model(torch.randn(1, 5, 32, 48))
    assert torch.equal(model(x), expected)
    model.up.guide.value = expected  # as in the midst of a call
    assert copy.deepcopy(model).up.guide.value is None


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_without_gradients(mode) -> None:
    with mode():
        x = torch.randn(X)
        model = replace_upsampling(Shared().eval(), "fade", x)
        assert len(replacements(model).replaced) == 2
        assert model(x).shape == (2, 2, 16, 24)


@pytest.mark.parametrize("kind", ["blocks", "a helper"])
def test_compile(kind: str) -> None:
    """One graph, without a break, that trains."""
    torch._dynamo.reset()
    x = torch.randn(X, dtype=torch.float64)
    model = replace_upsampling(MODELS[kind]().double(), "fade", x)
    model.eval()(x).sum().backward()
    expected = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(x), model(x))
    compiled(x).sum().backward()
    torch.testing.assert_close({k: p.grad for k, p in model.named_parameters() if p.grad is not None}, expected)
    with pytest.raises(ValueError, match=r"model is compiled: replace the upsampling first, then call torch\.compile"):
        replace_upsampling(compiled, "fade", x)


def test_checkpointed_blocks() -> None:
    """A guide that is an argument is there when a block is computed once more."""
    x = torch.randn(X)
    model = replace_upsampling(Unet(), "fade", x)
    *skips, last = model.encoder(x)
    out = torch.utils.checkpoint.checkpoint(model.blocks[0], last, skips[1], use_reentrant=False)
    torch.testing.assert_close(out, model.blocks[0](last, skips[1]))
    out.sum().backward()
    assert model.blocks[0].upsampling.upsampler.gate.weight.grad is not None
