"""Sharpe ratios against worked numbers of the papers and against skfolio."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import (
    annual_scale,
    deflated_sharpe,
    expected_max_sharpe,
    max_drawdown,
    min_track_record_length,
    probabilistic_sharpe,
    serial_correlation_sharpe,
    sharpe,
    sharpes,
)

FLAT = np.zeros(100)


def sample_with(mean: float, std: float, skew: float, kurtosis: float, num: int) -> np.ndarray:
    """`num` numbers with exactly these moments (std with ddof 1): solves for a polynomial of normal scores."""
    from scipy.optimize import fsolve
    from scipy.stats import norm

    z = norm.ppf((np.arange(num) + 0.5) / num)

    def standard(c: np.ndarray) -> np.ndarray:
        x = z + c[0] * z**2 + c[1] * z**3
        return (x - x.mean()) / x.std()

    def miss(c: np.ndarray) -> list[float]:
        x = standard(c)
        return [float((x**3).mean() - skew), float((x**4).mean() - kurtosis)]

    solution, _, status, message = fsolve(miss, [skew / 6, 0.05], full_output=True)
    assert status == 1, message
    return mean + std * standard(solution) * math.sqrt((num - 1) / num)


def test_sharpe_is_mean_over_sample_deviation_times_root_of_year() -> None:
    daily = np.array([0.01, -0.01, 0.02, 0.0])
    assert sharpe(daily, 365) == pytest.approx(0.005 / math.sqrt(5e-4 / 3) * math.sqrt(365))
    assert sharpe(daily, 365) / sharpe(daily, 252) == pytest.approx(math.sqrt(365 / 252))
    assert sharpes(np.column_stack([daily, -daily, 0 * daily]), 252) == pytest.approx(
        [sharpe(daily, 252), -sharpe(daily, 252), 0.0]
    )


def test_a_flat_series_has_sharpe_zero_and_proves_nothing() -> None:
    for still in (FLAT, np.full(100, 0.1), np.full(100, -0.3)):  # 0.1 sums with rounding: std is 1e-17, not 0
        assert sharpe(still, 365) == 0.0
        assert probabilistic_sharpe(still, 365) == 0.5
        assert min_track_record_length(still, 365) == math.inf
        assert serial_correlation_sharpe(still, 365) == 0.0
        assert deflated_sharpe(still, [0.0, 1.0, 2.0], 365) < 0.5


def test_bailey_and_lopez_de_prado_2012_example_of_psr() -> None:
    # Two years of months, SR 0.458, skewness -2.448, kurtosis 10.164: PSR(0) = 0.913, and 0.982 were it normal.
    odd = sample_with(0.036, 0.036 / 0.458, -2.448, 10.164, 24)
    assert probabilistic_sharpe(odd, 12) == pytest.approx(0.913, abs=5e-4)
    normal = sample_with(0.036, 0.036 / 0.458, 0.0, 3.0, 24)
    assert probabilistic_sharpe(normal, 12) == pytest.approx(0.982, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_bailey_and_lopez_de_prado_2012_minimum_track_record(periods: int, years: float) -> None:
    # Annual Sharpe 2 against 1 at 95 %, normal: 2.73 years of days, 2.83 of weeks, 3.24 of months.
    normal = sample_with(2 / math.sqrt(periods), 1.0, 0.0, 3.0, 2000)
    assert min_track_record_length(normal, periods, benchmark=1.0) / periods == pytest.approx(years, abs=5e-3)


def test_bailey_and_lopez_de_prado_2014_example_of_dsr() -> None:
    # Annual Sharpe 2.5 over 1,250 days of 250 a year, skewness -3, kurtosis 10, 100 trials with variance 1/2.
    # Kurtosis 10 is the least that skewness -3 allows: only two values have it, the lower one on 8.4 % of days.
    two = np.repeat([-1.0, 0.0], [105, 1145])
    daily = (two - two.mean()) / two.std(ddof=1) + 2.5 / math.sqrt(250)
    trials = np.array([-0.5, 0.5])  # variance 1/2 with ddof 1
    assert expected_max_sharpe(100, math.sqrt(0.5 / 250)) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(daily, trials, 250, num_trials=100) == pytest.approx(0.9004, abs=1e-4)
    assert deflated_sharpe(daily, trials, 250, num_trials=46) == pytest.approx(0.9505, abs=1e-4)
    normal = sample_with(2.5 / math.sqrt(250), 1.0, 0.0, 3.0, 1250)
    assert deflated_sharpe(normal, trials, 250, num_trials=88) == pytest.approx(0.9505, abs=5e-5)


def test_dsr_equals_skfolio_per_day() -> None:
    from skfolio.measures import deflated_sharpe_ratio

    rng = np.random.default_rng(0)
    trials_DN = rng.standard_t(4, size=(500, 30)) * 0.01 + 0.0005
    annual = sharpes(trials_DN, 365)
    best = trials_DN[:, annual.argmax()]
    assert deflated_sharpe(best, annual, 365) == pytest.approx(deflated_sharpe_ratio(best, annual / math.sqrt(365)))
    assert deflated_sharpe(best, annual, 365) < probabilistic_sharpe(best, 365)


def test_dsr_of_a_single_trial_is_psr() -> None:
    daily = np.random.default_rng(1).normal(0.001, 0.01, 200)
    assert deflated_sharpe(daily, [sharpe(daily, 365)], 365) == pytest.approx(probabilistic_sharpe(daily, 365))


def test_expected_maximum_agrees_with_simulation() -> None:
    rng = np.random.default_rng(2)
    seen = rng.normal(size=(4000, 50)).max(axis=1).mean()
    assert expected_max_sharpe(50, 1.0) == pytest.approx(seen, abs=0.05)
    assert expected_max_sharpe(1, 1.0) == 0.0


def test_track_record_and_psr_meet_at_the_same_length() -> None:
    from scipy.stats import norm

    daily = np.random.default_rng(3).exponential(size=400) - 0.5  # strongly skewed, so that its sign matters
    for alpha in (0.2, 0.05):
        length = min_track_record_length(daily, 365, benchmark=8.5, alpha=alpha)
        rescaled = (length - 1) / (len(daily) - 1)
        z = norm.ppf(probabilistic_sharpe(daily, 365, benchmark=8.5)) * math.sqrt(rescaled)
        assert norm.cdf(z) == pytest.approx(1 - alpha, abs=1e-6)
    assert min_track_record_length(-np.abs(daily), 365) == math.inf


@pytest.mark.parametrize(("rho", "scale"), [(0.9, 1.21), (0.2, 2.88), (0.0, 3.46), (-0.2, 4.17)])
def test_lo_2002_table_2(rho: float, scale: float) -> None:
    assert annual_scale([rho**k for k in range(1, 12)], 12) == pytest.approx(scale, abs=5e-3)


def test_serial_correlation_lowers_a_trending_sharpe_to_its_true_value() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(size=20_000)
    trending = np.empty_like(noise)
    trending[0] = noise[0]
    for day in range(1, len(noise)):
        trending[day] = 0.3 * trending[day - 1] + noise[day]
    trending += 0.1
    naive, corrected = sharpe(trending, 365), serial_correlation_sharpe(trending, 365, max_lag=20)
    assert corrected / naive == pytest.approx(math.sqrt((1 - 0.3) / (1 + 0.3)), rel=0.05)
    independent = noise + 0.1
    assert serial_correlation_sharpe(independent, 365) == pytest.approx(sharpe(independent, 365), rel=0.05)
    swinging = np.tile([0.02, -0.01], 50)  # the extreme: without a taper the variance is negative
    assert all(math.isfinite(serial_correlation_sharpe(swinging, 365, max_lag=lag)) for lag in (1, 3, 4))


def test_drawdown() -> None:
    assert max_drawdown([0.1, -0.04, -0.03, 0.2, -0.06]) == pytest.approx(0.07)
    assert max_drawdown([-0.1, -0.2]) == pytest.approx(0.3)  # the fall from the start counts
    assert max_drawdown([0.1, 0.2]) == 0.0
    assert max_drawdown(FLAT) == 0.0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: sharpe([0.1], 365), "1 days"),
        (lambda: sharpe([0.1, math.nan], 365), "day 1"),
        (lambda: sharpe([[0.1, 0.2]], 365), "shape"),
        (lambda: sharpe([0.1, 0.2], 0), "days_per_year"),
        (lambda: probabilistic_sharpe([0.1, 0.2], 365), "at least 3"),
        (lambda: expected_max_sharpe(0, 1.0), "num_trials"),
        (lambda: expected_max_sharpe(5, -1.0), "deviation"),
        (lambda: annual_scale([-1.0] * 11, 12), "fewer lags"),
        (lambda: min_track_record_length([0.1, 0.2], 365, alpha=1.5), "alpha"),
    ],
)
def test_bad_input_is_refused(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
