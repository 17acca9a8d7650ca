"""Rank agreement: hand cases with ties, SciPy, simulated supernet noise, constructed permutations."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import borda, kendall, mean_rank, regret, spearman, tau_ceiling, top_k_overlap


def test_tau_b_of_hand_cases() -> None:
    assert kendall([1, 2, 3, 4], [1, 2, 3, 4]).tau == pytest.approx(1)
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]).tau == pytest.approx(-1)
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]).tau == pytest.approx(4 / 6)
    # Pairs of (1, 1, 2, 3) x (1, 2, 2, 3): 4 concordant, 0 discordant, 5 untied in each: 4 / 5.
    assert kendall([1, 1, 2, 3], [1, 2, 2, 3]).tau == pytest.approx(4 / 5)


def test_resampled_taus_equal_scipy_on_the_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.stats import kendalltau

    import tradenas.stats.ranks as module

    rng = np.random.default_rng(0)
    a = rng.integers(0, 6, size=25).astype(float)
    b = a + rng.integers(-2, 3, size=25)
    found = kendall(a, b, reps=200, seed=3, level=0.8)
    counts = module.rng_for(3, "stats", "kendall").multinomial(25, np.full(25, 1 / 25), size=200)
    slow = [kendalltau(np.repeat(a, count), np.repeat(b, count)).statistic for count in counts]
    assert [found.low, found.high] == pytest.approx(np.quantile(slow, [0.1, 0.9]))
    assert found.tau == pytest.approx(kendalltau(a, b).statistic)
    monkeypatch.setattr(module, "_CHUNK", 25 * 40)
    assert kendall(a, b, reps=200, seed=3, level=0.8).low == pytest.approx(found.low)


def test_interval_covers_the_true_tau_of_simulated_supernet_noise() -> None:
    # Supernet score = truth + noise of the same variance: correlation 1/sqrt(2), so tau = 2/pi arcsin(1/sqrt 2) = 1/2.
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        truth = rng.normal(size=60)
        found = kendall(truth, truth + rng.normal(size=60), reps=200, seed=seed)
        covered += found.low < 0.5 < found.high
    assert 88 <= covered <= 99


def test_scores_that_rank_nothing_agree_with_nothing() -> None:
    found = kendall([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], reps=20)
    assert (found.tau, found.low, found.high, found.num) == (0.0, 0.0, 0.0, 3)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0


def test_spearman() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)
    assert spearman([1, 2, 3, 4], np.exp([1, 2, 3, 4])) == pytest.approx(1)


def test_top_k_overlap_and_regret() -> None:
    supernet, standalone = [5, 4, 3, 2, 1], [3, 1, 5, 4, 2]
    assert [top_k_overlap(supernet, standalone, k) for k in (1, 2, 3, 5)] == pytest.approx([0, 0, 2 / 3, 1])
    assert top_k_overlap([1, 1, 1], [3, 2, 1], 1) == 1.0  # a tie goes to the earlier one
    assert regret(supernet, standalone) == 2.0
    assert regret(standalone, standalone) == 0.0
    assert regret([1, 1, 0], [4.0, 2.0, 5.0]) == 2.0  # a tie is a coin toss between 4 and 2


def test_aggregation_of_constructed_permutations() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]])
    assert mean_rank(scores) == pytest.approx([4 / 3, 2, 8 / 3])
    assert borda(scores) == pytest.approx([5, 3, 1])
    assert borda([[1.0, 1.0]]).tolist() == [0.5, 0.5]
    rng = np.random.default_rng(2)
    truth = np.arange(12.0)
    votes = truth + rng.normal(size=(400, 12))
    assert borda(votes).argsort().tolist() == list(range(12))


def test_ceiling_between_two_sets_of_trainings_rises_with_their_seeds() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=200)
    trainings = truth + rng.normal(size=(10, 200))
    one = tau_ceiling(trainings[0], trainings[5], reps=100)
    five = tau_ceiling(trainings[:5], trainings[5:], reps=100)
    assert one.tau == pytest.approx(1 / 3, abs=0.1)  # correlation 1/2: 2/pi arcsin(1/2) = 1/3
    assert five.low > one.high
    assert tau_ceiling(trainings[:5], trainings[:5], reps=20).tau == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: kendall([1, 2], [1, 2, 3]), "3 scores"),
        (lambda: kendall([1], [1]), "at least 2"),
        (lambda: kendall([1, 2], [1, np.nan]), "NaN"),
        (lambda: kendall([1, 2], [1, 2], level=2), "level"),
        (lambda: kendall([1, 2], [1, 2], reps=0), "reps"),
        (lambda: top_k_overlap([1, 2], [1, 2], 3), "k"),
    ],
)
def test_bad_input_is_refused(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
