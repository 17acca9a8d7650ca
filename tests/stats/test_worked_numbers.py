"""Numbers that the papers print or that follow from them in closed form; more stand in `test_sharpe.py`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradenas.stats import expected_max_sharpe, pbo, stepm, superiority

REPS = 2000


def exactly(t_K: list[float], days: int, seed: int = 0) -> np.ndarray:
    """Independent columns, normal scores in random order, whose t statistics of the mean are exactly these."""
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    scores = norm.ppf((np.arange(days) + 0.5) / days)
    raw = np.column_stack([rng.permutation(scores) for _ in t_K])
    raw = raw - raw.mean(axis=0)
    basis, _ = np.linalg.qr(raw)  # no correlation left in the sample
    columns = basis / basis.std(axis=0)
    return columns + np.array(t_K) / math.sqrt(days)


@pytest.mark.parametrize(("trials", "years"), [(10, 1.57**2), (45, 5.0)])
def test_minimum_backtest_length_of_the_ams_notices(trials: int, years: float) -> None:
    """Years of noise after which the best of N trials is expected to show an annual Sharpe ratio of 1.

    Bailey, Borwein, Lopez de Prado, Zhu (2014), Pseudo-mathematics and financial charlatanism, Notices of the AMS
    61(5): the expected maximum of 10 is 1.57, and on five years of data no more than 45 configurations may be tried.
    """
    assert expected_max_sharpe(trials, 1.0) ** 2 == pytest.approx(years, rel=7e-3)


def test_full_overfit_of_the_pbo_paper() -> None:
    """Every trial centred on a Sharpe ratio of 0 over the whole sample: the winner of one half must lose in the other.

    Bailey, Borwein, Lopez de Prado, Zhu (2017), The probability of backtest overfitting, the case of full overfit; the
    vignette of the R package `pbo` prints p_bo 1.000000 and p_loss 1.000000 for it with 100 trials, 2,400 days, s = 8.
    """
    R_DN = np.random.default_rng(765).normal(size=(2400, 100))
    R_DN = (R_DN - R_DN.mean(axis=0)) / R_DN.std(axis=0, ddof=1) / math.sqrt(252)
    found = pbo(R_DN, blocks=8)
    assert found.probability == 1.0
    assert (found.sharpe_out_S < 0).mean() == 1.0
    assert found.sharpe_in_S + found.sharpe_out_S == pytest.approx(np.zeros(70), abs=5e-3)  # one gains what one loses


@pytest.mark.parametrize(("blocks", "splits"), [(8, 70), (16, 12_870)])
def test_number_of_splits_of_the_pbo_paper(blocks: int, splits: int) -> None:
    """Bailey et al. (2017), S = 16 gives 12,870 combinations, S = 8 gives 70."""
    found = pbo(np.random.default_rng(0).normal(size=(64, 3)), blocks=blocks)
    assert len(found.logits_S) == splits


@pytest.mark.parametrize(("t", "num"), [(1.645, 1), (2.568, 10), (2.0, 10)])
def test_spa_has_the_limit_of_hansen(t: float, num: int) -> None:
    """The p-value of the largest of K independent t statistics, all means at 0, is 1 - Phi(t)^K: 0.05 at 1.645, 2.568.

    Hansen (2005), A test for superior predictive ability, JBES 23(4): in the limit, the largest of a normal vector.
    """
    from scipy.stats import norm

    daily = exactly([t] + [0.0] * (num - 1), 1000)
    found = superiority(daily, block=1, reps=REPS)
    expected = 1 - norm.cdf(t) ** num
    assert found.p_consistent == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / REPS))


def test_spa_leaves_out_what_is_poor_by_hansens_threshold() -> None:
    """A strategy with t below -sqrt(2 log log n) has no say in the consistent p-value, all its say in the upper.

    Hansen (2005): the threshold is 1.97 for n = 1000.  5 strategies at 0 and 5 at -3: p_c is that of 5,
    p_u that of 10.  At -1.5, above the threshold, all 10 count for both.
    """
    from scipy.stats import norm

    assert math.sqrt(2 * math.log(math.log(1000))) == pytest.approx(1.966, abs=5e-4)
    t = 1.8
    five, ten = (1 - norm.cdf(t) ** k for k in (5, 10))
    noise = 4 * math.sqrt(ten * (1 - ten) / REPS)
    assert ten - five > 2.5 * noise
    poor = superiority(exactly([t] + [0.0] * 4 + [-3.0] * 5, 1000), block=1, reps=REPS)
    assert poor.p_consistent == pytest.approx(five, abs=noise)
    assert poor.p_upper == pytest.approx(ten, abs=noise)
    near = superiority(exactly([t] + [0.0] * 4 + [-1.5] * 5, 1000), block=1, reps=REPS)
    assert near.p_consistent == pytest.approx(ten, abs=noise)
    assert near.p_lower == pytest.approx(five, abs=noise + 0.03)  # liberal: whoever is below 0 hardly counts


def test_stepm_steps_down_as_romano_and_wolf_do() -> None:
    """Critical values fall from step to step: 2.57 for 10 strategies, 2.32 for 5 that are left, at 5 %, one-sided.

    Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping, algorithm 4.1, independent case:
    d_j solves Phi(d)^K = 0.95.  At t = 2.45 a strategy is found only after five at t = 6 are out.
    """
    from scipy.stats import norm

    names = tuple("abcdefghij")
    first, second = (norm.ppf(0.95 ** (1 / k)) for k in (10, 5))
    assert (first, second) == pytest.approx((2.568, 2.319), abs=1e-3)
    five = exactly([6.0] * 5 + [2.45] + [0.0] * 4, 1000)
    assert stepm(five, names=names, block=1, reps=REPS) == tuple("abcdef")
    alone = exactly([2.45] + [0.0] * 9, 1000)
    assert stepm(alone, names=names, block=1, reps=REPS) == ()


def printed_example() -> tuple[np.ndarray, np.ndarray, int]:
    """Losses of a benchmark and of 500 regressions on mismeasured factors, and the seed of the resampling."""
    rng = np.random.RandomState(23456)
    seed = rng.randint(0, 2**31 - 1)
    factors = rng.randn(1000, 3)
    y = factors @ np.array([1.0, 0.5, 0.1])
    rng.randn(1000)  # drawn by the example and left unused

    def losses() -> np.ndarray:
        x = factors + rng.randn(1000, 3)
        beta = np.linalg.lstsq(x[:500], y[:500], rcond=None)[0]
        return (y[500:] - x[500:] @ beta) ** 2

    return losses(), np.stack([losses() for _ in range(500)], axis=1), seed


def test_spa_has_the_printed_example() -> None:
    """Printed in the examples of `arch`: lower 0.520, consistent 0.723, upper 0.733, from 1,000 resamples.

    Ours scales losses by their own deviations first and draws other resamples: a p-value of 400 resamples has a
    standard error of 0.025.
    """
    benchmark_D, losses_DK, _ = printed_example()
    found = superiority(-losses_DK, -benchmark_D, reps=400, seed=1)
    told = [found.p_lower, found.p_consistent, found.p_upper]
    assert told == pytest.approx([0.520, 0.723, 0.733], abs=0.075)


@pytest.mark.slow
def test_the_printed_example_of_spa_is_this_one() -> None:
    from arch.bootstrap import SPA

    benchmark_D, losses_DK, seed = printed_example()
    theirs = SPA(benchmark_D, losses_DK, seed=np.random.RandomState(seed))
    theirs.compute()
    assert theirs.pvalues.round(3).tolist() == [0.520, 0.723, 0.733]
