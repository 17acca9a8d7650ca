"""Do two orders agree?  The supernet's ranking against standalone trainings, and what an order is good for.

Convention: scores are "higher is better", one per architecture (N), on the same architectures in the same order.
A series of equal scores ranks nothing: its tau and rho are **defined as 0**.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError, MissingExtra
from tradenas.seeds import rng_for
from tradenas.stats.series import as_matrix, as_series
from tradenas.typing import FloatArray

__all__ = [
    "RankAgreement", "borda", "kendall", "mean_rank", "of_ceiling", "ranks_of", "regret", "spearman", "tau_ceiling",
    "tau_change", "tau_within_top", "top_k_overlap",
]  # fmt: skip

_CHUNK = 4_000_000  # numbers per matrix held at once


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """Kendall's tau-b with its bootstrap interval over `num` architectures."""

    tau: float
    low: float
    high: float
    num: int


def kendall(
    a_N: npt.ArrayLike, b_N: npt.ArrayLike, *, level: float = 0.95, reps: int = 1000, seed: int = 0
) -> RankAgreement:
    """How well two scores order the same architectures: tau-b with an interval that resamples architectures.

    tau-b = (concordant - discordant) / sqrt(pairs untied in a * pairs untied in b), by SciPy.  In a resample with
    counts c each sum over pairs is a quadratic form c' S c, so that all resamples are three matrix products; the pairs
    made of one architecture drawn twice are tied in both and drop out.

    >>> kendall([1, 2, 3, 4], [1, 2, 4, 3], reps=50).tau.__round__(3)
    0.667
    """
    a_N, b_N = _pair(a_N, b_N)
    low, high = _ends(_resampled(a_N, b_N, reps=reps, seed=seed), level)
    return RankAgreement(tau=_tau(a_N, b_N), low=low, high=high, num=len(a_N))


