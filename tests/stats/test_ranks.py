"""Rank agreement: hand cases with ties, SciPy, simulated supernet noise, constructed permutations."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import (
    borda,
    kendall,
    mean_rank,
    of_ceiling,
    regret,
    spearman,
    tau_ceiling,
    tau_change,
    tau_within_top,
    top_k_overlap,
)


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


def test_within_the_top_only_the_order_of_the_best_counts() -> None:
    truth = np.arange(20.0)
    proxy = np.concatenate([np.arange(15.0), [19.0, 18.0, 17.0, 16.0, 15.0]])  # the best five the wrong way round
    found = tau_within_top(proxy, truth, reps=50)
    assert found is not None
    assert (found.tau, found.num) == (pytest.approx(-1.0), 5)
    assert kendall(proxy, truth).tau > 0.8
    assert tau_within_top(proxy[:8], truth[:8]) is None  # two of eight are no order to speak of


def test_regret_of_a_shortlist() -> None:
    proxy, truth = [5, 4, 3, 2, 1], [1.0, 4.0, 2.0, 6.0, 3.0]
    assert [regret(proxy, truth, k=k) for k in (1, 2, 3, 4)] == [5.0, 2.0, 2.0, 0.0]


def test_a_change_of_tau_is_paired() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=40)
    noise = rng.normal(size=40)
    before, after = truth + noise, truth + 0.5 * noise
    found = tau_change(before, after, truth, reps=400)
    assert found.tau == pytest.approx(kendall(after, truth).tau - kendall(before, truth).tau)
    assert found.low > 0.0
    a, b = kendall(before, truth), kendall(after, truth)
    assert found.high - found.low < 0.8 * ((a.high - a.low) + (b.high - b.low)) / np.sqrt(2)
    same = tau_change(before, before, truth, reps=50)
    assert (same.tau, same.low, same.high) == (0.0, 0.0, 0.0)


def test_share_of_the_ceiling() -> None:
    rng = np.random.default_rng(6)
    truth = rng.normal(size=150)
    trainings = truth + 0.5 * rng.normal(size=(2, 150))
    as_good_as_a_training = of_ceiling(truth + 0.5 * rng.normal(size=150), *trainings, reps=200)
    assert as_good_as_a_training is not None
    assert as_good_as_a_training.low < 1.0 < as_good_as_a_training.high
    poor = of_ceiling(truth + 3.0 * rng.normal(size=150), *trainings, reps=200)
    assert poor is not None
    assert poor.high < 0.7
    assert of_ceiling(truth, rng.normal(size=150), rng.normal(size=150), reps=200) is None
