"""A small search on a small planted market, for the tests of search methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tradenas.search.base import METHODS, Scorer, Task
from tradenas.search.methods import SPOS, RandomSearch
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.oneshot import OneShot
from tradenas.space import Chain, SearchSpace
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Training
from train.datasets import make_dataset

QUICK = Training(epochs=4, segment=32, batch=128, lr=5e-3)
TRAIN, VALID = Span(0, 800), Span(840, 1190)


def market(**changes: Any) -> Dataset:
    """1,200 rows whose next return hangs on a feature."""
    settings = {"rows": 1200, "features": 3, "planted": "feature", "strength": 0.6, **changes}
    return make_dataset(**settings)


def space(**changes: Any) -> SearchSpace:
    """Two layers of four ops and two widths, with layer and batch norms."""
    settings = {
        "depths": (1, 2), "widths": (4, 8), "ops": ("skip", "dense", "conv3", "gated"), "activations": ("relu", "tanh"),
        "norms": ("none", "batch"), "dropouts": (0.0, 0.1), "lookbacks": (5, 10), "transforms": ("raw",), **changes,
    }  # fmt: skip
    return Chain(**settings).space()


class Told:
    """What `on_trial` was told, in order."""

    def __init__(self) -> None:
        self.trials: list[tuple[str, dict[str, float], str | None]] = []

    def __call__(self, architecture: Any, scores: dict[str, float], error: str | None, look: str = "") -> None:
        self.trials.append((f"{architecture.digest}/{look}" if look else architecture.digest, dict(scores), error))


def task(told: Any = None, *, data: Dataset | None = None, choices: SearchSpace | None = None, seed: int = 0,
         metric: str = "ic") -> Task:  # fmt: skip
    """All that a method may look at."""
    torch.set_num_threads(1)
    data = data if data is not None else market()
    evaluator = Evaluator(data=data, train=TRAIN, valid=VALID, rule=Rule(), costs=Costs(), calibration=300)
    scorer = Scorer(evaluator=evaluator, metric=metric, on_trial=told or Told())
    return Task(space=choices or space(), data=data, train=TRAIN, scorer=scorer, seed=seed)


def one_shot(kind: str, **changes: Any) -> OneShot:
    """Four epochs, then four generations of five."""
    training = replace(QUICK, **changes.pop("training", {}))
    few = {"training": training, "find": Evolution(population=5, parents=4), "num_ranked": 18, "supernets": 1}
    published = {"sandwich": {"distil": 1.0}}.get(kind, {})
    return METHODS[kind](**{**few, "parsimony": 0.0, **published, **changes})


def spos(**changes: Any) -> SPOS:
    """The same, one path a step."""
    return one_shot("spos", **changes)


def random_search(**changes: Any) -> RandomSearch:
    """Six networks."""
    training = replace(QUICK, **{"epochs": 2, **changes.pop("training", {})})
    return RandomSearch(**{"training": training, "num_trained": 6, **changes})


def bits(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    """Tensors as bytes."""
    return {name: np.ascontiguousarray(t.detach().numpy()).tobytes() for name, t in tensors.items()}
