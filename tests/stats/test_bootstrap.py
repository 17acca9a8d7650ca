"""The stationary bootstrap: right resamples, right coverage, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.stats import block_length, bootstrap_interval, sharpes
from tradenas.stats.bootstrap import draw_counts


def test_counts_are_resamples_of_the_right_length_in_blocks() -> None:
    (counts,) = draw_counts(50, 400, block=7, seed=1)
    assert counts.shape == (400, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.35)  # every day as likely as any other


@pytest.mark.parametrize("block", [1, 5])
def test_blocks_keep_serial_correlation(block: int) -> None:
    # Variance of the mean over that of independent days: 1 + 2 sum rho_k (1 - 1/L)^k for blocks of mean length L.
    rng = np.random.default_rng(0)
    smooth = np.convolve(rng.normal(size=2003), np.ones(4) / 2, mode="valid")  # lag correlations 3/4, 1/2, 1/4
    found = bootstrap_interval(smooth, "mean", reps=3000, block=block, level=0.6827)
    variance = ((found.high_N[0] - found.low_N[0]) / 2) ** 2 * len(smooth) / smooth.var()
    keep = 1 - 1 / block
    exact = 1 + 2 * (0.75 * keep + 0.5 * keep**2 + 0.25 * keep**3)
    assert variance == pytest.approx(exact, rel=0.12)


def test_values_are_the_plain_statistics() -> None:
    daily = np.random.default_rng(1).normal(0.001, 0.01, size=(200, 3))
    assert bootstrap_interval(daily, "sharpe", days_per_year=252).value_N == pytest.approx(sharpes(daily, 252))
    assert bootstrap_interval(daily, "mean").value_N == pytest.approx(daily.mean(axis=0))
    total, mean = bootstrap_interval(daily, "total"), bootstrap_interval(daily, "mean")
    assert total.value_N == pytest.approx(daily.sum(axis=0))
    assert total.low_N == pytest.approx(mean.low_N * 200)


def test_a_resampled_sharpe_is_the_sharpe_of_the_resampled_days() -> None:
    daily = np.random.default_rng(2).normal(0.002, 0.01, size=(60, 2))
    (counts,) = draw_counts(60, 300, seed=5)
    slow = np.array([sharpes(np.repeat(daily, count.astype(int), axis=0), 365) for count in counts])
    found = bootstrap_interval(daily, reps=300, seed=5, level=0.9)
    assert found.low_N == pytest.approx(np.quantile(slow, 0.05, axis=0))
    assert found.high_N == pytest.approx(np.quantile(slow, 0.95, axis=0))


def test_coverage_is_near_nominal() -> None:
    rng = np.random.default_rng(3)
    truth = 0.1
    daily = rng.standard_t(5, size=(365, 300)) / np.sqrt(5 / 3) + truth
    covered = 0
    for start in range(0, 300, 30):  # own resamples for each thirty, so that one bad draw does not decide
        found = bootstrap_interval(daily[:, start : start + 30], days_per_year=1, level=0.9, block=2, seed=start)
        covered += int(((found.low_N < truth) & (truth < found.high_N)).sum())
    assert 0.84 < covered / 300 < 0.95


def test_same_seed_same_interval_and_chunks_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    import tradenas.stats.bootstrap as module

    daily = np.random.default_rng(4).normal(size=(40, 2))
    one, again, other = (bootstrap_interval(daily, reps=200, seed=seed) for seed in (1, 1, 2))
    assert (one.low_N == again.low_N).all()
    assert (one.low_N != other.low_N).any()
    monkeypatch.setattr(module, "_CHUNK", 40 * 30)
    chunks = draw_counts(40, 100, seed=1)
    assert [len(chunk) for chunk in chunks] == [30, 30, 30, 10]
    assert (chunks[0] != chunks[1]).any()


def test_flat_series_have_the_interval_of_a_point() -> None:
    still = np.column_stack([np.zeros(50), np.full(50, 0.1)])
    found = bootstrap_interval(still)
    assert found.value_N.tolist() == found.low_N.tolist() == found.high_N.tolist() == [0.0, 0.0]
    assert bootstrap_interval(still, "mean").high_N == pytest.approx([0.0, 0.1])


def test_block_length() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=1000)
    walk = np.convolve(rng.normal(size=1100), 0.9 ** np.arange(100), mode="valid")
    assert block_length(noise, method="sqrt") == 31
    assert block_length(noise) < 8
    assert block_length(walk) > 20
    assert block_length(np.column_stack([noise, walk[:1000]])) >= block_length(noise)
    assert block_length(np.zeros(100)) == 10
    assert block_length(np.tile([1.0, -1.0], 50)) <= 33


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"level": 1.0}, "level"),
        ({"statistic": "median"}, "statistic"),
        ({"reps": 1}, "reps"),
        ({"block": 0.5}, "block"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        bootstrap_interval(np.arange(20.0), **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="method"):
        block_length(np.arange(20.0), method="guess")  # type: ignore[arg-type]
