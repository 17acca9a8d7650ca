"""The indicators that ship: about twenty small causal columns, every one free of price and volume units.

Where a window is flat or holds no volume the value is the neutral one, 0.  `log_return_*`, `sma_ratio_*`,
`volatility_20`, `volume_ratio_20` and `rsi_14` are the features of the One-Shot NAS chapter (section 7).
"""

from __future__ import annotations

import numpy as np

from tradenas.data.candles import Candles
from tradenas.features import rolling, technical
from tradenas.features.indicators import Indicator, indicator
from tradenas.features.technical import memory_rows
from tradenas.typing import FloatArray

__all__ = ["DEFAULT_INDICATORS"]

WILDER_14 = 14 + memory_rows(1 / 14)
SLOW_26 = 25 + memory_rows(2 / 27)
SIGNAL_9 = SLOW_26 + 8 + memory_rows(2 / 10)
VOLUME_FLOOR = 0.01


def _log_return(candles: Candles, lag: int) -> FloatArray:
    return rolling.change(np.log(candles.close), lag)


def _ratio(above_T: FloatArray, below_T: FloatArray) -> FloatArray:
    """Quotient of two columns, 0 where the lower one is 0."""
    zero_T = below_T == 0.0
    return np.where(zero_T, 0.0, above_T / np.where(zero_T, 1.0, below_T))


@indicator("log_return_1", "returns", 1)
def log_return_1(candles: Candles) -> FloatArray:
    """Log return of the last bar."""
    return _log_return(candles, 1)


@indicator("log_return_5", "returns", 5)
def log_return_5(candles: Candles) -> FloatArray:
    """Log return of the last 5 bars."""
    return _log_return(candles, 5)


@indicator("log_return_10", "returns", 10)
def log_return_10(candles: Candles) -> FloatArray:
    """Log return of the last 10 bars."""
    return _log_return(candles, 10)


@indicator("sma_ratio_20", "trend", 19)
def sma_ratio_20(candles: Candles) -> FloatArray:
    """Close over its mean of 20 bars, less 1."""
    return candles.close / technical.sma(candles.close, 20) - 1.0


@indicator("sma_ratio_50", "trend", 49)
def sma_ratio_50(candles: Candles) -> FloatArray:
    """Close over its mean of 50 bars, less 1."""
    return candles.close / technical.sma(candles.close, 50) - 1.0


@indicator("macd_line", "trend", SLOW_26)
def macd_line(candles: Candles) -> FloatArray:
    """MACD line (exponential averages of 12 less 26 bars) over the close."""
    close_T = candles.close
    return (technical.ema(close_T, 12, first=25) - technical.ema(close_T, 26)) / close_T


@indicator("macd_signal", "trend", SIGNAL_9)
def macd_signal(candles: Candles) -> FloatArray:
    """MACD signal (average of 9 bars of the line) over the close."""
    return technical.macd(candles.close)[1] / candles.close


@indicator("macd_histogram", "trend", SIGNAL_9)
def macd_histogram(candles: Candles) -> FloatArray:
    """MACD line less signal over the close."""
    return technical.macd(candles.close)[2] / candles.close


@indicator("rsi_14", "momentum", WILDER_14)
def rsi_14(candles: Candles) -> FloatArray:
    """Relative strength index of 14 bars, put on -1 .. 1."""
    return technical.rsi(candles.close, 14) / 50.0 - 1.0


@indicator("stochastic_14", "momentum", 13)
def stochastic_14(candles: Candles) -> FloatArray:
    """Fast %K of 14 bars, put on -1 .. 1."""
    return technical.stochastic(candles.high, candles.low, candles.close, 14) / 50.0 - 1.0


@indicator("cci_20", "momentum", 19)
def cci_20(candles: Candles) -> FloatArray:
    """Commodity channel index of 20 bars over 100."""
    return technical.cci(candles.high, candles.low, candles.close, 20) / 100.0


