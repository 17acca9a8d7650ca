"""Repairs of hostile rows: none happens unless asked for by name, and each is counted."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tradenas.data.calendars import Calendar, detect_calendar, find_holes
from tradenas.data.gate import check_values, infer_interval, off_grid, swapped_rows
from tradenas.data.rows import PRICES, Rows
from tradenas.errors import CandleError, ConfigError
from tradenas.typing import BoolArray

__all__ = ["MAX_ROWS", "Repairs", "repair_rows"]

MAX_ROWS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """What a reader may change, each switch off unless set.

    Attributes:
        sort: put rows in order of time.
        drop_duplicates: drop copies of a row (same stamp and values).
        keep_last: of rows with one stamp and different values keep the last in the file.
        drop_unclosed: drop a candle that is not closed yet (or a last one that is off the grid).
        fix_high_low: raise high and lower low to hold all four prices.
        fill_gaps_bars: fill holes of at most this many bars with flat candles of volume 0, as Bybit itself sends
            for quiet minutes (whole holes only; nights, weekends and holidays of a market with sessions are kept).
        swap_volume: put volume and turnover back in the months where they have changed places.
        allow_gaps: accept more than 1 % of missing bars; windows never span them.
    """

    sort: bool = False
    drop_duplicates: bool = False
    keep_last: bool = False
    drop_unclosed: bool = False
    fix_high_low: bool = False
    fill_gaps_bars: int = 0
    swap_volume: bool = False
    allow_gaps: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "fill_gaps_bars":
                if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                    raise ConfigError("repairs.fill_gaps_bars", got=repr(value), expected="a whole number, 0 or more")
            elif not isinstance(value, bool):
                raise ConfigError(f"repairs.{field.name}", got=repr(value), expected="true or false")


def repair_rows(
    rows: Rows,
    repairs: Repairs,
    *,
    now_ms: int,
    interval_ms: int | None = None,
    calendar: Calendar | None = None,
) -> tuple[Rows, dict[str, int]]:
    """Applies the repairs asked for, in this order, and counts the rows each one changed, dropped or added.

    Values must be possible already: no repair invents a price where there was none.

    Raises:
        CandleError: a NaN, a negative price and the like; or filling would add an absurd number of rows.
    """
    check_values(rows)
    counts: dict[str, int] = {}
    if repairs.sort and len(rows):
        counts["sort"] = int(np.count_nonzero(np.diff(rows.open_time) < 0))
        rows = rows.take(np.argsort(rows.open_time, kind="stable"))
    for name, wanted, repeats in (
        ("drop_duplicates", repairs.drop_duplicates, copies),
        ("keep_last", repairs.keep_last, superseded),
    ):
        if wanted:
            drop = repeats(rows)
            counts[name] = int(np.count_nonzero(drop))
            rows = rows.take(~drop)
    if not len(rows):
        return rows, counts
    interval = infer_interval(rows.open_time, rows.place) if interval_ms is None else interval_ms
    if repairs.drop_unclosed:
        drop = rows.open_time + interval > now_ms
        off = off_grid(rows.open_time, interval)
        drop[-1] |= off[-1]
        counts["drop_unclosed"] = int(np.count_nonzero(drop))
        rows = rows.take(~drop)
    if repairs.fix_high_low:
        rows, counts["fix_high_low"] = fix_high_low(rows)
    if repairs.swap_volume:
        rows, counts["swap_volume"] = swap_volume(rows)
    if repairs.fill_gaps_bars and len(rows) > 1:
        rows, counts["fill_gaps_bars"] = fill_gaps(rows, interval, repairs.fill_gaps_bars, calendar)
    return rows, counts


def copies(rows: Rows) -> BoolArray:
    """Rows that repeat an earlier row of the same stamp, value for value (adjacent after sorting)."""
    same = np.zeros(len(rows), bool)
    same[1:] = np.diff(rows.open_time) == 0
    for column in rows.columns().values():
        same[1:] &= np.diff(column) == 0
    return same


def superseded(rows: Rows) -> BoolArray:
    """Rows whose stamp comes again in the next row."""
    again = np.zeros(len(rows), bool)
    again[:-1] = np.diff(rows.open_time) == 0
    return again


def fix_high_low(rows: Rows) -> tuple[Rows, int]:
    """High and low that hold all four prices."""
    prices = np.stack([getattr(rows, name) for name in PRICES])
    high, low = prices.max(axis=0), prices.min(axis=0)
    changed = (high != rows.high) | (low != rows.low)
    fixed = rows.take(np.ones(len(rows), bool))
    fixed.high, fixed.low = high, low
    return fixed, int(np.count_nonzero(changed))


def swap_volume(rows: Rows) -> tuple[Rows, int]:
    """Volume and turnover in their places."""
    swapped = swapped_rows(rows)
    fixed = rows.take(np.ones(len(rows), bool))
    if rows.turnover is not None and fixed.turnover is not None:
        fixed.volume[swapped], fixed.turnover[swapped] = rows.turnover[swapped], rows.volume[swapped]
    return fixed, int(np.count_nonzero(swapped))


def fill_gaps(rows: Rows, interval_ms: int, most: int, calendar: Calendar | None) -> tuple[Rows, int]:
    """Flat candles of volume 0 at the last close, in whole holes of at most `most` bars."""
    step = np.diff(rows.open_time)
    if (step <= 0).any() or (step % interval_ms).any():
        return rows, 0  # the gate names the row
    holes = find_holes(rows.open_time, interval_ms, calendar or detect_calendar(rows.open_time, interval_ms))
    lacking = step[holes.row - 1] // interval_ms - 1
    fillable = holes.gap & (lacking == holes.bars) & (lacking <= most)
    repeats = np.ones(len(rows), np.int64)
    repeats[holes.row[fillable] - 1] += lacking[fillable]
    total = int(repeats.sum())
    if total > MAX_ROWS:
        raise CandleError("repairs.fill_gaps_bars", got=f"{total} rows after filling", expected=f"at most {MAX_ROWS}")
    source = np.repeat(np.arange(len(rows)), repeats)
    filled = rows.take(source)
    nth = np.arange(total) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    new = nth > 0
    filled.open_time = filled.open_time + nth * interval_ms
    for name in ("open", "high", "low"):
        getattr(filled, name)[new] = filled.close[new]
    filled.volume[new] = 0.0
    if filled.turnover is not None:
        filled.turnover[new] = 0.0
    return filled, int(np.count_nonzero(new))
