"""Which of four states the market is in, from what is known at the time: for ranking and routing by regime.

Two trailing quantities decide, both smoothed forwards only (filtered):

- volatility: log of the exponentially weighted root mean square of bar returns, relative to its own slow average, so
  that a market which has become calmer over the years is not `calm` for ever (nor `volatile` for much longer than
  `slow` bars);
- efficiency (Kaufman, Trading Systems and Methods): distance travelled over path length of the last `window` bars,
  1 for a straight line and about 1 / sqrt(window) for a random walk.

Thresholds are quantiles over the rows given to `fit`, the search zone, and nothing after them is read.  There is no
smoothing backwards and no Viterbi path: on hourly BTC those disagree with the filtered state in 15-19 % of hours,
and know the future.

Axes: T time, R regimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError
from tradenas.features import rolling
from tradenas.features.stretches import gap_free
from tradenas.features.technical import ema, memory_rows
from tradenas.typing import FloatArray

__all__ = ["REGIMES", "RegimeModel"]

REGIMES = ("trending", "mean_reverting", "volatile", "calm")
"""Regimes by label; -1 is a row that has not warmed up."""


class Rows(Protocol):
    """Anything with a start and a stop: a `slice`, a `Span`, a `SearchZone`."""

    @property
    def start(self) -> int: ...
    @property
    def stop(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class RegimeModel:
    """Four regimes with thresholds from the search zone.

    Attributes:
        window: bars over which the efficiency is taken; fast average of the volatility.
        slow: bars of the slow average that the volatility is compared with.
        calm_below: relative log volatility under which a row is calm.
        volatile_above: relative log volatility over which a row is volatile.
        trend_above: efficiency over which a row between the two is trending, else mean-reverting.
        volatility_scale: spread of the relative log volatility, softness of its two thresholds.
        efficiency_scale: spread of the efficiency, softness of its threshold.
    """

    window: int
    slow: int
    calm_below: float
    volatile_above: float
    trend_above: float
    volatility_scale: float
    efficiency_scale: float

    @classmethod
    def fit(
        cls,
        candles: Candles,
        rows: Rows,
        *,
        window: int = 48,
        slow: int = 240,
        tail: float = 0.25,
    ) -> RegimeModel:
        """Take the thresholds from the rows `rows.start .. rows.stop` and from nothing after them.

        Args:
            candles: the market; only candles before `rows.stop` are touched.
            rows: decision rows to learn from, a `slice` or a `Span`.
            window: bars of the fast quantities.
            slow: bars of the slow average of log volatility.
            tail: share of rows called calm, and share called volatile.

        Raises:
            ConfigError: rows outside the candles, too few of them, or a window or tail that makes no sense.
        """
        start, stop = rows.start or 0, rows.stop
        rolling.check_window(window, 2)
        rolling.check_window(slow, window + 1)
        if not 0.0 < tail < 0.5:
            raise ConfigError("regimes.tail", got=tail, expected="a share between 0 and 0.5")
        if stop is None or not 0 <= start < stop <= len(candles):
            raise ConfigError("regimes.rows", got=f"[{start}, {stop})", expected=f"rows of {len(candles)} candles")
        volatility_T, efficiency_T = _quantities(candles[:stop], window, slow)
        known = np.isfinite(volatility_T[start:]) & np.isfinite(efficiency_T[start:])
        if known.sum() < 100:
            raise ConfigError(
                "regimes.rows",
                got=f"{int(known.sum())} rows after a warm-up of {_warmup(window, slow)}",
                expected="100 or more",
                fix="fit on a longer zone or with smaller windows",
            )
        volatility, efficiency = volatility_T[start:][known], efficiency_T[start:][known]
        low, high = (float(np.quantile(volatility, q)) for q in (tail, 1.0 - tail))
        between = (volatility >= low) & (volatility <= high)
        return cls(
            window=window,
            slow=slow,
            calm_below=low,
            volatile_above=high,
            trend_above=float(np.median(efficiency[between])),
            volatility_scale=max(float(np.std(volatility)) / 4.0, 1e-9),
            efficiency_scale=max(float(np.std(efficiency)) / 4.0, 1e-9),
        )

    @property
    def warmup(self) -> int:
        """Rows after the start of the candles, or after a gap, that have no regime."""
        return _warmup(self.window, self.slow)

    def probabilities(self, candles: Candles) -> FloatArray:
        """Soft membership, float64[T, R] in the order of `REGIMES`, rows summing to 1; NaN before the warm-up.

        Row t uses candles 0 .. t.  A soft version of the thresholds, not a posterior of a fitted model.
        """
        volatility_T, efficiency_T = _quantities(candles, self.window, self.slow)
        volatile_T = _logistic((volatility_T - self.volatile_above) / self.volatility_scale)
        calm_T = _logistic((self.calm_below - volatility_T) / self.volatility_scale)
        rest_T = np.maximum(1.0 - volatile_T - calm_T, 0.0)
        trend_T = _logistic((efficiency_T - self.trend_above) / self.efficiency_scale)
        weights_TR = np.stack([rest_T * trend_T, rest_T * (1.0 - trend_T), volatile_T, calm_T], axis=1)
        out_TR: FloatArray = weights_TR / weights_TR.sum(axis=1, keepdims=True)
        return out_TR

    def labels(self, candles: Candles) -> npt.NDArray[np.int8]:
        """Regime of every row, int8[T]: an index into `REGIMES`, -1 before the warm-up."""
        volatility_T, efficiency_T = _quantities(candles, self.window, self.slow)
        label_T = np.where(efficiency_T > self.trend_above, 0, 1).astype(np.int8)
        label_T[volatility_T > self.volatile_above] = 2
        label_T[volatility_T < self.calm_below] = 3
        label_T[~(np.isfinite(volatility_T) & np.isfinite(efficiency_T))] = -1
        return label_T


def _warmup(window: int, slow: int) -> int:
    return window + slow + memory_rows(2.0 / (slow + 1), left=0.1)


def _quantities(candles: Candles, window: int, slow: int) -> tuple[FloatArray, FloatArray]:
    """Relative log volatility and efficiency of every row, NaN before the warm-up; each gap-free stretch by itself."""
    warmup = _warmup(window, slow)
    volatility_T, efficiency_T = rolling.empty(len(candles)), rolling.empty(len(candles))
    for start, stop in gap_free(candles.gap_before, warmup):
        close_T = np.log(candles.close[start:stop])
        return_T = rolling.change(close_T, 1)
        power_T = ema(return_T * return_T, window)
        # A market that stands still has no log volatility: the smallest number that is not nothing keeps it finite.
        log_T = 0.5 * np.log(np.maximum(power_T, 1e-16))
        volatility_T[start + warmup : stop] = (log_T - ema(log_T, slow))[warmup:]
        path_T = rolling.window_sum(np.abs(return_T), window)
        way_T = np.abs(rolling.change(close_T, window))
        still_T = path_T == 0.0
        raw_T = np.where(still_T, 0.0, way_T / np.where(still_T, 1.0, path_T))
        efficiency_T[start + warmup : stop] = ema(raw_T, window // 2 + 1)[warmup:]
    return volatility_T, efficiency_T


def _logistic(x_T: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x_T))
