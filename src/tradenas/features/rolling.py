"""Statistics of trailing windows that never drift: every window is worked out from its own rows, in a fixed order.

A running sum that adds the newest row and takes the oldest away keeps the rounding errors of all earlier rows: on a
flat price of 1e5 its standard deviation is wrong by more than the true value.  Here a window's result depends on the
window's rows alone and on nothing else, not even on where in the array it stands.  So a prefix, a slice and a stream
give bit-identical numbers.  Rows without a full window, and windows that hold a NaN, are NaN.

Sums, moments, and the extremes of `ordering`, are built from windows of 1, 2, 4, ... rows (log2(window) passes); the
rest takes one pass a lag over blocks that stay in the cache, so memory is a few arrays of T.

Axes: T time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import FloatArray

__all__ = [
    "Moments",
    "change",
    "correlation",
    "mean_abs_deviation",
    "moments",
    "skewness",
    "trend_sum",
    "weighted_sum",
    "window_mean",
    "window_sum",
]

BLOCK = 16_384
"""Rows worked on at once: a handful of float64 arrays of this length fit the second-level cache."""


class Moments(NamedTuple):
    """Mean of each trailing window, and the sum of squared deviations from it (exactly 0 for a constant window)."""

    mean_T: FloatArray
    squares_T: FloatArray
    window: int

    def std(self, ddof: int = 0) -> FloatArray:
        """Standard deviation of each window."""
        return np.sqrt(self.squares_T / (self.window - ddof))


def check_window(window: int, least: int = 1) -> int:
    """Refuse a window that is not a whole number of at least `least` rows."""
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < least:
        raise ConfigError("window", got=repr(window), expected=f"a whole number of rows, {least} or more")
    return int(window)


def blocks(rows: int, first: int) -> Iterator[tuple[int, int]]:
    """Cut the rows `first .. rows` into blocks that fit the cache."""
    for start in range(first, rows, BLOCK):
        yield start, min(start + BLOCK, rows)


def empty(rows: int) -> FloatArray:
    """An array of NaN to fill."""
    return np.full(rows, np.nan)


def change(x_T: FloatArray, lag: int) -> FloatArray:
    """What x gained over the last `lag` rows: x[t] - x[t-lag].

    >>> change(np.array([1.0, 2.0, 4.0]), 1).tolist()
    [nan, 1.0, 2.0]
    """
    check_window(lag)
    out_T = empty(len(x_T))
    out_T[lag:] = x_T[lag:] - x_T[:-lag]
    return out_T


def window_sum(x_T: FloatArray, window: int) -> FloatArray:
    """Sum of the last `window` rows, by pairwise addition.

    >>> window_sum(np.array([1.0, 2.0, 3.0, 4.0]), 3).tolist()
    [nan, nan, 6.0, 9.0]
    """
    check_window(window)
    rows = len(x_T)
    if rows < window:
        return empty(rows)
    power_T, length = np.array(x_T, dtype=np.float64), 1  # power_T[t]: sum of the `length` rows that end at t
    total_T, covered = np.empty(0), 0  # total_T[t]: sum of the `covered` rows that end at t
    while True:
        if window & length:
            if covered:
                total_T[covered:] += power_T[:-covered]
            else:
                total_T = power_T.copy()
            covered += length
        if covered == window:
            break
        longer_T = power_T.copy()
        longer_T[length:] += power_T[:-length]
        power_T, length = longer_T, 2 * length
    total_T[: window - 1] = np.nan
    return total_T


def window_mean(x_T: FloatArray, window: int) -> FloatArray:
    """Mean of the last `window` rows."""
    return window_sum(x_T, window) / window


def moments(x_T: FloatArray, window: int) -> Moments:
    """Mean and sum of squared deviations of the last `window` rows.

    Windows of 1, 2, 4, ... rows are joined two by two (Chan, Golub & LeVeque 1983, Am. Statistician 37:242), so
    that 100 rows take 8 joins, not 99 steps.  A mean is carried as its distance from the window's newest row: a
    constant window gives exactly 0, and a price level costs no digits.

    >>> moments(np.array([1e9, 1e9 + 1, 1e9 + 2]), 3).squares_T.tolist()
    [nan, nan, 2.0]
    """
    check_window(window)
    mean_T, squares_T = empty(len(x_T)), empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        about = _joined(x_T[start - window + 1 : stop], window)
        mean_T[start:stop] = x_T[start:stop] + about.mean_T
        squares_T[start:stop] = np.where(np.isinf(about.squares_T), np.nan, about.squares_T)  # too large to square
    return Moments(mean_T, squares_T, window)


def _joined(x_T: FloatArray, window: int) -> Moments:
    """Moments of the rows that have a full window, and of no others; means less the newest row."""
    power, whole = Moments(np.zeros_like(x_T), np.zeros_like(x_T), 1), None
    while True:
        if window & power.window:
            whole = power if whole is None else _join(x_T, whole, power)
        if whole is not None and whole.window == window:
            return whole
        power = _join(x_T, power, power)


def _join(x_T: FloatArray, late: Moments, early: Moments) -> Moments:
    """Each window of `late` with the one of `early` that ends where it begins."""
    rows, n = late.window + early.window, late.window
    apart_T = x_T[rows - 1 - n : -n] - x_T[rows - 1 :]
    apart_T += early.mean_T[:-n]
    apart_T -= late.mean_T[early.window :]
    squares_T = apart_T * apart_T
    squares_T *= n * early.window / rows
    squares_T += late.squares_T[early.window :]
    squares_T += early.squares_T[:-n]
    apart_T *= early.window / rows
    apart_T += late.mean_T[early.window :]
    return Moments(apart_T, squares_T, rows)


def skewness(x_T: FloatArray, window: int) -> FloatArray:
    """Third standardised moment of the last `window` rows (population form); 0 for a constant window."""
    check_window(window, 3)
    about = moments(x_T, window)
    out_T = empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        mean, cubes = about.mean_T[start:stop], np.zeros(stop - start)
        for lag in range(window):
            step = x_T[start - lag : stop - lag] - mean
            cubes += step * step * step
        std = np.sqrt(about.squares_T[start:stop] / window)
        flat = std <= 1e-12 * np.abs(mean)
        out_T[start:stop] = np.where(flat, 0.0, cubes / window / np.where(flat, 1.0, std) ** 3)
    return out_T


def mean_abs_deviation(x_T: FloatArray, mean_T: FloatArray, window: int) -> FloatArray:
    """Mean distance of the last `window` rows from the window's mean."""
    check_window(window)
    out_T = empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        mean, total, step = mean_T[start:stop], np.zeros(stop - start), np.empty(stop - start)
        for lag in range(window):
            np.subtract(x_T[start - lag : stop - lag], mean, out=step)
            np.abs(step, out=step)
            total += step
        out_T[start:stop] = total / window
    return out_T


