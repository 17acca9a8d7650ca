"""From candles to a dataset: the unit of returns, and nothing of it from later candles."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table, prefix_replay
from tradenas.train.build import VOLATILITY_SPAN, build_dataset, past_returns, usual_move

CANDLES = planted("reversal", bars=700, seed=2).candles
CUTS = [2, 3, 17, VOLATILITY_SPAN, VOLATILITY_SPAN + 1, *range(100, 700, 37)]


def built(candles, target):
    table = build_table(candles, indicators=["log_return_1", "rsi_14"], transforms=["zscore", "rank"], window=20)
    return build_dataset(candles, table, target)


@pytest.mark.parametrize("function", [usual_move, past_returns])
def test_units_know_no_later_candle(function):
    whole = function(CANDLES)
    for cut in CUTS:
        assert np.array_equal(function(CANDLES[:cut]), whole[:cut]), cut
    leaks = prefix_replay(function, CANDLES)
    assert not leaks


def test_the_usual_move_is_an_average_of_squares_and_always_positive():
    move = usual_move(CANDLES)
    squares = past_returns(CANDLES) ** 2
    assert (move > 0).all()
    assert move[10] == pytest.approx(np.sqrt(squares[:11].mean()))
    decay = 1 - 2 / (VOLATILITY_SPAN + 1)
    t = 400
    assert move[t] ** 2 == pytest.approx(decay * move[t - 1] ** 2 + (1 - decay) * squares[t], rel=1e-9)
    flat = planted("noise", bars=100).candles
    still = type(flat).from_arrays(
        symbol="X", interval_ms=flat.interval_ms, calendar=flat.calendar, open_time=flat.open_time, turnover=None,
        volume=flat.volume, **dict.fromkeys(("open", "high", "low", "close"), np.ones(100)),
    )  # fmt: skip
    assert usual_move(still).tolist() == [1e-6] * 100
    assert len(usual_move(CANDLES[:1])) == 1


@pytest.mark.parametrize(
    "target",
    [Target(kind="direction"), Target(kind="forward_return", horizon=3, delay=2), Target(kind="volatility", horizon=5)],
)
def test_what_is_known_at_a_row_does_not_change_with_later_candles(target):
    whole = built(CANDLES, target)
    for cut in (150, 333, 600):
        part = built(CANDLES[:cut], target)
        known = cut - target.purge_rows
        for name in ("x_TF", "ready_T", "gap_T", "volatility_T", "past_return_T"):
            assert np.array_equal(getattr(part, name), getattr(whole, name)[:cut]), name
        for name in ("y_T", "bar_return_T"):  # what lies ahead is unknown at the end, and the same elsewhere
            assert np.array_equal(getattr(part, name)[:known], getattr(whole, name)[:known], equal_nan=True), name
        assert np.isnan(part.y_T[cut - target.delay :]).all()
        assert np.isnan(part.bar_return_T[cut - target.delay :]).all()


def test_kinds_units_and_calendar():
    direction, forward = (built(CANDLES, Target(kind=kind)) for kind in ("direction", "forward_return"))
    spread = built(CANDLES, Target(kind="volatility", horizon=4))
    assert (direction.kind, forward.kind, spread.kind) == ("binary", "regression", "regression")
    assert (direction.centre_labels, forward.centre_labels, spread.centre_labels) == (False, False, True)
    assert direction.days_per_year == CANDLES.days_per_year
    assert direction.purge_rows == Target(kind="direction").purge_rows
    assert direction.transforms == ("zscore", "rank")
    assert direction.x_TF.shape == (700, 4)
    known = np.isfinite(forward.bar_return_T) & np.isfinite(forward.y_T)
    np.testing.assert_allclose(forward.y_T[known], forward.bar_return_T[known], rtol=1e-4, atol=1e-7)
    t = 200
    assert forward.bar_return_T[t] == pytest.approx(CANDLES.open[t + 2] / CANDLES.open[t + 1] - 1)
    assert forward.realised_T[t] == CANDLES.open_time[t + 2]
