"""Two kinds of choices that one-shot methods treat apart: ops, and sizes, whose options are parts of the largest."""

from __future__ import annotations

import numpy as np

from tradenas.space import Architecture, Choice, SearchSpace, draw

__all__ = ["extreme", "is_op", "is_size"]


def is_op(choice: Choice) -> bool:
    """Whether it says which operation a layer runs."""
    return choice.name.endswith("/op")


def is_size(choice: Choice) -> bool:
    """Whether it is a depth, a width, a lookback: a whole number, of which a smaller one is a part of a larger one."""
    return choice.take == 1 and all(isinstance(option, int) for option in choice.options)


def extreme(space: SearchSpace, rng: np.random.Generator, *, largest: bool) -> Architecture:
    """Every size at its end of the range; what has no size (ops, activations, inputs) is drawn uniformly.

    >>> from tradenas.seeds import rng_for
    >>> from tradenas.space import Chain
    >>> a = extreme(Chain(depths=(1, 2), lookbacks=(5, 50)).space(), rng_for(0, "a"), largest=True)
    >>> a["depth"], a["input/lookback"], a["layer1/width"]
    (2, 50, 64)
    """
    end = -1 if largest else 0
    return space.walk(lambda c: sorted(c.options, key=float)[end] if is_size(c) else draw(c, rng))
