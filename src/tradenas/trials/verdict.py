"""The verdict: does the champion have an edge, or could it be luck?  A pure function of daily P&L."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.seeds import seed_for
from tradenas.stats import (
    ConfidenceSet,
    bootstrap_interval,
    compare,
    confidence_set,
    deflated_sharpe,
    effective_trials,
    min_track_record_length,
    pbo,
    probabilistic_sharpe,
    sharpes,
)
from tradenas.stats.series import as_matrix, as_series
from tradenas.trials.explain import Facts, what_would_change, why
from tradenas.typing import FloatArray

__all__ = ["FLAT", "Call", "SharpeInterval", "Verdict", "judge"]

Call = Literal["EDGE", "NO EVIDENCE", "NO EDGE"]
FLAT = "flat"  # the benchmark that never trades


@dataclass(frozen=True, kw_only=True)
class SharpeInterval:
    """An annual Sharpe ratio with its 95 % stationary-bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `judge` found; `to_json()` is verdict.json.

    Attributes:
        verdict: `EDGE`, `NO EVIDENCE` or `NO EDGE`.
        why: plain sentences with the numbers.
        would_change: plain sentences: what would change this verdict.
        champion: the strategy that the claim is about.
        best_baseline: the baseline chosen on the selection zone.
        trials_by_stage: everything the ledger counted.
        effective_trials: how many independent trials those of the selection zone are worth.
        spa_benchmark: the benchmark that was hardest to beat; `spa_lower/consistent/upper` are against it.
        spa_against: consistent p-value against each benchmark.
        superior_to: for each benchmark, the finalists that StepM says beat it.
        alike: the finalists and baselines, staying flat among them, that the vault cannot tell from its best: the 90 %
            model confidence set.
        psr: probability that the champion's true Sharpe on the vault exceeds 0.
        dsr: the same on the selection zone, deflated by the trials seen there.
        pbo: probability of backtest overfitting of the choice on the selection zone; None with fewer than 2 trials or
            40 days.
        min_track_record_days: days for the champion's vault Sharpe to exceed 0 with confidence 1 - alpha; may be inf.
        days: days in the vault.
        net_sharpe: the champion's, on the vault; `gross_sharpe` before costs, None when gross P&L was not given.
        baseline_sharpe: the best baseline's, on the vault.
        selection_sharpe: the champion's, on the selection zone.
        alpha: size of the gate.
        watermark: what taints this verdict (a second look at the vault, costs of none), or None.
    """

    verdict: Call
    why: tuple[str, ...]
    would_change: tuple[str, ...]
    champion: str
    best_baseline: str
    trials_by_stage: Mapping[str, int]
    effective_trials: float
    spa_benchmark: str
    spa_lower: float
    spa_consistent: float
    spa_upper: float
    spa_against: Mapping[str, float]
    superior_to: Mapping[str, tuple[str, ...]]
    alike: ConfidenceSet
    psr: float
    dsr: float
    pbo: float | None
    min_track_record_days: float
    days: int
    net_sharpe: SharpeInterval
    gross_sharpe: float | None
    baseline_sharpe: SharpeInterval
    selection_sharpe: float
    alpha: float
    watermark: str | None

    @property
    def exit_code(self) -> int:
        """0 for an edge, 3 otherwise: a script can tell them apart, and neither is a fault."""
        return 0 if self.verdict == "EDGE" else 3

    def to_json(self) -> dict[str, object]:
        """The verdict as plain JSON values; an infinite track record is null.

        The champion's digest, cost sweep, break-even, costs and band are added by who knows them (`study`).
        """
        track = self.min_track_record_days
        return {
            "verdict": self.verdict,
            "why": list(self.why),
            "would_change": list(self.would_change),
            "champion": {"name": self.champion, "digest": None},
            "best_baseline": self.best_baseline,
            "trials": {"total": sum(self.trials_by_stage.values()), "by_stage": dict(self.trials_by_stage)},
            "effective_trials": self.effective_trials,
            "zone": "vault",
            "alpha": self.alpha,
            "spa": {
                "p_lower": self.spa_lower,
                "p_consistent": self.spa_consistent,
                "p_upper": self.spa_upper,
                "benchmark": self.spa_benchmark,
                "against": dict(self.spa_against),
            },
            "stepm": {
                "superior": list(self.superior_to[self.best_baseline]),
                "against": {name: list(superior) for name, superior in self.superior_to.items()},
            },
            "confidence_set": {
                "held": list(self.alike.held),
                "of": len(self.alike.p),
                "alpha": self.alike.alpha,
                "p": dict(self.alike.p),
            },
            "psr": self.psr,
            "dsr": self.dsr,
            "pbo": self.pbo,
            "min_track_record_days": track if math.isfinite(track) else None,
            "days": self.days,
            "net_sharpe": vars(self.net_sharpe).copy(),
            "gross_sharpe": self.gross_sharpe,
            "baseline_sharpe": vars(self.baseline_sharpe).copy(),
            "selection_sharpe": self.selection_sharpe,
            "watermark": self.watermark,
        }


def judge(
    *,
    vault_DK: npt.ArrayLike,
    finalists: Sequence[str],
    baselines_DB: npt.ArrayLike,
    baselines: Sequence[str],
    champion: str,
    best_baseline: str,
    selection_DN: npt.ArrayLike,
    selection_names: Sequence[str],
    trials_by_stage: Mapping[str, int],
    days_per_year: int,
    hold: str | None = "hold",
    gross_D: npt.ArrayLike | None = None,
    funding_D: npt.ArrayLike | None = None,
    alpha: float = 0.05,
    reps: int = 2000,
    seed: int = 0,
    watermark: str | None = None,
) -> Verdict:
    """Says whether the champion has an edge, on days that nothing was chosen on.

    `EDGE` takes all of this: Hansen's SPA rejects, at alpha, that no finalist beats B, **and** StepM names the champion
    among those that do, for *every* B of {best baseline, flat, buy and hold}; and the champion's net Sharpe is above 0
    on both zones.  All must hold, so the share of edgeless studies called `EDGE` is at most alpha whichever of the
    hypotheses is true (an intersection-union test: Berger 1982).  `NO EDGE`: the champion did not even earn more than
    the best baseline, or than nothing, in the vault.  Anything between is `NO EVIDENCE`.

    DSR, PBO, PSR and the minimum track record are reported beside and never gate.

    Args:
        vault_DK: daily net P&L of the K finalists in the vault.
        finalists: their names.
        baselines_DB: daily net P&L of the B baselines on the same days.
        baselines: their names.
        champion: the finalist chosen on the selection zone (never here).
        best_baseline: the baseline chosen on the selection zone, or `"flat"`.
        selection_DN: daily net P&L on the selection zone of every trial scored there, the champion among them.
        selection_names: their names.
        trials_by_stage: how many configurations the ledger counted, by stage.
        days_per_year: 365 or 252.
        hold: name of buy and hold among the baselines; None only where holding makes no sense.
        gross_D: the champion's vault P&L before costs; with it the sentences speak about costs.
        funding_D: funding that it paid; no cheaper trading saves that, so the sentences about costs take it off first.
        alpha: size of the gate.
        reps: bootstrap resamples of each test.
        seed: the same seed gives the same verdict.
        watermark: what taints the vault (a second look); repeated first in `why`.

    Raises:
        ConfigError: names that do not match, days that do not match, NaN, or fewer than 8 days.

    >>> rng = np.random.default_rng(0)
    >>> found = judge(
    ...     vault_DK=rng.normal(size=(365, 2)) * 0.01, finalists=("a", "b"),
    ...     baselines_DB=rng.normal(size=(365, 1)) * 0.01, baselines=("hold",),
    ...     champion="a", best_baseline="hold",
    ...     selection_DN=rng.normal(size=(365, 2)) * 0.01, selection_names=("a", "b"),
    ...     trials_by_stage={"search": 200, "selection": 2}, days_per_year=365, reps=200,
    ... )
    >>> found.exit_code
    3
    """
    vault_DK = _named(vault_DK, finalists, "vault_DK")
    baselines_DB = _named(baselines_DB, baselines, "baselines_DB")
    selection_DN = _named(selection_DN, selection_names, "selection_DN")
    days = len(vault_DK)
    if len(baselines_DB) != days:
        raise ConfigError("baselines_DB", got=f"{len(baselines_DB)} days", expected=f"{days}, as the finalists")
    champion_D = _column(champion, finalists, vault_DK, "champion")
    chosen_D = _column(champion, selection_names, selection_DN, "champion on the selection zone")
    best_D = np.zeros(days) if best_baseline == FLAT else _column(best_baseline, baselines, baselines_DB, "baseline")
    benchmarks = {best_baseline: best_D, FLAT: np.zeros(days)}
    if hold is not None:
        benchmarks[hold] = _column(hold, baselines, baselines_DB, "hold")
    gross = None if gross_D is None else as_series(gross_D, "gross_D")
    if gross is not None and len(gross) != days:
        raise ConfigError("gross_D", got=f"{len(gross)} days", expected=f"{days}, as the finalists")
    funding = np.zeros(days) if funding_D is None else as_series(funding_D, "funding_D")
    if len(funding) != days:
        raise ConfigError("funding_D", got=f"{len(funding)} days", expected=f"{days}, as the finalists")

    tests, superior = {}, {}
    for name, series_D in benchmarks.items():
        stream = seed_for(seed, "verdict", "spa", name)
        tests[name], superior[name] = compare(vault_DK, series_D, names=finalists, alpha=alpha, reps=reps, seed=stream)
    hardest = max(tests, key=lambda name: tests[name].p_consistent)
    pair = bootstrap_interval(
        np.column_stack([champion_D, best_D]),
        days_per_year=days_per_year,
        reps=reps,
        seed=seed_for(seed, "verdict", "interval"),
    )
    net, baseline = (
        SharpeInterval(value=float(pair.value_N[i]), low=float(pair.low_N[i]), high=float(pair.high_N[i]))
        for i in range(2)
    )
    trial_sharpes_N = sharpes(selection_DN, days_per_year)
    num_effective = effective_trials(selection_DN)
    selection_sharpe = float(sharpes(chosen_D, days_per_year)[0])

    call: Call
    if champion_D.mean() <= best_D.mean() or champion_D.mean() <= 0:
        call = "NO EDGE"
    elif (
        all(test.p_consistent < alpha for test in tests.values())
        and all(champion in names for names in superior.values())
        and net.value > 0
        and selection_sharpe > 0
    ):
        call = "EDGE"
    else:
        call = "NO EVIDENCE"

    facts = Facts(
        call=call,
        champion=champion,
        best_baseline=best_baseline,
        champion_D=champion_D,
        gross_D=None if gross is None else gross - funding,
        benchmarks=MappingProxyType(benchmarks),
        p_against=MappingProxyType({name: test.p_consistent for name, test in tests.items()}),
        beaten=tuple(name for name, names in superior.items() if champion in names),
        num_finalists=len(finalists),
        net_sharpe=net.value,
        net_interval=(net.low, net.high),
        baseline_sharpe=baseline.value,
        selection_sharpe=selection_sharpe,
        trials_by_stage=MappingProxyType(dict(trials_by_stage)),
        num_selected=len(selection_names),
        num_effective=num_effective,
        psr=probabilistic_sharpe(champion_D, days_per_year),
        dsr=deflated_sharpe(chosen_D, trial_sharpes_N, days_per_year, num_trials=num_effective),
        pbo=_pbo(selection_DN),
        track_days=min_track_record_length(champion_D, days_per_year, alpha=alpha),
        days_per_year=days_per_year,
        alpha=alpha,
        watermark=watermark,
    )
    return Verdict(
        verdict=call,
        why=why(facts),
        would_change=what_would_change(facts),
        champion=champion,
        best_baseline=best_baseline,
        trials_by_stage=MappingProxyType(dict(trials_by_stage)),
        effective_trials=num_effective,
        spa_benchmark=hardest,
        spa_lower=tests[hardest].p_lower,
        spa_consistent=tests[hardest].p_consistent,
        spa_upper=tests[hardest].p_upper,
        spa_against=facts.p_against,
        superior_to=MappingProxyType(superior),
        alike=_alike(vault_DK, finalists, baselines_DB, baselines, reps=reps, seed=seed),
        psr=facts.psr,
        dsr=facts.dsr,
        pbo=facts.pbo,
        min_track_record_days=facts.track_days,
        days=days,
        net_sharpe=net,
        gross_sharpe=None if gross is None else float(sharpes(gross, days_per_year)[0]),
        baseline_sharpe=baseline,
        selection_sharpe=selection_sharpe,
        alpha=alpha,
        watermark=watermark,
    )


def _alike(
    vault_DK: FloatArray,
    finalists: Sequence[str],
    baselines_DB: FloatArray,
    baselines: Sequence[str],
    *,
    reps: int,
    seed: int,
) -> ConfidenceSet:
    """The model confidence set of all that was put before the vault, and of staying flat."""
    names = [*finalists, *(name for name in baselines if name not in finalists)]
    daily_DN = np.column_stack([vault_DK, baselines_DB[:, [n not in finalists for n in baselines]]])
    if FLAT not in names:
        names, daily_DN = [*names, FLAT], np.column_stack([daily_DN, np.zeros(len(daily_DN))])
    return confidence_set(daily_DN, names=names, reps=reps, seed=seed_for(seed, "verdict", "alike"))


def _pbo(selection_DN: FloatArray) -> float | None:
    """PBO with as many of 16 blocks as leave 5 days each; None where fewer than 8 blocks or 2 trials remain."""
    blocks = min(16, len(selection_DN) // 5 // 2 * 2)
    if selection_DN.shape[1] < 2 or blocks < 8:
        return None
    return pbo(selection_DN, blocks).probability


def _named(values: npt.ArrayLike, names: Sequence[str], place: str) -> FloatArray:
    matrix = as_matrix(values, place, least=8)
    if len(names) != matrix.shape[1]:
        raise ConfigError(place, got=f"{matrix.shape[1]} columns and {len(names)} names", expected="a name per column")
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ConfigError(place, got=f"the name {twice!r} twice", expected="different names")
    return matrix


def _column(name: str, names: Sequence[str], matrix: FloatArray, place: str) -> FloatArray:
    if name not in names:
        raise ConfigError(place, got=name, expected=f"one of {', '.join(names)}")
    return np.ascontiguousarray(matrix[:, list(names).index(name)])