@indicator("momentum_z_20", "momentum", 20)
def momentum_z_20(candles: Candles) -> FloatArray:
    """Log return of 20 bars over sqrt(20) root mean square bar returns: a t-statistic of the drift."""
    return_T = _log_return(candles, 1)
    squares_T = rolling.window_sum(return_T * return_T, 20)
    return _ratio(rolling.change(np.log(candles.close), 20), np.sqrt(squares_T))


@indicator("bollinger_b_20", "momentum", 19)
def bollinger_b_20(candles: Candles) -> FloatArray:
    """Bollinger %b of 20 bars, put so that the bands are -1 and 1."""
    upper_T, middle_T, lower_T = technical.bollinger_bands(candles.close, 20)
    half_T = (upper_T - lower_T) / 2.0
    half_T = np.where(half_T <= 1e-12 * middle_T, 0.0, half_T)
    return _ratio(candles.close - middle_T, half_T)


@indicator("bollinger_width_20", "volatility", 19)
def bollinger_width_20(candles: Candles) -> FloatArray:
    """Width of the Bollinger bands of 20 bars over their middle."""
    upper_T, middle_T, lower_T = technical.bollinger_bands(candles.close, 20)
    return (upper_T - lower_T) / middle_T


@indicator("atr_ratio_14", "volatility", WILDER_14)
def atr_ratio_14(candles: Candles) -> FloatArray:
    """Average true range of 14 bars over the close."""
    return technical.atr(candles.high, candles.low, candles.close, 14) / candles.close


@indicator("volatility_20", "volatility", 20)
def volatility_20(candles: Candles) -> FloatArray:
    """Standard deviation of the last 20 log returns, per bar."""
    return rolling.moments(_log_return(candles, 1), 20).std(ddof=1)


@indicator("range_1", "volatility", 0)
def range_1(candles: Candles) -> FloatArray:
    """Log of high over low."""
    return np.log(candles.high / candles.low)


@indicator("volume_ratio_20", "volume", 19)
def volume_ratio_20(candles: Candles) -> FloatArray:
    """Log of volume over its mean of 20 bars, both raised by 1 % of that mean so that no volume is -4.6."""
    mean_T = technical.sma(candles.volume, 20)
    none_T = mean_T == 0.0
    share_T = candles.volume / np.where(none_T, 1.0, mean_T)
    return np.where(none_T, 0.0, np.log((share_T + VOLUME_FLOOR) / (1.0 + VOLUME_FLOOR)))


@indicator("signed_volume_20", "volume", 20)
def signed_volume_20(candles: Candles) -> FloatArray:
    """Share of the last 20 bars' volume that rose less the share that fell: on-balance volume without its drift."""
    signed_T = np.sign(rolling.change(candles.close, 1)) * candles.volume
    return _ratio(rolling.window_sum(signed_T, 20), rolling.window_sum(candles.volume, 20))


@indicator("body", "shape", 0)
def body(candles: Candles) -> FloatArray:
    """Close less open over the candle's range, -1 .. 1."""
    return _ratio(candles.close - candles.open, candles.high - candles.low)


@indicator("upper_wick", "shape", 0)
def upper_wick(candles: Candles) -> FloatArray:
    """Part of the candle's range above its body, 0 .. 1."""
    return _ratio(candles.high - np.maximum(candles.open, candles.close), candles.high - candles.low)


@indicator("lower_wick", "shape", 0)
def lower_wick(candles: Candles) -> FloatArray:
    """Part of the candle's range below its body, 0 .. 1."""
    return _ratio(np.minimum(candles.open, candles.close) - candles.low, candles.high - candles.low)


@indicator("skew_20", "shape", 20)
def skew_20(candles: Candles) -> FloatArray:
    """Skewness of the last 20 log returns."""
    return rolling.skewness(_log_return(candles, 1), 20)


def _builtin() -> tuple[str, ...]:
    return tuple(thing.name for thing in globals().values() if isinstance(thing, Indicator))


DEFAULT_INDICATORS: tuple[str, ...] = _builtin()
"""Names of all shipped indicators, in the order of this file."""
