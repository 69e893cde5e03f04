"""What a batch has, kept in checkpoints: a run that goes on within an epoch has the same on any number of devices."""

from typing import Any

import pytorch_lightning as pl

from denseup.engine.folder import CONFIG_KEY

SAMPLES_KEY = "denseup_samples_of_a_batch"


class SameSteps(pl.Callback):
    """Refuses to go on within an epoch with batches of another size: samples would be lost, or come twice."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook."""
        checkpoint[SAMPLES_KEY] = _samples(trainer)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook, when a run goes on.

        Raises:
            ValueError: it would with other batches, within an epoch.
        """
        there, here = checkpoint.get(SAMPLES_KEY) or samples_of(checkpoint.get(CONFIG_KEY, {})), _samples(trainer)
        if there in (None, here) or not within_an_epoch(checkpoint):
            return
        raise ValueError(
            f"resume: its batches have {there} samples, on all devices together, and here they have {here}. It lies "
            f"within an epoch, some of whose samples would be lost or come twice; expected "
            f"recipe.effective_batch_size={there}, or data.batch_size and trainer.devices to make {there}"
        )


def within_an_epoch(checkpoint: dict[str, Any]) -> bool:
    """Whether an epoch is begun and not complete."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["current"]["completed"]) and not progress["is_last_batch"]


def samples_of(config: dict[str, Any]) -> int | None:
    """What a config says of it, for checkpoints of earlier versions; None where it leaves the devices open."""
    data, recipe, trainer = (config.get(key) or {} for key in ("data", "recipe", "trainer"))
    devices, batch = trainer.get("devices"), data.get("batch_size")
    if recipe.get("effective_batch_size"):
        return int(recipe["effective_batch_size"])
    return devices * batch if isinstance(devices, int) and devices > 0 and isinstance(batch, int) else None


def _samples(trainer: pl.Trainer) -> int:
    return int(trainer.datamodule.batch_size * trainer.world_size)  # type: ignore[attr-defined]
