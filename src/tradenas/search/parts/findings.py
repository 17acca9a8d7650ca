"""Which causes of a supernet's errors were found, by documented thresholds, and what to do about each.

`found` where the interval lies beyond the threshold, `not found` where it lies on this side of it, `open` where it
holds both, which is what a dozen architectures often allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradenas.search.parts.interference import Conflict, Estimate, Interference
from tradenas.train.loop import Optimisation

__all__ = ["Finding", "Repair", "Updates", "coadapted", "interfering", "undertrained"]

#: Under-trained: at least this share of what the paths know after training on is new.
NEW = 0.05
#: Under-trained too, where scores cannot tell: this share of the parts had too few updates to leave their start.
STUCK = 0.5
#: Interference: paths agree on less than AGREE of where their own gradients point, and more pairs oppose each other
#: than noise makes; fewer than LESS more are none.
AGREE, LESS = 0.5, 0.05
#: Co-adapted (and any repair by ranks): tau with standalone training rises by at least this.
GAIN = 0.1

State = Literal["found", "not found", "open"]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What one repair did to the measured architectures.

    Attributes:
        new: share of the mean merit after it that was not there before; None where there is none after it either.
        same_order: Kendall tau of the scores before and after: near 1, the repair cannot change a ranking.
        gain: change of Kendall tau with standalone training; None where there was none to compare with.
    """

    new: Estimate | None
    same_order: Estimate
    gain: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Updates:
    """Training that the parts of one supernet had.

    Attributes:
        rarest: choice and option with the fewest updates.
        fewest, median: updates of the rarest, and of the median option that has weights.
        steps: of the whole training.
        stuck, parts: parts that their updates cannot carry past their random start, of how many (`parts.travel`).
    """

    rarest: str
    fewest: float
    median: float
    steps: int
    stuck: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One cause: whether it was found, and what to do."""

    state: State
    advice: str


def _state(effect: Estimate | None, threshold: float) -> State:
    """Where an effect stands to its threshold."""
    if effect is None or effect.low <= threshold <= effect.high:
        return "open"
    return "found" if effect.low > threshold else "not found"


def undertrained(repair: Repair, had: Updates, training: Optimisation, epochs: int) -> Finding:
    """Training on lifts the paths' scores, or brings their ranking nearer to standalone training."""
    by_score, by_rank = _state(repair.new, NEW), _state(repair.gain, 0.0)
    state: State = "found" if "found" in (by_score, by_rank) else by_score
    if state == "open" and had.stuck >= STUCK * had.parts:
        state = "found"
    rare = f"the rarest part, {had.rarest}, had {had.fewest:.0f} updates in {had.steps:,} steps"
    if state == "found":
        advice = f"Train longer: search.training.epochs above {training.epochs} (double it first); {rare}."
    elif state == "not found":
        advice = f"More epochs would add little: {epochs} more did not; {rare}."
    elif repair.new is None:
        advice = f"Not to be told: the paths know nothing of these rows, before or after {epochs} more epochs; {rare}."
    else:
        advice = f"Not to be told from so few architectures: raise trials.coupling, or try twice the epochs; {rare}."
    return Finding(state=state, advice=advice)


def interfering(found: Interference | None, sharing: Repair) -> Finding:
    """Gradients cancel at weights that paths share; `sharing` is what private weights repaired."""
    if found is None:
        return Finding(state="not found", advice="No two paths share a weight that either moves: nothing to pull at.")
    states = {c.kind: _conflict(c) for c in found.kinds}
    clash = [kind for kind, state in states.items() if state == "found"]
    if clash:
        advice = f"Paths pull {' and '.join(clash)} apart (most at {found.parts[0].part}): offer fewer ops a layer"
        advice += ", put more supernets together (search.supernets), or train each step on several paths."
        if sharing.gain is not None and sharing.gain.high < GAIN:
            advice += " It costs little here: weights of their own do not bring the ranking nearer."
        return Finding(state="found", advice=advice)
    if all(state == "not found" for state in states.values()):
        return Finding(state="not found", advice="Paths want the same of the weights they share: nothing to part.")
    if all(c.agreement is None for c in found.kinds):
        words = "Not to be told: gradients at these weights are noise alone. Raise trials.causes.rows to look closer."
        return Finding(state="open", advice=words)
    return Finding(state="open", advice="Not to be told: raise trials.causes.paths and trials.causes.rows.")


def _conflict(found: Conflict) -> State:
    """Conflict: more opposed pairs than noise makes, and agreement below the threshold; both beyond doubt."""
    if found.agreement is None:
        return "open"
    if found.excess.low > 0.0 and found.agreement.high < AGREE:
        return "found"
    return "not found" if found.agreement.low > AGREE or found.excess.high < LESS else "open"


def coadapted(repair: Repair) -> Finding:
    """Heads of their own bring the ranking nearer to standalone training."""
    if repair.same_order.low > 1.0 - GAIN:
        return Finding(state="not found", advice="A head of its own leaves each path where it ranked: nothing to gain.")
    if repair.gain is None:
        state: State = "open"
    else:
        state = "found" if repair.gain.low > 0.0 and repair.gain.value >= GAIN else _state(repair.gain, GAIN)
    words = {
        "found": "Parts expect the average path: train with path dropout, or rank by paths with heads of their own.",
        "not found": "Heads of their own do not bring the ranking nearer to standalone training: look elsewhere.",
        "open": "Heads of their own reorder the paths, for better or worse is not to be told from so few "
        "architectures: raise trials.coupling.",
    }
    return Finding(state=state, advice=words[state])
