"""Intervals of an aggregated rank: constructed rankers, coverage of the rank that endless rankers would give."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import rank_interval


def test_rankers_that_agree_leave_no_doubt() -> None:
    found = rank_interval([[4.0, 3.0, 1.0, 2.0]] * 3, reps=100)
    assert found.rank_N.tolist() == found.low_N.tolist() == found.high_N.tolist() == [1, 2, 4, 3]
    assert found.first_N.tolist() == [1, 0, 0, 0]
    assert found.rankers == 3


def test_rankers_that_contradict_each_other_leave_all_of_it() -> None:
    found = rank_interval([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], reps=400)
    assert found.rank_N.tolist() == [2, 2, 2]
    assert (found.low_N.tolist(), found.high_N.tolist()) == ([1, 2, 1], [3, 2, 3])
    assert found.first_N.sum() == pytest.approx(1.0)
    # 1/4 of the draws hold only the first ranker, 1/4 only the second, and 1/2 both: then all three tie.
    assert found.first_N == pytest.approx([1 / 4 + 1 / 6, 1 / 6, 1 / 4 + 1 / 6], abs=0.07)


def rankers(rng: np.random.Generator, count: int, num: int = 12) -> tuple[np.ndarray, np.ndarray]:
    merit = np.arange(num)[::-1] * 0.35
    return merit, merit + rng.normal(size=(count, num))


@pytest.mark.parametrize(
    ("count", "weights", "least", "most"),
    [(16, "bootstrap", 0.90, 1.0), (4, "bootstrap", 0.78, 0.97), (16, "bayes", 0.88, 1.0), (2, "bootstrap", 0.3, 0.8)],
)
def test_coverage_of_the_rank_that_endless_rankers_give(count, weights, least, most) -> None:
    """Two rankers cover far less than the level says: the docstring's warning, in numbers."""
    covered = []
    for trial in range(60):
        _, scores = rankers(np.random.default_rng(trial), count)
        found = rank_interval(scores, weights=weights, reps=300, seed=trial)
        want = np.arange(1, 13)
        covered.append(((found.low_N <= want) & (want <= found.high_N)).mean())
    assert least <= np.mean(covered) <= most, np.mean(covered)


def test_noise_of_the_scores_widens_the_interval() -> None:
    _, scores = rankers(np.random.default_rng(0), 6)
    plain = rank_interval(scores, reps=500)
    noisy = rank_interval(scores, noise_MN=np.full(scores.shape, 2.0), reps=500)
    assert (noisy.high_N - noisy.low_N).mean() > 1.3 * (plain.high_N - plain.low_N).mean()
    assert noisy.rank_N.tolist() == plain.rank_N.tolist()
    exact = rank_interval(scores, noise_MN=np.zeros(scores.shape), reps=500)
    assert exact.low_N.tolist() == plain.low_N.tolist()


def test_the_same_seed_gives_the_same_and_chunks_do_not_matter(monkeypatch) -> None:
    import tradenas.stats.rankers as module

    _, scores = rankers(np.random.default_rng(1), 5)
    first = rank_interval(scores, reps=200, seed=4)
    monkeypatch.setattr(module, "_CHUNK", scores.size * 30)
    again = rank_interval(scores, reps=200, seed=4)
    assert (first.low_N.tolist(), first.first_N.tolist()) == (again.low_N.tolist(), again.first_N.tolist())


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"scores_MN": [[1.0, 2.0, 3.0]]}, "more supernets"),
        ({"scores_MN": [[1.0, np.nan], [1.0, 2.0]]}, "NaN"),
        ({"level": 1.0}, "level"),
        ({"reps": 1}, "reps"),
        ({"weights": "jackknife"}, "weights"),
        ({"noise_MN": [[1.0, 1.0]]}, "noise_MN"),
        ({"noise_MN": [[1.0, 1.0], [1.0, -1.0]]}, "noise_MN"),
    ],
)
def test_bad_input_is_refused(settings, word) -> None:
    with pytest.raises(ConfigError, match=word):
        rank_interval(**{"scores_MN": [[1.0, 2.0], [2.0, 1.0]], **settings})
