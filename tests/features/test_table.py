from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError, LookaheadError
from tradenas.features import DEFAULT_INDICATORS, INDICATORS, TRANSFORMS, Indicator, build_table
from tradenas.features.replay import alter_future

ALL = ("raw", "zscore", "rank", "logret")


def test_blocks_hold_indicator_j_under_transform_b(make_walk):
    candles = make_walk(500)
    table = build_table(candles, indicators=["rsi_14", "body", "volatility_20"], transforms=ALL, window=40)
    assert table.values_TF.dtype == np.float32
    assert table.values_TF.flags.c_contiguous
    assert table.names == ("rsi_14", "body", "volatility_20")
    assert table.groups == ("momentum", "shape", "volatility")
    assert table.transforms == ALL
    assert table.warmup == INDICATORS["rsi_14"].warmup + 40
    for b, transform in enumerate(ALL):
        for j, name in enumerate(table.names):
            expected = TRANSFORMS[transform](window=40)(INDICATORS[name](candles)).astype(np.float32)
            got = table.values_TF[:, b * 3 + j]
            np.testing.assert_array_equal(got[table.ready_T], expected[table.ready_T])
            assert (got[~table.ready_T] == 0.0).all()


def test_readiness_starts_anew_after_every_gap(make_walk):
    table = build_table(make_walk(300, gaps=(100, 130, 200)), indicators=["body"], window=50)
    assert table.warmup == 49
    ready = np.zeros(300, bool)
    ready[49:100] = ready[179:200] = ready[249:] = True
    np.testing.assert_array_equal(table.ready_T, ready)


def test_nothing_from_before_a_gap_is_in_a_ready_row(make_walk):
    """Reversing time's arrow: other candles before the gap, the same after it, recursive indicators included."""
    whole = make_walk(900, gaps=(450,))
    table = build_table(whole, transforms=ALL)
    alone = build_table(whole[450:], transforms=ALL)
    assert table.ready_T[450:].any()
    np.testing.assert_array_equal(table.values_TF[450:], alone.values_TF)
    np.testing.assert_array_equal(table.ready_T[450:], alone.ready_T)


def test_everything_is_finite_on_hard_candles(probe, make_flat):
    for candles in (probe, make_flat(400)):
        table = build_table(candles, transforms=ALL, window=20)
        assert table.ready_T.any()
        assert np.isfinite(table.values_TF).all()
        assert np.abs(table.values_TF).max() <= 5.0


def test_short_series_have_no_ready_rows(make_walk):
    table = build_table(make_walk(30))
    assert not table.ready_T.any()
    assert not table.values_TF.any()
    assert table.values_TF.shape == (30, len(DEFAULT_INDICATORS))


def late_leak(candles):
    """Honest on the short candles of registration, not on a user's longer ones."""
    return candles.close / (candles.close[-1] if candles.close[0] > 1e4 else 1.0)


def test_own_features_are_replayed_on_the_candles_of_the_study(make_walk):
    own = Indicator(name="late_leak", group="shape", warmup=0, function=late_leak)
    build_table(make_walk(300), indicators=[own])
    with pytest.raises(LookaheadError, match="feature 'late_leak' on WALK, row 0"):
        build_table(make_walk(300, price=1e5), indicators=[own])


def test_values_too_large_to_square_are_refused_by_name(make_walk):
    own = Indicator(name="huge", group="shape", warmup=0, function=lambda candles: candles.close * 1e200)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ConfigError, match="feature 'huge' under 'zscore'"),
    ):
        build_table(make_walk(300), indicators=[own])


@pytest.mark.parametrize("wrong", [(), ("zscore", "zscore"), "zscore", ("logs",)])
def test_wrong_transforms_are_refused(wrong, make_walk):
    with pytest.raises(ConfigError, match="transform"):
        build_table(make_walk(300), transforms=wrong)


def test_altering_the_future_leaves_the_past_rows(make_walk):
    candles = make_walk(600)
    before = build_table(candles, transforms=ALL).values_TF
    after = build_table(alter_future(candles, 500), transforms=ALL).values_TF
    np.testing.assert_array_equal(after[:500], before[:500])
    assert (after[500:] != before[500:]).any(axis=1).all()
