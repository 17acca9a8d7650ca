"""Intervals for a Sharpe ratio, a mean or a total: the stationary bootstrap, for many series at once.

The days are drawn in blocks of geometric length, so that serial dependence survives (Politis and Romano 1994).  A
resample is kept as *how often each day was drawn*; sums over a resample are then one matrix product for all series.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError, MissingExtra
from tradenas.seeds import rng_for
from tradenas.stats.series import as_matrix, flat, per_day_sharpes
from tradenas.typing import FloatArray

__all__ = ["Interval", "block_length", "bootstrap_interval", "draw_counts", "resampled"]

_CHUNK = 4_000_000  # days x resamples held at once


@dataclass(frozen=True, eq=False, kw_only=True)
class Interval:
    """A statistic of N series with its interval: `value_N`, `low_N`, `high_N`."""

    value_N: FloatArray
    low_N: FloatArray
    high_N: FloatArray


def bootstrap_interval(
    daily_DN: npt.ArrayLike,
    statistic: Literal["sharpe", "mean", "total"] = "sharpe",
    *,
    days_per_year: int = 365,
    level: float = 0.95,
    reps: int = 1000,
    block: float | None = None,
    seed: int = 0,
) -> Interval:
    """How far a statistic of daily P&L could have come out otherwise, for each of N series.

    All series are resampled on the same days, so intervals of strategies in one market move together as they should.
    Percentile interval; slightly too narrow for fewer than about 100 days.  A flat series has the interval of a point.

    Args:
        daily_DN: daily P&L, (D, N) or (D,).
        statistic: `sharpe` is annual, `mean` per day, `total` over all days.
        days_per_year: 365 or 252, used by `sharpe` only.
        level: coverage, between 0 and 1.
        reps: resamples.
        block: mean block length in days; sqrt(D) by default, see `block_length`.
        seed: the same seed gives the same interval.

    >>> rng = np.random.default_rng(1)
    >>> found = bootstrap_interval(rng.normal(0.001, 0.01, size=(730, 2)), seed=3)
    >>> bool((found.low_N < found.value_N).all() and (found.value_N < found.high_N).all())
    True
    """
    daily_DN = as_matrix(daily_DN, "daily_DN")
    if not 0 < level < 1:
        raise ConfigError("level", got=level, expected="between 0 and 1")
    if statistic not in ("sharpe", "mean", "total"):
        raise ConfigError("statistic", got=statistic, expected="'sharpe', 'mean' or 'total'")
    drawn_RN = resampled(daily_DN, statistic, reps=reps, block=block, seed=seed)
    low_N, high_N = np.quantile(drawn_RN, [(1 - level) / 2, (1 + level) / 2], axis=0)
    value_N = per_day_sharpes(daily_DN) if statistic == "sharpe" else daily_DN.mean(axis=0)
    scale = {"sharpe": float(np.sqrt(days_per_year)), "mean": 1.0, "total": float(len(daily_DN))}[statistic]
    return Interval(value_N=value_N * scale, low_N=low_N * scale, high_N=high_N * scale)


def resampled(
    daily_DN: FloatArray,
    statistic: Literal["sharpe", "mean", "total"],
    *,
    reps: int,
    block: float | None = None,
    seed: int = 0,
) -> FloatArray:
    """The Sharpe ratio of a day (not annual), or the mean, of each of N series in each of `reps` resamples; (reps, N).

    One resample draws the same days for all series, so that differences between columns are paired.
    """
    days = len(daily_DN)
    still_N, mean_N = flat(daily_DN), daily_DN.mean(axis=0)
    centred_DN = np.where(still_N, 0.0, daily_DN - mean_N)  # centred first: no cancellation in the second moment
    square_DN = centred_DN**2
    drawn: list[FloatArray] = []
    for count_RD in draw_counts(days, reps, block=block, seed=seed):
        shift_RN = count_RD @ centred_DN / days
        mean_RN = mean_N + shift_RN
        if statistic != "sharpe":
            drawn.append(mean_RN)
            continue
        variance_RN = (count_RD @ square_DN / days - shift_RN**2) * (days / (days - 1))
        none_RN = variance_RN <= 1e-24 * np.maximum(np.abs(daily_DN).max(axis=0) ** 2, 1e-300)
        drawn.append(np.where(none_RN, 0.0, mean_RN / np.sqrt(np.where(none_RN, 1.0, variance_RN))))
    return np.concatenate(drawn)


def draw_counts(days: int, reps: int, *, block: float | None = None, seed: int = 0) -> list[FloatArray]:
    """How often each day is drawn in each of `reps` stationary-bootstrap resamples, in chunks of shape (reps, days).

    Raises:
        ConfigError: reps below 2, or a block below 1.
    """
    if reps < 2:
        raise ConfigError("reps", got=reps, expected="2 or more")
    block = float(block_length_default(days) if block is None else block)
    if not block >= 1:
        raise ConfigError("block", got=block, expected="1 day or more")
    rng = rng_for(seed, "stats", "stationary-bootstrap")
    step = max(1, _CHUNK // days)
    return [_counts(days, min(step, reps - start), block, rng) for start in range(0, reps, step)]


def _counts(days: int, reps: int, block: float, rng: np.random.Generator) -> FloatArray:
    fresh_RD = rng.random((reps, days)) < 1.0 / block
    fresh_RD[:, 0] = True
    start_RD = rng.integers(0, days, size=(reps, days))
    place_D = np.arange(days)
    since_RD = np.maximum.accumulate(np.where(fresh_RD, place_D, 0), axis=1)
    day_RD = (np.take_along_axis(start_RD, since_RD, axis=1) + place_D - since_RD) % days
    flat_index = (day_RD + days * np.arange(reps)[:, None]).ravel()
    return np.bincount(flat_index, minlength=reps * days).reshape(reps, days).astype(np.float64)


def block_length_default(days: int) -> int:
    """sqrt(D), at least 1: the default of Hansen's test in `arch`, longer than most daily P&L needs."""
    return max(1, int(np.sqrt(days)))


def block_length(daily_DN: npt.ArrayLike, *, method: Literal["sqrt", "politis-white"] = "politis-white") -> int:
    """Mean block length in days for a stationary bootstrap of these series.

    `politis-white` estimates it from the autocorrelation (Politis and White 2004, corrected by Patton, Politis and
    White 2009; computed by `arch`) and takes the longest over the series, between 1 and D / 3.  `sqrt` is sqrt(D).
    Flat series have no say.
    """
    daily_DN = as_matrix(daily_DN, "daily_DN")
    days = len(daily_DN)
    if method == "sqrt":
        return block_length_default(days)
    if method != "politis-white":
        raise ConfigError("method", got=method, expected="'sqrt' or 'politis-white'")
    moving_DN = daily_DN[:, ~flat(daily_DN)]
    if moving_DN.shape[1] == 0 or days < 20:  # the estimator needs a handful of lags
        return block_length_default(days)
    try:
        from arch.bootstrap import optimal_block_length
    except ImportError as error:
        raise MissingExtra.of("arch", extra="search") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a series without autocorrelation divides 0 by 0 in arch
        lengths_N = optimal_block_length(moving_DN)["stationary"].to_numpy()
    lengths_N = lengths_N[np.isfinite(lengths_N)]
    longest = float(lengths_N.max()) if len(lengths_N) else 1.0
    return int(np.clip(np.ceil(longest), 1, max(1, days // 3)))
