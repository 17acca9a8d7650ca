"""Puts a verdict into sentences that a trader understands; every number in them is computed from the study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tradenas.stats import min_track_record_length
from tradenas.typing import FloatArray

__all__ = ["Facts", "what_would_change", "why"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Facts:
    """What the sentences are made from; `judge` fills it.

    P&L is per day, Sharpe ratios annual; `gross_D` is before what trading costs, and after funding.
    """

    call: str
    champion: str
    best_baseline: str
    champion_D: FloatArray
    gross_D: FloatArray | None
    benchmarks: Mapping[str, FloatArray]
    p_against: Mapping[str, float]
    beaten: tuple[str, ...]
    num_finalists: int
    net_sharpe: float
    net_interval: tuple[float, float]
    baseline_sharpe: float
    selection_sharpe: float
    trials_by_stage: Mapping[str, int]
    num_selected: int
    num_effective: float
    psr: float
    dsr: float
    pbo: float | None
    track_days: float
    days_per_year: int
    alpha: float
    watermark: str | None


def why(facts: Facts) -> tuple[str, ...]:
    """The reasons for the verdict: what was earned, against whom, with what chance of luck, after how many trials."""
    days = len(facts.champion_D)
    sentences = [] if facts.watermark is None else [f"Take this with care: {facts.watermark}."]
    low, high = facts.net_interval
    sentences.append(
        f"In {days} days that nothing was chosen on, {facts.champion} made {_percent(facts.champion_D.sum())} after "
        f"costs, a Sharpe ratio of {facts.net_sharpe:.2f} (95 % interval {low:.2f} to {high:.2f}); "
        f"{_label(facts.best_baseline)}, the best alternative beforehand, made "
        f"{_percent(facts.benchmarks[facts.best_baseline].sum())} with {facts.baseline_sharpe:.2f}."
    )
    if facts.call == "NO EDGE":
        sentences.append(_not_even(facts))
    else:
        sentences.append(_chance(facts))
        missing = [name for name in facts.benchmarks if name not in facts.beaten]
        if missing and max(facts.p_against.values()) < facts.alpha:
            sentences.append(
                f"Some finalist does beat {_list(missing)}, but {facts.champion}, the one chosen beforehand, does not "
                f"stand out itself (StepM at {facts.alpha:.0%})."
            )
    if facts.selection_sharpe <= 0:
        sentences.append(
            f"On the selection zone, where it was chosen, its Sharpe ratio was {facts.selection_sharpe:.2f}: good days "
            f"in one zone only are not an edge."
        )
    sentences.append(_trials(facts))
    return tuple(sentences)


def what_would_change(facts: Facts) -> tuple[str, ...]:
    """What would turn this verdict: more days, lower costs, fewer lucky days; each computed from this P&L."""
    sentences = []
    if facts.call == "EDGE":
        sentences.append(_best_days(facts))
    elif facts.call == "NO EVIDENCE":
        sentences.append(_more_days(facts))
    sentences.extend(_costs(facts))
    if facts.call != "EDGE" and facts.selection_sharpe <= 0:
        sentences.append(
            f"A champion that also earns on the selection zone (Sharpe {facts.selection_sharpe:.2f} there) is required."
        )
    if math.isfinite(facts.track_days):
        sentences.append(
            f"At this Sharpe ratio it takes {_span(facts.track_days, facts.days_per_year)} like these to be "
            f"{1 - facts.alpha:.0%} sure that it is above zero at all; the vault holds "
            f"{_span(len(facts.champion_D), facts.days_per_year)}."
        )
    else:
        sentences.append("No number of days like these would show a Sharpe ratio above zero.")
    return tuple(sentences)


def _not_even(facts: Facts) -> str:
    mean = float(facts.champion_D.mean())
    best = float(facts.benchmarks[facts.best_baseline].mean())
    if mean <= 0:
        text = "It earned nothing" if mean == 0 else f"It lost {_points(-mean)} a day"
        return f"{text}, so staying out of the market was at least as good; no test is needed."
    return f"It earned {_points(best - mean)} a day less than {_label(facts.best_baseline)}; no test is needed."


def _chance(facts: Facts) -> str:
    listed = ", ".join(f"{_chance_of(p)} against {_label(name)}" for name, p in facts.p_against.items())
    p_max = max(facts.p_against.values())
    meaning = "below" if p_max < facts.alpha else "not below"
    return (
        f"If none of the {facts.num_finalists} finalists were better, the best of them would still lead by as much "
        f"with probability {listed} (Hansen's SPA): the largest, {_chance_of(p_max)}, is {meaning} the limit of "
        f"{facts.alpha:.2f}."
    )


def _trials(facts: Facts) -> str:
    stages = ", ".join(f"{count:,} {stage}" for stage, count in facts.trials_by_stage.items())
    text = (
        f"{sum(facts.trials_by_stage.values()):,} trials were counted in all ({stages}); {facts.num_selected} were "
        f"compared on the selection zone, worth {facts.num_effective:.1f} independent ones. Allowing for these, the "
        f"chance that the champion's true Sharpe ratio is above zero is {_chance_of(facts.dsr)} there (DSR), and "
        f"{_chance_of(facts.psr)} in the vault (PSR)"
    )
    if facts.pbo is None:
        return f"{text}."
    return (
        f"{text}; what was best on one half of the selection zone fell below the median on the other in "
        f"{facts.pbo:.0%} of splits (PBO)."
    )


def _more_days(facts: Facts) -> str:
    """Days until the lead over the hardest benchmark is significant, Bonferroni for the finalists, at the rate seen."""
    needed, name = max(
        (
            (
                min_track_record_length(
                    facts.champion_D - series_D, facts.days_per_year, alpha=facts.alpha / facts.num_finalists
                ),
                name,
            )
            for name, series_D in facts.benchmarks.items()
        ),
        key=lambda pair: pair[0],
    )
    if not math.isfinite(needed):
        return f"More days would not help: {facts.champion} earned no more than {_label(name)} in the vault."
    days = len(facts.champion_D)
    if needed <= days:
        return (
            f"Days alone, were they independent, would be enough against each benchmark "
            f"({_span(needed, facts.days_per_year)} needed); the gate also asks that both zones earn and that the lead "
            f"survives days that depend on each other."
        )
    return (
        f"If its lead over {_label(name)} goes on as seen, about {_span(needed, facts.days_per_year)} unseen, "
        f"in place of {_span(days, facts.days_per_year)} would tell it from luck among {facts.num_finalists} finalists."
    )


def _costs(facts: Facts) -> list[str]:
    """At which share of the present costs the champion's P&L meets the better of the best baseline and nothing."""
    if facts.gross_D is None:
        return []
    paid = float((facts.gross_D - facts.champion_D).mean())
    rival = _label(facts.best_baseline)
    to_beat = max(float(facts.benchmarks[facts.best_baseline].mean()), 0.0)
    if to_beat == 0.0:
        rival = "staying flat"
    if paid <= 0:
        return ["It paid no costs: lower costs would change nothing, and real ones are missing here."]
    share = (float(facts.gross_D.mean()) - to_beat) / paid
    if facts.call == "EDGE":
        return [
            f"Costs {share:.1f} times as high would bring it level with {rival} (it pays {_points(paid)} a day now)."
        ]
    if share <= 0:
        return [
            f"Lower costs would not be enough: even before costs it earned {_points(float(facts.gross_D.mean()))} a "
            f"day, no more than {rival}."
        ]
    if share < 1:
        return [f"Costs would have to fall to {share:.0%} of the present ones for it to draw level with {rival}."]
    earned = float(facts.champion_D.mean())
    return [
        f"Its costs take {_points(paid)} a day; at half of them it would earn {_points(earned + paid / 2)} a day in "
        f"place of {_points(earned)}."
    ]


