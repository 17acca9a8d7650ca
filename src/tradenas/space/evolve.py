"""Moves in a space: one that changes an architecture a little, one that mixes two."""

from __future__ import annotations

import numpy as np

from tradenas.space.architecture import Architecture
from tradenas.space.choice import Choice, Picked
from tradenas.space.space import SearchSpace, draw

__all__ = ["crossover", "mutate"]


def mutate(space: SearchSpace, parent: Architecture, rng: np.random.Generator, *, rate: float) -> Architecture:
    """A child in which every active choice is drawn anew with probability `rate`, and at least one changes.

    A child equal to its parent is a trial wasted, so one choice that has an alternative is forced to change
    where the coin flips changed nothing.
    """
    child = space.walk(lambda c: draw(c, rng) if c.name not in parent or rng.random() < rate else parent[c.name])
    free = [c for c in space.choices if c.name in child and len(c.options) > c.take]
    if child != parent or not free:
        return child
    forced = free[int(rng.integers(len(free)))]

    def pick(choice: Choice) -> Picked:
        value = child[choice.name] if choice.name in child else draw(choice, rng)
        while choice is forced and value == child[choice.name]:
            value = draw(choice, rng)
        return value

    return space.walk(pick)


def crossover(space: SearchSpace, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
    """A child that takes every active choice from one parent or the other (uniform crossover)."""

    def pick(choice: Choice) -> Picked:
        parents = [p[choice.name] for p in (a, b) if choice.name in p]
        return parents[int(rng.integers(len(parents)))] if parents else draw(choice, rng)

    return space.walk(pick)
