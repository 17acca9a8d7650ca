"""A job that trains on some rows and speaks of others that may lie before, between or after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.errors import ConfigError, DivergedError
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.train.fit import SCALE_ROWS
from tradenas.train.panel import Market, Panel
from tradenas.trials.jobs import JOBS, JobSpec
from tradenas.trials.retrain import Lesson, Trained, as_one_of, train_together, write_signals
from tradenas.trials.stacks import TOGETHER, Together, alone

__all__ = ["PathBudget", "fit_split", "taught"]


@dataclass(frozen=True, kw_only=True)
class PathBudget:
    """Combinatorial purged cross-validation of the champion: would it have worked in other periods?

    Attributes:
        groups: blocks that search and selection zone are cut into; 0 leaves it out.  C(groups, tested) trainings.
        tested: blocks that are judged at a time, all others being learnt from.
    """

    groups: int = 0
    tested: int = 2

    def __post_init__(self) -> None:
        if self.groups < 0 or self.groups == 1:
            raise ConfigError("trials.paths.groups", got=self.groups, expected="0 (none), or 2 and more")
        if self.groups and not 1 <= self.tested < self.groups:
            raise ConfigError("trials.paths.tested", got=self.tested, expected=f"from 1 to {self.groups - 1}")


def taught(data: Market, spans: Sequence[Span]) -> Market:
    """The same rows, with the labels of these spans and no others.

    What has no label cannot be learnt from, nor set the units of what is learnt; features and returns stay.
    """
    known_T = np.zeros(len(data), bool)
    for span in spans:
        known_T[span.slice] = True

    def kept(market: Dataset) -> Dataset:
        return replace(market, y_T=np.where(known_T, market.y_T, np.float32(np.nan)))

    if isinstance(data, Panel):
        return Panel(
            symbols=data.symbols,
            markets=tuple(kept(m) for m in data.markets),
            present_AT=data.present_AT,
            weight_AT=data.weight_AT,
        )
    return kept(data)


def _lesson(spec: JobSpec, data: Market) -> Lesson:
    spans = _spans(spec)
    hull = Span(spans[0].start, spans[-1].stop)
    return Lesson(data=taught(data, spans), train=hull, seed=spec.seed)


def _spans(spec: JobSpec) -> list[Span]:
    return [Span(*span) for span in spec.params["train"]]


def _train(specs: Sequence[JobSpec], folder: Path) -> list[Trained | DivergedError]:
    holdout = specs[0].params["training"]["holdout"]
    if holdout:
        raise ConfigError("fit_split.training.holdout", got=holdout, expected="0")
    return train_together(specs, folder, _lesson)


def _tell(spec: JobSpec, trained: Trained, folder: Path) -> dict[str, Any]:
    fitted, last = trained.fitted, _spans(spec)[-1]
    calibration = (max(last.start, last.stop - SCALE_ROWS), last.stop)
    write_signals(fitted, trained.data, {**spec.params["signals"], "calibration": calibration}, folder)
    return {
        "history": [dict(log) for log in fitted.history],
        "objective": asdict(fitted.objective),
        "reach": fitted.reach,
        "calibration": list(calibration),
    }


@JOBS.register("fit_split")
def fit_split(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Trains one architecture on several spans, for a fixed number of epochs; writes its signals.

    Params: `space`, `architecture`, `training` (no row is held out), `train` (spans), `signals` (name -> rows).
    The size of its signals is measured on the latest rows learnt from.
    """
    return alone(TOGETHER["fit_split"], spec, folder)


TOGETHER.register("fit_split")(
    Together(
        alike=lambda spec: as_one_of(spec.params, "space", "architecture", "training"),
        amount=lambda spec: sum(map(len, _spans(spec))),
        work=_train,
        tell=_tell,
    )
)
