"""Windows against the obvious loop, and the properties a running sum would not have."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.features import ordering, rolling


def each_window(x, window, function):
    out = np.full(len(x), np.nan)
    for t in range(window - 1, len(x)):
        out[t] = function(x[t - window + 1 : t + 1])
    return out


def skew(w):
    return np.mean(((w - w.mean()) / w.std()) ** 3)


OPERATORS = {
    "sum": (rolling.window_sum, np.sum),
    "mean": (rolling.window_mean, np.mean),
    "max": (ordering.window_max, np.max),
    "min": (ordering.window_min, np.min),
    "moments mean": (lambda x, w: rolling.moments(x, w).mean_T, np.mean),
    "std": (lambda x, w: rolling.moments(x, w).std(), np.std),
    "std ddof 1": (lambda x, w: rolling.moments(x, w).std(ddof=1), lambda w: np.std(w, ddof=1)),
    "skew": (rolling.skewness, skew),
    "deviation": (
        lambda x, w: rolling.mean_abs_deviation(x, rolling.moments(x, w).mean_T, w),
        lambda w: np.mean(np.abs(w - w.mean())),
    ),
    "trend": (rolling.trend_sum, lambda w: np.sum((np.arange(len(w)) - (len(w) - 1) / 2) * w)),
    "rank": (ordering.rank_balance, lambda w: np.sum(w < w[-1]) - np.sum(w > w[-1])),
    "argmax": (ordering.argmax_age, lambda w: len(w) - 1 - np.argmax(w)),
    "quantile": (lambda x, w: ordering.quantile(x, w, (0.8,))[0], lambda w: np.quantile(w, 0.8)),
}


@pytest.mark.parametrize("window", [3, 8, 13, 100])
@pytest.mark.parametrize("name", OPERATORS)
def test_equals_the_loop_over_windows(name, window):
    ours, obvious = OPERATORS[name]
    x = np.random.default_rng(1).normal(size=160).round(1)  # rounded: there are ties
    np.testing.assert_allclose(ours(x, window), each_window(x, window, obvious), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", OPERATORS)
def test_same_bits_wherever_the_window_stands(name, monkeypatch):
    monkeypatch.setattr(rolling, "BLOCK", 37)
    x = np.random.default_rng(2).normal(size=300)
    whole = OPERATORS[name][0](x, 20)
    for start, stop in ((0, 41), (1, 300), (50, 170), (255, 300)):
        part = OPERATORS[name][0](x[start:stop], 20)
        np.testing.assert_array_equal(part[19:], whole[start + 19 : stop])
        assert np.isnan(part[:19]).all()


@pytest.mark.parametrize("name", OPERATORS)
def test_nan_and_huge_values_leave_with_their_window(name):
    x = np.random.default_rng(3).normal(size=60)
    dirty = x.copy()
    dirty[20] = np.nan
    dirty[21] = 1e12
    before, after = OPERATORS[name][0](x, 10), OPERATORS[name][0](dirty, 10)
    assert np.isnan(after[20:30]).all()
    np.testing.assert_array_equal(after[31:], before[31:])


def test_std_of_a_tiny_move_on_a_high_price():
    x = np.full(3_000, 1e5)
    x[:50] = 1e9  # what a running sum would never forget
    x[2_000] += 1e-3
    std = rolling.moments(x, 20).std()
    assert (std[100:2_000] == 0.0).all()
    assert std[2_010] == pytest.approx(1e-3 * np.sqrt(19) / 20, rel=1e-6)


@pytest.mark.parametrize("window", [2, 3, 13, 20, 100])
def test_moments_are_exact_to_the_last_digits_at_any_price_level(window):
    x = 1e7 + np.cumsum(np.random.default_rng(5).normal(size=300))
    about = rolling.moments(x, window)
    for t in (window - 1, 150, 299):
        rows = [Fraction(float(v)) for v in x[t - window + 1 : t + 1]]
        mean = sum(rows) / window
        assert about.mean_T[t] == pytest.approx(float(mean), rel=3e-16)
        assert about.squares_T[t] == pytest.approx(float(sum((v - mean) ** 2 for v in rows)), rel=2e-15)


def test_correlation_equals_the_loop_and_is_zero_when_flat():
    rng = np.random.default_rng(4)
    x = rng.normal(size=80)
    y = 0.5 * x + rng.normal(size=80)
    expected = [np.corrcoef(x[t - 9 : t + 1], y[t - 9 : t + 1])[0, 1] for t in range(9, 80)]
    np.testing.assert_allclose(rolling.correlation(x, y, 10)[9:], expected, atol=1e-12)
    assert (rolling.correlation(x, np.full(80, 0.1), 10)[9:] == 0.0).all()


def test_series_shorter_than_the_window_are_all_nan():
    for ours, _ in OPERATORS.values():
        assert np.isnan(ours(np.arange(4.0), 5)).all()


@pytest.mark.parametrize("window", [0, -1, 2.5, True, "20"])
def test_bad_windows_are_refused(window):
    with pytest.raises(ConfigError, match="window"):
        rolling.window_sum(np.arange(4.0), window)
