"""One order out of several supernets: weights shared from another seed rank otherwise, what they agree on less so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tradenas.search.base import Candidate
from tradenas.stats import borda, mean_rank
from tradenas.train.evaluate import merit

__all__ = ["Aggregate", "merits_of"]

Aggregate = Literal["mean_rank", "borda", "mean_score"]


def merits_of(candidates: Sequence[Candidate], metric: str, how: Aggregate) -> tuple[float, ...]:
    """A number for each candidate, more is better; `-inf` for one that any supernet could not score.

    With one supernet that is its score, whatever `how` says.  Ranks do not care how far apart scores are, so one
    supernet whose scores are spread widely does not outvote the others.

    Args:
        how: `mean_rank` (less its sign), `borda` (wins over the other candidates; the same order where there are no
            ties at the edge) or `mean_score`.
    """
    single = tuple(merit(c.scores, metric) for c in candidates)
    if how == "mean_score" or not candidates or not candidates[0].each:
        return single
    merits_MN = np.array([[merit(scores, metric) for scores in c.each] for c in candidates]).T
    ok_N = np.isfinite(merits_MN).all(axis=0)
    worth_N = np.full(len(candidates), -math.inf)
    if ok_N.any():
        known_MN = merits_MN[:, ok_N]
        worth_N[ok_N] = borda(known_MN) if how == "borda" else -mean_rank(known_MN)
    return tuple(worth_N.tolist())