def trend_sum(x_T: FloatArray, window: int) -> FloatArray:
    """Sum of (i - mean i) * x[i] over the last `window` rows, i = 1 .. window: the numerator of a fitted slope."""
    check_window(window, 2)
    out_T = empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        now, total, step = x_T[start:stop], np.zeros(stop - start), np.empty(stop - start)
        for lag in range(1, window):
            np.subtract(x_T[start - lag : stop - lag], now, out=step)
            step *= (window - 1) / 2 - lag
            total += step
        out_T[start:stop] = total
    return out_T


def weighted_sum(x_T: FloatArray, weights_L: FloatArray) -> FloatArray:
    """Sum of weights_L[j] * x[t-j] over the last len(weights_L) rows.

    >>> weighted_sum(np.array([1.0, 2.0, 3.0]), np.array([0.75, 0.25])).tolist()
    [nan, 1.75, 2.75]
    """
    window = check_window(len(weights_L))
    out_T = empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        total, part = np.zeros(stop - start), np.empty(stop - start)
        for lag, weight in enumerate(weights_L):
            np.multiply(x_T[start - lag : stop - lag], weight, out=part)
            total += part
        out_T[start:stop] = total
    return out_T


def correlation(x_T: FloatArray, y_T: FloatArray, window: int) -> FloatArray:
    """Pearson correlation of the last `window` rows of x and y; 0 where either is constant."""
    check_window(window, 2)
    about_x, about_y = moments(x_T, window), moments(y_T, window)
    out_T = empty(len(x_T))
    for start, stop in blocks(len(x_T), window - 1):
        x, y = x_T[start:stop], y_T[start:stop]
        cross, dx, dy = np.zeros_like(x), np.empty_like(x), np.empty_like(x)
        for lag in range(1, window):
            np.subtract(x_T[start - lag : stop - lag], x, out=dx)
            np.subtract(y_T[start - lag : stop - lag], y, out=dy)
            dx *= dy
            cross += dx
        cross -= window * (about_x.mean_T[start:stop] - x) * (about_y.mean_T[start:stop] - y)
        std_x, std_y = np.sqrt(about_x.squares_T[start:stop]), np.sqrt(about_y.squares_T[start:stop])
        flat = (std_x <= 1e-12 * np.abs(x)) | (std_y <= 1e-12 * np.abs(y))
        out_T[start:stop] = np.where(flat, 0.0, np.clip(cross / np.where(flat, 1.0, std_x * std_y), -1.0, 1.0))
    return out_T
