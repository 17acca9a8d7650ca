"""Nothing in `tradenas.features` sees the future: prefix replay and altered futures, bit for bit, at dense cuts.

The candles are hard ones (still stretches, no volume, a jump, a gap) and a plain walk; every indicator, transform,
regime label, Alpha158 column and the whole table goes through.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.features import (
    DEFAULT_INDICATORS,
    INDICATORS,
    REGIMES,
    TRANSFORMS,
    RegimeModel,
    Target,
    alpha158,
    bar_returns,
    build_table,
    future_replay,
    prefix_replay,
)
from tradenas.features.replay import alter_future, dense_cuts, probe_candles

ROWS = 420
CUTS = sorted({*dense_cuts(ROWS).tolist(), *range(130, 190), *range(270, 300)})


@pytest.fixture(scope="module")
def candles():
    return probe_candles(ROWS)


def check(function, candles, cuts=CUTS):
    assert prefix_replay(function, candles, cuts) is None
    assert future_replay(function, candles, cuts[::4]) is None


@pytest.mark.parametrize("name", DEFAULT_INDICATORS)
def test_indicator(name, candles):
    check(INDICATORS[name].function, candles)


@pytest.mark.parametrize("source", ["log_return_1", "volume_ratio_20", "rsi_14"])
@pytest.mark.parametrize("name", tuple(TRANSFORMS))
def test_transform(name, source, candles):
    transform = TRANSFORMS[name](window=30)
    check(lambda c: transform(INDICATORS[source](c)), candles)


def test_table(candles):
    def table(c):
        made = build_table(c, transforms=tuple(TRANSFORMS), window=20)
        return np.column_stack([made.values_TF, made.ready_T])

    check(table, candles, CUTS[::5])


def test_alpha158(candles):
    check(lambda c: alpha158(c)[1], candles, CUTS[::2])


def test_regimes(candles):
    model = RegimeModel.fit(candles, slice(0, 250), window=10, slow=20)
    assert (model.labels(candles) >= 0).sum() > 100
    check(model.labels, candles)
    check(model.probabilities, candles)
    assert model.probabilities(candles).shape == (ROWS, len(REGIMES))


TARGETS = [
    Target(),
    Target(kind="forward_return", horizon=5),
    Target(kind="forward_return", horizon=2, delay=3),
    Target(kind="volatility", horizon=4),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.kind}-{t.horizon}-{t.delay}")
def test_label_is_known_exactly_purge_rows_later(target, candles):
    """With candles 0 .. k-1 the labels of rows before k - purge_rows are final, and the others are not known."""
    whole = target.label(candles)
    for cut in CUTS:
        part = target.label(candles[:cut])
        known = max(cut - target.purge_rows, 0)
        np.testing.assert_array_equal(part[:known], whole[:known])
        assert np.isnan(part[known:]).all()


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.kind}-{t.horizon}-{t.delay}")
def test_label_owes_nothing_to_what_the_decision_knew(target, candles):
    """Candles 0 .. t changed: the label of row t stays; candle t + delay changed: it does not."""
    whole = target.label(candles)
    cut = 200
    turned = alter_future(candles, 0)
    mixed = alter_future(candles, cut)
    assert not np.array_equal(target.label(turned)[50:60], whole[50:60], equal_nan=True)
    first_touched = cut - target.purge_rows
    np.testing.assert_array_equal(target.label(mixed)[:first_touched], whole[:first_touched])
    stitched = _stitch(turned, candles, cut)
    np.testing.assert_array_equal(target.label(stitched)[cut - 1 :], whole[cut - 1 :])
    np.testing.assert_array_equal(bar_returns(stitched)[cut - 1 :], bar_returns(candles)[cut - 1 :])


def test_features_owe_nothing_to_the_target(candles):
    """Rows of features at t stay while everything that the labels of t look at is changed."""
    table, cut = build_table(candles, window=20), 230
    other = build_table(alter_future(candles, cut), window=20)
    np.testing.assert_array_equal(other.values_TF[:cut], table.values_TF[:cut])
    assert table.ready_T[cut - 1]


def centred(c):
    return np.convolve(np.log(c.close), np.ones(3) / 3, mode="same")


def backfilled(c):
    out = np.where(c.volume > 0, c.volume, np.nan)
    for t in range(len(out) - 2, -1, -1):
        out[t] = out[t + 1] if np.isnan(out[t]) else out[t]
    return out


def whole_z(c):
    return (c.close - c.close.mean()) / c.close.std()


def shifted_up(c):
    return np.append(c.close[1:] / c.close[:-1], 1.0)


def smoothed_both_ways(c):
    forward = INDICATORS["rsi_14"](c)
    return (np.nan_to_num(forward) + np.nan_to_num(forward[::-1].cumsum()[::-1])) / 2


@pytest.mark.parametrize("leak", [centred, backfilled, whole_z, shifted_up, smoothed_both_ways])
def test_a_leak_is_caught_by_both_replays(leak, candles):
    cuts = [cut for cut in CUTS if cut > 10]
    assert prefix_replay(leak, candles, cuts) is not None
    assert future_replay(leak, candles, cuts) is not None


def _stitch(first, second, cut):
    """Candles of `first` before the cut and of `second` from it on."""
    columns = ("open", "high", "low", "close", "volume")
    return replace(second, **{n: np.concatenate([getattr(first, n)[:cut], getattr(second, n)[cut:]]) for n in columns})
