"""A method's order of all architectures held against their own trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, t

from tradenas.seeds import rng_for
from tradenas.stats import mean_rank, top_k_overlap
from tradenas.train.evaluate import METRICS
from truth.table import Table

__all__ = ["Measured", "held_against"]

Array = npt.NDArray[np.float64]
#: Supernets that are put together, and how many of the best are retrained.
TOGETHER, RETRAINED = 4, 5
#: Groups of four are drawn from all runs of a method; they overlap, so their spread says nothing.
MOST_GROUPS = 70


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Means over seeds; `spread` is half the width of the 95 % t-interval of tau over them.

    Attributes:
        method: with its settings; `x4` where the mean rank of four supernets was taken.
        seeds: runs that the means are over; `x4` takes every group of four of them, at most 70.
        trainings: what an order cost, in standalone trainings of the same data one by one.
        tau: Kendall's, with the mean of the table's seeds, over all architectures; `share`: over its ceiling.
        top_tau: the same within the best quarter by truth; `top_share`: over its ceiling.
        regret: best truth less the best of the five that the method likes best, on the validation rows; `later`: on the
            test rows, of the one of the five that is best on the validation rows.
        random, random_later: the same regrets of as many random trainings (of one seed each, the best kept).
        overlap: share of the ten best that are among the ten that the method likes best.
    """

    method: str
    seeds: int
    trainings: float
    tau: float
    spread: float
    share: float
    top_tau: float
    top_share: float
    regret: float
    later: float
    random: float
    random_later: float
    overlap: float

    @staticmethod
    def head() -> str:
        names = (
            "method", "seeds", "cost in trainings", "tau (+-)", "/ ceiling", "tau, best quarter", "/ ceiling",
            "top-5 regret", "later", "random at that cost", "later", "top-10 overlap",
        )  # fmt: skip
        return f"| {' | '.join(names)} |\n|{' --- |' * len(names)}"

    def line(self) -> str:
        return (
            f"| {self.method} | {self.seeds} | {self.trainings:.0f} | {self.tau:.3f} ({self.spread:.3f}) | "
            f"{self.share:.2f} | {self.top_tau:.3f} | {self.top_share:.2f} | {self.regret:.4f} | {self.later:.4f} | "
            f"{self.random:.4f} | {self.random_later:.4f} | {self.overlap:.2f} |"
        )


def held_against(
    table: Table, world: str, metric: str, spec: str, rows: Sequence[dict[str, Any]], order: Sequence[int]
) -> list[Measured]:
    """A method's runs, and, where there are enough of them, four supernets at a time.

    Args:
        order: for each position of a run's scores, the row of that architecture in the table.
    """
    found, costs = [], []
    for row in rows:
        values = row["scores"].get("proxy", row["scores"].get(metric))
        sign = 1 if "proxy" in row["scores"] else METRICS[metric]
        merit_N = np.empty(len(table))
        merit_N[list(order)] = sign * np.array(values, dtype=np.float64)
        merit_N = np.nan_to_num(merit_N, nan=-np.inf)
        gone = [order[n] for n in row.get("dropped", ())]
        if gone:  # a method that gave options up puts what has them last
            merit_N[gone] -= 1e6
        found.append(merit_N)
        costs.append(row["seconds"] / row["training_s"])
    measured = [_measured(table, world, metric, spec, found, float(np.mean(costs)))]
    groups = list(combinations(found, TOGETHER))[:MOST_GROUPS]
    if "proxy" not in rows[0]["scores"] and groups:
        together = [-mean_rank(np.nan_to_num(np.array(group), neginf=-1e9)) for group in groups]
        cost = TOGETHER * float(np.mean(costs))
        one = _measured(table, world, metric, f"{spec} x4", together, cost)
        measured.append(replace(one, seeds=len(found), spread=float("nan")))  # groups overlap: no interval
    return measured


def half_width(values: Sequence[float], level: float = 0.95) -> float:
    """Half of the t-interval of a mean; NaN where there is one value only."""
    num = len(values)
    return float(t.ppf(0.5 + level / 2, num - 1) * np.std(values, ddof=1) / np.sqrt(num)) if num > 1 else float("nan")


def _measured(table: Table, world: str, metric: str, name: str, found: Sequence[Array], cost: float) -> Measured:
    truth_N, later_N = table.truth(world, metric), table.truth(world, metric, zone="test")
    top = truth_N >= np.quantile(truth_N, 0.75)
    taus = [float(kendalltau(m, truth_N).statistic) for m in found]
    tops = [float(kendalltau(m[top], truth_N[top]).statistic) for m in found]
    five = [np.argsort(-m, kind="stable")[:RETRAINED] for m in found]
    kept = [best[np.argmax(truth_N[best])] for best in five]
    regret, later = at_random(table, world, metric, round(cost))
    return Measured(
        method=name,
        seeds=len(found),
        trainings=cost,
        tau=float(np.mean(taus)),
        spread=half_width(taus),
        share=float(np.mean(taus)) / table.ceiling(world, metric).one_against_rest,
        top_tau=float(np.mean(tops)),
        top_share=float(np.mean(tops)) / table.ceiling(world, metric, best=0.25).one_against_rest,
        regret=float(np.mean([truth_N.max() - truth_N[k] for k in kept])),
        later=float(np.mean([later_N.max() - later_N[k] for k in kept])),
        random=regret,
        random_later=later,
        overlap=float(np.mean([top_k_overlap(truth_N, m, 10) for m in found])),
    )


def at_random(table: Table, world: str, metric: str, trainings: int, draws: int = 2000) -> tuple[float, float]:
    """Regrets of the best of so many random trainings plus the five retrainings that every method is given."""
    scores_NS = table.scores(world, metric)
    truth_N, later_N = scores_NS.mean(axis=1), table.truth(world, metric, zone="test")
    rng, num = rng_for(0, "ranking", "random"), min(len(truth_N), max(1, trainings))
    kept = []
    for _ in range(draws):
        drawn = rng.choice(len(truth_N), size=num, replace=False)
        seen = scores_NS[drawn, rng.integers(scores_NS.shape[1])]
        best = drawn[np.argsort(-seen)[:RETRAINED]]
        kept.append(best[np.argmax(truth_N[best])])
    return float(np.mean(truth_N.max() - truth_N[kept])), float(np.mean(later_N.max() - later_N[kept]))
