"""The cheapest and the dearest architecture of a space too large to list, exactly, where the cost is a sum of tables.

Choices are eliminated one after the other (Bertelè & Brioschi 1972; bucket elimination, Dechter 1999): the tables that
name a choice become one table without it, which holds the best over its values.  A chain's tables join neighbours only,
so what arises stays small.  Choices that are not active take any value at no cost, which changes no optimum.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from tradenas.cost.additive import AdditiveCost
from tradenas.cost.probabilities import conditions, values_of
from tradenas.errors import SpaceError
from tradenas.space import Architecture, Option
from tradenas.typing import FloatArray

__all__ = ["MOST_ENTRIES", "cheapest", "dearest"]

#: Entries of the largest table that may arise.
MOST_ENTRIES = 1 << 22


class _Factor(NamedTuple):
    names: tuple[str, ...]
    table: FloatArray


def cheapest(cost: AdditiveCost) -> Architecture:
    """An architecture that no other undercuts.

    Raises:
        SpaceError: a body of cells, or tables that join so many choices that none of this is small.
    """
    return min(_optima(cost, 1.0), key=cost.exact)


def dearest(cost: AdditiveCost) -> Architecture:
    """An architecture that no other exceeds; errors as in `cheapest`."""
    return max(_optima(cost, -1.0), key=cost.exact)


def _optima(cost: AdditiveCost, sign: float) -> list[Architecture]:
    """The best one; where `not_all` holds, the best under each of its choices being another option."""
    if not cost.space.not_all:
        return [_best(cost, sign, {})]
    return [
        _best(cost, sign, {name: [o for o in cost.space[name].options if o != option]})
        for name, option in cost.space.not_all.items()
        if len(cost.space[name].options) > 1
    ]


def _best(cost: AdditiveCost, sign: float, only: dict[str, list[Option]]) -> Architecture:
    space = cost.space
    factors = [_factor(cost, i, sign) for i in range(len(cost.terms))]
    for name, options in only.items():
        shut = [0.0 if o in options else np.inf for o in space[name].options]
        factors.append(_Factor((name,), np.array(shut)))
    sizes = {c.name: len(values_of(c)) for c in space.choices}
    left, trail = set(sizes), list[tuple[str, _Factor]]()
    while left:
        name = min(sorted(left), key=lambda n: _entries(n, factors, sizes))
        joint = _joined([f for f in factors if name in f.names], name, sizes)
        factors = [f for f in factors if name not in f.names]
        factors.append(_Factor(joint.names[1:], joint.table.min(0)))
        trail.append((name, joint))
        left.remove(name)
    at: dict[str, int] = {}
    for name, joint in reversed(trail):
        where: tuple[Any, ...] = (slice(None), *(at[n] for n in joint.names[1:]))
        at[name] = int(joint.table[where].argmin())
    return space.walk(lambda c: values_of(c)[at[c.name]])


def _factor(cost: AdditiveCost, term: int, sign: float) -> _Factor:
    """A table with an axis for each choice that its own are active under."""
    own = cost.terms[term]
    if own.times:
        raise SpaceError(
            "cheapest", got="a body of cells, whose parts count by the whole graph", expected="a chain",
            fix="list the space or draw from it (tradenas.cost.satisfiability)",
        )  # fmt: skip
    masks = conditions(cost.space, own.choices)
    names = (*own.choices, *sorted(masks.keys() - set(own.choices)))
    table = sign * own.table.numpy().reshape((*own.table.shape, *[1] * (len(names) - len(own.choices))))
    for name, mask in masks.items():
        table = table * mask.numpy().reshape([-1 if n == name else 1 for n in names])
    return _Factor(names, table)


def _neighbours(name: str, factors: Collection[_Factor]) -> list[str]:
    return sorted({n for f in factors if name in f.names for n in f.names} - {name})


def _entries(name: str, factors: Collection[_Factor], sizes: dict[str, int]) -> int:
    return sizes[name] * int(np.prod([float(sizes[n]) for n in _neighbours(name, factors)]))


def _joined(factors: list[_Factor], name: str, sizes: dict[str, int]) -> _Factor:
    """The sum of tables over all of their choices, the one to eliminate in front."""
    names = (name, *_neighbours(name, factors))
    if np.prod([float(sizes[n]) for n in names]) > MOST_ENTRIES:
        raise SpaceError("cheapest", got=f"tables that join {len(names)} choices", expected="fewer of them")
    total = np.zeros([sizes[n] for n in names])
    for f in factors:
        order = sorted(range(len(f.names)), key=lambda k, f=f: names.index(f.names[k]))  # type: ignore[misc]
        shape = [sizes[n] if n in f.names else 1 for n in names]
        total = total + f.table.transpose(order).reshape(shape)
    return _Factor(names, total)
