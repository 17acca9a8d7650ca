"""Longer bars: complete ones only, and equal to what their parts say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.data import Candles, resample, sample
from tradenas.errors import CandleError

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY = 1_704_067_200_000


def fives(rows: int, first: int = 0, keep: np.ndarray | None = None) -> Candles:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
    open_ = np.concatenate([[100.0], close[:-1]])
    table = {
        "open_time": MONDAY + 5 * MINUTE * (first + np.arange(rows)),
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "volume": rng.uniform(1, 9, rows),
        "turnover": rng.uniform(100, 900, rows),
    }
    which = np.ones(rows, bool) if keep is None else keep
    columns = {name: column[which] for name, column in table.items()}
    return Candles.from_arrays(symbol="X", interval_ms=5 * MINUTE, calendar="24/7", **columns)


def test_hours_from_five_minutes():
    small = fives(12 * 30 + 7, first=5)  # begins at 00:25 and ends at 06:50 of the next day
    big = resample(small, HOUR)
    assert big.open_time[0] == MONDAY + HOUR
    assert big.close_time[-1] == MONDAY + 31 * HOUR
    assert big.close_time[-1] <= small.close_time[-1]
    part = small[7 : 7 + 12]
    assert big.open[0] == part.open[0]
    assert big.close[0] == part.close[-1]
    assert big.high[0] == part.high.max()
    assert big.low[0] == part.low.min()
    assert big.volume[0] == pytest.approx(part.volume.sum())
    assert big.turnover is not None
    assert small.turnover is not None
    assert big.turnover.sum() == pytest.approx(small.turnover[7 : 7 + 360].sum())
    assert (big.calendar, big.interval_ms, big.symbol) == ("24/7", HOUR, "X")


def test_a_bucket_that_lacks_a_bar_is_dropped_and_leaves_a_gap():
    keep = np.ones(12 * 24, bool)
    keep[12 * 5 + 3] = False
    big = resample(fives(12 * 24, keep=keep), HOUR)
    assert len(big) == 23
    assert np.flatnonzero(big.gap_before).tolist() == [5]


@settings(max_examples=25, derandomize=True, deadline=None)
@given(cut=st.integers(13, 300))
def test_what_comes_later_changes_no_finished_bar(cut):
    whole, part = resample(fives(400), HOUR), None
    try:
        part = resample(fives(400)[:cut], HOUR)
    except CandleError:
        assert cut < 24
    if part is not None:
        assert part.equals(whole[: len(part)])
        assert len(part) == cut // 12


def test_weeks_start_on_monday():
    weeks = resample(fives(12 * 24 * 15), 7 * DAY)
    assert weeks.open_time.tolist() == [MONDAY, MONDAY + 7 * DAY]


def test_sessions_keep_days_with_closed_hours():
    hours = sample("eurusd")
    days = resample(hours, DAY)
    assert days.calendar == "sessions"
    inner = hours.open_time // DAY
    assert len(days) == len(np.unique(inner)) - 2  # the first Sunday began before the data, the last Friday has no end
    assert days.volume.sum() == pytest.approx(hours.volume[(inner > inner[0]) & (inner < inner[-1])].sum())


def test_a_session_bucket_with_a_gap_inside_is_dropped():
    week = np.array([MONDAY + day * DAY + hour * HOUR for day in range(70) if day % 7 < 5 for hour in range(14, 21)])
    keep = np.delete(week, 7 * 20 + 3)
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(len(keep)))
    days = resample(Candles.from_arrays(symbol="X", open_time=keep, **columns), DAY)
    lost = week[7 * 20] // DAY * DAY
    assert lost not in days.open_time
    assert days.volume.tolist() == [7.0] * 47  # 50 days but the first, the last (no bar at their edges) and the gap


@pytest.mark.parametrize("interval", [0, -HOUR, 7 * MINUTE, 1])
def test_only_multiples(interval):
    with pytest.raises(CandleError, match="expected a multiple of 300000"):
        resample(fives(100), interval)


def test_bars_that_straddle_buckets_are_refused():
    stamps = MONDAY + 30 * MINUTE + HOUR * np.arange(48)
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), np.ones(48))
    shifted = Candles.from_arrays(symbol="X", open_time=stamps, **columns)
    with pytest.raises(CandleError, match="row 1: got a bar that reaches over the end"):
        resample(shifted, 2 * HOUR)


def test_no_complete_bucket_is_an_error_and_the_same_interval_is_the_same():
    with pytest.raises(CandleError, match="no complete bucket"):
        resample(fives(11), HOUR)
    small = fives(20)
    assert resample(small, 5 * MINUTE) is small
