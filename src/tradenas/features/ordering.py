"""Extremes, ranks and quantiles of trailing windows, under the rules of `rolling`.

Axes: T time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tradenas.features import rolling
from tradenas.typing import FloatArray

__all__ = ["argmax_age", "quantile", "rank_balance", "window_max", "window_min"]


def window_max(x_T: FloatArray, window: int) -> FloatArray:
    """Largest of the last `window` rows."""
    return _extreme(np.maximum, x_T, window)


def window_min(x_T: FloatArray, window: int) -> FloatArray:
    """Smallest of the last `window` rows."""
    return _extreme(np.minimum, x_T, window)


def _extreme(pick: Any, x_T: FloatArray, window: int) -> FloatArray:
    rolling.check_window(window)
    rows = len(x_T)
    if rows < window:
        return rolling.empty(rows)
    best_T, length = np.array(x_T, dtype=np.float64), 1
    while 2 * length <= window:
        longer_T = best_T.copy()
        longer_T[length:] = pick(best_T[length:], best_T[:-length])
        best_T, length = longer_T, 2 * length
    rest = window - length
    out_T = best_T.copy()
    if rest:
        out_T[rest:] = pick(best_T[rest:], best_T[:-rest])
    out_T[: window - 1] = np.nan
    return out_T


def rank_balance(x_T: FloatArray, window: int) -> FloatArray:
    """How many of the last `window` rows the newest exceeds, less how many exceed it: -(window-1) .. window-1.

    Ties count for neither side.

    >>> rank_balance(np.array([3.0, 1.0, 2.0, 2.0]), 3).tolist()
    [nan, nan, 0.0, 1.0]
    """
    rolling.check_window(window)
    out_T = rolling.empty(len(x_T))
    for start, stop in rolling.blocks(len(x_T), window - 1):
        now, total, step = x_T[start:stop], np.zeros(stop - start), np.empty(stop - start)
        for lag in range(1, window):
            np.subtract(now, x_T[start - lag : stop - lag], out=step)
            total += np.sign(step, out=step)
        out_T[start:stop] = total + 0.0 * now  # a NaN in the newest row stays one when window is 1
    return out_T


def argmax_age(x_T: FloatArray, window: int) -> FloatArray:
    """Rows since the largest of the last `window` rows; the oldest of equals counts.

    >>> argmax_age(np.array([1.0, 5.0, 5.0, 2.0]), 3).tolist()
    [nan, nan, 1.0, 2.0]
    """
    rolling.check_window(window)
    out_T = rolling.empty(len(x_T))
    for start, stop in rolling.blocks(len(x_T), window - 1):
        best = x_T[start - window + 1 : stop - window + 1].copy()
        age = np.full(stop - start, float(window - 1))
        poisoned = np.isnan(best)
        for lag in range(window - 2, -1, -1):
            value = x_T[start - lag : stop - lag]
            poisoned |= np.isnan(value)
            higher = value > best
            np.copyto(age, float(lag), where=higher)
            np.copyto(best, value, where=higher)
        age[poisoned] = np.nan
        out_T[start:stop] = age
    return out_T


def quantile(x_T: FloatArray, window: int, probabilities: tuple[float, ...]) -> tuple[FloatArray, ...]:
    """Quantiles of the last `window` rows, linearly interpolated between order statistics.

    >>> quantile(np.array([4.0, 1.0, 2.0, 8.0]), 3, (0.5,))[0].tolist()
    [nan, nan, 2.0, 2.0]
    """
    rolling.check_window(window)
    outs = tuple(rolling.empty(len(x_T)) for _ in probabilities)
    for start, stop in rolling.blocks(len(x_T), window - 1):
        view = np.lib.stride_tricks.sliding_window_view(x_T[start - window + 1 : stop], window)
        sorted_TW = np.sort(view, axis=1)  # NaN sorts last
        poisoned = np.isnan(sorted_TW[:, -1])
        for probability, out_T in zip(probabilities, outs, strict=True):
            place = probability * (window - 1)
            low = min(int(place), window - 1)
            lower, upper = sorted_TW[:, low], sorted_TW[:, min(low + 1, window - 1)]
            out_T[start:stop] = np.where(poisoned, np.nan, lower + (place - low) * (upper - lower))
    return outs