def _best_days(facts: Facts) -> str:
    """How few of the best days carry the lead over the benchmark that came closest."""
    counts = {}
    for name, series_D in facts.benchmarks.items():
        lead_D = np.sort(facts.champion_D - series_D)[::-1]
        left_D = lead_D.sum() - np.cumsum(lead_D)
        counts[name] = int(np.argmax(left_D <= 0)) + 1
    name = min(counts, key=lambda key: counts[key])
    return f"Without its {counts[name]} best days of {len(facts.champion_D)} it would not have beaten {_label(name)}."


def _label(name: str) -> str:
    return {"flat": "staying flat", "hold": "buy and hold"}.get(name, name)


def _list(names: list[str]) -> str:
    return " and ".join(_label(name) for name in names)


def _percent(value: float) -> str:
    return f"{value:+.1%}"


def _points(value: float) -> str:
    return f"{value * 1e4:.2f} bps"


def _chance_of(probability: float) -> str:
    if probability < 0.001:
        return "below 0.001"
    return "above 0.999" if probability > 0.999 else f"{probability:.3f}"


def _span(days: float, days_per_year: int) -> str:
    if days > 100 * days_per_year:
        return "more than 100 years"
    return f"{math.ceil(days):,} days ({days / days_per_year:.1f} years)"
