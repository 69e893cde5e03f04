"""What a training step is: the gradient of a whole batch, in as many parts as memory allows, and the recipe's norms."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from denseup.tasks.norms import BatchNorm, backbone_norms, batch_norms
from denseup.tasks.optimization import Optimization, parameter_groups
from denseup.tasks.parts import Batch, Before, Held, MemoryExhaustedError, Step, is_out_of_memory, length, part_of
from denseup.tasks.shares import by_share, mean_over_processes
from denseup.tasks.steps import CountsSteps
from denseup.tasks.takes_pictures import TakesPictures


class Learns(CountsSteps, TakesPictures):
    """Lightning's training hooks of a task.

    A batch is what one optimizer step takes of a process. `micro_batch` samples of it are run at once; gradients add
    up to that of the batch's loss, part by part as `weight` says, over all processes that have a share of it. In a
    process that trains alone a part that does not fit into memory is tried again in halves, and so are all that come
    later: no sample is lost or seen twice, running statistics and random numbers go on from where the part began. Of
    several processes each would have to know of the others' trouble: there it is an error that says what to set.
    """

    optimization: Optimization | None
    micro_batch: int | None = None
    """Samples that are run at once; None: the whole batch."""
    _fitting: int | None = None
    """Samples that fit into memory at once, if too many were tried."""
    _begun = False
    """Whether gradients of the step at hand are there before Lightning's own backward."""
    _at_hand: Step | None = None
    _kept_norms: tuple[BatchNorm, ...] = ()

    def weight(self, batch: Batch) -> Tensor | float:
        """What a batch counts in the mean over several, as `loss` has it: the number of its samples; 0 for nothing."""
        return float(length(batch))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of a batch, logged as train/loss (of all processes); all parts but the last have left their gradients.

        Of several processes it is the share of this one, whose mean over them is the loss of the whole batch.
        """
        step = Step(batch, index % self.trainer.accumulate_grad_batches == 0)
        if not self._alone:
            step.whole = mean_over_processes(self.weight(batch), self.device)
        while step.last is None:
            self._advance(step)
        loss = step.last + step.total
        self.note_step(batch, loss)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=step.size, sync_dist=not self._alone)
        self._at_hand = step
        if not self._alone:  # DDP looks at the graph of what it is given
            return loss
        step.told = loss.detach().requires_grad_()
        return step.told

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients of the last part; in a process that trains alone, of smaller ones if they do not fit."""
        step, self._at_hand = self._at_hand, None
        if step is None:  # of a training step of one's own
            super().backward(loss, *args, **kwargs)
        elif step.told is None:
            with self._trying(step):
                super().backward(loss, *args, **kwargs)
        else:
            (factor,) = torch.autograd.grad(loss, step.told)  # by what Lightning has divided and scaled it
            self._finish(step, factor)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Between a batch's forward and backward; where its first parts have left gradients, these stay."""
        begun, self._begun = self._begun, False
        if not begun:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def train(self, mode: bool = True) -> "Learns":
        """As of any module; batch norms that the recipe keeps as they are stay in evaluation mode."""
        super().train(mode)
        for norm in self._kept_norms:
            norm.eval()
        return self

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Keep the batch norms in evaluation mode that the recipe has frozen by now."""
        recipe = self.optimization
        assert recipe is not None
        late = self.global_step >= recipe.freeze_norms_after * self.trainer.estimated_stepping_batches
        if late:
            self._kept_norms = tuple(batch_norms(self.network))
        else:
            self._kept_norms = tuple(backbone_norms(self.network)) if recipe.freeze_backbone_norms else ()
        for norm in self._kept_norms:
            norm.eval()

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule of the recipe."""
        if self.optimization is None:
            raise ValueError("optimization is None: this task was built for evaluation only")
        recipe = self.optimization
        groups = parameter_groups(
            self.network, recipe.lr, recipe.backbone_lr_scale, recipe.head_lr_scale, recipe.decay_backbone_norms
        )
        optimizer = recipe.optimizer(groups, lr=recipe.lr)
        if recipe.schedule is None:
            return optimizer
        scheduler = recipe.schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _advance(self, step: Step, factor: Tensor | None = None) -> None:
        """The next part, forward and backward; without a factor the last one forward only, for `step.last`."""
        step.before = Before(self.network) if self._alone else None
        step.end = min(step.start + self._at_once(step.size), step.size)
        keep = factor is None and step.end == step.size
        if not keep and factor is None and step.opens:
            self._begin()
        held = Held(self) if self._alone and not keep else None
        loss = None
        with self._trying(step):
            loss = self._loss_of_part(step)
            if keep:
                step.last = loss
                return
            with torch.autocast(loss.device.type, enabled=False):
                (loss * (self._scale(loss) if factor is None else factor)).backward()
            step.total, step.start = step.total + loss.detach(), step.end
        del loss
        self._settle(step, held)

    def _finish(self, step: Step, factor: Tensor) -> None:
        """Gradients of the last part; if they do not fit into memory, of its samples in smaller ones."""
        held, last = Held(self), step.last
        step.last = None
        with self._trying(step):
            assert last is not None
            (last * factor).backward()
            step.start = step.end
        del last
        self._settle(step, held)
        while step.start < step.size:
            self._advance(step, factor)

    def _loss_of_part(self, step: Step) -> Tensor:
        """The loss of the samples at hand, by their share of the batch."""
        part = part_of(step.batch, step.start, step.end)
        with self.trainer.precision_plugin.forward_context(), self.maps_of(part):
            loss = self.loss(part)
        if part is step.batch and step.whole is None:
            return loss
        return by_share(loss, self.weight(part), self.weight(step.batch) if step.whole is None else step.whole)

    def _scale(self, loss: Tensor) -> Tensor:
        """What Lightning divides and scales a loss by before its gradients are taken."""
        factor = loss.new_ones(()) / self.trainer.accumulate_grad_batches
        return factor if self.scaler is None else self.scaler.scale(factor)

    def _begin(self) -> None:
        """The first gradients of an optimizer step come before Lightning would forget those of the last one."""
        if not self._begun:
            self.zero_grad()
            self._begun = True

    @contextmanager
    def _trying(self, step: Step) -> Iterator[None]:
        """Within it memory may run out: then the part at hand is undone, and the next one is half as large."""
        try:
            yield
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            words = (str(error).strip() or type(error).__name__).splitlines()[0]
        self._halve(step, words)

    def _halve(self, step: Step, words: str) -> None:
        tried = step.end - step.start
        smaller = max(tried // 2, 1)
        what = f"step {self.global_step + 1}: out of memory with {tried} sample{'s' * (tried > 1)} at once"
        if tried == 1:
            less = "a smaller data.crop_size or encoder, or trainer.precision=bf16-mixed"
            raise MemoryExhaustedError(f"{what} ({words}); expected {less}")
        if step.before is None:
            ways = f"recipe.effective_batch_size with data.batch_size={smaller} takes the same steps in smaller parts"
            raise MemoryExhaustedError(
                f"{what} in one of {self.trainer.world_size} processes, which can't go on alone ({words}); {ways}"
            )
        step.before.restore()
        self._fitting = smaller
        learns = any(norm.training for norm in batch_norms(self.network))
        norms = "; batch norms that learn now see the smaller parts" if learns else ""
        warnings.warn(
            f"{what} ({words}): going on with {smaller} at once, the batch is still {step.size}{norms}", stacklevel=2
        )

    def _settle(self, step: Step, held: Held | None) -> None:
        """Bring back the gradients from before a part, without what it has left if it failed."""
        failed = step.start != step.end
        if failed:
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        if held is not None:
            if failed:
                held.clear()
            held.add()

    def _at_once(self, size: int) -> int:
        return min(limit for limit in (size, self.micro_batch, self._fitting) if limit is not None)

    @property
    def _alone(self) -> bool:
        return self.trainer.world_size == 1
