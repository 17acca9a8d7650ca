"""A cost as a sum of small tables, so that it has an exact value and an exact, differentiable expectation.

    cost(a)    = sum_t  n_t(a) T_t[a_i, a_j, a_k]                                        an index into each table
    E[cost]    = sum_t  E[n_t] sum_ijk p_i m_i p_j m_j p_k m_k T_t[i, j, k]              a contraction of each table

with p the chances that a mixture gives (`tradenas.cost.probabilities`), m the conditions under which the choices of the
table are active, and n = 1, or how often the table counts in a body of cells (`tradenas.cost.topology`).  FBNet
(Wu et al. 2019, arXiv:1812.03443) eq. 5 is the case of one choice a table, n = 1 and m = 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from tradenas.cost.probabilities import Masks, chances, conditions, values_of
from tradenas.errors import MixtureError, SpaceError
from tradenas.nn import Mixture
from tradenas.space import Picked, SearchSpace

__all__ = ["AdditiveCost", "Multiplicities", "Term"]

#: Choices that one table may hang on: an op between two widths at a precision of weights, values and sparsity.
MOST = 6


class Multiplicities(Protocol):
    """How often tables count, where conditions between choices cannot say it."""

    def exact(self, architecture: Mapping[str, Picked]) -> Mapping[str, float]:
        """For each name how often, in an architecture."""

    def expected(self, chances: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """For each name how often in the mean, times what makes up for a table's own zeros (see `Topology`)."""


@dataclass(frozen=True, eq=False)
class Term:
    """One table.

    Attributes:
        choices: at most six; none for a constant.
        table: float64, an axis for each choice over its values in order (`Choice.values`).
        times: name of how often it counts; empty for once where all its choices are active, and not otherwise.
    """

    choices: tuple[str, ...]
    table: Tensor
    times: str = ""


class AdditiveCost:
    """What an architecture costs, and what a mixture costs on average: any cost that is a sum over parts.

    An inactive choice costs nothing.  Under weights it costs its share: what it would cost times the chance that it is
    active.  The expectation is that over architectures drawn choice by choice with the mixture's weights; architectures
    that the space excludes (`SearchSpace.not_all`) are drawn again, as `SearchSpace.sample` does.

    Args:
        space: of the architectures.
        terms: the tables.
        multiplicities: of the terms that name one.

    Raises:
        SpaceError: a table has other axes than its choices, or more than six of them.

    >>> from tradenas.space import Choice
    >>> space = SearchSpace([
    ...     Choice(name="depth", options=(1, 2)),
    ...     Choice(name="layer1/op", options=("dense", "conv3"), when={"depth": (2,)}),
    ... ])
    >>> cost = AdditiveCost(space, [Term(("layer1/op",), torch.tensor([10.0, 30.0]))])
    >>> cost.exact({"depth": 1}), cost.exact({"depth": 2, "layer1/op": "conv3"})
    (0.0, 30.0)
    >>> even = torch.tensor([0.5, 0.5])
    >>> float(cost.expected({"depth": even, "layer1/op": even}))
    10.0
    """

    def __init__(
        self, space: SearchSpace, terms: Iterable[Term], *, multiplicities: Multiplicities | None = None
    ) -> None:
        self.space, self.multiplicities = space, multiplicities
        self.terms = tuple(replace(term, table=term.table.detach().to("cpu", torch.float64)) for term in terms)
        for term in self.terms:
            shape = tuple(len(values_of(space[name])) for name in term.choices)
            if tuple(term.table.shape) != shape or len(term.choices) > MOST:
                raise SpaceError(
                    f"Term({', '.join(term.choices)})",
                    got=f"a table of shape {tuple(term.table.shape)}",
                    expected=f"{shape}, at most {MOST} choices",
                )
            if term.times and multiplicities is None:
                raise SpaceError("Term.times", got=repr(term.times), expected="multiplicities that know it")
        self._places = {c.name: {v: i for i, v in enumerate(values_of(c))} for c in space.choices}
        self._conditions: list[Masks] = [{} if t.times else conditions(space, t.choices) for t in self.terms]
        self._plain = [term.table.tolist() for term in self.terms]

    def __add__(self, other: AdditiveCost) -> AdditiveCost:
        if other.space is not self.space:
            raise SpaceError("AdditiveCost.__add__", got="another space", expected="costs over one space")
        if other.multiplicities is None or self.multiplicities is None:
            either = self.multiplicities or other.multiplicities
            return AdditiveCost(self.space, (*self.terms, *other.terms), multiplicities=either)
        if other.multiplicities is not self.multiplicities:
            raise SpaceError("AdditiveCost.__add__", got="other multiplicities", expected="the same on both sides")
        return AdditiveCost(self.space, (*self.terms, *other.terms), multiplicities=self.multiplicities)

    def scaled(self, factor: float) -> AdditiveCost:
        """The same in other units."""
        terms = [replace(term, table=term.table * factor) for term in self.terms]
        return AdditiveCost(self.space, terms, multiplicities=self.multiplicities)

    def times(self, choices: tuple[str, ...], factor: Tensor) -> AdditiveCost:
        """The same times what further choices say, which are always active: bits, the share of weights that are left.

        Args:
            choices: that no term hangs on yet.
            factor: an axis for each.
        """
        terms = [
            replace(t, choices=(*t.choices, *choices), table=torch.tensordot(t.table, factor.to(t.table), dims=0))
            for t in self.terms
        ]
        return AdditiveCost(self.space, terms, multiplicities=self.multiplicities)

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """What one architecture costs."""
        often = self.multiplicities.exact(architecture) if self.multiplicities is not None else {}
        total = 0.0
        plain: Any  # lists within lists, then a number
        for term, plain in zip(self.terms, self._plain, strict=True):
            if all(name in architecture for name in term.choices):
                for name in term.choices:
                    plain = plain[self._places[name][architecture[name]]]
                total += plain * often[term.times] if term.times else plain
        return float(total)

    def expected(self, mixture: Mixture) -> Tensor:
        """The mean over architectures drawn from a mixture: a float64 scalar, differentiable by its weights.

        Indices, tuples of indices and weights may stand beside each other (`chances_of`).

        Raises:
            MixtureError: the mixture lacks a choice, its weights are not chances, or all it can draw is excluded.
        """
        found = chances(self.space, mixture)
        total = self._mean(found)
        if not self.space.not_all:
            return total
        excluded, only = torch.ones((), dtype=torch.float64), dict(found)
        for name, option in self.space.not_all.items():
            at = self._places[name][option]
            excluded = excluded * found[name][at]
            only[name] = torch.zeros_like(found[name].detach())
            only[name][at] = 1.0
        if float(excluded.detach()) >= 1.0:
            raise MixtureError(", ".join(self.space.not_all), got="all closed for certain", expected="one that is open")
        return (total - excluded * self._mean(only)) / (1.0 - excluded)

    def _mean(self, found: Mapping[str, Tensor]) -> Tensor:
        often = self.multiplicities.expected(found) if self.multiplicities is not None else {}
        total = torch.zeros((), dtype=torch.float64)
        for term, masks in zip(self.terms, self._conditions, strict=True):
            value = term.table
            for name in term.choices:
                part = found[name] * masks[name] if name in masks else found[name]
                value = torch.tensordot(part, value, dims=1)
            for name in masks.keys() - set(term.choices):
                value = value * (found[name] * masks[name]).sum()
            total = total + (value * often[term.times] if term.times else value)
        return total
