"""The textbook indicators on plain arrays, in the units of the textbook (prices, 0-100).

Equal to TA-Lib's functions of the same meaning, first value included, on a series that starts at row 0 (a test says
so), except where a window is flat: what is 0 divided by 0 there is the neutral middle here, and 0 in TA-Lib.
Arrays are float64[T], oldest row first; rows before the first value are NaN.

The recursive ones (ema, wilder and all built on them) remember their start for a while: see `memory_rows`.
"""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np

from tradenas.features import ordering, rolling
from tradenas.typing import FloatArray

__all__ = [
    "atr",
    "bollinger_bands",
    "cci",
    "ema",
    "macd",
    "memory_rows",
    "obv",
    "rsi",
    "sma",
    "stochastic",
    "true_range",
    "wilder",
    "williams_r",
]


def sma(x_T: FloatArray, period: int) -> FloatArray:
    """Simple moving average: level of the last `period` rows (TA-Lib SMA)."""
    return rolling.window_mean(x_T, period)


def ema(x_T: FloatArray, period: int, *, first: int | None = None) -> FloatArray:
    """Exponential moving average with weight 2 / (period + 1) (TA-Lib EMA).

    Args:
        x_T: the series; leading NaN rows are passed over.
        period: the span.
        first: row of the first value, which is the mean of the `period` rows up to it; as early as possible if None.

    >>> ema(np.array([1.0, 2.0, 3.0, 4.0]), 3).tolist()
    [nan, nan, 2.0, 3.0]
    """
    return _recursive(x_T, period, 2.0 / (rolling.check_window(period) + 1), first)


def wilder(x_T: FloatArray, period: int) -> FloatArray:
    """Wilder's smoothing: an exponential average with weight 1 / period (New Concepts in Technical Trading, 1978)."""
    return _recursive(x_T, period, 1.0 / rolling.check_window(period), None)


def _recursive(x_T: FloatArray, period: int, weight: float, first: int | None) -> FloatArray:
    out_T = rolling.empty(len(x_T))
    known = np.flatnonzero(~np.isnan(x_T))
    if not len(known):
        return out_T
    start = int(known[0]) + period - 1 if first is None else first
    if start >= len(x_T):
        return out_T
    seed = float(rolling.window_mean(x_T[start - period + 1 : start + 1], period)[-1])
    # Plain Python floats on purpose: one fixed sequence of roundings, which a streaming server repeats exactly.
    steps = accumulate(x_T[start + 1 :].tolist(), lambda level, x: level + weight * (x - level), initial=seed)
    out_T[start:] = np.fromiter(steps, dtype=np.float64, count=len(x_T) - start)
    return out_T


def memory_rows(weight: float, *, left: float = 1e-3) -> int:
    """Rows until a recursion that takes `weight` of each new value keeps no more than `left` of its start.

    >>> memory_rows(1 / 14)
    94
    """
    return math.ceil(math.log(left) / math.log1p(-weight))


def rsi(close_T: FloatArray, period: int = 14) -> FloatArray:
    """Relative strength index, 0-100: share of Wilder-smoothed gains in all moves; 50 without moves (TA-Lib RSI)."""
    move_T = rolling.change(close_T, 1)
    gain_T = wilder(np.maximum(move_T, 0.0), period)
    loss_T = wilder(np.maximum(-move_T, 0.0), period)
    return np.where(gain_T + loss_T == 0.0, 50.0, 100.0 * gain_T / _nonzero(gain_T + loss_T))


def macd(
    close_T: FloatArray, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Moving average convergence divergence: (line, signal, histogram) in price units (TA-Lib MACD)."""
    line_T = ema(close_T, fast, first=slow - 1) - ema(close_T, slow)
    signal_T = ema(line_T, signal)
    return line_T, signal_T, line_T - signal_T


def bollinger_bands(
    close_T: FloatArray, period: int = 20, width: float = 2.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(upper, middle, lower) Bollinger bands, `width` population standard deviations about the mean (TA-Lib BBANDS)."""
    about = rolling.moments(close_T, period)
    reach_T = width * about.std()
    return about.mean_T + reach_T, about.mean_T, about.mean_T - reach_T


def true_range(high_T: FloatArray, low_T: FloatArray, close_T: FloatArray) -> FloatArray:
    """Range of a candle, the jump from the last close included; NaN in row 0 (TA-Lib TRANGE)."""
    out_T = rolling.empty(len(close_T))
    out_T[1:] = np.maximum(high_T[1:], close_T[:-1]) - np.minimum(low_T[1:], close_T[:-1])
    return out_T


def atr(high_T: FloatArray, low_T: FloatArray, close_T: FloatArray, period: int = 14) -> FloatArray:
    """Average true range by Wilder's smoothing, price units (TA-Lib ATR)."""
    return wilder(true_range(high_T, low_T, close_T), period)


def stochastic(high_T: FloatArray, low_T: FloatArray, close_T: FloatArray, period: int = 14) -> FloatArray:
    """Fast %K, 0-100: place of the close in the range of the last `period` rows (TA-Lib STOCHF); 50 without range."""
    top_T, bottom_T = ordering.window_max(high_T, period), ordering.window_min(low_T, period)
    range_T = top_T - bottom_T
    return np.where(range_T == 0.0, 50.0, 100.0 * (close_T - bottom_T) / _nonzero(range_T))


def williams_r(high_T: FloatArray, low_T: FloatArray, close_T: FloatArray, period: int = 14) -> FloatArray:
    """Williams %R, -100 .. 0: how far the close is below the top of the range (TA-Lib WILLR)."""
    return stochastic(high_T, low_T, close_T, period) - 100.0


def cci(high_T: FloatArray, low_T: FloatArray, close_T: FloatArray, period: int = 14) -> FloatArray:
    """Commodity channel index: distance of the typical price from its mean in mean deviations x 0.015 (TA-Lib CCI)."""
    typical_T = (high_T + low_T + close_T) / 3.0
    mean_T = rolling.moments(typical_T, period).mean_T
    spread_T = 0.015 * rolling.mean_abs_deviation(typical_T, mean_T, period)
    flat_T = spread_T <= 1e-12 * np.abs(mean_T)
    return np.where(flat_T, 0.0, (typical_T - mean_T) / np.where(flat_T, 1.0, spread_T))


def obv(close_T: FloatArray, volume_T: FloatArray) -> FloatArray:
    """On-balance volume: running sum of volume signed by the close's move, from the first volume (TA-Lib OBV).

    Grows without bound and depends on where the series starts; the indicator `signed_volume_20` does not.
    """
    signed_T = np.concatenate([volume_T[:1], np.sign(np.diff(close_T)) * volume_T[1:]])
    return np.cumsum(signed_T)


def _nonzero(x_T: FloatArray) -> FloatArray:
    return np.where(x_T == 0.0, 1.0, x_T)
