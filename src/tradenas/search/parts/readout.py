"""From weightings of options to architectures: the one that they stand for, and draws by what they weigh."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from tradenas.cost import nearest
from tradenas.search.parts.relaxation import discretise, edge_strengths
from tradenas.space import Architecture, Choice, Picked, SearchSpace, draw

__all__ = ["discretised", "left_out", "nearest_by", "sampled"]

#: Share of the weight of a choice below which options are worth equally little.
LEAST = 1e-6


def left_out(space: SearchSpace) -> tuple[str, ...]:
    """`zero` is left out of the choice where nodes choose their ways in: a way not taken is zero already (DARTS)."""
    return ("zero",) if any(c.take > 1 for c in space.choices) else ()


def discretised(space: SearchSpace, weights: Mapping[str, Tensor]) -> Architecture:
    """The strongest option everywhere; a node keeps the ways in whose strongest op is strongest.

    Weights of a choice of several options, where there are any, multiply the strengths of its ways.
    """
    out = left_out(space)
    single = {n: w for n, w in weights.items() if space[n].take == 1}
    ways = edge_strengths(space, single, leave_out=out)
    ways = {n: w * weights[n] if n in weights else w for n, w in ways.items()}
    return discretise(space, single | ways, leave_out=out)


def sampled(space: SearchSpace, weights: Mapping[str, Tensor], rng: np.random.Generator) -> Architecture:
    """An architecture whose every choice is drawn with chances in proportion to its weights."""
    out = left_out(space)
    single = {n: w for n, w in weights.items() if space[n].take == 1}
    ways = edge_strengths(space, single, leave_out=out)

    def pick(choice: Choice) -> Picked:
        if choice.name not in single and choice.name not in ways:
            return draw(choice, rng)
        known = single.get(choice.name, ways.get(choice.name))
        assert known is not None
        p = known.detach().cpu().double().numpy().copy()
        closed = [o in out for o in choice.options]
        p[closed] = 0.0 if not all(closed) else p[closed]
        taken = rng.choice(len(p), size=choice.take, replace=False, p=(p + 1e-12) / (p + 1e-12).sum())
        options = tuple(choice.options[i] for i in sorted(taken.tolist()))
        return options if choice.take > 1 else options[0]

    return space.walk(pick)


def nearest_by(
    space: SearchSpace,
    weights: Mapping[str, Tensor],
    start: Architecture,
    violation: Callable[[Architecture], float],
) -> Architecture | None:
    """An architecture without violation that the weights like nearly as well as `start`; None where there is none.

    What a change loses is the log of how much weaker the other option is, so that all in all the product of the
    strengths is kept high: the architecture that draws by the weights would bring most often, of those that fit.
    A choice without weights loses nothing.
    """
    out = left_out(space)
    single = {n: w for n, w in weights.items() if space[n].take == 1}
    strengths = single | edge_strengths(space, single, leave_out=out)
    logs: dict[tuple[str, object], float] = {}
    for name, strength in strengths.items():
        share = (strength.detach().double().clamp(min=0.0) / strength.detach().double().sum()).tolist()
        for option, part in zip(space[name].options, share, strict=True):
            closed = option in out and any(o not in out for o in space[name].options)
            logs[name, option] = math.log(LEAST if closed else max(part, LEAST))

    def worth(choice: Choice, value: Picked) -> float:
        return math.fsum(logs.get((choice.name, o), 0.0) for o in (value if isinstance(value, tuple) else (value,)))

    return nearest(space, start, violation, worth)
