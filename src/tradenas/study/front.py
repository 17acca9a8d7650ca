"""Candidates by quality and cost at once: fronts, how much they cover, and which point was chosen and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tradenas.cost import COSTS, PriceList
from tradenas.search.base import Candidate
from tradenas.search.parts.find import History
from tradenas.search.parts.front import hypervolume, pareto
from tradenas.search.parts.nsga2 import objective_columns
from tradenas.train.evaluate import merit

__all__ = ["front_of", "rule_of"]


def rule_of(prices: PriceList, *, parsimony: float) -> str:
    """How the first of the candidates was chosen, in words."""
    among = "among those that meet every limit" if prices.limits else "of all"
    if parsimony:
        return f"the simplest {among} whose quality cannot be told from the best"
    if prices.exponents:
        return f"the best objective, quality times costs to their exponents, {among}"
    return f"the best quality {among}"


def front_of(
    candidates: Sequence[Candidate], prices: PriceList, objectives: tuple[str, ...], *, metric: str, rule: str
) -> dict[str, Any]:
    """Fronts of all candidates with a score, their hypervolume, and the chosen point.

    The hypervolume is of the share of the box between the best and the worst of each objective among the candidates, so
    it compares fronts of one study's candidates with each other and says nothing across studies.

    Args:
        candidates: what was scored and fits, best first; the first is the chosen point.
        prices: of them.
        objectives: `merit`, metrics and costs.
        metric: what `merit` is made of.
        rule: how the first was chosen.
    """
    some = [c for c in candidates if merit(c.scores, metric) > -math.inf]
    names = sorted({name for c in some for name in c.scores})
    values = {name: tuple(c.scores.get(name, math.nan) for c in some) for name in names}
    costs = [prices.of(c.architecture) for c in some]
    values |= {name: tuple(each[name] for each in costs) for name in prices.costs if name in COSTS}
    values["params"] = values["parameters"]
    history = History(
        architectures=tuple(c.architecture for c in some),
        merits=tuple(merit(c.scores, metric) for c in some),
        values=values,
    )
    record: dict[str, Any] = {"objectives": list(objectives), "metric": metric, "rule": rule, "points": []}
    if not some:
        return {**record, "hypervolume": 0.0, "best": [], "worst": []}
    table_NK = objective_columns(objectives, history)
    fronts, _ = pareto(table_NK)
    finite_NK = table_NK[np.isfinite(table_NK).all(axis=1)]
    best_K, worst_K = finite_NK.min(axis=0), finite_NK.max(axis=0)
    span_K = np.where(worst_K > best_K, worst_K - best_K, 1.0)
    points = [
        {
            "digest": c.architecture.digest,
            "words": c.architecture.describe(),
            "front": fronts[i],
            "chosen": i == 0,
            "quality": c.scores[metric],
            "costs": costs[i],
        }
        for i, c in enumerate(some)
    ]
    share = hypervolume((table_NK - best_K) / span_K, [1.0 + 1e-9] * len(objectives))
    return {
        **record,
        "points": points,
        "hypervolume": share,
        "best": best_K.tolist(),
        "worst": worst_K.tolist(),
    }
