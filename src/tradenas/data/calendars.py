"""When a market trades, learned from its own stamps: which bars are missing, and which closures are ordinary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["DAY_MS", "HOUR_MS", "WEEK_MS", "Calendar", "Holes", "detect_calendar", "find_holes"]

Calendar = Literal["24/7", "sessions"]

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
EPOCH_TO_MONDAY_MS = 4 * DAY_MS  # 1970-01-01 was a Thursday
INSIDE_DAY_MS = 12 * HOUR_MS
LONGEST_CLOSURE_DAYS = 5
MAX_SLOTS = 200_000_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Holes:
    """Steps longer than one bar.

    Attributes:
        row: index of the bar after each hole.
        bars: bars that the calendar expects inside the hole (of a whole grid for 24/7; usual ones for sessions).
        days: usual trading days that lie wholly inside the hole (sessions; 0 for 24/7).
        gap: no window may span this hole.
    """

    row: IntArray
    bars: IntArray
    days: IntArray
    gap: BoolArray


def detect_calendar(open_time: IntArray, interval_ms: int) -> Calendar:
    """`24/7` where bars exist on Saturdays and Sundays in bulk, else `sessions`.

    Where the stamps reach no weekend the answer is `24/7` when at least half of the grid between them is there.

    Raises:
        CandleError: weekly bars and longer look alike in both calendars.
    """
    if interval_ms >= WEEK_MS:
        raise CandleError(
            "calendar",
            got=f"bars of {interval_ms / DAY_MS:g} days, which show no weekends",
            expected="a stated calendar",
            fix="pass calendar='24/7' (crypto) or calendar='sessions' (exchanges that close)",
        )
    seen = np.bincount(_weekday(open_time), minlength=7)
    expected = _weekday_lengths(int(open_time[0]), int(open_time[-1]) + interval_ms) / interval_ms
    share = np.divide(seen, expected, out=np.full(7, np.nan), where=expected > 0)
    working, weekend = share[:5], share[5:]
    if np.isnan(weekend).any() or np.isnan(working).all():
        return "24/7" if 2 * len(open_time) >= _span(open_time, interval_ms) else "sessions"
    return "24/7" if bool((weekend >= 0.5 * np.nanmedian(working)).all()) else "sessions"


def find_holes(open_time: IntArray, interval_ms: int, calendar: Calendar) -> Holes:
    """Every step longer than one bar, how many bars it lacks, and whether it is a gap.

    For `24/7` every hole is a gap.  For `sessions` the usual time-of-week slots are learned: a slot is usual where
    at least half of the nine weeks around it have a bar there (nine, so that summer time moves the slots with it).
    A hole is a gap when it lies inside a trading day (shorter than 12 h, with usual slots missing) or when it
    swallows more than 5 usual trading days.  Nights, weekends and holidays are not gaps.

    Bias: what is usual is learned from four weeks on either side, so near its end a series knows a little less of its
    calendar than it will later.  Only this mask depends on it, never a value.
    """
    row = np.flatnonzero(np.diff(open_time) != interval_ms) + 1
    length = open_time[row] - open_time[row - 1]
    if calendar == "24/7" or not row.size:
        return Holes(row=row, bars=length // interval_ms - 1, days=np.zeros_like(row), gap=np.ones(row.shape, bool))
    weeks = int((open_time[-1] - open_time[0]) // WEEK_MS) + 2
    per_week = WEEK_MS // interval_ms
    if WEEK_MS % interval_ms or weeks * per_week > MAX_SLOTS:  # bars that do not tile a week: only long closures count
        days = np.maximum(length // DAY_MS * 5 // 7 - interval_ms // DAY_MS, 0)
        return Holes(row=row, bars=np.zeros_like(row), days=days, gap=days > LONGEST_CLOSURE_DAYS)
    usual, first_ms = _usual_slots(open_time, interval_ms, weeks, per_week)
    before = np.concatenate([[0], np.cumsum(usual.ravel(), dtype=np.int64)])
    slot = (open_time - first_ms) // interval_ms
    bars = before[slot[row]] - before[slot[row - 1] + 1]
    days = _usual_days_between(open_time[row - 1], open_time[row], usual, first_ms, interval_ms)
    inside = (length < INSIDE_DAY_MS) & (bars > 0)
    return Holes(row=row, bars=bars, days=days, gap=inside | (days > LONGEST_CLOSURE_DAYS))


def _span(open_time: IntArray, interval_ms: int) -> int:
    return int((open_time[-1] - open_time[0]) // interval_ms) + 1


def _weekday(time_ms: IntArray) -> IntArray:
    """Monday is 0."""
    return (time_ms - EPOCH_TO_MONDAY_MS) // DAY_MS % 7


def _weekday_lengths(start_ms: int, stop_ms: int) -> FloatArray:
    """Milliseconds of each weekday between two times."""
    weeks, rest = divmod(stop_ms - start_ms, WEEK_MS)
    lengths = np.full(7, float(weeks * DAY_MS))
    at, stop = start_ms, start_ms + rest
    while at < stop:
        midnight = at - at % DAY_MS + DAY_MS
        lengths[(at - EPOCH_TO_MONDAY_MS) // DAY_MS % 7] += min(midnight, stop) - at
        at = midnight
    return lengths


def _usual_slots(open_time: IntArray, interval_ms: int, weeks: int, per_week: int) -> tuple[BoolArray, int]:
    """Weeks x slots, True where a bar is usual, and the time of the first slot."""
    phase = int((open_time[0] - EPOCH_TO_MONDAY_MS) % interval_ms)
    week_0 = int((open_time[0] - EPOCH_TO_MONDAY_MS - phase) // WEEK_MS)
    first_ms = EPOCH_TO_MONDAY_MS + phase + week_0 * WEEK_MS
    flat = np.zeros(weeks * per_week, bool)
    flat[(open_time - first_ms) // interval_ms] = True
    weeks = int((open_time[-1] - first_ms) // WEEK_MS) + 1
    seen = flat.reshape(-1, per_week)[:weeks]
    # Weeks that are wholly empty (a long closure) say nothing about what is usual.
    traded = seen.any(axis=1)
    total = np.concatenate([np.zeros((1, per_week), np.int16), np.cumsum(seen, axis=0, dtype=np.int16)])
    count = np.concatenate([[0], np.cumsum(traded)])
    low = np.maximum(np.arange(weeks) - 4, 0)
    high = np.minimum(np.arange(weeks) + 5, weeks)
    known = (count[high] - count[low])[:, None]
    usual = (2 * (total[high] - total[low]) >= known) & (known > 0)
    # The first and the last week are usually cut: their neighbours speak for them through the window.
    return usual, first_ms


def _usual_days_between(
    before: IntArray, after: IntArray, usual: BoolArray, first_ms: int, interval_ms: int
) -> IntArray:
    """Usual trading days strictly between the UTC days of two bars."""
    midnight = first_ms - first_ms % DAY_MS
    slot_day = (first_ms + np.arange(usual.size, dtype=np.int64) * interval_ms - midnight) // DAY_MS
    is_day = np.zeros(int(slot_day[-1]) + 2, np.int64)
    is_day[slot_day[usual.ravel()]] = 1
    total = np.concatenate([[0], np.cumsum(is_day)])
    days: IntArray = np.maximum(total[(after - midnight) // DAY_MS] - total[(before - midnight) // DAY_MS + 1], 0)
    return days
