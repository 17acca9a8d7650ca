"""The mean of what is no sum over a body of cells: a sum of tables that is fitted to it.

What an edge costs may hang on others: on the rows that the ops behind it read, on what else is held while it runs.  No
sum of tables holds such a cost exactly.  The sum with the least squared relative error over architectures drawn from
the space is taken: a table over op and width for each edge, times the cells in which the edge counts
(`tradenas.cost.Topology`), and one for each other choice.  `gap` says how far it is from the cost in the mean; `exact`
costs of architectures are not touched by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.probabilities import values_of
from tradenas.cost.topology import Topology, edge_name
from tradenas.nn import Mixture
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, Picked, SearchSpace, off_option
from tradenas.space.switches import QUANT

__all__ = ["CellFit"]

#: How values are rounded: it adds steps.
ROUNDING = f"{QUANT}activations"


class CellFit:
    """See the head of this module.

    Args:
        space: of cells.
        value: what an architecture costs, above 0.
        draws: architectures that are fitted on, and half as many again to tell the gap.
    """

    def __init__(self, space: SearchSpace, value: Callable[[Architecture], float], *, draws: int = 400) -> None:
        self.space, self.topology = space, Topology(space)
        rng = rng_for(0, "latency", "cells")
        drawn = list(dict.fromkeys(self.space.sample(rng) for _ in range(draws + draws // 2)))
        exact = np.array([value(a) for a in drawn])
        terms = [*self._shapes()]
        rows = [self._row(terms, a) for a in drawn]
        fitted = max(1, len(drawn) * 2 // 3)
        x, y = np.array(rows[:fitted]), exact[:fitted]
        # A little ridge: columns that always stand together share what they cost.
        weight = 1.0 / y[:, None]
        gram = (x * weight).T @ (x * weight) + 1e-9 * len(y) * np.eye(x.shape[1])
        found = np.linalg.solve(gram, (x * weight).T @ np.ones(len(y)))
        self.cost = AdditiveCost(self.space, self._filled(terms, found), multiplicities=self.topology)
        held = range(fitted, len(drawn)) if fitted < len(drawn) else range(len(drawn))
        #: Mean relative difference from the cost itself on architectures that were not fitted.
        self.gap = float(np.mean([abs(self.cost.exact(drawn[k]) / exact[k] - 1.0) for k in held]))

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """What the fit says of an architecture; what it costs is what was fitted."""
        return self.cost.exact(architecture)

    def expected(self, mixture: Mixture) -> Tensor:
        """The mean over architectures drawn from a mixture; differentiable by its weights."""
        return self.cost.expected(mixture)

    def _shapes(self) -> list[tuple[tuple[str, ...], str]]:
        """The choices of each table, and what it counts with."""
        width = "cell/width"
        found: list[tuple[tuple[str, ...], str]] = [((), "")]
        found += [((width,), name) for name in ("heard", "cells", "outputs", "reads", "nodes")]
        for pair in self.topology.pairs:
            names = (f"cell/edge{pair[0]}-{pair[1]}/op", width, "cell/norm")
            found.append((names, edge_name(pair)))
        others = [c for c in self.space.choices if not c.name.startswith("cell") and _counts(c)]
        found += [((c.name,), "") for c in others]
        return [*found, *(((f"cell/{w}", width), "nodes") for w in ("activation",) if f"cell/{w}" in self.space)]

    def _sizes(self, shape: tuple[tuple[str, ...], str]) -> list[int]:
        return [len(values_of(self.space[n])) for n in shape[0]]

    def _row(self, shapes: list[tuple[tuple[str, ...], str]], a: Any) -> list[float]:
        """How often each entry of each table counts in an architecture."""
        often, row = self.topology.exact(a), list[float]()
        for names, times in shapes:
            table = np.zeros(self._sizes((names, times)))
            if all(n in a for n in names):
                table[tuple(values_of(self.space[n]).index(a[n]) for n in names)] = often[times] if times else 1.0
            row += table.ravel().tolist()
        return row

    def _filled(self, shapes: list[tuple[tuple[str, ...], str]], found: Any) -> list[Term]:
        terms, at = [], 0
        for shape in shapes:
            sizes = self._sizes(shape)
            number = int(np.prod(sizes))
            table = torch.tensor(found[at : at + number]).reshape(sizes)
            if shape[1].startswith("edge"):  # an edge that passes nothing costs nothing (see `Topology`)
                shut = [k for k, o in enumerate(self.space[shape[0][0]].options) if o == "zero"]
                table[shut] = 0.0
            terms.append(Term(shape[0], table, shape[1]))
            at += number
        return terms


def _counts(choice: Choice) -> bool:
    """Whether a choice of the inputs, or of the whole network, changes what is run."""
    return choice.name in ("input/lookback", ROUNDING) or off_option(choice) is not None
