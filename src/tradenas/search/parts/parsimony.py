"""Among near-equals the simplest: the one-standard-error rule (Breiman et al. 1984, CART, section 3.4.3), on pairs.

The best of some hundred candidates owes its lead partly to luck: it may read indicators that tell it nothing, or
fifty rows where the last twenty hold all there is.  Two candidates are compared on the same rows, so the error that
counts is that of their difference, far smaller than that of either score: the ranking rows are cut into consecutive
parts, and the spread of the differences over parts is its measure.

    shortfall(a)    mean over parts of merit(best) - merit(a), in standard errors of that mean
    near            shortfall(a) <= errors
    simpler         fewer indicators read, then a shorter lookback, then fewer parameters
    simplify        from the best down: switch inputs off and shorten the lookback as long as that stays near

Departures: CART takes one error of the best score itself; here it is that of the difference.  The candidates that
`simplify` tries are scores like any other, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tradenas.nn import Network
from tradenas.search.base import Candidate, Scorer
from tradenas.search.parts.find import Allowed, anything
from tradenas.space import Architecture, Picked, SearchSpace, off_option
from tradenas.typing import FloatArray

__all__ = ["PARTS", "part_merits", "shortfalls", "simpler", "simplest_first", "simplicity", "simplify"]

#: Consecutive parts of the ranking rows.
PARTS = 20


def part_merits(scorer: Scorer, networks: Sequence[Network], architectures: Sequence[Architecture]) -> FloatArray:
    """Merits on each part of the ranking rows, (N, PARTS), mean over supernets; NaN where there is none.

    For architectures that have been scored: it says how sure those scores are, and is no trial of its own.
    """
    scored = [scorer.evaluator.part_merits(n, architectures, scorer.metric, parts=PARTS) for n in networks]
    return np.asarray(np.mean(scored, axis=0), dtype=np.float64)


def shortfalls(best_K: FloatArray, merits_NK: FloatArray) -> FloatArray:
    """How far each of N falls short of the best, in standard errors of the difference; infinite without a common part.

    >>> shortfalls(np.array([0.2, 0.4, 0.3]), np.array([[0.1, 0.3, 0.3], [0.2, 0.4, 0.3]])).round(2).tolist()
    [2.0, 0.0]
    """
    found = np.full(len(merits_NK), np.inf)
    for n, behind_K in enumerate(best_K - merits_NK):
        known = behind_K[np.isfinite(behind_K)]
        if len(known) >= 2:
            mean, error = float(known.mean()), float(known.std(ddof=1)) / len(known) ** 0.5
            found[n] = mean / error if error > 0 else np.inf * np.sign(mean) if mean else 0.0
    return found


def simplicity(network: Network, architecture: Architecture) -> tuple[int, int, int]:
    """Indicators read, lookback, parameters: what is smaller is simpler, in this order."""
    lookback = int(str(architecture["input/lookback"]))
    return network.inputs.read(architecture), lookback, network.count(architecture).parameters


def simpler(space: SearchSpace, architecture: Architecture) -> list[Architecture]:
    """The same with one indicator or group less, or with a shorter lookback; all ops of a column are equally simple."""
    return [space.check({**architecture, name: value}) for name, value in _steps(space, architecture)]


def _steps(space: SearchSpace, architecture: Architecture) -> Iterator[tuple[str, Picked]]:
    lookbacks = space["input/lookback"]
    for shorter in lookbacks.options[: lookbacks.index(int(str(architecture["input/lookback"])))]:
        yield lookbacks.name, shorter
    for choice in space.choices:
        off = off_option(choice)
        if off is not None and architecture[choice.name] != off:
            others = [name for name in space.not_all if name != choice.name]
            if choice.name not in space.not_all or any(architecture[n] != space.not_all[n] for n in others):
                yield choice.name, off


def simplest_first(
    scorer: Scorer, networks: Sequence[Network], ranked: Sequence[Candidate], *, errors: float, most: int = 60
) -> list[Candidate]:
    """The simplest of the candidates near the best takes the first place; the others keep their order.

    Args:
        ranked: best first.
        errors: how many standard errors of the difference are near.
        most: how many of the best are asked; a candidate further down is not near.
    """
    if len(ranked) < 2:
        return list(ranked)
    asked = [c for c in ranked[:most] if scorer.metric in c.scores]
    merits_NK = part_merits(scorer, networks, [c.architecture for c in asked])
    near = [c for c, z in zip(asked, shortfalls(merits_NK[0], merits_NK), strict=True) if z <= errors]
    chosen = min(near, key=lambda c: simplicity(networks[0], c.architecture), default=ranked[0])
    return [chosen, *(c for c in ranked if c is not chosen)]


def simplify(
    space: SearchSpace,
    scorer: Scorer,
    networks: Sequence[Network],
    best: Candidate,
    *,
    errors: float,
    seen: Sequence[Candidate] = (),
    allowed: Allowed = anything,
) -> list[Candidate]:
    """Backward elimination of inputs from the best candidate on; returns what was scored on the way.

    Each round scores every candidate that is one input simpler, and goes on from the one that loses least, as long as
    one is near.  The reference stays the best, so that small losses do not add up unseen.

    Args:
        seen: candidates that need no second score.
    """
    known, new, current = {c.architecture: c for c in seen}, [], best.architecture
    best_K = part_merits(scorer, networks, [current])[0]
    while wanted := [a for a in simpler(space, current) if allowed(a)]:
        scored = scorer.paths(networks, [a for a in wanted if a not in known])
        new += scored
        known |= {c.architecture: c for c in scored}
        behind_N = shortfalls(best_K, part_merits(scorer, networks, wanted))
        at = int(np.argmin(behind_N))
        if not behind_N[at] <= errors:
            break
        current = wanted[at]
    return new
