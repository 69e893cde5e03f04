"""What is asked of every operator finds what is wrong with one, in the quick form too."""

from collections.abc import Callable, Iterator

import pytest
import torch
from ops.registered import check
from torch import Tensor

FAKES: dict[str, Callable[[Tensor], Tensor]] = {
    "right": torch.empty_like,
    "another size": lambda x: x.new_empty(x.shape[0] + 1, *x.shape[1:]),
    "another layout": lambda x: torch.empty_like(x, memory_format=torch.contiguous_format),
    "another dtype": lambda x: torch.empty_like(x, dtype=torch.float64),
}


@pytest.fixture
def library() -> Iterator[torch.library.Library]:
    with torch.library._scoped_library("planted", "DEF") as made:
        yield made


def double(library: torch.library.Library, fake: str, backward: Callable[..., Tensor] | None) -> torch._ops.OpOverload:
    """An operator that doubles."""
    library.define("double(Tensor x) -> Tensor")
    library.impl("double", lambda x: 2 * x, "CPU")
    torch.library.register_fake("planted::double", FAKES[fake], lib=library)
    if backward:
        torch.library.register_autograd("planted::double", backward, lib=library)
    return torch.ops.planted.double.default


def maps() -> Tensor:
    return torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("fake", FAKES)
def test_a_fake_that_differs(library: torch.library.Library, fake: str, traced: bool) -> None:
    operator = double(library, fake, lambda ctx, grad: 2 * grad)
    if fake == "right":
        check(operator, (maps(),), traced=traced)
    else:
        with pytest.raises(Exception, match="opcheck"):
            check(operator, (maps(),), traced=traced)


def test_a_derivative_that_a_program_has_otherwise(library: torch.library.Library) -> None:
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return (3 if torch._C._functorch.peek_interpreter_stack() or type(grad) is not Tensor else 2) * grad

    operator = double(library, "right", backward)
    check(operator, (maps(),), traced=False)
    with pytest.raises(Exception, match="opcheck"):
        check(operator, (maps(),))
