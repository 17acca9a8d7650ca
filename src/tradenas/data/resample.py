"""Longer bars from shorter ones, complete buckets only, so that no bar tells what it could not know at its close."""

from __future__ import annotations

import numpy as np

from tradenas.data.calendars import DAY_MS, WEEK_MS
from tradenas.data.candles import Candles
from tradenas.errors import CandleError
from tradenas.typing import BoolArray

__all__ = ["resample"]


def resample(candles: Candles, interval_ms: int) -> Candles:
    """Candles of `interval_ms`, on the UTC grid (weeks start on Monday).

    Each keeps the open time of its bucket, and closes at open time + interval_ms: join on `close_time` only.
    A bucket that lacks a bar is dropped.  For a market with sessions a bucket may hold closed hours, but no gap, and
    must be known to be over: the first is kept where it begins with a bar, the last where bars reach its end.

    Raises:
        CandleError: the interval is no multiple, bars straddle the buckets, or no bucket is complete.

    >>> hour = 3_600_000
    >>> flat = dict.fromkeys(("open", "high", "low", "close", "volume"), np.arange(1.0, 6.0))
    >>> candles = Candles.from_arrays(symbol="X", open_time=np.arange(5) * hour, calendar="24/7", **flat)
    >>> resample(candles, 2 * hour).volume.tolist()
    [3.0, 7.0]
    """
    if interval_ms <= 0 or interval_ms % candles.interval_ms:
        raise CandleError(
            "resample",
            got=f"interval_ms={interval_ms}",
            expected=f"a multiple of {candles.interval_ms}",
        )
    if interval_ms == candles.interval_ms or not len(candles):
        return candles
    shift = 4 * DAY_MS if interval_ms % WEEK_MS == 0 else 0
    offset = (candles.open_time - shift) % interval_ms
    if (offset > interval_ms - candles.interval_ms).any():
        row = int(np.argmax(offset > interval_ms - candles.interval_ms))
        raise CandleError(
            f"{candles.symbol}, row {row}",
            got=f"a bar that reaches over the end of a bucket of {interval_ms} ms",
            expected="bars that lie inside the buckets",
            fix="choose an interval whose grid the bars share",
            row=row,
        )
    bucket = candles.open_time - offset
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    complete = _complete(candles, bucket, first, interval_ms)
    if not complete.any():
        raise CandleError("resample", got=f"no complete bucket of {interval_ms} ms", expected="at least one")

    def total(values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.add.reduceat(values, first)[complete]
        return sums

    return Candles.from_arrays(
        symbol=candles.symbol,
        interval_ms=interval_ms,
        calendar=candles.calendar,
        open_time=bucket[first][complete],
        open=candles.open[first][complete],
        high=np.maximum.reduceat(candles.high, first)[complete],
        low=np.minimum.reduceat(candles.low, first)[complete],
        close=candles.close[np.append(first[1:], len(candles)) - 1][complete],
        volume=total(candles.volume),
        turnover=None if candles.turnover is None else total(candles.turnover),
    )


def _complete(candles: Candles, bucket: np.ndarray, first: np.ndarray, interval_ms: int) -> BoolArray:
    counts = np.diff(np.append(first, len(candles)))
    full: BoolArray = counts == interval_ms // candles.interval_ms
    if candles.calendar == "24/7":
        return full
    inner_gap = candles.gap_before.copy()
    inner_gap[first] = False
    complete: BoolArray = np.add.reduceat(inner_gap.astype(np.int64), first) == 0
    complete[0] &= bool(candles.open_time[0] == bucket[0])
    complete[-1] &= bool(candles.close_time[-1] == bucket[-1] + interval_ms)
    return complete | full
