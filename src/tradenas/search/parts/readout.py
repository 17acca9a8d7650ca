"""From weightings of options to architectures: the one that they stand for, and draws by what they weigh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from tradenas.search.parts.relaxation import discretise, edge_strengths
from tradenas.space import Architecture, Choice, Picked, SearchSpace, draw

__all__ = ["discretised", "left_out", "sampled"]


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
