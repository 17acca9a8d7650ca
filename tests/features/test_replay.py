from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError, LookaheadError
from tradenas.features.replay import alter_future, dense_cuts, future_replay, prefix_replay, replay_or_raise


def sma_3(candles):
    out = np.full(len(candles), np.nan)
    out[2:] = (candles.close[2:] + candles.close[1:-1] + candles.close[:-2]) / 3
    return out


def test_a_causal_function_moves_nowhere(make_walk):
    assert prefix_replay(sma_3, make_walk(200)) is None
    assert future_replay(sma_3, make_walk(200)) is None


def test_the_first_row_that_moved_is_named(make_walk):
    candles = make_walk(50)

    def ahead(c):
        out = np.zeros(len(c))
        out[20:-2] = c.close[22:]
        return out

    leak = prefix_replay(ahead, candles, cuts=[10, 22, 23, 30])
    assert (leak.row, leak.cut, leak.how) == (20, 22, "prefix")
    assert (leak.whole, leak.replayed) == (candles.close[22], 0.0)
    leak = future_replay(ahead, candles, cuts=[10, 22, 30])
    assert (leak.row, leak.cut, leak.how) == (20, 22, "altered future")


def test_sparse_cuts_miss_a_backward_fill_and_dense_cuts_do_not(make_walk):
    candles = make_walk(400)
    holes = np.zeros(400, bool)
    holes[[50, 51, 203, 204, 205, 330]] = True

    def backfilled(c):
        out = np.where(holes[: len(c)], np.nan, c.close)
        for t in range(len(out) - 2, -1, -1):
            out[t] = out[t + 1] if np.isnan(out[t]) else out[t]
        return out

    assert prefix_replay(backfilled, candles, cuts=[150, 300]) is None
    assert prefix_replay(backfilled, candles, cuts=range(1, 400)).row == 50


def test_every_column_is_compared(make_walk):
    def two(c):
        return np.stack([c.close, np.full(len(c), c.close.mean())], axis=1)

    leak = prefix_replay(two, make_walk(60))
    assert leak.row == 0
    assert leak.whole == make_walk(60).close.mean()


def test_tolerance_forgives_rounding_only(make_walk):
    def rounding(c):
        return c.close * (1 + 1e-12 * len(c))

    assert prefix_replay(rounding, make_walk(60)) is not None
    assert prefix_replay(rounding, make_walk(60), tolerance=1e-9) is None


def test_altered_candles_are_valid_and_differ_from_the_cut_on(make_walk):
    candles = make_walk(120, gaps=(40,), turnover=True)
    altered = alter_future(candles[10:], 70)
    for name in ("open", "high", "low", "close", "volume", "turnover"):
        before, after = getattr(candles[10:], name), getattr(altered, name)
        np.testing.assert_array_equal(after[:70], before[:70])
        assert (after[70:] != before[70:]).all()
    np.testing.assert_array_equal(altered.gap_before, candles[10:].gap_before)


def test_cuts_are_many_dense_and_inside():
    cuts = dense_cuts(1_000)
    assert len(cuts) > 100
    assert cuts.min() >= 1
    assert cuts.max() == 999
    assert (np.diff(cuts) == 1).sum() > 80
    assert dense_cuts(2).tolist() == [1]


def test_wrong_shapes_and_cuts_are_refused(make_walk):
    with pytest.raises(ConfigError, match="50 rows"):
        prefix_replay(lambda c: c.close[1:], make_walk(50))
    with pytest.raises(ConfigError, match="cuts: got 50"):
        prefix_replay(sma_3, make_walk(50), cuts=[50])


def test_a_flag_for_what_never_happens_in_the_candles_is_caught_by_altering_them(make_walk):
    """Nothing moves when calm candles are cut short, since the flag is down with and without the future."""

    def rally_ahead(c):
        return np.array([float((c.close[t : t + 20] > 1.2 * c.close[t]).any()) for t in range(len(c))])

    calm = make_walk(200)
    assert prefix_replay(rally_ahead, calm) is None
    with pytest.raises(LookaheadError, match="were altered"):
        replay_or_raise(rally_ahead, calm, place="feature 'rally_ahead'")


def test_altered_slices_keep_the_gaps_that_their_whole_learned():
    day, hour = 86_400_000, 3_600_000
    weekdays = [4 * day + d * day for d in range(70) if d % 7 < 5]
    times = np.array([start + bar * hour for start in weekdays for bar in range(8, 16)])
    times = np.delete(times, 163)  # the fourth bar of a day in the middle of the series
    price = np.linspace(100.0, 120.0, len(times))
    whole = Candles.from_arrays(
        symbol="HOURS", open_time=times, open=price, high=price, low=price, close=price, volume=np.ones(len(times)),
        interval_ms=hour, calendar="sessions",
    )  # fmt: skip
    part = whole[160:166]
    assert part.gap_before.tolist() == [False, False, False, True, False, False]
    assert not replace(part, volume=part.volume * 2).gap_before.any()
    assert alter_future(part, 2).gap_before.tolist() == part.gap_before.tolist()
