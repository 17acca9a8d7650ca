"""The chance that a shortlist holds the best: closed cases, brute-force simulation, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import RankAgreement, chance_of_best, chance_with_interval, k_for_chance


@pytest.mark.parametrize("num", [1, 2, 7, 200])
def test_a_proxy_that_knows_nothing_holds_the_best_by_its_share(num: int) -> None:
    for k in {1, (num + 1) // 2, num}:
        assert chance_of_best(0.0, num, k) == pytest.approx(k / num, abs=1e-4)


def test_closed_cases() -> None:
    assert chance_of_best(1.0, 50, 1) == 1.0
    assert chance_of_best(-1.0, 50, 49) == 0.0
    assert chance_of_best(-1.0, 50, 50) == chance_of_best(0.3, 50, 50) == 1.0
    # Two architectures: the better one is first as often as a pair is concordant, (1 + tau) / 2, by definition.
    for tau in (-0.6, 0.2, 0.5, 0.9):
        assert chance_of_best(tau, 2, 1) == pytest.approx((1 + tau) / 2, abs=1e-4)


@pytest.mark.parametrize(("tau", "num"), [(-0.3, 30), (0.2, 200), (0.5, 40), (0.8, 200), (0.97, 60)])
def test_it_is_what_drawing_worlds_finds(tau: float, num: int) -> None:
    from scipy.stats import kendalltau

    rng, ks = np.random.default_rng(11), (1, 3, num // 4)
    rho, draws = np.sin(np.pi * tau / 2), 8000
    truth = rng.normal(size=(draws, num))
    proxy = rho * truth + np.sqrt(1 - rho**2) * rng.normal(size=truth.shape)
    assert kendalltau(truth[:50].ravel(), proxy[:50].ravel()).statistic == pytest.approx(tau, abs=0.03)
    best = truth.argmax(axis=1)
    place = (proxy > np.take_along_axis(proxy, best[:, None], 1)).sum(axis=1) + 1
    for k in ks:
        share = float((place <= k).mean())
        assert chance_of_best(tau, num, k) == pytest.approx(share, abs=4 * np.sqrt(0.25 / draws))


def test_the_fewest_that_do() -> None:
    for tau, num, chance in ((0.4, 200, 0.5), (0.0, 40, 0.3), (0.6, 37, 0.95), (-0.2, 20, 0.9), (0.5, 1, 0.9)):
        k = k_for_chance(tau, num, chance)
        assert chance_of_best(tau, num, k) >= chance - 1e-4
        assert k == 1 or chance_of_best(tau, num, k - 1) < chance
    assert k_for_chance(0.3, 60, 1.0) == 60
    assert k_for_chance(1.0, 60, 1.0) == 1


def test_the_interval_is_that_of_tau() -> None:
    found = chance_with_interval(RankAgreement(tau=0.4, low=-0.2, high=0.8, num=12), 200, 5)
    assert (found.low, found.value, found.high) == tuple(chance_of_best(t, 200, 5) for t in (-0.2, 0.4, 0.8))
    assert found.low < found.value < found.high
    assert (found.k, found.num) == (5, 200)


def test_a_few_that_agree_throughout_leave_doubt() -> None:
    def low(num: int) -> float:
        return chance_with_interval(RankAgreement(tau=1.0, low=1.0, high=1.0, num=num), 200, 1).low

    assert low(4) < 0.05  # six pairs in order are one chance in 24
    assert low(4) < low(12) < low(100) < 1.0
    # The ends cover what is true: tau of 12 architectures drawn from a copula whose tau is 1/3.
    rng, covered = np.random.default_rng(0), 0
    from scipy.stats import kendalltau

    for _ in range(300):
        truth = rng.normal(size=12)
        tau = float(kendalltau(truth, 0.5 * truth + np.sqrt(0.75) * rng.normal(size=12)).statistic)
        found = chance_with_interval(RankAgreement(tau=tau, low=tau, high=tau, num=12), 50, 5)
        covered += found.low <= chance_of_best(1 / 3, 50, 5) <= found.high
    assert covered / 300 >= 0.94


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: chance_of_best(0.5, 10, 11), "from 1 to 10"),
        (lambda: chance_of_best(0.5, 10, 0), "k"),
        (lambda: chance_of_best(1.1, 10, 1), "tau"),
        (lambda: chance_of_best(0.5, 0, 1), "num"),
        (lambda: k_for_chance(0.5, 10, 0.0), "chance"),
        (lambda: k_for_chance(0.5, 10, 1.2), "chance"),
        (lambda: k_for_chance(0.5, 0, 0.5), "num"),
    ],
)
def test_bad_input_is_refused(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
