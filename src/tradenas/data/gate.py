"""The strict gate: arrays become candles only when every row is possible, ordered, on the grid and closed."""

from __future__ import annotations

import numpy as np

from tradenas.data.calendars import DAY_MS, MINUTE_MS
from tradenas.data.rows import PRICES, Rows, iso
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, IntArray

__all__ = ["check_names", "check_rows", "infer_interval", "off_grid", "swapped_rows"]

LOWEST_PRICE, HIGHEST_PRICE = 1e-15, 1e15
EARLIEST_MS, LATEST_MS = -70 * 366 * DAY_MS, 230 * 366 * DAY_MS  # about 1900 .. 2200


def infer_interval(open_time: IntArray, place: str = "candles") -> int:
    """The median step between stamps that differ, in ms.

    Raises:
        CandleError: there are fewer than two different stamps.
    """
    steps = np.diff(np.sort(open_time))
    steps = steps[steps > 0]
    if not steps.size:
        raise CandleError(
            place,
            got=f"{len(open_time)} rows with no two different stamps",
            expected="at least two, to infer the interval",
            fix="pass interval_ms",
        )
    return int(np.sort(steps)[(len(steps) - 1) // 2])


def check_names(symbol: object, interval_ms: object, calendar: object) -> None:
    """Refuse a symbol, interval or calendar that is none."""
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 64 or not symbol.isprintable():
        raise CandleError("symbol", got=repr(symbol)[:90], expected="1 to 64 printable characters")
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, int | np.integer) or interval_ms <= 0:
        raise CandleError("interval_ms", got=repr(interval_ms), expected="a positive whole number of milliseconds")
    if calendar not in (None, "24/7", "sessions"):
        raise CandleError("calendar", got=repr(calendar), expected="'24/7' or 'sessions'")


def check_rows(rows: Rows, interval_ms: int, now_ms: int) -> None:
    """Refuse the first fault: values, then order, duplicates, grid, shape of the bar, swapped volume, open candle.

    Raises:
        CandleError: names row (and line), column, value and what to do.
    """
    if interval_ms <= 0:
        raise CandleError("interval_ms", got=interval_ms, expected="a positive number of milliseconds")
    if not len(rows):
        raise CandleError(rows.place, got="no rows", expected="at least one candle")
    check_values(rows)
    check_order(rows)
    check_grid(rows, interval_ms)
    check_bars(rows)
    swapped = swapped_rows(rows)
    if swapped.any():
        rows.refuse(
            swapped,
            "volume",
            "{value}, which is turnover (its month fits volume = turnover x close)",
            "volume in the base coin and turnover = close x volume",
            "swap the two columns, or pass Repairs(swap_volume=True)",
        )
    still_open = rows.open_time + interval_ms > now_ms
    if still_open.any():
        rows.refuse(
            still_open,
            "open_time",
            f"a candle that opened at {{value}} and closes after now ({iso(now_ms)})",
            "closed candles only",
            "drop it, or pass Repairs(drop_unclosed=True)",
        )


def check_values(rows: Rows) -> None:
    """Finite everywhere, prices positive and of a possible size, volume and turnover not negative, stamps possible."""
    for name, column in rows.columns().items():
        finite = np.isfinite(column)
        if not finite.all():
            rows.refuse(~finite, name, "{value}", "a finite number", "remove or correct the row in the source")
        if name in PRICES:
            positive = column > 0
            if not positive.all():
                rows.refuse(~positive, name, "{value}", "a price above 0", "remove or correct the row in the source")
            possible = (column >= LOWEST_PRICE) & (column <= HIGHEST_PRICE)
            if not possible.all():
                rows.refuse(~possible, name, "{value}", "a price from 1e-15 to 1e15", "correct the row in the source")
        elif (column < 0).any():
            rows.refuse(column < 0, name, "{value}", "a number not below 0", "remove or correct the row in the source")
    strange = (rows.open_time < EARLIEST_MS) | (rows.open_time > LATEST_MS)
    if strange.any():
        rows.refuse(
            strange, "open_time", "{value}", "a time from 1900 to 2200", "stamps are milliseconds since 1970 UTC"
        )


def check_order(rows: Rows) -> None:
    """Stamps strictly increase."""
    step = np.diff(rows.open_time)
    back = step < 0
    if back.any():
        rows.refuse(
            np.flatnonzero(back) + 1,
            "open_time",
            "{value}, earlier than the row before it",
            "rows in order of time",
            "sort the file, or pass Repairs(sort=True)",
        )
    same = np.flatnonzero(step == 0) + 1
    if same.size:
        conflict = np.zeros(len(same), bool)
        for column in rows.columns().values():
            conflict |= column[same] != column[same - 1]
        if conflict.any():
            rows.refuse(
                same[conflict],
                "open_time",
                "{value} twice, with different values",
                "one candle per stamp",
                "decide which is right; Repairs(keep_last=True) keeps the later row of each such pair",
            )
        rows.refuse(
            same,
            "open_time",
            "{value} twice, with the same values",
            "one candle per stamp",
            "remove the copy, or pass Repairs(drop_duplicates=True)",
        )


def off_grid(open_time: IntArray, interval_ms: int) -> BoolArray:
    """Rows that are not a whole number of intervals from most of the others."""
    phase = open_time % interval_ms
    if (phase == phase[0]).all():
        return np.zeros(len(open_time), bool)
    values, counts = np.unique(phase, return_counts=True)
    off: BoolArray = phase != values[np.argmax(counts)]
    return off


def check_grid(rows: Rows, interval_ms: int) -> None:
    """Every stamp is an open time on one grid of step `interval_ms`."""
    off = off_grid(rows.open_time, interval_ms)
    if off.any():
        last_only = bool(off[-1]) and int(off.sum()) == 1
        rows.refuse(
            off,
            "open_time",
            "{value}, off the grid of the other stamps",
            f"steps of {interval_ms} ms",
            "this looks like an unclosed candle: drop it, or pass Repairs(drop_unclosed=True)"
            if last_only
            else "correct the stamps, or state the right interval_ms (daily stamps that move with summer time: "
            "stamp the UTC midnight of the trading day)",
        )
    phase = int(rows.open_time[0] % min(interval_ms, DAY_MS))
    if phase % min(interval_ms, MINUTE_MS):
        rows.refuse(
            np.zeros(1, np.int64),
            "open_time",
            f"{{value}}, which is {phase} ms after a bar could open",
            "the time at which the candle OPENS",
            "if these are close times, subtract the interval (and 1 ms where they end in .999)",
        )


def check_bars(rows: Rows) -> None:
    """High is the highest and low the lowest of the four prices."""
    fix = "correct the source, or pass Repairs(fix_high_low=True)"
    top = np.maximum(rows.open, rows.close)
    if (rows.high < top).any():
        rows.refuse(rows.high < top, "high", "{value}, below open or close", "the highest of the four prices", fix)
    bottom = np.minimum(rows.open, rows.close)
    if (rows.low > bottom).any():
        rows.refuse(rows.low > bottom, "low", "{value}, above open or close", "the lowest of the four prices", fix)


def swapped_rows(rows: Rows) -> BoolArray:
    """Rows of the months in which volume and turnover have changed places.

    In the right order turnover / (close * volume) is about 1; swapped, it is 1 / close**2.  Months are judged by their
    median, so that one odd row says nothing, and prices within a factor 3 of 1 say nothing either.
    """
    swapped = np.zeros(len(rows), bool)
    if rows.turnover is None:
        return swapped
    traded = np.flatnonzero((rows.volume > 0) & (rows.turnover > 0))
    month = rows.open_time.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    log_close = np.log(rows.close[traded])
    right = np.log(rows.turnover[traded]) - np.log(rows.volume[traded]) - log_close
    for each in np.unique(month[traded]):
        mine = month[traded] == each
        if abs(float(np.median(log_close[mine]))) < np.log(3):
            continue
        if abs(float(np.median(right[mine] + 2 * log_close[mine]))) < np.log(1.5):
            swapped |= month == each
    return swapped
