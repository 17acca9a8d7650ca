"""Is this Sharpe ratio more than luck?  Its value, its uncertainty, and what the number of trials does to it.

Every public argument and result is **annual**, unless its name says `per_day`.  Inside, all of it is per day, as in
the papers: a per-day Sharpe is the annual one divided by sqrt(days_per_year).

    PSR     probability that the true Sharpe exceeds a benchmark     Bailey and Lopez de Prado 2012, eq. 11
    MinTRL  days after which that probability reaches 1 - alpha      the same, eq. 13
    E[max]  Sharpe that the best of N lucky strategies shows         Bailey and Lopez de Prado 2014, eq. 1
    DSR     PSR against E[max]                                       the same, eq. 2
    Lo      annualisation under serial correlation                   Lo 2002, eq. 20

A flat series (no trades, or the same P&L every day) has taken no measurable risk: its Sharpe is **defined as 0**, its
PSR against 0 as 0.5, and no track record is long enough for it.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError, MissingExtra
from tradenas.stats.series import as_matrix, as_series, flat, moments, per_day_sharpes
from tradenas.typing import FloatArray

__all__ = [
    "annual_scale",
    "deflated_sharpe",
    "expected_max_sharpe",
    "max_drawdown",
    "min_track_record_length",
    "probabilistic_sharpe",
    "serial_correlation_sharpe",
    "sharpe",
    "sharpe_deviation",
    "sharpes",
]


def sharpe(daily_D: npt.ArrayLike, days_per_year: int) -> float:
    """The annual Sharpe ratio of a daily net P&L: mean / std (ddof 1) * sqrt(days_per_year), risk-free rate 0.

    Days without trades count as 0.  A flat series has Sharpe 0 by definition.

    Args:
        daily_D: additive P&L, one value per day, flat days included.
        days_per_year: 365 for a market that never closes, 252 for one with sessions.

    >>> round(sharpe([0.01, -0.01, 0.02, 0.0], 365), 2)
    7.4
    >>> sharpe([0.0, 0.0, 0.0], 365)
    0.0
    """
    return float(sharpes(as_series(daily_D, "daily_D"), days_per_year)[0])


def sharpes(daily_DN: npt.ArrayLike, days_per_year: int) -> FloatArray:
    """The annual Sharpe ratio of many strategies at once, shape (N,); see `sharpe`."""
    return per_day_sharpes(as_matrix(daily_DN, "daily_DN")) * _root_year(days_per_year)


def sharpe_deviation(per_day: float, num_days: int, *, skew: float = 0.0, kurtosis: float = 3.0) -> float:
    """Standard error of a per-day Sharpe ratio estimated from `num_days` days that need not be normal.

    sqrt((1 - skew SR + (kurtosis - 1)/4 SR^2) / (n - 1)), Bailey and Lopez de Prado 2012, eq. 8; serial correlation is
    not in it.  The bracket cannot be negative for the moments of one series, and is floored at 0 for those made up.
    """
    return math.sqrt(max(1.0 - skew * per_day + (kurtosis - 1.0) / 4.0 * per_day**2, 0.0) / (num_days - 1))


def probabilistic_sharpe(daily_D: npt.ArrayLike, days_per_year: int, *, benchmark: float = 0.0) -> float:
    """The probability that the true Sharpe ratio exceeds `benchmark` (annual), given length, skew and fat tails.

    Assumes days without serial correlation; biased upward when the series was chosen among many (see
    `deflated_sharpe`).  Computed by skfolio; Bailey and Lopez de Prado 2012, eq. 11.

    Raises:
        ConfigError: fewer than 3 days.
    """
    daily_D = as_series(daily_D, "daily_D", least=3)
    per_day = benchmark / _root_year(days_per_year)
    if flat(daily_D):
        return NormalDist().cdf(-per_day * math.sqrt(len(daily_D) - 1))
    value = float(_skfolio().probabilistic_sharpe_ratio(daily_D, benchmark_sharpe_ratio=per_day))
    # The estimator's variance vanishes only for two-valued P&L at an extreme; then the sign decides.
    return value if math.isfinite(value) else float(per_day_sharpes(daily_D[:, None])[0] > per_day)


def expected_max_sharpe(num_trials: float, deviation: float) -> float:
    """The Sharpe ratio that the best of `num_trials` independent strategies *without any edge* is expected to show.

    Args:
        num_trials: independent trials, 1 or more; may be fractional (see `effective_trials`).
        deviation: standard deviation of the Sharpe ratio across trials.  The result has its unit, annual or per day.

    Computed by skfolio; Bailey and Lopez de Prado 2014, eq. 1.

    >>> round(expected_max_sharpe(100, (0.5 / 250) ** 0.5), 4)  # the paper's example, per day
    0.1132
    """
    if not (math.isfinite(num_trials) and num_trials >= 1):
        raise ConfigError("num_trials", got=num_trials, expected="a number of 1 or more")
    if not (math.isfinite(deviation) and deviation >= 0):
        raise ConfigError("deviation", got=deviation, expected="a number of 0 or more")
    return float(_skfolio().expected_max_sharpe_ratio(float(num_trials), float(deviation)))


def deflated_sharpe(
    daily_D: npt.ArrayLike,
    trial_sharpes_N: npt.ArrayLike,
    days_per_year: int,
    *,
    num_trials: float | None = None,
) -> float:
    """The probability that the chosen strategy's true Sharpe exceeds 0, knowing that it was the best of many.

    Very conservative: with a real annual Sharpe of 3 among 60 it passes 0.95 in about 60 % of samples of two years.

    Args:
        daily_D: daily net P&L of the chosen strategy, on the days on which it was chosen.
        trial_sharpes_N: annual Sharpe ratios of *every* trial seen on those days, the chosen one among them.
        days_per_year: 365 or 252.
        num_trials: how many independent trials they are worth; all of them by default.

    PSR at E[max]; Bailey and Lopez de Prado 2014, eq. 2.
    """
    trials_N = as_series(trial_sharpes_N, "trial_sharpes_N", least=1)
    deviation = float(trials_N.std(ddof=1)) if len(trials_N) > 1 else 0.0
    lucky = expected_max_sharpe(len(trials_N) if num_trials is None else num_trials, deviation)
    return probabilistic_sharpe(daily_D, days_per_year, benchmark=lucky)


def min_track_record_length(
    daily_D: npt.ArrayLike, days_per_year: int, *, benchmark: float = 0.0, alpha: float = 0.05
) -> float:
    """How many days such a P&L must last until its Sharpe exceeds `benchmark` (annual) with confidence 1 - alpha.

    Infinite when the Sharpe ratio seen does not exceed the benchmark.  Skewness and kurtosis are taken as they are in
    the sample, so it is optimistic when the worst day is still to come.  Bailey and Lopez de Prado 2012, eq. 13.
    """
    daily_D = as_series(daily_D, "daily_D")
    per_day = float(per_day_sharpes(daily_D[:, None])[0])
    skew, kurtosis = moments(daily_D)
    return _track_record(per_day, benchmark / _root_year(days_per_year), alpha, skew=skew, kurtosis=kurtosis)


def _track_record(per_day: float, benchmark: float, alpha: float, *, skew: float, kurtosis: float) -> float:
    if not 0 < alpha < 1:
        raise ConfigError("alpha", got=alpha, expected="between 0 and 1")
    if per_day <= benchmark:
        return math.inf
    unit = sharpe_deviation(per_day, 2, skew=skew, kurtosis=kurtosis)
    return 1.0 + (unit * NormalDist().inv_cdf(1 - alpha) / (per_day - benchmark)) ** 2


def annual_scale(autocorrelations_L: npt.ArrayLike, periods: int) -> float:
    """What to multiply a per-period Sharpe ratio by instead of sqrt(periods) when P&L is serially correlated.

    eta(q) = q / sqrt(q + 2 sum_k (q - k) rho_k), Lo 2002, eq. 20; lags beyond those given count as 0.

    >>> round(annual_scale([0.2**k for k in range(1, 12)], 12), 2)  # Lo's table 2, AR(1) with rho = 20 %
    2.88
    """
    rho_L = np.asarray(autocorrelations_L, dtype=np.float64)[: periods - 1]
    lags_L = np.arange(1, len(rho_L) + 1)
    variance = periods + 2.0 * float(((periods - lags_L) * rho_L).sum())
    if variance <= 0:
        raise ConfigError(
            "autocorrelations_L", got=f"a variance of {variance:.3g}", expected="above 0", fix="use fewer lags"
        )
    return periods / math.sqrt(variance)


def serial_correlation_sharpe(daily_D: npt.ArrayLike, days_per_year: int, *, max_lag: int | None = None) -> float:
    """The annual Sharpe ratio corrected for serial correlation (Lo 2002): lower when P&L trends from day to day.

    Sample autocorrelations up to `max_lag` are tapered by Bartlett weights (Newey and West 1987), so that the
    variance cannot become negative; `max_lag` defaults to their rule 4 (D/100)^(2/9).
    """
    daily_D = as_series(daily_D, "daily_D")
    if flat(daily_D):
        return 0.0
    days = len(daily_D)
    lags = min(int(4 * (days / 100) ** (2 / 9)) if max_lag is None else max_lag, days - 1)
    centred_D = daily_D - daily_D.mean()
    rho_L = np.array([centred_D[k:] @ centred_D[:-k] for k in range(1, lags + 1)]) / (centred_D @ centred_D)
    taper_L = 1.0 - np.arange(1, lags + 1) / (lags + 1)
    return float(per_day_sharpes(daily_D[:, None])[0]) * annual_scale(rho_L * taper_L, days_per_year)


def max_drawdown(daily_D: npt.ArrayLike) -> float:
    """The largest fall of the summed P&L from its highest point so far (the start counts as 0); never negative.

    >>> round(max_drawdown([0.10, -0.04, -0.03, 0.20]), 2)
    0.07
    """
    equity_D = np.concatenate(([0.0], np.cumsum(as_series(daily_D, "daily_D", least=1))))
    return float((np.maximum.accumulate(equity_D) - equity_D).max())


def _root_year(days_per_year: int) -> float:
    if not days_per_year > 0:
        raise ConfigError("days_per_year", got=days_per_year, expected="365 or 252")
    return math.sqrt(days_per_year)


def _skfolio() -> Any:
    try:
        import skfolio.measures
    except ImportError as error:
        raise MissingExtra.of("skfolio", extra="search") from error
    return skfolio.measures
