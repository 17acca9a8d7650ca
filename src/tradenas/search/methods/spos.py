"""Single Path One-Shot NAS with uniform sampling (Guo et al., ECCV 2020, arXiv:1904.00420).

    train    W <- W - lr * grad L(A(a), W),  a ~ U(A), one path a step             sec. 3.1-3.2, eq. 5-6
    rank     score A(a) with the inherited weights on validation rows              sec. 3.4
    search   evolution: half mutation (p = 0.1), half crossover of the top 10      algorithm 1

Departures: AdamW for SGD; batch norms, where the space has them, get moments pooled over training rows per subnet,
not running averages over a shuffled sample; every candidate is scored on the same rows; training rows and validation
rows are consecutive in time with a purge between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.nn import Network
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.oneshot import OneShot, path_of
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.train.loop import Plan

__all__ = ["SPOS"]


@METHODS.register("spos")
@dataclass(frozen=True, kw_only=True)
class SPOS(OneShot):
    """Trains one path a step, drawn uniformly."""

    citation: ClassVar[str] = (
        "@inproceedings{guo2020single, title={Single Path One-Shot Neural Architecture Search with Uniform Sampling},\n"
        "  author={Guo, Zichao and Zhang, Xiangyu and Mu, Haoyuan and Heng, Wen and Liu, Zechun and Wei, Yichen and "
        "Sun, Jian},\n  booktitle={ECCV}, year={2020}}"
    )

    kind: Literal["spos"] = "spos"

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        space = self.trained(task, state)
        return lambda step: [path_of(network, space.sample(rng_for(seed, "paths", epoch, step)))]
