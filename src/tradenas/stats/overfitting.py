"""How much did choosing overfit?  PBO by combinatorially symmetric cross-validation, and trials worth counting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError, MissingExtra
from tradenas.stats.series import as_matrix, flat
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["PBO", "effective_trials", "pbo"]

_CHUNK = 4_000_000  # numbers held at once per matrix, so that memory does not grow with the number of splits


@dataclass(frozen=True, eq=False, kw_only=True)
class PBO:
    """Result of `pbo`, one entry per split S of the days into two halves.

    Attributes:
        probability: share of splits in which the best of one half is below the median of the other.
        logits_S: log odds of its rank in the other half; below 0 means below the median.
        chosen_S: column that was best in the first half.
        sharpe_in_S: its per-day Sharpe ratio there.
        sharpe_out_S: its per-day Sharpe ratio in the other half.
    """

    probability: float
    logits_S: FloatArray
    chosen_S: IntArray
    sharpe_in_S: FloatArray
    sharpe_out_S: FloatArray


def pbo(R_DN: npt.ArrayLike, blocks: int = 16) -> PBO:
    """The probability of backtest overfitting: how often the best strategy of one half disappoints in the other.

    The days are cut into `blocks` contiguous blocks; for every choice of half of them the best strategy by Sharpe ratio
    is looked up in the rest.  About 0.5 when there is nothing to choose, near 0 when one strategy dominates.

    A logit of exactly 0 (at the median) counts one half, so that noise gives 0.5 for odd numbers of strategies and for
    identical ones too; the paper leaves it open.

    Args:
        R_DN: daily P&L of N >= 2 strategies, all that were tried, not only the good ones.
        blocks: even, at least 2, at most D / 2; 16 gives 12,870 splits.

    Source: Bailey, Borwein, Lopez de Prado, Zhu (2017), The probability of backtest overfitting, section 2.2.

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(400, 8))
    >>> noise[:, 3] += 0.5
    >>> pbo(noise, blocks=8).probability < 0.05
    True
    """
    R_DN = as_matrix(R_DN, "R_DN")
    days, num = R_DN.shape
    if num < 2:
        raise ConfigError("R_DN", got="1 strategy", expected="2 or more", fix="pass every trial that was scored")
    if blocks < 2 or blocks % 2 or blocks * 2 > days:
        raise ConfigError("blocks", got=blocks, expected=f"an even number from 2 to {days // 2}")
    try:
        from scipy.stats import rankdata
    except ImportError as error:
        raise MissingExtra.of("scipy", extra="search") from error

    parts = np.array_split(R_DN / np.where(flat(R_DN), 1.0, R_DN.std(axis=0)), blocks)  # the scale cancels in a ratio
    length_B = np.array([len(part) for part in parts], dtype=np.float64)
    sum_BN = np.stack([part.sum(axis=0) for part in parts])
    square_BN = np.stack([(part**2).sum(axis=0) for part in parts])

    def per_day(mask_SB: FloatArray) -> FloatArray:
        length_S1 = (mask_SB @ length_B)[:, None]
        mean_SN, second_SN = mask_SB @ sum_BN / length_S1, mask_SB @ square_BN / length_S1
        variance_SN = second_SN - mean_SN**2
        still_SN: BoolArray = variance_SN <= 1e-12 * second_SN
        return np.where(still_SN, 0.0, mean_SN / np.sqrt(np.where(still_SN, 1.0, variance_SN)))

    halves_S = np.array(list(combinations(range(blocks), blocks // 2)))
    found: list[tuple[IntArray, FloatArray, FloatArray, FloatArray]] = []
    step = max(1, _CHUNK // num)
    for start in range(0, len(halves_S), step):
        some_S = halves_S[start : start + step]
        mask_SB = np.zeros((len(some_S), blocks))
        np.put_along_axis(mask_SB, some_S, 1.0, axis=1)
        inside_SN, outside_SN = per_day(mask_SB), per_day(1.0 - mask_SB)
        row_S, best_S = np.arange(len(some_S)), inside_SN.argmax(axis=1)
        rank_S = rankdata(outside_SN, axis=1)[row_S, best_S] / (num + 1)
        logit_S = np.log(rank_S / (1.0 - rank_S))
        found.append((best_S, inside_SN[row_S, best_S], outside_SN[row_S, best_S], logit_S))
    chosen_S, in_S, out_S, logits_S = (np.concatenate(column) for column in zip(*found, strict=True))
    logits_S = np.where(np.abs(logits_S) < 1e-12, 0.0, logits_S)
    probability = float((logits_S < 0).mean() + 0.5 * (logits_S == 0).mean())
    return PBO(probability=probability, logits_S=logits_S, chosen_S=chosen_S, sharpe_in_S=in_S, sharpe_out_S=out_S)


def effective_trials(R_DN: npt.ArrayLike, *, method: Literal["correlation", "eigenvalues"] = "correlation") -> float:
    """How many independent trials N correlated ones are worth, between 1 and N.

    `correlation`: rho + (1 - rho) N with rho the mean pairwise correlation, floored at 0 (Lopez de Prado 2014,
    appendix).  `eigenvalues`: (sum of eigenvalues)^2 / sum of their squares of the correlation matrix, which sees
    clusters that a mean hides.  Columns that never trade had no chance to be lucky and count nothing.

    >>> rng = np.random.default_rng(0)
    >>> one = rng.normal(size=(500, 1))
    >>> round(effective_trials(np.repeat(one, 20, axis=1)), 6)
    1.0
    """
    R_DN = as_matrix(R_DN, "R_DN")
    R_DN = R_DN[:, ~flat(R_DN)]
    num = R_DN.shape[1]
    if num < 2:
        return 1.0
    correlation_NN = np.corrcoef(R_DN, rowvar=False)
    if method == "correlation":
        rho = min(max(float((correlation_NN.sum() - num) / (num * (num - 1))), 0.0), 1.0)
        return float(rho + (1.0 - rho) * num)
    if method == "eigenvalues":  # the sum of squared eigenvalues is the squared Frobenius norm
        return float(min(max(num**2 / (correlation_NN**2).sum(), 1.0), num))
    raise ConfigError("method", got=method, expected="'correlation' or 'eigenvalues'")
