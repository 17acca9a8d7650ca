"""Candles are checked once, never change, and know their gaps."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.data import Candles
from tradenas.data.calendars import detect_calendar
from tradenas.errors import CandleError

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def candles(open_time, **options) -> Candles:
    open_time = np.asarray(open_time, np.int64)
    close = 100.0 + np.arange(len(open_time)) % 7
    columns = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.ones(len(close))}
    return Candles.from_arrays(**{"symbol": "X", "open_time": open_time, **columns, **options})


def weekdays(weeks: int, hours: range, minute: int = 0) -> np.ndarray:
    """Hourly stamps of markets that trade Monday to Friday."""
    stamps = [
        MONDAY + week * 7 * DAY + day * DAY + hour * HOUR + minute * MINUTE
        for week in range(weeks)
        for day in range(5)
        for hour in hours
    ]
    return np.array(stamps, np.int64)


def without(stamps: np.ndarray, *rows: int | slice) -> np.ndarray:
    keep = np.ones(len(stamps), bool)
    for row in rows:
        keep[row] = False
    return stamps[keep]


def test_arrays_are_copied_and_cannot_be_written():
    close = np.array([1.0, 2.0, 3.0])
    made = candles(MONDAY + HOUR * np.arange(3), open=close, high=close, low=close, close=close)
    close[0] = 9.0
    assert made.close[0] == 1.0
    for name in ("open_time", "open", "high", "low", "close", "volume", "gap_before"):
        array = getattr(made, name)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.symbol = "Y"


def test_the_constructor_is_behind_the_same_gate():
    good = candles(MONDAY + HOUR * np.arange(48))
    values = {field.name: getattr(good, field.name) for field in dataclasses.fields(good)}
    assert Candles(**values).equals(good)
    broken = good.close.copy()
    broken[5] = np.nan
    with pytest.raises(CandleError, match="X, row 5, column 'close'") as caught:
        Candles(**{**values, "close": broken})
    assert caught.value.row == 5
    with pytest.raises(CandleError, match="row 5"):
        dataclasses.replace(good, close=broken)


def test_times_and_years():
    made = candles(MONDAY + HOUR * np.arange(24 * 14))
    assert (made.close_time - made.open_time == HOUR).all()
    assert (made.calendar, made.days_per_year, made.bars_per_year) == ("24/7", 365, 365 * 24)
    shop = candles(weekdays(8, range(14, 21)))
    assert (shop.calendar, shop.days_per_year, shop.bars_per_year) == ("sessions", 252, 252 * 7)


def test_a_slice_is_candles_and_keeps_what_the_whole_knows():
    stamps = without(weekdays(8, range(14, 21)), 100)
    whole = candles(stamps, turnover=np.full(len(stamps), 100.0))
    part = whole[90:120]
    assert len(part) == 30
    assert part.turnover is not None
    assert np.shares_memory(part.close, whole.close)
    assert np.flatnonzero(part.gap_before).tolist() == [10]
    assert part[10:].gap_before[0] == False  # noqa: E712 - row 0 of a series has nothing before it
    assert part.calendar == "sessions"
    assert len(whole[5:5]) == 0
    assert "0 x 1h" in repr(whole[5:5])
    assert whole[-3:].open_time.tolist() == stamps[-3:].tolist()


@pytest.mark.parametrize("index", [3, slice(0, 10, 2), slice(None, None, -1), [1, 2]])
def test_only_consecutive_rows_are_a_slice(index):
    with pytest.raises(CandleError, match=r"consecutive rows.*resample"):
        candles(MONDAY + HOUR * np.arange(20))[index]


def test_digest_depends_on_every_value_and_nothing_else():
    made = candles(MONDAY + HOUR * np.arange(48))
    assert made.sha256 == "d7ddb397d7a06dae3e075261ac30fc9212ec174025400cd14cb5a381f1ac1d84"
    assert candles(MONDAY + HOUR * np.arange(48)).equals(made)
    volume = made.volume.copy()
    volume[7] = np.nextafter(volume[7], 2)
    others = [
        candles(MONDAY + HOUR * np.arange(48), symbol="Y"),
        candles(MONDAY + HOUR * np.arange(48), calendar="sessions"),
        candles(MONDAY + HOUR * np.arange(48), volume=volume),
        candles(MONDAY + HOUR * np.arange(48), turnover=made.volume),
        candles(MONDAY + HOUR + HOUR * np.arange(48)),
        made[1:],
    ]
    assert len({made.sha256, *(other.sha256 for other in others)}) == 7
    assert not made.equals(others[0])
    assert not made.equals("X")
    zeros = np.zeros(48)
    assert candles(MONDAY + HOUR * np.arange(48), volume=-zeros).equals(
        candles(MONDAY + HOUR * np.arange(48), volume=zeros)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbol": ""}, "symbol"),
        ({"symbol": "a\nb"}, "symbol"),
        ({"symbol": "x" * 65}, "symbol"),
        ({"interval_ms": 0}, "interval_ms"),
        ({"interval_ms": True}, "interval_ms"),
        ({"interval_ms": 2 * HOUR}, r"row 1, column 'open_time'.*off the grid"),
        ({"calendar": "24x7"}, "calendar"),
        ({"close": np.ones(3)}, r"column 'close': got shape \(3,\), expected \(20,\)"),
        ({"volume": ["a"] * 20}, "column 'volume'"),
        ({"now_ms": MONDAY}, "row 0.*closes after now"),
        ({"open_time": np.arange(20) * 10**17}, "row 1, column 'open_time'.*from 1900 to 2200"),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(CandleError, match=words):
        candles(**{"open_time": MONDAY + HOUR * np.arange(20), **options})


def test_half_milliseconds_are_no_stamps():
    with pytest.raises(CandleError, match="column 'open_time': got dtype float64"):
        Candles.from_arrays(symbol="X", open_time=np.arange(3) / 2, **dict.fromkeys(COLUMNS, np.ones(3)))


def test_no_rows_and_one_row():
    with pytest.raises(CandleError, match="no rows"):
        candles([])
    with pytest.raises(CandleError, match="infer the interval"):
        candles([MONDAY])
    assert len(candles([MONDAY], interval_ms=HOUR)) == 1


def test_datetime64_is_welcome():
    stamps = np.arange("2024-01-01", "2024-01-05", dtype="datetime64[h]")
    made = Candles.from_arrays(symbol="X", open_time=stamps, **dict.fromkeys(COLUMNS, np.ones(len(stamps))))
    assert made.open_time[0] == MONDAY
    assert repr(made) == "Candles('X', 96 x 1h, 2024-01-01T00:00:00Z .. 2024-01-05T00:00:00Z, 24/7)"


COLUMNS = ("open", "high", "low", "close", "volume")


# --- calendars


@pytest.mark.parametrize(
    ("stamps", "interval", "calendar"),
    [
        (MONDAY + DAY * np.arange(60), DAY, "24/7"),
        (MONDAY + MINUTE * np.arange(4 * 1440), MINUTE, "24/7"),
        (without(MONDAY + HOUR * np.arange(100), slice(50, 60)), HOUR, "24/7"),
        (weekdays(10, range(1)), DAY, "sessions"),
        (weekdays(1, range(14, 21)), HOUR, "sessions"),
        (weekdays(10, range(14, 21)), HOUR, "sessions"),
        # 24/5: Sunday evenings belong to the week, Saturdays do not
        (np.sort([*weekdays(9, range(22)), *(MONDAY - 2 * HOUR + 7 * DAY * np.arange(9))]), HOUR, "sessions"),
        # a thin coin: half of the minutes of all days are absent
        (np.sort(np.random.default_rng(0).permutation(20_000)[:9_000]) * MINUTE + MONDAY, MINUTE, "24/7"),
    ],
)
def test_the_calendar_is_told_by_the_weekends(stamps, interval, calendar):
    assert detect_calendar(stamps, interval) == calendar


def test_weekly_bars_need_a_stated_calendar():
    with pytest.raises(CandleError, match="Pass calendar="):
        candles(MONDAY + 7 * DAY * np.arange(30))
    assert candles(MONDAY + 7 * DAY * np.arange(30), calendar="24/7").bars_per_year == pytest.approx(365 / 7)


def gaps(stamps, **options) -> list[int]:
    return np.flatnonzero(candles(stamps, **options).gap_before).tolist()


def test_without_sessions_every_hole_is_a_gap():
    assert gaps(without(MONDAY + HOUR * np.arange(24 * 21), 50, slice(200, 300))) == [50, 199]


def test_nights_weekends_and_holidays_are_no_gaps():
    stamps = weekdays(20, range(14, 21))
    assert gaps(stamps) == []
    assert gaps(without(stamps, slice(7 * 33, 7 * 34))) == []  # one holiday
    assert gaps(without(stamps, slice(7 * 31, 7 * 35))) == []  # four days, as in September 2001
    assert gaps(without(stamps, slice(7 * 30 + 4, 7 * 31))) == []  # an early close


def test_a_hole_inside_a_trading_day_is_a_gap():
    stamps = weekdays(20, range(14, 21))
    assert gaps(without(stamps, 7 * 33 + 3)) == [7 * 33 + 3]
    assert gaps(without(stamps, slice(7 * 33 + 1, 7 * 33 + 5))) == [7 * 33 + 1]


def test_a_closure_of_more_than_five_trading_days_is_a_gap():
    daily = weekdays(60, range(1))
    assert gaps(without(daily, slice(100, 105)), interval_ms=DAY) == []
    assert gaps(without(daily, slice(100, 106)), interval_ms=DAY) == [100]


def test_weeks_without_a_bar_do_not_say_what_is_usual():
    stamps = without(weekdays(30, range(14, 21)), slice(35 * 10, 35 * 18))
    after = 35 * 10  # the first row after a closure of eight weeks
    assert gaps(stamps) == [after]
    assert gaps(without(stamps, after + 3)) == [after, after + 3]


def test_a_daily_break_is_no_gap_even_when_summer_time_moves_it():
    winter, summer = weekdays(30, range(14, 21)), weekdays(30, range(13, 20)) + 30 * 7 * DAY
    lunch = [hour for hour in range(1, 9) if hour != 4]
    assert gaps(np.concatenate([winter, summer])) == []
    assert gaps(weekdays(12, lunch)) == []
    summer = weekdays(20, [hour for hour in range(24) if hour != 21])
    winter = weekdays(20, [hour for hour in range(24) if hour != 22]) + 20 * 7 * DAY
    assert gaps(np.concatenate([summer, winter])) == []


@settings(max_examples=40, derandomize=True, deadline=None)
@given(holes=st.sets(st.integers(1, 398), max_size=60), cut=st.integers(1, 340))
def test_gaps_of_a_slice_are_those_of_the_whole(holes, cut):
    whole = candles(without(MONDAY + HOUR * np.arange(400), *holes), interval_ms=HOUR)
    cut = min(cut, len(whole) - 1)
    expected = np.diff(whole.open_time, prepend=whole.open_time[0] - HOUR) != HOUR
    assert whole.gap_before.tolist() == expected.tolist()
    assert whole[cut:].gap_before[1:].tolist() == expected[cut + 1 :].tolist()


def test_importing_the_data_side_is_light():
    heavy = "{'pyarrow', 'polars', 'pandas', 'scipy', 'torch', 'arch'}"
    code = f"import sys, tradenas.data; print(*{heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
