"""The gate in front of every statistic: daily P&L as finite float64, and what counts as a flat series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.typing import BoolArray, FloatArray

__all__ = ["as_matrix", "as_series", "flat", "moments", "per_day_sharpes"]

_FLAT = 1e-12  # a standard deviation below this share of the largest value is rounding, not risk


def as_series(values: npt.ArrayLike, place: str, *, least: int = 2) -> FloatArray:
    """One series as float64 (D,), or a ConfigError that says what is wrong with it.

    Raises:
        ConfigError: not one-dimensional, shorter than `least`, or with a NaN or infinite day.
    """
    series_D = np.asarray(values, dtype=np.float64)
    if series_D.ndim != 1:
        raise ConfigError(place, got=f"an array of shape {series_D.shape}", expected="one value per day")
    _check(series_D, place, least)
    return series_D


def as_matrix(values: npt.ArrayLike, place: str, *, least: int = 2) -> FloatArray:
    """Many series as float64 (D, N): a day per row, a strategy per column; a single series becomes one column.

    Raises:
        ConfigError: not a matrix, no columns, fewer than `least` days, or with a NaN or infinite value.
    """
    matrix_DN = np.asarray(values, dtype=np.float64)
    if matrix_DN.ndim == 1:
        matrix_DN = matrix_DN[:, None]
    if matrix_DN.ndim != 2 or matrix_DN.shape[1] == 0:
        raise ConfigError(place, got=f"an array of shape {matrix_DN.shape}", expected="days x strategies")
    _check(matrix_DN, place, least)
    return matrix_DN


def _check(values: FloatArray, place: str, least: int) -> None:
    if len(values) < least:
        raise ConfigError(place, got=f"{len(values)} days", expected=f"at least {least}", fix="use a longer zone")
    if not np.isfinite(values).all():
        day = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ConfigError(
            f"{place} day {day}", got="NaN or infinity", expected="a finite P&L", fix="a day without trades is 0"
        )


def flat(daily_DN: FloatArray) -> BoolArray:
    """Which columns (or whether the one series) never move: all days equal, up to rounding.

    >>> flat(np.array([[0.1, 1.0], [0.1, 2.0]])).tolist()
    [True, False]
    """
    return np.asarray(daily_DN.std(axis=0) <= _FLAT * np.abs(daily_DN).max(axis=0), dtype=np.bool_)


def per_day_sharpes(daily_DN: FloatArray) -> FloatArray:
    """Mean over standard deviation (ddof 1) of each column, not annualised; 0 for a flat column."""
    still_N = flat(daily_DN)
    std_N = np.where(still_N, 1.0, daily_DN.std(axis=0, ddof=1))
    return np.where(still_N, 0.0, daily_DN.mean(axis=0) / std_N)


def moments(daily_D: FloatArray) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a normal), population estimators as in Bailey and Lopez de Prado; (0, 3) if flat."""
    if flat(daily_D):
        return 0.0, 3.0
    z_D = (daily_D - daily_D.mean()) / daily_D.std()
    return float((z_D**3).mean()), float((z_D**4).mean())
