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


@pytest.mark.parametrize("obvious", [raw, zscore, rank, logret])
def test_equals_its_definition(obvious):
    x = np.random.default_rng(0).standard_t(4, size=200).round(2) + 1.0
    transform = TRANSFORMS[obvious.__name__](window=WINDOW)
    y = transform(x)
    assert np.isnan(y[: transform.warmup]).all()
    expected = [obvious(x[t - WINDOW + 1 : t + 1], x[t - WINDOW]) for t in range(transform.warmup, 200)]
    np.testing.assert_allclose(y[transform.warmup :], np.clip(expected, -5, 5), atol=1e-12)


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
    for name in ("zscore", "logret"):
        transform = TRANSFORMS[name](window=WINDOW)
        assert (transform(x)[transform.warmup :] == 0.0).all()


def test_bad_windows_and_names_are_refused():
    with pytest.raises(ConfigError, match="window"):
        TRANSFORMS["rank"](window=1)
    with pytest.raises(ConfigError, match="Did you mean 'zscore'"):
        TRANSFORMS["zscor"]
