"""The difference of two Sharpe ratios: paired, of the right size, and covering what it should."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import bootstrap_interval, sharpe_difference, sharpes


def test_the_value_is_the_difference_of_the_two() -> None:
    one, two = np.random.default_rng(1).normal(0.001, 0.01, size=(2, 300))
    found = sharpe_difference(one, two, days_per_year=252)
    assert (found.first, found.second) == tuple(sharpes(np.column_stack([one, two]), 252))
    assert found.value == found.first - found.second
    turned = sharpe_difference(two, one, days_per_year=252)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low), abs=0.02)


def test_what_both_have_in_common_cancels() -> None:
    rng = np.random.default_rng(2)
    market = rng.normal(0.0, 0.01, 400)
    one, two = market + rng.normal(0.0, 0.001, 400), market + rng.normal(0.0, 0.001, 400)
    found = sharpe_difference(one, two)
    alone = bootstrap_interval(one)
    assert found.high - found.low < 0.3 * float(alone.high_N[0] - alone.low_N[0])
    assert sharpe_difference(one, one).low == sharpe_difference(one, one).high == 0.0


def test_the_interval_covers_at_about_its_level() -> None:
    """Two strategies of the same Sharpe ratio on a common market: 0 is inside in 95 % of cases."""
    rng = np.random.default_rng(3)
    inside = 0
    for seed in range(200):
        common = rng.normal(0.0, 0.01, 250)
        one, two = (common + rng.normal(0.0005, 0.005, 250) for _ in range(2))
        found = sharpe_difference(one, two, reps=300, seed=seed)
        inside += found.low <= 0.0 <= found.high
    assert 178 <= inside <= 199


def test_faults_are_named() -> None:
    one = np.random.default_rng(4).normal(size=50)
    with pytest.raises(ConfigError, match="49 days"):
        sharpe_difference(one, one[1:])
    with pytest.raises(ConfigError, match="level"):
        sharpe_difference(one, one, level=1.0)
    with pytest.raises(ConfigError, match="first_D"):
        sharpe_difference(np.append(one[1:], np.nan), one)
