from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError
from tradenas.features import REGIMES, RegimeModel
from tradenas.features.replay import alter_future
from tradenas.seeds import rng_for

SMALL = {"window": 16, "slow": 240}


def staged(blocks: int = 60, length: int = 60) -> tuple[Candles, np.ndarray]:
    """Candles that go through the four regimes in turn, and which one rules each row."""
    rng = rng_for(0, "tests", "regimes")
    moves, truth = [], []
    for block in range(blocks):
        kind = (0, 2, 1, 3)[block % 4]
        noise = rng.normal(0.0, 0.002, length)
        if kind == 0:
            noise = noise + 0.0016 * (-1) ** (block // 4)
        elif kind == 1:
            noise = np.diff(rng.normal(0.0, 0.0016, length + 1))
        else:
            noise *= 3.0 if kind == 2 else 0.3
        moves.append(noise)
        truth.append(np.full(length, kind))
    close = 100.0 * np.exp(np.cumsum(np.concatenate(moves)))
    open_ = np.concatenate([[100.0], close[:-1]])
    candles = Candles.from_arrays(
        symbol="STAGED", open_time=np.arange(len(close), dtype=np.int64) * 60_000, open=open_, close=close,
        high=np.maximum(open_, close), low=np.minimum(open_, close), volume=np.ones(len(close)), interval_ms=60_000,
        calendar="24/7",
    )  # fmt: skip
    return candles, np.concatenate(truth)


@pytest.fixture(scope="module")
def world():
    candles, truth = staged()
    return candles, truth, RegimeModel.fit(candles, slice(0, 1_800), **SMALL)


def test_planted_regimes_are_found_after_the_search_zone(world):
    candles, truth, model = world
    settled = np.arange(len(candles)) % 60 >= 40
    label = model.labels(candles)
    for kind, name in enumerate(REGIMES):
        rows = (truth == kind) & settled & (np.arange(len(candles)) >= 1_800)
        assert (label[rows] == kind).mean() > 0.6, name


def test_regimes_persist(world, make_walk):
    candles, _, model = world
    label = model.labels(candles)
    known = label[label >= 0]
    assert (known[1:] == known[:-1]).mean() > 0.9
    noise = make_walk(4_000)
    label = RegimeModel.fit(noise, slice(0, 2_000)).labels(noise)
    known = label[label >= 0]
    assert (known[1:] == known[:-1]).mean() > 0.8
    assert np.bincount(known, minlength=4).min() > 0.05 * len(known)


def test_fit_sees_nothing_after_its_rows(world):
    candles, _, model = world
    assert RegimeModel.fit(alter_future(candles, 1_800), slice(0, 1_800), **SMALL) == model
    assert RegimeModel.fit(candles[:1_800], slice(0, 1_800), **SMALL) == model
    assert RegimeModel.fit(candles, slice(0, 1_801), **SMALL) != model


def test_fit_takes_anything_with_a_start_and_a_stop(world):
    @dataclass(frozen=True)
    class Zone:
        start: int
        stop: int

    candles, _, model = world
    assert RegimeModel.fit(candles, Zone(0, 1_800), **SMALL) == model
    assert RegimeModel.fit(candles, Zone(600, 1_800), **SMALL) != model


def test_memberships_sum_to_one_and_agree_with_the_labels(world):
    candles, _, model = world
    soft, label = model.probabilities(candles), model.labels(candles)
    known = label >= 0
    assert (np.flatnonzero(known)[0]) == model.warmup
    assert np.isnan(soft[~known]).all()
    np.testing.assert_allclose(soft[known].sum(axis=1), 1.0)
    assert soft[known].min() >= 0.0
    assert (soft.argmax(axis=1) == label)[known].mean() > 0.85


def test_a_gap_starts_the_regimes_anew(make_walk):
    candles = make_walk(2_000, gaps=(1_000,))
    model = RegimeModel.fit(candles, slice(0, 1_000), **SMALL)
    label = model.labels(candles)
    assert (label[1_000 : 1_000 + model.warmup] == -1).all()
    assert (label[1_000 + model.warmup :] >= 0).all()
    np.testing.assert_array_equal(label[1_000:], model.labels(candles[1_000:]))


def test_a_still_market_has_a_regime_and_no_warning(make_flat, world):
    label = world[2].labels(make_flat(700))
    assert set(label.tolist()) <= {-1, 0, 1, 2, 3}
    assert (label[world[2].warmup :] >= 0).all()
    assert np.isfinite(world[2].probabilities(make_flat(700))[world[2].warmup :]).all()


@pytest.mark.parametrize(
    ("rows", "options", "match"),
    [
        (slice(0, 99_999), {}, "regimes.rows"),
        (slice(500, 400), {}, "regimes.rows"),
        (slice(0, 600), {}, "100 or more"),
        (slice(0, 1_800), {"window": 1}, "window"),
        (slice(0, 1_800), {"window": 50, "slow": 50}, "window"),
        (slice(0, 1_800), {"tail": 0.5}, "regimes.tail"),
    ],
)
def test_nonsense_is_refused(world, rows, options, match):
    with pytest.raises(ConfigError, match=match):
        RegimeModel.fit(world[0], rows, **{**SMALL, **options})
