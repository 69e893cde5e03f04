"""Numbers that are not finite are found where they arise, named, and never turned into a prediction."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from denseup.metrics import MattingMetrics, SegmentationMetrics, grad_a2u, mse, sad
from denseup.tasks import MattingTask, SegmentationTask
from denseup.tasks.divergence import DivergedError, check_weights, first_output, gradient_norm

NAN, INF = float("nan"), float("inf")


class Poisoned(nn.Module):
    """A convolution, then one whose weight is what the test wants."""

    def __init__(self, channels: int, outputs: int, weight: float) -> None:
        super().__init__()
        self.good, self.bad = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, outputs, 1)
        self.bad.weight.data.fill_(weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.bad(self.good(x))


def matting_batch(size: int = 8) -> dict[str, Any]:
    trimap = torch.full((2, 1, size, size), 128, dtype=torch.uint8)
    return {"image": torch.rand(2, 3, size, size), "trimap": trimap, "alpha": trimap / 255, "name": ["left", "right"]}


@pytest.mark.parametrize("weight", [NAN, INF, -INF])
def test_a_matting_prediction_is_never_rounded_from_it(weight: float) -> None:
    task = MattingTask(Poisoned(4, 1, weight))
    words = r"samples: left, right.*first module with a non-finite output: network\.bad \(Conv2d\)"
    with pytest.raises(DivergedError, match=f"the prediction is not finite; {words}"):
        task.predict(matting_batch())


@pytest.mark.parametrize("weight", [NAN, INF])
def test_a_segmentation_prediction_is_never_its_argmax(weight: float) -> None:
    task = SegmentationTask(Poisoned(3, 4, weight), num_classes=4)
    batch = {"image": torch.rand(1, 3, 8, 8), "label": torch.zeros(1, 16, 16, dtype=torch.int64), "name": ["street"]}
    with pytest.raises(DivergedError, match=r"samples: street; first non-finite weight: network\.bad\.weight"):
        task.predict(batch)


def test_a_broken_input_is_told_from_a_broken_network() -> None:
    batch = matting_batch()
    batch["image"][1, 0, 0, 0] = NAN
    with pytest.raises(DivergedError, match=r"image is not finite in right; first module .*network\.good"):
        MattingTask(Poisoned(4, 1, 1.0)).predict(batch)


def test_a_batch_without_names_is_counted() -> None:
    batch = matting_batch()
    del batch["name"]
    batch["image"][1] = NAN
    with pytest.raises(DivergedError, match="samples: without names; image is not finite in sample 1"):
        MattingTask(Poisoned(4, 1, 1.0)).predict(batch)


def test_weights_and_running_statistics_are_checked() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    check_weights(module)
    module[1].running_var[1] = INF
    with pytest.raises(DivergedError, match=r"first 1\.running_var: infinite, 1 of 2 values"):
        check_weights(module)
    module[0].weight.data[0] = NAN
    with pytest.raises(DivergedError, match=r"first 0\.weight: NaN, 1 of 2 values"):
        check_weights(module)


def test_weights_are_checked_before_an_evaluation_and_before_they_are_saved() -> None:
    task = MattingTask(Poisoned(4, 1, NAN))
    for hook in (task.on_validation_epoch_start, task.on_test_epoch_start, lambda: task.on_save_checkpoint({})):
        with pytest.raises(DivergedError, match=r"the weights are not finite, first network\.bad\.weight"):
            hook()


def test_the_innermost_module_comes_first_also_in_nested_outputs() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Any]:
            return {"whole": [x], "part": (x / 0,)}

    nest = nn.ModuleDict({"outer": nn.Sequential(nn.Identity(), Pair())})
    assert first_output(nest, lambda: nest["outer"](torch.ones(1))) == "outer.1 (Pair): infinite, 1 of 1 values"
    assert first_output(nest, lambda: nest["outer"][0](torch.ones(1))) is None
    assert not any(module._forward_hooks for module in nest.modules())


def after_backward(task: MattingTask, loss: Tensor, scale: float | None = None) -> None:
    """As Lightning calls it, with the scaler of float16 training or without any."""
    scaler = None if scale is None else SimpleNamespace(get_scale=lambda: scale)
    plugin = SimpleNamespace(scaler=scaler)
    task._trainer = SimpleNamespace(
        precision_plugin=plugin, testing=False, training=True, validating=False, global_step=6
    )
    task._step = (matting_batch(), loss)
    task.on_after_backward()


def with_gradient(value: float) -> MattingTask:
    task = MattingTask(Poisoned(4, 1, 1.0))
    for parameter in task.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    assert task.network.good.weight.grad is not None
    task.network.good.weight.grad[0, 0] = value
    return task


def test_a_loss_or_gradient_stops_the_step() -> None:
    after_backward(with_gradient(1.0), torch.tensor(0.5))
    with pytest.raises(DivergedError, match=r"step 7: the loss is nan; samples: left, right"):
        after_backward(with_gradient(1.0), torch.tensor(NAN))
    words = r"step 7: the gradients' norm is inf; .*the gradient first fails at network\.good\.weight"
    with pytest.raises(DivergedError, match=words):
        after_backward(with_gradient(INF), torch.tensor(0.5))


def test_gradients_whose_squares_overflow_count_as_infinite() -> None:
    """Adam would divide by their infinite second moment: no step, and not a word."""
    with pytest.raises(DivergedError, match="the gradients' norm is inf"):
        after_backward(with_gradient(1e30), torch.tensor(0.5))


def test_the_norm_of_half_precision_does_not_overflow() -> None:
    layer = nn.Linear(4, 1, bias=False).half()
    layer.weight.grad = torch.full_like(layer.weight, 2.0**15)
    assert gradient_norm(layer).item() == 2.0**16
    assert gradient_norm(nn.Identity()).item() == 0


def test_a_loss_in_half_precision_leaves_room_for_the_norm() -> None:
    after_backward(with_gradient(1e6), torch.tensor(0.5, dtype=torch.float16))


def test_an_infinite_gradient_is_the_scalers_business() -> None:
    after_backward(with_gradient(INF), torch.tensor(0.5), scale=65536.0)
    with pytest.raises(DivergedError, match="the loss is nan"):
        after_backward(with_gradient(INF), torch.tensor(NAN), scale=65536.0)
    with pytest.raises(DivergedError, match="norm is inf"):
        after_backward(with_gradient(INF), torch.tensor(0.5), scale=1.0)


@pytest.mark.parametrize("value", [NAN, INF])
def test_no_metric_takes_it(value: float) -> None:
    broken = torch.full((4, 4), value)
    target, trimap = (torch.full((4, 4), 128, dtype=torch.uint8) for _ in range(2))
    for metric in (sad, mse, grad_a2u, MattingMetrics().update):
        with pytest.raises(ValueError, match="pred must be"):
            metric(broken, target, trimap)
    with pytest.raises(ValueError, match="pred must hold integer labels"):
        SegmentationMetrics(3).update(broken, torch.zeros(4, 4, dtype=torch.int64))


def test_void_alone_has_no_trivial_answer() -> None:
    task = SegmentationTask(nn.Conv2d(3, 3, 1), num_classes=3)
    task.update_metrics(torch.zeros(1, 4, 4, dtype=torch.uint8), {"label": torch.full((1, 4, 4), 255)})
    assert all(value != value for value in task.compute_baseline().values())
