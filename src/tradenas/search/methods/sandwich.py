"""The sandwich rule with in-place distillation (Yu & Huang, ICCV 2019, arXiv:1903.05134; BigNAS, arXiv:2003.11142).

    train    the largest network learns from the labels, with dropout              US-Nets sec. 3.2; BigNAS sec. 3
             its signal, detached, teaches the others on the same batch            sec. 3.3, in-place distillation
             `num_random` random networks, and the smallest, without dropout       AttentiveNAS: 2, no dropout
             all gradients add up, then one step, clipped at 1                     AttentiveNAS
    rank     score with the inherited weights on validation rows

"Largest" and "smallest" are said of depth, widths and lookback.  What has no size (ops, activations, inputs) is drawn
for each network of the step, which those papers, whose spaces are all size, have no word on.

Departures: the others learn from the labels too unless `distil` says otherwise.  Taught by the largest alone, as
published, subnets say what it says, and their order tells little of what they are worth: Kendall's tau with standalone
training was 0.04 of a possible 0.62 on one planted market (docs/results.md).  AdamW for SGD; no label smoothing, as
most labels here are returns; squared distance to the teacher's signal where those are, cross-entropy to its
probability where labels are directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.sizes import extreme
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.space import SearchSpace
from tradenas.train.loop import Optimisation, Pass, Plan

__all__ = ["Sandwich"]


@METHODS.register("sandwich")
@dataclass(frozen=True, kw_only=True)
class Sandwich(OneShot):
    """Trains the largest, some random and the smallest network each step.

    The method that a study takes unless told otherwise: four such supernets together order architectures best of all
    that were measured against standalone trainings (docs/results.md).

    Attributes:
        num_random: random networks of a step.
        distil: what the others learn: 1 from the largest alone (in-place distillation, as published), 0 from the
            labels alone, between from both.
    """

    citation: ClassVar[str] = (
        "@inproceedings{yu2019universally, title={Universally Slimmable Networks and Improved Training Techniques},\n"
        "  author={Yu, Jiahui and Huang, Thomas}, booktitle={ICCV}, year={2019}}"
    )

    kind: Literal["sandwich"] = "sandwich"
    training: Optimisation = field(default_factory=lambda: Optimisation(epochs=30, batch=512, lr=1e-2))
    supernets: int = 4
    parsimony: float = 2.0
    num_random: int = 2
    distil: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_random < 0:
            raise ConfigError("search.num_random", got=self.num_random, expected="0 or more")
        if not 0.0 <= self.distil <= 1.0:
            raise ConfigError("search.distil", got=self.distil, expected="a share from 0 to 1")

    def passes(self, space: SearchSpace) -> float:  # noqa: ARG002
        return 2.0 + self.num_random

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        space = self.trained(task, state)

        def passes(step: int) -> Sequence[Pass]:
            rng = rng_for(seed, "paths", epoch, step)
            largest = extreme(state.space, rng, largest=True)
            others = [space.sample(rng) for _ in range(self.num_random)]
            others.append(extreme(state.space, rng, largest=False))
            taught = {"labels": 1.0 - self.distil, "teacher": self.distil, "dropout": False}
            return [path_of(network, largest), *(path_of(network, a, **taught) for a in others)]

        return passes
