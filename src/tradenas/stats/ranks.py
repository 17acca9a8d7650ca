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

__all__ = ["RankAgreement", "borda", "kendall", "mean_rank", "regret", "spearman", "tau_ceiling", "top_k_overlap"]

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
    if not 0 < level < 1:
        raise ConfigError("level", got=level, expected="between 0 and 1")
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
    low, high = np.quantile(np.concatenate(taus), [(1 - level) / 2, (1 + level) / 2])
    return RankAgreement(tau=_tau(a_N, b_N), low=float(low), high=float(high), num=num)


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


def regret(proxy_N: npt.ArrayLike, truth_N: npt.ArrayLike) -> float:
    """What trusting the proxy costs: best truth minus truth of the proxy's favourite (mean over ties), 0 or more.

    >>> regret([0.1, 0.9, 0.5], [1.0, 2.0, 2.5])
    0.5
    """
    proxy_N, truth_N = _pair(proxy_N, truth_N)
    return float(truth_N.max() - truth_N[proxy_N == proxy_N.max()].mean())


def mean_rank(scores_MN: npt.ArrayLike) -> FloatArray:
    """Mean rank of each architecture over M rankers (seeds, metrics, folds): 1 is best, ties share their mean."""
    scores_MN = as_matrix(scores_MN, "scores_MN", least=1)
    return np.asarray(_scipy_stats().rankdata(-scores_MN, axis=1).mean(axis=0), dtype=np.float64)


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
