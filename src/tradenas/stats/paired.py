"""Is one strategy better than another on the same days?  The difference of two Sharpe ratios with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.stats.bootstrap import resampled
from tradenas.stats.series import as_series
from tradenas.stats.sharpe import sharpes

__all__ = ["SharpeDifference", "sharpe_difference"]


@dataclass(frozen=True, kw_only=True)
class SharpeDifference:
    """Annual Sharpe ratio of one strategy less that of another.

    Attributes:
        value: the difference.
        low, high: its interval; both above 0 say that the first is better.
        first, second: the two Sharpe ratios.
    """

    value: float
    low: float
    high: float
    first: float
    second: float


def sharpe_difference(
    first_D: npt.ArrayLike,
    second_D: npt.ArrayLike,
    *,
    days_per_year: int = 365,
    level: float = 0.95,
    reps: int = 1000,
    block: float | None = None,
    seed: int = 0,
) -> SharpeDifference:
    """The difference of two Sharpe ratios on the same days, with a paired bootstrap interval.

    Both are resampled on the same days, in blocks (Politis and Romano 1994), so what the two have in common cancels:
    the interval is far narrower than the two intervals side by side suggest.  Percentile interval; Ledoit and Wolf
    (J. Empirical Finance 15, 2008) studentise it, which matters below about 100 days, where this one is too narrow.

    Args:
        first_D, second_D: daily P&L of the two, day by day.
        days_per_year: 365 or 252.
        level: coverage.
        reps: resamples.
        block: mean block length in days; sqrt(D) by default.
        seed: the same seed gives the same interval.

    Raises:
        ConfigError: different numbers of days, NaN, or a level that is none.

    >>> rng = np.random.default_rng(0)
    >>> market = rng.normal(0.0, 0.01, 500)
    >>> found = sharpe_difference(market + 0.001, market + rng.normal(0.0, 0.001, 500))
    >>> found.low > 0
    True
    """
    first_D, second_D = as_series(first_D, "first_D"), as_series(second_D, "second_D")
    if len(first_D) != len(second_D):
        raise ConfigError("second_D", got=f"{len(second_D)} days", expected=f"{len(first_D)}, the days of the first")
    if not 0 < level < 1:
        raise ConfigError("level", got=level, expected="between 0 and 1")
    both_DN = np.column_stack([first_D, second_D])
    one, two = (float(s) for s in sharpes(both_DN, days_per_year))
    drawn_RN = resampled(both_DN, "sharpe", reps=reps, block=block, seed=seed) * float(np.sqrt(days_per_year))
    low, high = np.quantile(drawn_RN[:, 0] - drawn_RN[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return SharpeDifference(value=one - two, low=float(low), high=float(high), first=one, second=two)
