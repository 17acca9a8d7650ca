"""PBO against hand cases and a slow reading of the paper; effective trials against closed forms."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import effective_trials, pbo


def slow_logits(R_DN: np.ndarray, blocks: int) -> list[float]:
    """Section 2.2 of the paper, step by step."""
    parts = np.array_split(np.arange(len(R_DN)), blocks)
    logits = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in chosen])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in chosen])
        best = int(np.argmax([R_DN[inside, n].mean() / R_DN[inside, n].std() for n in range(R_DN.shape[1])]))
        there = [R_DN[outside, n].mean() / R_DN[outside, n].std() for n in range(R_DN.shape[1])]
        rank = sum(value <= there[best] for value in there)
        logits.append(math.log(rank / (len(there) + 1 - rank)))
    return logits


@pytest.mark.parametrize(("days", "num", "blocks"), [(60, 6, 6), (101, 5, 8), (40, 2, 4)])
def test_every_logit_equals_the_slow_reference(days: int, num: int, blocks: int) -> None:
    R_DN = np.random.default_rng(days).standard_t(4, size=(days, num)) * 0.01
    found = pbo(R_DN, blocks)
    expected = np.array(slow_logits(R_DN, blocks))
    assert found.logits_S == pytest.approx(expected, abs=1e-12)
    assert len(expected) == math.comb(blocks, blocks // 2)
    assert found.probability == pytest.approx((expected < -1e-9).mean() + 0.5 * (np.abs(expected) < 1e-9).mean())


def test_hand_case_of_a_perfect_reversal() -> None:
    # What wins in one half loses in the other, both ways: overfitting is certain with blocks = 2.
    first = np.array([1.0, 2.0, 1.0, 2.0])
    R_DN = np.column_stack([np.concatenate([first, -first]), np.concatenate([-first, first])])
    found = pbo(R_DN, blocks=2)
    assert found.probability == 1.0
    assert found.chosen_S.tolist() == [0, 1]
    assert found.logits_S == pytest.approx([math.log(1 / 2)] * 2)
    assert (found.sharpe_in_S == -found.sharpe_out_S).all()


def test_noise_gives_a_half_and_a_dominating_strategy_almost_none() -> None:
    rng = np.random.default_rng(0)
    noise = [pbo(rng.normal(size=(320, num)), 8).probability for num in (9, 10) for _ in range(60)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.07)
    dominated = rng.normal(size=(320, 10))
    dominated[:, 4] += 0.4
    found = pbo(dominated, 16)
    assert found.probability < 0.01
    assert (found.chosen_S == 4).mean() > 0.99


def test_copies_and_flat_columns_are_no_evidence_of_skill() -> None:
    one = np.random.default_rng(1).normal(size=(64, 1))
    assert pbo(np.repeat(one, 5, axis=1), 8).probability == 0.5
    assert pbo(np.zeros((64, 4)), 8).probability == 0.5
    assert pbo(np.full((64, 3), 0.1), 8).probability == 0.5


def test_scale_of_a_strategy_does_not_matter() -> None:
    R_DN = np.random.default_rng(2).normal(0.1, 1, size=(80, 6))
    scaled = R_DN * np.array([1e-6, 1, 1e3, 7, 0.1, 50])
    assert pbo(scaled, 8).logits_S == pytest.approx(pbo(R_DN, 8).logits_S)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import tradenas.stats.overfitting as module

    R_DN = np.random.default_rng(3).normal(size=(80, 7))
    whole = pbo(R_DN, 8)
    monkeypatch.setattr(module, "_CHUNK", 100)
    pieces = pbo(R_DN, 8)
    assert (whole.logits_S == pieces.logits_S).all()
    assert (whole.chosen_S == pieces.chosen_S).all()


@pytest.mark.parametrize(
    ("R_DN", "blocks", "word"),
    [
        (np.zeros((50, 1)), 4, "1 strategy"),
        (np.zeros((50, 3)), 5, "blocks"),
        (np.zeros((50, 3)), 26, "blocks"),
        (np.full((50, 3), np.nan), 4, "NaN"),
    ],
)
def test_bad_input_is_refused(R_DN: np.ndarray, blocks: int, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        pbo(R_DN, blocks)


def test_effective_trials_in_closed_form() -> None:
    rng = np.random.default_rng(4)
    common, own = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 20))
    for rho in (0.0, 0.5, 0.9):
        R_DN = math.sqrt(rho) * common + math.sqrt(1 - rho) * own
        assert effective_trials(R_DN) == pytest.approx(rho + (1 - rho) * 20, rel=0.02)
        closed = 20 / (1 + 19 * rho**2)
        assert effective_trials(R_DN, method="eigenvalues") == pytest.approx(closed, rel=0.04)


def test_effective_trials_of_clusters_copies_and_flat_columns() -> None:
    rng = np.random.default_rng(5)
    clusters = np.repeat(rng.normal(size=(5000, 3)), 4, axis=1)
    assert effective_trials(clusters, method="eigenvalues") == pytest.approx(3, rel=0.02)
    assert effective_trials(np.zeros((50, 4))) == 1.0
    assert effective_trials(rng.normal(size=(50, 1))) == 1.0
    with_flat = np.column_stack([rng.normal(size=(5000, 2)), np.zeros((5000, 8))])
    assert effective_trials(with_flat) == pytest.approx(2, rel=0.05)
    opposite = rng.normal(size=(100, 1)) * np.array([[1.0, -1.0]])
    assert effective_trials(opposite) == 2.0
    with pytest.raises(ConfigError, match="method"):
        effective_trials(clusters, method="guess")  # type: ignore[arg-type]
