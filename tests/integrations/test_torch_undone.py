"""What `replace_upsampling` refuses, or cannot finish, leaves no trace; and what it did can be taken back."""

import warnings

import pytest
import torch
from integrations.planted import Planted, Unet
from torch import nn
from torch.nn import functional as F

from denseup.integrations.torch import replace_upsampling, replacements, restore_upsampling


def test_wrong_arguments_leave_the_model_alone() -> None:
    model, x = Unet(), torch.randn(1, 3, 32, 48)
    before = repr(model)
    for name, options, error, text in (
        ("fede", {}, ValueError, "upsampler 'fede' is unknown. Did you mean 'fade'"),
        ("fade", {"otherwise": "dysampl"}, ValueError, "Did you mean 'dysample'"),
        ("fade", {"otherwise": "sapa"}, ValueError, "otherwise is 'sapa', which is guided too"),
        ("fade", {"guides": "all"}, ValueError, "guides is 'all', valid: 'joined', 'any'"),
        ("fade", {"kernel_size": 4}, ValueError, "kernel_size is 4, expected an odd number"),
        ("fade", {"start": "cold"}, ValueError, "start"),
        ("fade", {"kernel": 3}, TypeError, "unexpected keyword argument 'kernel'"),
    ):
        with pytest.raises(error, match=text):
            replace_upsampling(model, name, x, **options)
    with pytest.raises(ValueError, match="model is function, expected an"):
        replace_upsampling(lambda x: x, "fade", x)  # type: ignore[type-var]
    assert repr(model) == before
    assert not hooks(model)


def hooks(model: nn.Module) -> list:
    return [
        hook for m in model.modules() for some in (m._forward_hooks, m._forward_pre_hooks) for hook in some.values()
    ]


def test_an_example_that_fails_leaves_nothing() -> None:
    model = Unet().train()
    model.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError) as error:
        replace_upsampling(model, "fade", torch.randn(1, 5, 32, 48))
    assert "replace_upsampling ran Unet on its example_input" in error.value.__notes__[0]
    assert not hooks(model)
    assert [module.training for module in model.modules()] == modes


class CallsItsChildren(nn.Module):
    """A module that registers nothing that it would not call."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)

    def forward(self, x):
        for child in self.children():
            x = child(x)
        return F.interpolate(x, scale_factor=2)


class Iterating(Planted):
    def __init__(self) -> None:
        super().__init__()
        self.step = CallsItsChildren()

    def neck(self, one, two, three):
        return self.step(three)


def test_a_model_that_does_not_run_with_it_is_as_before() -> None:
    model = Iterating().eval()
    x = torch.randn(1, 3, 32, 48)
    before, text = model(x), repr(model)
    with pytest.raises(TypeError):
        replace_upsampling(model, "carafe", x)
    assert repr(model) == text
    assert type(model.step) is CallsItsChildren
    assert torch.equal(model(x), before)
    assert not hooks(model)


def test_taken_back() -> None:
    model = Unet().eval()
    x = torch.randn(2, 3, 32, 48)
    before, text, state = model(x), repr(model), list(model.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace_upsampling(model, "fade", x, guides="any")
    assert repr(model) != text
    assert restore_upsampling(model) is model
    assert repr(model) == text
    assert list(model.state_dict()) == state
    assert type(model.blocks[0]).__mro__[1] is nn.Module
    assert torch.equal(model(x), before)
    assert not hooks(model)
    assert len(replacements(model)) == 0


def test_a_second_call_that_fails_leaves_the_first() -> None:
    """With the weights that its upsamplers have learned."""
    x = torch.randn(2, 3, 32, 48)
    model = replace_upsampling(Unet().eval(), "fade", x, guides="any")
    before, text, table, count = model(x), repr(model), str(replacements(model)), len(hooks(model))
    for error, arguments in (
        (ValueError, ("carafe", x, {"kernel_size": 4})),
        (RuntimeError, ("carafe", torch.randn(1, 5, 32, 48), {})),
        (ValueError, ("carafe", torch.randn(1, 3, 32, 48), {"start": "cold"})),
    ):
        name, example, options = arguments
        with pytest.raises(error):
            replace_upsampling(model, name, example, **options)
        assert torch.equal(model(x), before)
        assert (repr(model), str(replacements(model)), len(hooks(model))) == (text, table, count)
