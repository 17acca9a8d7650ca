"""One-Shot with path dropout (Bender et al., ICML 2018, "Understanding and Simplifying One-Shot Architecture Search").

    train    several ops of a slot run together, each dropped at random            sec. 3, path dropout
             in epoch t of T with chance p_drop * t / (T - 1)                      sec. 3, linear schedule
    rank     a candidate is the supernet with all its other ops zeroed out         sec. 3, evaluation
    choose   retrain the best from scratch

The paper drops with r^(1/k) where k paths come in, r the one hyperparameter; `p_drop` is that number itself: r = 0.05
at 8 ops is `p_drop = 0.69`.

Departures: at least one op of a slot always runs, where the paper may drop all of them; ops that run together are
averaged, not summed, so that a slot keeps its size however many run; choices without paths to drop (widths, inputs,
activations) are drawn uniformly; one mask holds for a batch, without the paper's ghost batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.sizes import is_op
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.space import Choice, Picked, SearchSpace, draw
from tradenas.train.loop import Pass, Plan

__all__ = ["PathDropout"]


@METHODS.register("path_dropout")
@dataclass(frozen=True, kw_only=True)
class PathDropout(OneShot):
    """Trains many ops at once and fewer as time goes by, so that each learns to do without the others.

    Attributes:
        p_drop: chance of an op to be left out of a step in the last epoch; it rises linearly from 0 in the first,
            where all ops of a slot run. 1 ends with single paths.
    """

    citation: ClassVar[str] = (
        "@inproceedings{bender2018understanding, title={Understanding and Simplifying One-Shot Architecture Search},\n"
        "  author={Bender, Gabriel and Kindermans, Pieter-Jan and Zoph, Barret and Vasudevan, Vijay and Le, Quoc},\n"
        "  booktitle={ICML}, year={2018}}"
    )

    kind: Literal["path_dropout"] = "path_dropout"
    p_drop: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.p_drop <= 1.0:
            raise ConfigError("search.p_drop", got=self.p_drop, expected="a chance from 0 to 1")

    def passes(self, space: SearchSpace) -> float:
        ops = [len(choice.options) for choice in space.choices if is_op(choice)]
        return max(1.0, (1.0 - self.p_drop / 2) * max(ops, default=1))

    def rate(self, epoch: int) -> float:
        """The chance of an op to be dropped in an epoch."""
        return self.p_drop * epoch / max(1, self.training.epochs - 1)

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:  # noqa: ARG002
        def passes(step: int) -> Sequence[Pass]:
            rng = rng_for(seed, "paths", epoch, step)
            return [path_of(network, state.space.walk(lambda choice: kept(choice, rng, self.rate(epoch))))]

        return passes


def kept(choice: Choice, rng: np.random.Generator, rate: float) -> Picked:
    """The ops of a slot that were not dropped, or one at random; of any other choice one option."""
    if not is_op(choice):
        return draw(choice, rng)
    left = tuple(o for o in choice.options if rng.random() >= rate)
    return left if len(left) > 1 else left[0] if left else draw(choice, rng)
