"""What is evaluated: weights of a run's checkpoint, or of a file of the authors, and the config that goes with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from denseup.cli import official
from denseup.cli.evaluation_data import group_file, merged_data
from denseup.cli.places import OFFICIAL, is_official
from denseup.cli.trusted import held
from denseup.engine.evaluation import read_checkpoint
from denseup.engine.folder import TRAINED
from denseup.tasks import DenseTask


@dataclass(frozen=True)
class Source:
    """Weights to evaluate.

    Args:
        config: of their evaluation, as a run's.
        notes: what has to be said before it.
        load: puts the weights into the task of the config, and gives what has to be said of that.
    """

    config: DictConfig
    notes: Sequence[str]
    load: Callable[[DenseTask], Sequence[str]]


def source_of(cfg: DictConfig) -> Source:
    """The weights that `cfg.ckpt` names, with the data of `cfg`.

    Raises:
        ValueError: no such file, or one of another kind; what `cfg` says contradicts it.
    """
    return _of_authors(cfg) if is_official(cfg.ckpt) else _of_run(cfg)


def _of_authors(cfg: DictConfig) -> Source:
    file, config, notes = official.evaluated(cfg)

    def load(task: DenseTask) -> Sequence[str]:
        return [str(official.load_into(task, file.tensors, cfg.ckpt, bool(cfg.get("allow_missing"))))]

    return Source(config, notes, load)


def _of_run(cfg: DictConfig) -> Source:
    said = [group for group in official.GIVEN if cfg.get(group)]
    if said:
        text = f"{', '.join(said)} can be said of ckpt={OFFICIAL}PATH alone, a file of the authors"
        raise ValueError(f"{text}; of a run's checkpoint, its own config says it")
    config, weights = read_checkpoint(cfg.ckpt)
    config = held(config, f"ckpt={cfg.ckpt}")
    trained = {key: config[key] for key in ("data", "trainer")}
    whole = OmegaConf.create({**config, TRAINED: trained, "trainer": cfg.trainer, "logger": cfg.logger})
    whole.data, notes = merged_data(cfg.get("data"), config["data"], group_file(cfg.get("data")))

    def load(task: DenseTask) -> Sequence[str]:
        try:
            task.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"ckpt={cfg.ckpt} does not fit the data's classes or the model: {error}") from error
        return []

    return Source(whole, notes, load)
