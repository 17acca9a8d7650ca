"""What a position on a perpetual pays at the settlements of its bar.

A funding payment is position value times the rate, from longs to shorts where the rate is positive, made by whoever
has the position at the moment of settlement ("only if you hold an open position at the exact settlement timestamp":
Bybit Learn, What are Bybit's funding rate and fee).  There is no proration.

On a grid of candles the settlements fall on the very millisecond of fills, so the boundary decides who pays.  The
position decided at row t is held from its fill F[t] to the next one F[t+1], and pays for the settlements in

    F[t] < settlement <= F[t+1]

An order that is sent when a candle has closed at 08:00:00.000 reaches the exchange after 08:00:00.000: at that moment
the old position is held and pays, the new one does not.  So each settlement is paid by one position, never by two or
by none.  (The same half-open interval: rustrade-backtest, `funding.rs`, "strictly after entry, up to and including
exit".  freqtrade's `calculate_funding_fees` takes both ends, and so charges two positions that follow each other at a
settlement.)  Near the stamp real exchanges are less exact than this: for some seconds around it either may happen.

Bias: the position is worth its share of capital at every settlement, as P&L is additive here; within a bar the price
has moved and the exchange takes the mark price, a difference of the order of rate times bar return.

Axes: T time.
"""

from __future__ import annotations

import numpy as np

from tradenas.data.candles import Candles
from tradenas.data.rows import iso
from tradenas.data.series import Series
from tradenas.errors import CandleError
from tradenas.features.targets import realised_time
from tradenas.typing import FloatArray, IntArray

__all__ = ["bar_funding"]

#: Steps on either side that say what is usual around a step, and how much longer one may be.
AROUND, LONGER = 5, 1.5
MINUTE_MS = 60_000


def bar_funding(candles: Candles, settlements: Series, delay: int = 1, *, allow_same_bar: bool = False) -> FloatArray:
    """Sum of the rates that a position of 1 decided at row t pays over its bar, float64[T]; 0 where none is settled.

    Settlements are due on whole minutes; some exchanges stamp them a few ms later, which is taken off.

    Args:
        candles: the perpetual.
        settlements: its settled rates as fractions, at their times; they must cover the candles without a hole.
        delay: bars between the candle that decides and the bar that fills.
        allow_same_bar: as in `bar_returns`.

    Raises:
        CandleError: a settlement seems to be missing, or the rates do not cover the candles.
        LookaheadError: delay 0 without `allow_same_bar`.

    >>> hour = 3_600_000
    >>> candles = Candles.from_arrays(
    ...     symbol="X", open_time=np.arange(5) * hour, open=np.ones(5), high=np.ones(5), low=np.ones(5),
    ...     close=np.ones(5), volume=np.ones(5), interval_ms=hour, calendar="24/7")
    >>> rates = Series(name="rate", known_at_ms=np.array([1, 3, 5]) * hour, value=np.array([0.1, 0.2, 0.4]))
    >>> bar_funding(candles, rates).tolist()  # row 0 is filled at 1 h: it does not pay at 1 h
    [0.0, 0.2, 0.0, 0.4, 0.0]
    """
    out_T = realised_time(candles, delay, allow_same_bar=allow_same_bar)
    if delay == 0:
        first, last = int(candles.close_time[0]), int(candles.close_time[-1])
    else:
        first, last = int(out_T[0] - candles.interval_ms), int(candles.open_time[-1])
    if 0 < delay < len(candles):
        first = int(candles.open_time[delay])
    times = settlements.known_at_ms - settlements.known_at_ms % MINUTE_MS
    _check_cover(settlements, times, first, last, candles.symbol)
    paid = np.searchsorted(times, np.concatenate([[first], out_T]), side="right")
    sums_T = np.add.reduceat(np.append(settlements.value, 0.0), paid)[:-1]
    return np.where(paid[1:] > paid[:-1], sums_T, 0.0)


def _check_cover(settlements: Series, times: IntArray, first: int, last: int, symbol: str) -> None:
    """Refuses rates that begin too late, end too early, or lack one in between: what is not charged flatters."""
    place, fix = f"{settlements.name} of {symbol}", "fetch funding for the whole span of the candles"
    if len(times) < 2:
        raise CandleError(place, got=f"{len(times)} settlement", expected="two or more", fix=fix)
    steps = np.diff(times)
    usual = _usual(steps)
    # The settlement before the first must not be one that a position paid, nor the one after the last.
    if times[0] - usual[0] > first or times[-1] + usual[-1] <= last:
        got = f"settlements from {iso(int(times[0]))} to {iso(int(times[-1]))}"
        raise CandleError(place, got=got, expected=f"{iso(first)} to {iso(last)}, as the candles", fix=fix)
    for row in np.flatnonzero(steps > LONGER * usual).tolist():
        if times[row + 1] > first and times[row] < last:
            got = f"none between {iso(int(times[row]))} and {iso(int(times[row + 1]))}"
            raise CandleError(f"{place}, row {row}", got=got, expected="settlements at equal steps", fix=fix, row=row)


def _usual(steps: IntArray) -> FloatArray:
    """What is usual around each step: the longer of the medians before and after, since intervals may change.

    A step like both its neighbours is usual.
    """
    usual = steps.astype(np.float64)
    turns = np.flatnonzero(steps[1:] != steps[:-1])
    for i in {0, len(steps) - 1, *turns.tolist(), *(turns + 1).tolist()}:
        sides = (steps[max(0, i - AROUND) : i], steps[i + 1 : i + 1 + AROUND])
        usual[i] = max((float(np.median(side)) for side in sides if len(side)), default=float(steps[i]))
    return usual
