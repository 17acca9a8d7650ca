"""What is joined to the candles is what was known when each candle closed: to the millisecond, at every row.

Prefix replay of candles cannot see a join that looks ahead, for a series is not cut with them.  So the series is cut
and altered too: with all that became known after the close of row t taken away, or changed, rows 0 .. t stay.
"""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data import Series
from tradenas.features import build_table, future_replay, joined, prefix_replay
from tradenas.features.replay import dense_cuts, probe_candles
from tradenas.seeds import rng_for

ROWS = 420
CUTS = dense_cuts(ROWS, first=40)
MINUTE = 60_000


@pytest.fixture(scope="module")
def candles():
    return probe_candles(ROWS)


def irregular(candles, *, seed=0, name="oi"):
    """Values at the close of candles, a millisecond before and after, between them, and not at all for a while."""
    rng = rng_for(seed, "tests", "irregular")
    rows = np.flatnonzero(rng.random(ROWS) < 0.5)
    rows = rows[(rows < 200) | (rows > 230)]
    times = candles.close_time[rows] + rng.choice([-1, 0, 1, 17_000], len(rows))
    return Series(name=name, known_at_ms=times, value=rng.normal(size=len(rows)), max_age_ms=5 * MINUTE)


def test_ties_and_their_neighbours(candles):
    close = candles.close_time
    for shift, seen in ((-1, 10), (0, 10), (1, 11)):
        series = Series(name="oi", known_at_ms=np.array([close[0] - 5, close[10] + shift]), value=np.array([1.0, 2.0]))
        column = joined([series], group="oi")[0](candles)
        assert (column[:seen] == 1.0).all()
        assert (column[seen:] == 2.0).all()


def by_hand(series, candles):
    """Row by row, by the definition."""
    out = np.full(len(candles), np.nan)
    for t, close in enumerate(candles.close_time.tolist()):
        known = [v for s, v in zip(series.known_at_ms.tolist(), series.value.tolist(), strict=True) if s <= close]
        if known:
            out[t] = known[-1]
    return out


def test_each_row_by_hand(candles):
    series = irregular(candles)
    column, age = joined([series], group="oi", age=True)
    np.testing.assert_array_equal(column.function(candles), by_hand(series, candles))
    stamps = Series(name="t", known_at_ms=series.known_at_ms, value=series.known_at_ms.astype(float))
    steps = (candles.close_time - by_hand(stamps, candles)) / series.usual_step_ms
    np.testing.assert_allclose(age.function(candles), steps)
    assert (age.name, age.group) == ("oi_age", "oi")
    fresh = column.fresh(candles)
    np.testing.assert_array_equal(fresh, steps * series.usual_step_ms <= 5 * MINUTE)
    assert not fresh[205:230].any()


def build(series, candles):
    columns = ("log_return_1", *joined([series], group="oi", age=True))
    made = build_table(candles, indicators=columns, transforms=("raw", "zscore", "rank", "logret"), window=10)
    return np.column_stack([made.values_TF, made.ready_T])


def test_candles_taken_away_or_altered_change_nothing_before(candles):
    series = irregular(candles)
    assert prefix_replay(lambda c: build(series, c), candles, CUTS) is None
    assert future_replay(lambda c: build(series, c), candles, CUTS[::4]) is None


def series_replay(make, candles):
    """Rows that move when what became known after their close is taken away, or becomes something else."""
    series = irregular(candles)
    whole = make(series, candles)
    for cut in CUTS.tolist():
        last = int(candles.close_time[cut - 1])
        count = int(np.searchsorted(series.known_at_ms, last, side="right"))
        value = series.value.copy()
        value[count:] += 1.0
        other = Series(name="oi", known_at_ms=series.known_at_ms, value=value, max_age_ms=series.max_age_ms)
        for later in (series.until(last), other):
            if not np.array_equal(make(later, candles)[:cut], whole[:cut], equal_nan=True):
                return cut
    return None


def column_of(series, candles):
    item = joined([series], group="oi")[0]
    return np.column_stack([item.function(candles), item.fresh(candles)])


def test_what_is_known_later_is_not_seen(candles):
    assert series_replay(column_of, candles) is None


def test_no_transform_lets_it_in(candles):
    """The age column is left out: its unit, like that of a candle, is a fact of the whole file."""

    def values(series, candles):
        made = build_table(candles, indicators=joined([series], group="oi"), transforms=("zscore", "logret"), window=10)
        return np.column_stack([made.values_TF, made.ready_T])

    assert series_replay(values, candles) is None


def next_value(series, candles):
    rows = np.searchsorted(series.known_at_ms, candles.close_time, side="left")
    return np.append(series.value, np.nan)[rows]


def nearest(series, candles):
    before = np.maximum(np.searchsorted(series.known_at_ms, candles.close_time, side="right") - 1, 0)
    after = np.minimum(before + 1, len(series) - 1)
    close = candles.close_time
    nearer = series.known_at_ms[after] - close < close - series.known_at_ms[before]
    return series.value[np.where(nearer, after, before)]


def a_millisecond_too_generous(series, candles):
    rows = np.searchsorted(series.known_at_ms, candles.close_time + 1, side="right") - 1
    return np.where(rows >= 0, series.value[rows], np.nan)


def interpolated(series, candles):
    return np.interp(candles.close_time, series.known_at_ms, series.value)


@pytest.mark.parametrize("leak", [next_value, nearest, a_millisecond_too_generous, interpolated])
def test_a_join_that_looks_ahead_is_caught(leak, candles):
    assert series_replay(leak, candles) is not None


def test_rows_without_a_fresh_value_are_not_ready(candles):
    series = irregular(candles)
    late = Series(name="oi", known_at_ms=series.known_at_ms[30:], value=series.value[30:], max_age_ms=5 * MINUTE)
    items = joined([late], group="oi")
    table = build_table(candles, indicators=["log_return_1", *items], transforms=("zscore",), window=10)
    first = int(np.argmax(items[0].fresh(candles)))
    assert first > 30
    assert table.warmup == 10
    assert not table.ready_T[: first + 10].any()  # the transform's window begins with the first value
    assert table.ready_T[first + 10]
    stale = ~items[0].fresh(candles)
    assert not table.ready_T[stale].any()
    after = int(np.flatnonzero(stale & (np.arange(ROWS) > 220) & (np.arange(ROWS) < 240))[-1]) + 1
    assert table.ready_T[after]  # no second warm-up: what stood was known
    gap = int(np.flatnonzero(candles.gap_before)[0])
    assert not table.ready_T[gap : gap + 10].any()  # a gap of the candles is one for all columns
    assert not table.values_TF[~table.ready_T].any()
    assert table.groups == ("returns", "oi")


def test_a_series_of_another_time_leaves_no_row(candles):
    old = Series(name="oi", known_at_ms=np.array([0, 5]) - 10**9, value=np.ones(2))
    assert not build_table(candles, indicators=joined([old], group="oi")).ready_T.any()
