"""Labels and returns by numbers worked out by hand: opens 100 110 121 121 60.5 66.55 of candles 0 .. 5."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError, LookaheadError
from tradenas.features.targets import Target, bar_returns, realised_time

HOUR = 3_600_000
OPENS = np.array([100.0, 110.0, 121.0, 121.0, 60.5, 66.55])
NAN = np.nan


def market(gap_before: int | None = None) -> Candles:
    open_time = np.arange(6, dtype=np.int64) * HOUR
    if gap_before is not None:
        open_time[gap_before:] += 3 * HOUR
    close = OPENS + 1.0
    return Candles.from_arrays(
        symbol="HAND", open_time=open_time, open=OPENS, high=close, low=OPENS, close=close, volume=np.ones(6),
        interval_ms=HOUR, calendar="24/7",
    )  # fmt: skip


def same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_bar_returns_are_open_to_open_after_the_delay():
    same(bar_returns(market()), [0.1, 0.0, -0.5, 0.1, NAN, NAN])
    same(bar_returns(market(), 2), [0.0, -0.5, 0.1, NAN, NAN, NAN])
    same(bar_returns(market()[:2]), [NAN, NAN])
    assert bar_returns(market()[:1]).shape == (1,)


def test_bar_returns_keep_the_move_across_a_gap():
    same(bar_returns(market(gap_before=4)), [0.1, 0.0, -0.5, 0.1, NAN, NAN])


def test_forward_return():
    same(Target(kind="forward_return").label(market()), [0.1, 0.0, -0.5, 0.1, NAN, NAN])
    same(Target(kind="forward_return", horizon=2).label(market()), [0.1, -0.5, -0.45, NAN, NAN, NAN])
    same(Target(kind="forward_return", horizon=2, delay=2).label(market()), [-0.5, -0.45, NAN, NAN, NAN, NAN])


def test_direction_and_its_ties():
    same(Target().label(market()), [1.0, NAN, 0.0, 1.0, NAN, NAN])
    same(Target(horizon=2).label(market()), [1.0, 0.0, 0.0, NAN, NAN, NAN])


def test_volatility_is_the_log_of_the_root_mean_square():
    a, b = np.log(1.1), np.log(0.5)
    expected = [np.log(np.sqrt((a**2 + 0) / 2)), np.log(np.sqrt((0 + b**2) / 2)), np.log(np.sqrt((b**2 + a**2) / 2))]
    same(Target(kind="volatility", horizon=2).label(market()), [*expected, NAN, NAN, NAN])


def test_volatility_of_a_still_market_is_unknown(make_flat):
    assert np.isnan(Target(kind="volatility", horizon=3).label(make_flat(9))).all()


@pytest.mark.parametrize(
    ("horizon", "delay", "gap", "unknown"),
    [(1, 1, 4, {2, 3, 4, 5}), (2, 1, 3, {0, 1, 2, 3, 4, 5}), (1, 2, 5, {2, 3, 4, 5}), (1, 1, 1, {0, 4, 5})],
)
def test_labels_never_span_a_gap(horizon, delay, gap, unknown):
    label = Target(kind="forward_return", horizon=horizon, delay=delay).label(market(gap_before=gap))
    assert set(np.flatnonzero(np.isnan(label)).tolist()) == unknown


def test_purge_is_what_a_label_looks_at():
    target = Target(horizon=3, delay=2)
    assert target.purge_rows == 5
    assert np.isnan(target.label(market())).sum() == 5


def test_realised_time_is_the_open_that_closes_the_trade():
    late = 3 * HOUR
    assert realised_time(market()).tolist() == [h * HOUR for h in (2, 3, 4, 5, 6, 7)]
    assert realised_time(market(gap_before=4)).tolist() == [
        2 * HOUR, 3 * HOUR, 4 * HOUR + late, 5 * HOUR + late, 6 * HOUR + late, 7 * HOUR + late,
    ]  # fmt: skip
    assert realised_time(market(), 2)[0] == 3 * HOUR
    assert (realised_time(market()) > market().close_time).all()


def test_same_bar_fills_need_a_flag_and_are_branded():
    for make in (lambda: Target(delay=0), lambda: bar_returns(market(), 0), lambda: realised_time(market(), 0)):
        with pytest.raises(LookaheadError, match="allow_same_bar"):
            make()
    branded = Target(kind="forward_return", delay=0, allow_same_bar=True)
    assert branded.same_bar
    assert not Target().same_bar
    closes = OPENS + 1.0
    same(branded.label(market())[:5], closes[1:] / closes[:-1] - 1.0)
    same(bar_returns(market(), 0, allow_same_bar=True)[:5], closes[1:] / closes[:-1] - 1.0)
    assert realised_time(market(), 0, allow_same_bar=True).tolist() == [h * HOUR for h in (2, 3, 4, 5, 6, 7)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "price"}, {"horizon": 0}, {"horizon": 1.5}, {"kind": "volatility", "horizon": 1}, {"delay": -1},
        {"delay": True},
    ],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError, match="target"):
        Target(**wrong)


def test_binary_is_direction_alone():
    assert Target().binary
    assert not Target(kind="forward_return").binary
