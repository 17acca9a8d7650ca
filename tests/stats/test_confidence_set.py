"""The model confidence set: it keeps the best, drops what is clearly worse, and is arch's where arch is right."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import confidence_set

NAMES = tuple("abcdef")


def noise(seed: int, days: int = 365) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_t(4, size=(days, len(NAMES)))


def test_equals_arch() -> None:
    from arch.bootstrap import MCS

    daily = noise(0) + np.array([0.003, 0.0, 0.0025, 0.0, 0.0, -0.001])
    theirs = MCS(-daily, size=0.1, reps=300, block_size=19, seed=5)
    theirs.compute()
    ours = confidence_set(daily, names=NAMES, reps=300, block=19, seed=5)
    assert list(ours.held) == [NAMES[i] for i in sorted(theirs.included)]
    assert max(ours.p.values()) == 1.0  # the last to be left
    for i, p in theirs.pvalues["Pvalue"].items():
        assert ours.p[NAMES[i]] == pytest.approx((1 + 300 * p) / 301)


def test_it_holds_the_best_and_drops_the_worse() -> None:
    found = [
        confidence_set(noise(s) + 0.006 * (np.arange(6) == 2), names=NAMES, reps=150, seed=s).held for s in range(12)
    ]
    assert all("c" in held for held in found)
    assert sum(len(held) == 1 for held in found) >= 10


def test_alike_strategies_all_stay_in_most_samples() -> None:
    kept = [len(confidence_set(noise(100 + s), names=NAMES, reps=150, seed=s).held) for s in range(12)]
    assert np.mean(kept) > 4.5


def test_copies_stand_or_fall_together() -> None:
    daily = noise(1) + np.array([0.004, 0.0, 0.0, 0.0, 0.0, 0.0])
    daily[:, 3] = daily[:, 0]
    daily[:, 4] = daily[:, 1] * (1 + 1e-15)  # rounding apart
    found = confidence_set(daily, names=NAMES, reps=200)
    assert found.p["d"] == found.p["a"] == 1.0
    assert found.p["e"] == found.p["b"] < 0.1
    assert found.held == ("a", "d")
    flat = np.zeros((50, 6))
    assert confidence_set(flat, names=NAMES, reps=10).held == NAMES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ("a", "a", "b", "c", "d", "e")}, "different names"),
        ({"names": NAMES[:3]}, "different names"),
        ({"alpha": 1.0}, "alpha"),
        ({"reps": 1}, "reps"),
        ({"block": 400}, "block"),
    ],
)
def test_bad_input_says_so(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        confidence_set(noise(0), **{"names": NAMES, **change})
