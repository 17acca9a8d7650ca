from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.features.transforms import TRANSFORMS

WINDOW = 25


def raw(w, _):
    return w[-1] / np.sqrt(np.mean(w**2))


def zscore(w, _):
    return (w[-1] - w.mean()) / w.std()


def rank(w, _):
    return (np.sum(w < w[-1]) - np.sum(w > w[-1])) / (len(w) - 1)


def logret(w, before):
    steps = np.diff(np.concatenate([[before], w]))
    scaled = steps[-1] / np.sqrt(np.mean(steps**2))
    return np.sign(scaled) * np.log1p(np.abs(scaled))


def difference(w, before):
    return np.expm1(np.abs(logret(w, before))) * np.sign(logret(w, before))


@pytest.mark.parametrize("obvious", [raw, zscore, rank, logret, difference])
def test_equals_its_definition(obvious):
    x = np.random.default_rng(0).standard_t(4, size=200).round(2) + 1.0
    transform = TRANSFORMS[obvious.__name__](window=WINDOW)
    y = transform(x)
    assert np.isnan(y[: transform.warmup]).all()
    expected = [obvious(x[t - WINDOW + 1 : t + 1], x[t - WINDOW]) for t in range(transform.warmup, 200)]
    np.testing.assert_allclose(y[transform.warmup :], np.clip(expected, -5, 5), atol=1e-12)


def log(x, t):
    size = 0.25 * np.mean(np.sqrt(np.abs(x[t - WINDOW + 1 : t + 1]))) ** 2
    return np.sign(x[t]) * np.log(1 + np.abs(x[t]) / size)


def ema(span):
    def last(x, t):
        weights = [(1 - 2 / (span + 1)) ** lag for lag in range(2 * span)]
        average = sum(w * x[t - lag] for lag, w in enumerate(weights))
        return average / sum(weights)

    return last


STATISTICS = {
    "log": (log, WINDOW - 1), "mean5": (lambda x, t: x[t - 4 : t + 1].mean(), 4),
    "mean20": (lambda x, t: x[t - 19 : t + 1].mean(), 19), "std5": (lambda x, t: x[t - 4 : t + 1].std(), 4),
    "std20": (lambda x, t: x[t - 19 : t + 1].std(), 19), "ema4": (ema(4), 7), "ema12": (ema(12), 23),
}  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_is_centred_on_the_window(name):
    x = np.random.default_rng(0).standard_t(4, size=200).round(2) + 1.0
    of, before = STATISTICS[name]
    transform = TRANSFORMS[name](window=WINDOW)
    y = transform(x)
    assert transform.warmup == WINDOW - 1 + before
    assert np.isnan(y[: transform.warmup]).all()
    told = np.array([np.nan if t < before else of(x, t) for t in range(200)])
    expected = [zscore(told[t - WINDOW + 1 : t + 1], None) for t in range(transform.warmup, 200)]
    np.testing.assert_allclose(y[transform.warmup :], np.clip(expected, -5, 5), atol=1e-10)


def test_every_transform_has_a_definition_here():
    assert {*STATISTICS, "raw", "zscore", "rank", "logret", "difference"} == set(TRANSFORMS)


def test_log_squeezes_what_zscore_cuts():
    """A lognormal column: its true log, centred, is what comes out, where `zscore` has a tail of outliers."""
    z = np.random.default_rng(2).standard_normal(4000)
    windows = np.lib.stride_tricks.sliding_window_view(z, 50)
    want = (windows[:, -1] - windows.mean(axis=1)) / windows.std(axis=1)
    found = {name: TRANSFORMS[name](window=50)(np.exp(z))[49:] for name in ("log", "rank", "zscore")}
    like = {name: np.corrcoef(y[49:], want[49:])[0, 1] for name, y in found.items()}
    assert like["log"] > 0.98 > like["rank"] > 0.9 > like["zscore"]
    assert (np.abs(found["log"][49:]) > 4).mean() < 1e-3


@pytest.mark.parametrize("name", tuple(TRANSFORMS))
@pytest.mark.parametrize("level", [0.0, 0.1, -1e6, 1e-9])
def test_flat_columns_are_finite_and_say_nothing(name, level):
    transform = TRANSFORMS[name](window=WINDOW)
    y = transform(np.full(80, level))[transform.warmup :]
    expected = np.sign(level) if name == "raw" else 0.0
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize("name", tuple(TRANSFORMS))
def test_bounded_and_free_of_units(name):
    x = np.random.default_rng(1).standard_cauchy(500) ** 3
    transform = TRANSFORMS[name](window=WINDOW)
    y = transform(x)[transform.warmup :]
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 5.0
    np.testing.assert_allclose(transform(1e-7 * x)[transform.warmup :], y, atol=1e-6)


def test_raw_clips_an_outlier_that_the_window_cannot_absorb():
    x = np.full(100, 1e-3)
    x[60] = 1.0
    assert TRANSFORMS["raw"](window=50)(x)[60] == 5.0
    assert TRANSFORMS["zscore"](window=50)(x)[60] == 5.0


def test_rounding_noise_on_a_level_counts_as_flat():
    x = 0.1 + 1e-17 * np.arange(200) + np.where(np.arange(200) % 3 == 0, 1.4e-17, 0.0)
    assert len(np.unique(x)) > 1
    for name in ("zscore", "logret", "difference", "std5", "std20"):
        transform = TRANSFORMS[name](window=WINDOW)
        assert (transform(x)[transform.warmup :] == 0.0).all()


def test_bad_windows_and_names_are_refused():
    with pytest.raises(ConfigError, match="window"):
        TRANSFORMS["rank"](window=1)
    with pytest.raises(ConfigError, match="Did you mean 'zscore'"):
        TRANSFORMS["zscor"]
