"""One rule of choice for every operator, and what a back end of one operator takes: a module, registered."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from denseup import native
from denseup.ops import __main__ as table
from denseup.ops import available_backends, decomposition_table, reassemble, registration, use_backend
from denseup.ops.dispatch import BACKENDS_OF
from denseup.ops.encoding import encode_content, reference
from denseup.ops.encoding.backends import BACKENDS as ENCODING
from denseup.ops.pointwise.backends import BACKENDS as POINTWISE
from denseup.ops.reassembly import reference as reassembly_reference
from denseup.ops.reassembly.backends import BACKENDS as REASSEMBLY

NAME = "doubling"


def module(source: ModuleType, refused: torch.dtype, calls: list[str], *functions: str) -> Any:
    """A back end as someone would add it: that of `source`, but for one dtype, which says what it was called for."""
    made = ModuleType(NAME)
    made.__dict__.update(vars(source))
    made.NAME = NAME  # type: ignore[attr-defined]

    def unsupported_reasons(x: Tensor, *rest: Any) -> list[str]:
        return [f"it has no {refused}"] if x.dtype == refused else []

    def counted(name: str) -> Any:
        return lambda *args: (calls.append(name), getattr(source, name)(*args))[1]

    for name in functions:
        setattr(made, name, counted(name))
    made.unsupported_reasons = unsupported_reasons  # type: ignore[attr-defined]
    return made


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """A back end more for reassembly and for content encoding, tried before all others; what they were called for."""
    made: list[str] = []
    contractions = ("reassemble", "adjoint", "similarity")
    REASSEMBLY.register(module(reassembly_reference, torch.float64, made, *contractions), before="cpu")
    ENCODING.register(module(reference, torch.float64, made, "encode", "encode_backward"), before="cpu")
    yield made
    for backends in (REASSEMBLY, ENCODING):
        backends.unregister(NAME)


def maps(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(1, 4, 3, 3, dtype=dtype, requires_grad=True), torch.randn(1, 9, 6, 6, dtype=dtype)


def test_a_back_end_more_of_reassembly_is_chosen_listed_and_skipped_with_its_reason(calls: list[str]) -> None:
    de, kernels = maps()
    assert available_backends()[0] == NAME
    reassemble(de, kernels, 3).sum().backward()
    assert calls == ["reassemble", "adjoint"], "forward and gradient are the same back end's"
    reassemble(*maps(torch.float64), 3)
    assert len(calls) == 2, "the automatic choice goes on to the next"
    with pytest.raises(ValueError, match=rf"backend '{NAME}' cannot serve this call: it has no torch\.float64"):
        reassemble(*maps(torch.float64), 3, backend=NAME)


def test_a_back_end_more_of_content_encoding_is_chosen_listed_and_skipped_with_its_reason(calls: list[str]) -> None:
    convolution, x = nn.Conv2d(4, 5, 3, padding=1), torch.randn(1, 4, 6, 6, requires_grad=True)
    assert available_backends("encoding")[0] == NAME
    out = encode_content(convolution, x)
    out.sum().backward()
    assert calls == ["encode", "encode_backward"], "forward and gradient are the same back end's"
    torch.testing.assert_close(out, convolution(x))
    convolution.double()
    torch.testing.assert_close(encode_content(convolution, x.double()), convolution(x.double()))
    assert len(calls) == 2, "the automatic choice goes on to the next"
    with pytest.raises(ValueError, match=r"it has no torch\.float64"):
        encode_content(convolution, x.double(), backend=NAME)


def test_the_table_shows_it(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    table.main()
    printed = capsys.readouterr().out
    for operator in BACKENDS_OF:
        names = {line.split()[2] for line in printed.splitlines() if line.startswith(operator)}
        assert names == set(available_backends(operator))
    assert printed.count(f"{NAME}  float32, bfloat16, float16\n    not float64: it has no torch.float64") == 2


def test_the_argument_wins_then_the_scope_then_the_variable(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    call = (maps()[0], 3, 1)
    monkeypatch.setenv("DENSEUP_BACKEND", NAME)
    assert REASSEMBLY.choose(None, *call) == NAME
    with use_backend("reference"):
        assert REASSEMBLY.choose(None, *call) == "reference"
        assert REASSEMBLY.choose(NAME, *call) == NAME


@pytest.mark.skipif(native.library() is None, reason=str(native.why_missing()))
def test_convolutions_follow_a_scope_where_they_can() -> None:
    """Else their reference serves: a network of any maps runs in a scope, and no third back end is mixed in."""
    x = torch.randn(1, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    wide, narrow = (x, torch.randn(16, 16, 1, 1), None), (x[:, :3], torch.randn(8, 3, 1, 1), None)
    with use_backend("cpu"):
        assert POINTWISE.choose(None, *narrow) == "reference"
        assert POINTWISE.choose(None, *wide) == "cpu"
    for other in ("triton", "reference"):
        with use_backend(other):
            assert POINTWISE.choose(None, *wide) == "reference"
    with pytest.raises(
        ValueError, match="there are 3 channels and 8 outputs, it has multiples of 16 channels, or 16 outputs"
    ):
        POINTWISE.choose("cpu", *narrow)


def test_a_scope_binds_the_operators_that_have_its_back_end() -> None:
    """mmcv has no attention, whose reference then serves; a name that nobody has is refused by all that are bound."""
    attention, query = BACKENDS_OF["attention"], torch.randn(1, 16, 4, 4)
    with use_backend("mmcv"):
        assert attention.choose(None, query, 5, 1) == "reference"
        with pytest.raises(ValueError, match="backend 'mmcv' cannot serve this call"):
            REASSEMBLY.choose(None, query, 5, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSEUP_BACKEND", "cpuu")
        for backends in (attention, REASSEMBLY):
            with pytest.raises(ValueError, match="backend 'cpuu' is unknown; valid: "):
                backends.choose(None, query, 5, 1)


@pytest.mark.parametrize("operator", BACKENDS_OF)
def test_nothing_stands_against_the_reference(operator: str) -> None:
    backends = BACKENDS_OF[operator]
    for dtype in table.DTYPES:
        call = backends.example(dtype, "cpu")
        assert backends.get("reference").unsupported_reasons(*call) == []
        assert backends.choose(None, *call) in backends.names()


def test_what_stands_behind_the_reference_serves_on_request_alone(calls: list[str]) -> None:
    made = module(reassembly_reference, torch.float16, calls)
    made.NAME = "last"
    REASSEMBLY.register(made, before=None)
    try:
        assert available_backends()[-1] == "last"
        assert REASSEMBLY.choose(None, *REASSEMBLY.example(torch.float64, "cpu")) == "reference"
        assert REASSEMBLY.choose("last", *REASSEMBLY.example(torch.float64, "cpu")) == "last"
    finally:
        REASSEMBLY.unregister("last")


def test_names_that_do_not_fit_are_refused(calls: list[str]) -> None:
    with pytest.raises(ValueError, match="registered already"):
        REASSEMBLY.register(module(reassembly_reference, torch.float16, calls))
    with pytest.raises(ValueError, match=r"operator is 'nonsense', valid: .*reassembly"):
        available_backends("nonsense")
    with pytest.raises(ValueError, match="backend 'mmcv' is unknown; valid: "):
        encode_content(nn.Conv2d(4, 5, 3, padding=1), torch.randn(1, 4, 6, 6), backend="mmcv")


def test_programs_that_name_no_back_end_take_the_first_that_can() -> None:
    """As `torch.ops.denseup.encode_content` and `pointwise` were called before they had such an argument."""
    x, weight = torch.randn(1, 16, 6, 6), torch.randn(16, 16, 3, 3)
    found = torch.ops.denseup.encode_content(x, None, weight, None)
    torch.testing.assert_close(found, torch.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-4)
    chosen = ENCODING.serving("", x, None, weight, None)
    assert available_backends("encoding")[0] == chosen.NAME, "the layout is no limit"
    exact = [t.double() for t in (x, weight)]
    chosen = ENCODING.serving("", exact[0], None, exact[1], None)
    assert chosen.NAME == "reference"
    with pytest.raises(ValueError, match=r"backend 'cpu' cannot serve this call: "):
        torch.ops.denseup.encode_content(exact[0], None, exact[1], None, "cpu")


def test_every_operator_is_registered_in_the_one_place() -> None:
    names = {name.split("::")[1] for name in torch._C._dispatch_get_all_op_names() if name.startswith("denseup::")}
    assert {name.split(".")[0] for name in names} == set(registration.OPERATORS)
    listed = decomposition_table()
    for name, operator in registration.OPERATORS.items():
        assert (operator.overload in listed) == (name != "pointwise_backward"), "all but what writes to an argument"
