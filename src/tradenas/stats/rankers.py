"""How sure is a rank that several rankers agreed on?  Supernets of different seeds, and the order they make together.

    aggregate       mean rank over M rankers, then its rank: 1 is best, ties share their mean
    bootstrap       M rankers drawn with replacement (Efron 1979); with `noise_MN` each score is drawn anew around
                    what was measured first (rankers, then scores within them: a hierarchical bootstrap)
    bayes           weights of the rankers from Dirichlet(1, ..., 1) instead of counts (Rubin 1981, Ann. Statist. 9)

Biased: M is small.  Both ways see a share (M - 1) / M of the variance between rankers, or less: intervals at 95 % held
the rank that endless rankers would give in 67, 86, 92 and 97 % of cases for 2, 3, 4 and 8 rankers (12 architectures,
200 worlds, tests/stats/test_rankers.py).  What all rankers share, the rows they are scored on and what weight sharing
does to all of them alike, no resampling of rankers can show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.seeds import rng_for
from tradenas.stats.ranks import ranks_of
from tradenas.stats.series import as_matrix
from tradenas.typing import FloatArray

__all__ = ["RankInterval", "rank_interval"]

_CHUNK = 2_000_000  # numbers held at once


@dataclass(frozen=True, kw_only=True, eq=False)
class RankInterval:
    """Aggregated rank of each of N architectures, 1 for the best, with its interval.

    Attributes:
        rank_N: by the mean rank over all rankers.
        low_N, high_N: ends of the interval.
        first_N: share of the resamples in which it is the best; ties share it.
        rankers: how many there were (M).
    """

    rank_N: FloatArray
    low_N: FloatArray
    high_N: FloatArray
    first_N: FloatArray
    rankers: int


def rank_interval(
    scores_MN: npt.ArrayLike,
    *,
    noise_MN: npt.ArrayLike | None = None,
    weights: Literal["bootstrap", "bayes"] = "bootstrap",
    level: float = 0.95,
    reps: int = 1000,
    seed: int = 0,
) -> RankInterval:
    """Where each architecture stands when M rankers are asked together, and how far another M might have put it.

    Args:
        scores_MN: M rankers' scores of N architectures, more is better.
        noise_MN: standard error of each score (of an evaluation on finitely many rows), or None for exact ones.
        weights: how rankers are resampled; see the module's head.
        level: of the interval.
        reps: resamples.
        seed: of the resamples.

    Raises:
        ConfigError: fewer than two rankers: one says nothing about how far another would disagree.

    >>> found = rank_interval([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], reps=200)
    >>> found.rank_N.tolist(), found.low_N.tolist(), found.high_N.tolist()
    ([1.0, 2.5, 2.5], [1.0, 2.0, 2.0], [1.0, 3.0, 3.0])
    """
    scores_MN = as_matrix(scores_MN, "scores_MN", least=1)
    rankers, num = scores_MN.shape
    if rankers < 2:
        raise ConfigError(
            "scores_MN", got="one ranker", expected="two or more", fix="train more supernets (search.supernets)"
        )
    if not 0 < level < 1:
        raise ConfigError("level", got=level, expected="between 0 and 1")
    if reps < 2:
        raise ConfigError("reps", got=reps, expected="2 or more")
    if weights not in ("bootstrap", "bayes"):
        raise ConfigError("weights", got=repr(weights), expected="bootstrap or bayes")
    noise = None if noise_MN is None else as_matrix(noise_MN, "noise_MN", least=1)
    if noise is not None and (noise.shape != scores_MN.shape or (noise < 0).any()):
        raise ConfigError("noise_MN", got=f"shape {noise.shape}", expected=f"{scores_MN.shape}, none below 0")
    rng = rng_for(seed, "stats", "rank_interval")
    placed_MN = ranks_of(scores_MN)
    drawn: list[FloatArray] = []
    step = max(1, _CHUNK // scores_MN.size)
    for start in range(0, reps, step):
        size = min(step, reps - start)
        if weights == "bayes":
            share_RM = rng.dirichlet(np.ones(rankers), size=size)
        else:
            share_RM = rng.multinomial(rankers, np.full(rankers, 1 / rankers), size=size) / rankers
        if noise is None:
            mean_RN = share_RM @ placed_MN
        else:
            again_RMN = scores_MN + noise * rng.standard_normal((size, rankers, num))
            mean_RN = np.einsum("rm,rmn->rn", share_RM, ranks_of(again_RMN))
        drawn.append(ranks_of(-np.round(mean_RN, 9)))
    rank_RN = np.concatenate(drawn)
    low_N, high_N = np.quantile(rank_RN, [(1 - level) / 2, (1 + level) / 2], axis=0)
    best_RN = rank_RN == rank_RN.min(axis=1, keepdims=True)
    return RankInterval(
        rank_N=ranks_of(-np.round(placed_MN.mean(axis=0), 9)),
        low_N=low_N,
        high_N=high_N,
        first_N=(best_RN / best_RN.sum(axis=1, keepdims=True)).mean(axis=0),
        rankers=rankers,
    )