def _resampled(a_N: FloatArray, b_N: FloatArray, *, reps: int, seed: int) -> FloatArray:
    """Taus of resamples of the architectures: the same resamples for every pair of scores of as many."""
    if reps < 2:
        raise ConfigError("reps", got=reps, expected="2 or more")
    num = len(a_N)
    sign_a_NN, sign_b_NN = np.sign(a_N[:, None] - a_N), np.sign(b_N[:, None] - b_N)
    forms = (sign_a_NN * sign_b_NN, np.abs(sign_a_NN), np.abs(sign_b_NN))
    rng = rng_for(seed, "stats", "kendall")
    taus: list[FloatArray] = []
    step = max(1, _CHUNK // num)
    for start in range(0, reps, step):
        count_RN = rng.multinomial(num, np.full(num, 1.0 / num), size=min(step, reps - start)).astype(np.float64)
        agree_R, untied_a_R, untied_b_R = (((count_RN @ form) * count_RN).sum(axis=1) for form in forms)
        both_R = untied_a_R * untied_b_R
        taus.append(np.where(both_R > 0, agree_R / np.sqrt(np.where(both_R > 0, both_R, 1.0)), 0.0))
    return np.concatenate(taus)


def _ends(values_R: FloatArray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ConfigError("level", got=level, expected="between 0 and 1")
    low, high = np.quantile(values_R, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _tau(a_N: FloatArray, b_N: FloatArray) -> float:
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
        return 0.0
    return float(_scipy_stats().kendalltau(a_N, b_N, variant="b").statistic)


def spearman(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> float:
    """Correlation of the ranks (ties share their mean rank); 0 when either ranks nothing."""
    a_N, b_N = _pair(a_N, b_N)
    if np.ptp(a_N) == 0 or np.ptp(b_N) == 0:
        return 0.0
    return float(_scipy_stats().spearmanr(a_N, b_N).statistic)


def top_k_overlap(a_N: npt.ArrayLike, b_N: npt.ArrayLike, k: int) -> float:
    """Share of the best k by `a` that are also among the best k by `b`; ties at the edge go to the earlier one.

    >>> top_k_overlap([5, 4, 3, 2, 1], [5, 1, 4, 2, 3], k=2)
    0.5
    """
    a_N, b_N = _pair(a_N, b_N)
    if not 1 <= k <= len(a_N):
        raise ConfigError("k", got=k, expected=f"from 1 to {len(a_N)}")
    best = (set(np.argsort(-scores_N, kind="stable")[:k].tolist()) for scores_N in (a_N, b_N))
    return len(set.intersection(*best)) / k


def regret(proxy_N: npt.ArrayLike, truth_N: npt.ArrayLike, *, k: int = 1) -> float:
    """What trusting the proxy costs: the best truth minus the best among the proxy's top `k`, 0 or more.

    With k = 1 favourites that tie share their mean; at the edge of a larger k a tie goes to the earlier one.

    >>> regret([0.1, 0.9, 0.5], [1.0, 2.0, 2.5]), regret([0.1, 0.9, 0.5], [1.0, 2.0, 2.5], k=2)
    (0.5, 0.0)
    """
    proxy_N, truth_N = _pair(proxy_N, truth_N)
    if not 1 <= k <= len(truth_N):
        raise ConfigError("k", got=k, expected=f"from 1 to {len(truth_N)}")
    if k == 1:
        return float(truth_N.max() - truth_N[proxy_N == proxy_N.max()].mean())
    return float(truth_N.max() - truth_N[np.argsort(-proxy_N, kind="stable")[:k]].max())


def tau_within_top(
    proxy_N: npt.ArrayLike, truth_N: npt.ArrayLike, *, share: float = 0.25, **settings: Any
) -> RankAgreement | None:
    """Does the proxy still order the best `share` by the truth?  None where fewer than three are left.

    A search lives off the top, where architectures differ least: expect less than over all of them, and hold it
    against `tau_ceiling` of the same few.  Chosen by the truth, whose noise is then part of the order within.
    """
    proxy_N, truth_N = _pair(proxy_N, truth_N)
    if not 0 < share <= 1:
        raise ConfigError("share", got=share, expected="above 0, at most 1")
    best_K = np.argsort(-truth_N, kind="stable")[: int(np.ceil(share * len(truth_N)))]
    return kendall(proxy_N[best_K], truth_N[best_K], **settings) if len(best_K) >= 3 else None


def tau_change(
    before_N: npt.ArrayLike,
    after_N: npt.ArrayLike,
    truth_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    reps: int = 1000,
    seed: int = 0,
) -> RankAgreement:
    """By how much a second proxy agrees better with the truth than a first; both are resampled on the same ones.

    >>> tau_change([1, 3, 2, 4], [1, 2, 3, 4], [1, 2, 3, 4], reps=50).tau.__round__(3)
    0.333
    """
    (before_N, truth_N), (after_N, _) = _pair(before_N, truth_N), _pair(after_N, truth_N)
    first_R, second_R = (_resampled(a_N, truth_N, reps=reps, seed=seed) for a_N in (before_N, after_N))
    low, high = _ends(second_R - first_R, level)
    return RankAgreement(tau=_tau(after_N, truth_N) - _tau(before_N, truth_N), low=low, high=high, num=len(truth_N))


def of_ceiling(
    proxy_N: npt.ArrayLike,
    first_SN: npt.ArrayLike,
    second_SN: npt.ArrayLike,
    *,
    level: float = 0.95,
    reps: int = 1000,
    seed: int = 0,
) -> RankAgreement | None:
    """The share of the reachable agreement that a proxy reaches: mean tau with either set, over tau between the sets.

    Both sets are as noisy as each other, so that numerator and ceiling are held against equal noise.  A proxy less
    noisy than a training can pass 1.  None where the sets do not agree with each other beyond doubt: a share of
    nothing is no number.  The same resamples stand above and below the line.
    """
    first_N, second_N = (
        np.atleast_2d(np.asarray(scores, dtype=np.float64)).mean(axis=0) for scores in (first_SN, second_SN)
    )
    (proxy_N, first_N), (_, second_N) = _pair(proxy_N, first_N), _pair(proxy_N, second_N)
    pairs = ((proxy_N, first_N), (proxy_N, second_N), (first_N, second_N))
    one, two, top = (_tau(a_N, b_N) for a_N, b_N in pairs)
    one_R, two_R, top_R = (_resampled(a_N, b_N, reps=reps, seed=seed) for a_N, b_N in pairs)
    if top <= 0 or _ends(top_R, level)[0] <= 0:
        return None
    known_R = top_R > 0
    low, high = _ends((one_R + two_R)[known_R] / (2 * top_R[known_R]), level)
    return RankAgreement(tau=(one + two) / (2 * top), low=low, high=high, num=len(proxy_N))


def ranks_of(scores_N: FloatArray) -> FloatArray:
    """Ranks along the last axis, 1 for the highest score; ties share their mean.

    >>> ranks_of(np.array([0.3, 0.9, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    return np.asarray(_scipy_stats().rankdata(-scores_N, axis=-1), dtype=np.float64)


def mean_rank(scores_MN: npt.ArrayLike) -> FloatArray:
    """Mean rank of each architecture over M rankers (seeds, metrics, folds): 1 is best, ties share their mean."""
    scores_MN = as_matrix(scores_MN, "scores_MN", least=1)
    return np.asarray(ranks_of(scores_MN).mean(axis=0), dtype=np.float64)


def borda(scores_MN: npt.ArrayLike) -> FloatArray:
    """Borda points of each architecture: how many it beats, summed over M rankers; a tie is half a win.

    >>> borda([[3.0, 2.0, 1.0], [2.0, 3.0, 1.0]]).tolist()
    [3.0, 3.0, 0.0]
    """
    scores_MN = as_matrix(scores_MN, "scores_MN", least=1)
    return np.asarray(len(scores_MN) * (scores_MN.shape[1] - mean_rank(scores_MN)))


def tau_ceiling(
    first_SN: npt.ArrayLike, second_SN: npt.ArrayLike, *, level: float = 0.95, reps: int = 1000, seed: int = 0
) -> RankAgreement:
    """The tau that training noise alone allows: one set of standalone trainings against another with other seeds.

    Each set is averaged over its seeds first, so use sets as large as the one the supernet is compared with: no proxy
    is expected to agree with trainings better than trainings agree with themselves.

    Args:
        first_SN: scores of S trainings of N architectures, or (N,) for one.
        second_SN: the same architectures with other seeds.
    """
    first_N, second_N = (
        np.atleast_2d(np.asarray(scores, dtype=np.float64)).mean(axis=0) for scores in (first_SN, second_SN)
    )
    return kendall(first_N, second_N, level=level, reps=reps, seed=seed)


def _pair(a_N: npt.ArrayLike, b_N: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = as_series(a_N, "a_N"), as_series(b_N, "b_N")
    if len(a) != len(b):
        raise ConfigError("b_N", got=f"{len(b)} scores", expected=f"{len(a)}, one per architecture")
    return a, b


def _scipy_stats() -> Any:
    try:
        import scipy.stats
    except ImportError as error:
        raise MissingExtra.of("scipy", extra="search") from error
    return scipy.stats
