"""What is to be predicted, and what a position earns: both from fills after the decision, never from the same bar.

The decision of row t is taken at the close of candle t.  With entry delay d >= 1 it is filled at the open of bar t+d,
and a horizon of h bars ends at the open of bar t+d+h:

    candle   t      | t+1          | t+2
             ^close | ^open: fill  | ^open: out (d = 1, h = 1)

Labels look forward by definition; they are not features, and `purge_rows` says how far apart the zones must be.

Axes: T time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError, LookaheadError
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["Target", "bar_returns", "realised_time"]

KINDS = ("direction", "forward_return", "volatility")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A label for each row.

    Attributes:
        kind: `forward_return` is the simple return open[t+d+h] / open[t+d] - 1; `direction` is 1.0 where that is
            positive, 0.0 where negative, NaN where it is exactly zero (a tie says nothing); `volatility` is the
            natural log of the root mean square of the h one-bar log returns between those opens, NaN where all are 0.
        horizon: h, bars; at least 2 for `volatility`.
        delay: d, bars between the candle that decides and the bar that fills.
        allow_same_bar: permits delay 0, which fills at the very close that made the decision.  Nobody gets that
            price; results are to be branded, see `same_bar`.

    Raises:
        LookaheadError: delay 0 without `allow_same_bar`.
        ConfigError: another kind, horizon or delay.
    """

    kind: Literal["direction", "forward_return", "volatility"] = "direction"
    horizon: int = 1
    delay: int = 1
    allow_same_bar: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError("target.kind", got=repr(self.kind), expected=f"one of {', '.join(KINDS)}")
        least = 2 if self.kind == "volatility" else 1
        if isinstance(self.horizon, bool) or not isinstance(self.horizon, int) or self.horizon < least:
            why = " (one return has no volatility)" if self.kind == "volatility" else ""
            raise ConfigError("target.horizon", got=repr(self.horizon), expected=f"{least} or more bars{why}")
        _check_delay(self.delay, self.allow_same_bar, "target.delay")

    @property
    def same_bar(self) -> bool:
        """True when fills are at the deciding close: every page that shows such a result must say so."""
        return self.delay == 0

    @property
    def purge_rows(self) -> int:
        """Rows past t that the label of row t looks at: horizon + delay."""
        return self.horizon + self.delay

    @property
    def binary(self) -> bool:
        """Labels are 0 or 1, and a model's signal is a logit."""
        return self.kind == "direction"

    def label(self, candles: Candles) -> FloatArray:
        """float64[T]; NaN where the future is not there, has a gap in it, or says nothing."""
        fill_T = _fills(candles, self.delay)
        label_T = np.full(len(candles), np.nan)
        known = len(candles) - self.purge_rows
        if known <= 0:
            return label_T
        if self.kind == "volatility":
            moves = np.diff(np.log(fill_T[: known + self.horizon]))
            squares = np.zeros(known)
            for ahead in range(self.horizon):
                squares += moves[ahead : ahead + known] ** 2
            with np.errstate(divide="ignore"):
                label_T[:known] = 0.5 * np.log(squares / self.horizon)
            label_T[np.isneginf(label_T)] = np.nan
        else:
            gain = fill_T[self.horizon : self.horizon + known] / fill_T[:known] - 1.0
            label_T[:known] = gain if self.kind == "forward_return" else np.where(gain == 0.0, np.nan, gain > 0.0)
        label_T[_gap_ahead(candles.gap_before, self.purge_rows)] = np.nan
        return label_T


def bar_returns(candles: Candles, delay: int = 1, *, allow_same_bar: bool = False) -> FloatArray:
    """What a position of 1 decided at row t earns over its bar: open[t+d+1] / open[t+d] - 1, float64[T].

    NaN for the last d + 1 rows.  A move across a gap is kept: who holds a position through an outage earns it.

    Raises:
        LookaheadError: delay 0 without `allow_same_bar` (then close[t+1] / close[t] - 1).
    """
    _check_delay(delay, allow_same_bar, "bar_returns.delay")
    fill_T = _fills(candles, delay)
    out_T = np.full(len(candles), np.nan)
    out_T[: max(len(candles) - delay - 1, 0)] = fill_T[1:] / fill_T[:-1] - 1.0
    return out_T


def realised_time(candles: Candles, delay: int = 1, *, allow_same_bar: bool = False) -> IntArray:
    """When the bar return of each row is known, int64 ms UTC: the open of bar t+d+1.

    For the last rows, whose return is NaN, the grid is carried on.

    Raises:
        LookaheadError: delay 0 without `allow_same_bar`.
    """
    _check_delay(delay, allow_same_bar, "realised_time.delay")
    step = candles.interval_ms
    if delay == 0:  # the close of bar t+1
        return np.concatenate([candles.close_time[1:], candles.close_time[-1:] + step])
    later = candles.open_time[-1:] + step * np.arange(1, delay + 2, dtype=np.int64)
    return np.concatenate([candles.open_time, later])[delay + 1 :]


def _fills(candles: Candles, delay: int) -> FloatArray:
    """Price at which the decision of each row is filled, as far as it is known: T - delay rows."""
    return candles.close if delay == 0 else candles.open[delay:]


def _gap_ahead(gap_T: BoolArray, rows: int) -> BoolArray:
    """Rows t with a gap before any of the rows t+1 .. t+rows."""
    count = np.concatenate([[0], np.cumsum(gap_T)])
    here = np.arange(len(gap_T))
    ahead: BoolArray = count[np.minimum(here + rows, len(gap_T) - 1) + 1] > count[here + 1]
    return ahead


def _check_delay(delay: int, allow_same_bar: bool, place: str) -> None:
    if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
        raise ConfigError(place, got=repr(delay), expected="1 or more bars")
    if delay == 0 and not allow_same_bar:
        raise LookaheadError(
            place,
            got="0, a fill at the price that made the decision",
            expected="1 or more bars",
            fix="use delay=1; allow_same_bar=True only to show how much such a backtest lies",
        )
