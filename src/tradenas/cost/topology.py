"""How often the parts of a stack of cells count: a pruned edge costs nothing, and neither does a cell nobody hears.

Which edges matter hangs on all edges at once (`Graph.live`), so no table over three choices can say it.  But given
which edges are open (taken, and not `zero`), what each of them runs is independent of the others:

    E[cost] = sum_e E[cost of e | e open] E[cells in which e matters] + ...

The mean over the open edges is taken exactly, pattern by pattern.  Nodes open their edges independently of each other:
with P_j(S) the chance that exactly the edges S into node j are open, a pattern has the chance prod_j P_j(S_j).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from tradenas.cost.probabilities import values_of
from tradenas.errors import SpaceError
from tradenas.space import Graph, Picked, SearchSpace

__all__ = ["MOST_PATTERNS", "Topology", "edge_name"]

#: Patterns of open edges up to which the mean over them is taken.  DARTS' cell of four nodes has 4,928.
MOST_PATTERNS = 1 << 16

Pair = tuple[int, int]
Pattern = frozenset[Pair]


class _Entering(NamedTuple):
    """The edges into one node that may be open together, and for every way to it the sets of taken, open and shut."""

    opened: list[Pattern]
    chances: Tensor


def edge_name(pair: Pair) -> str:
    """What the multiplicity of an edge is called."""
    return f"edge{pair[0]}-{pair[1]}"


class Topology:
    """Counts of live parts: in an architecture, or in the mean over those that a mixture draws.

    - `heard`: 1 where any cell is, and with it the stem
    - `cells`: cells that are heard
    - `outputs`: nodes that the head reads
    - `reads`: maps from earlier outputs, over all cells and blocks
    - `nodes`: sums of edges, over all cells
    - `edge<i>-<j>`: cells in which the edge counts.  In the mean it is divided by the chance that the op is not `zero`:
      a table over the op that is 0 at `zero` then gives the mean cost given an open edge, times how often it counts.

    Args:
        space: of a body of cells.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.graph = Graph.of((c.name for c in space.choices), space["cell/output"].options[0])
        self.pairs: list[Pair] = [(i, j) for j in self.graph.nodes for i in range(j) if f"cell/edge{i}-{j}/op" in space]
        self.names = ("heard", "cells", "outputs", "reads", "nodes", *map(edge_name, self.pairs))
        self._counted: dict[tuple[Pattern, int], tuple[float, ...]] = {}
        self._tables: dict[tuple[tuple[Pattern, ...], ...], Tensor] = {}

    def counts(self, opened: Pattern, cells: int) -> tuple[float, ...]:
        """Of one pattern and so many cells, in the order of `names`."""
        key = (opened, cells)
        if key not in self._counted:
            live = self.graph.live(opened)
            targets, sources = {j for _, j in live}, {i for i, _ in live}
            heard = self.graph.live_cells(cells, sources)
            outputs = sum(j in targets for j in self.graph.outputs)
            inputs = [i for i in sources if i < self.graph.inputs]
            reads = sum(outputs if k - (self.graph.inputs - i) >= 0 else 1 for k in heard for i in inputs)
            found = (bool(heard), len(heard), outputs, reads, len(heard) * len(targets))
            self._counted[key] = (*map(float, found), *(float(len(heard) * (p in live)) for p in self.pairs))
        return self._counted[key]

    def exact(self, architecture: Mapping[str, Picked]) -> dict[str, float]:
        """By name, of an architecture."""
        opened = frozenset((e.source, e.target) for e in self.graph.edges(architecture) if e.op != "zero")
        return dict(zip(self.names, self.counts(opened, int(str(architecture["cells"]))), strict=True))

    def expected(self, chances: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By name, in the mean.

        Raises:
            SpaceError: more than `MOST_PATTERNS` patterns are possible.
        """
        passes = {pair: self.passing(pair, chances) for pair in self.pairs}
        chance_P, table_PDK = self.patterns(chances)
        mean_K = torch.einsum("p,pdk,d->k", chance_P, table_PDK, chances["cells"])
        found = dict(zip(self.names, mean_K, strict=True))
        for pair, chance in passes.items():
            if float(chance.detach()) > 0.0:
                found[edge_name(pair)] = found[edge_name(pair)] / chance
        return found

    def patterns(self, chances: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The chance of each pattern of open edges, and its counts: (patterns, numbers of cells, names).

        Raises:
            SpaceError: more than `MOST_PATTERNS` patterns are possible.
        """
        passes = {pair: self.passing(pair, chances) for pair in self.pairs}
        entering = [self._entering(j, passes, chances) for j in self.graph.nodes]
        number = math.prod(len(one.opened) for one in entering)
        if number > MOST_PATTERNS:
            raise SpaceError(
                "Topology.patterns",
                got=f"{number:,} patterns of open edges",
                expected=f"at most {MOST_PATTERNS:,}",
                fix="fewer nodes, or no `zero` where each node takes two; exact costs have no such limit",
            )
        table_PDK = self._table(tuple(tuple(one.opened) for one in entering))
        chance_P = entering[0].chances
        for one in entering[1:]:
            chance_P = (chance_P[:, None] * one.chances).flatten()
        return chance_P, table_PDK

    def passing(self, pair: Pair, chances: Mapping[str, Tensor]) -> Tensor:
        """The chance that the op of an edge is not `zero`."""
        name = f"cell/edge{pair[0]}-{pair[1]}/op"
        return (chances[name] * torch.tensor([float(o != "zero") for o in self.space[name].options]).double()).sum()

    def _entering(self, j: int, passes: Mapping[Pair, Tensor], chances: Mapping[str, Tensor]) -> _Entering:
        taken = f"cell/node{j}/from"
        sources = [i for i, target in self.pairs if target == j]
        ways: list[tuple[list[int], Tensor]] = [(sources, torch.ones((), dtype=torch.float64))]
        if taken in self.space:
            values = values_of(self.space[taken])
            sets = [[int(str(o)) for o in (v if isinstance(v, tuple) else (v,))] for v in values]
            ways = list(zip(sets, chances[taken], strict=True))
        total: dict[Pattern, Tensor] = {}
        for nodes, chance in ways:
            for opens in itertools.product((True, False), repeat=len(nodes)):
                part = chance
                for i, is_open in zip(nodes, opens, strict=True):
                    part = part * (passes[i, j] if is_open else 1.0 - passes[i, j])
                if float(part.detach()) > 1e-15 or bool(part.requires_grad and float(part.detach()) > 0.0):
                    pattern = frozenset((i, j) for i, is_open in zip(nodes, opens, strict=True) if is_open)
                    total[pattern] = total[pattern] + part if pattern in total else part
        return _Entering(list(total), torch.stack(list(total.values())))

    def _table(self, opened: tuple[tuple[Pattern, ...], ...]) -> Tensor:
        """(patterns, numbers of cells, names): the counts of each combination, kept for the next step of a search."""
        if opened not in self._tables:
            depths = [int(d) for d in self.space["cells"].options]
            patterns = [frozenset().union(*parts) for parts in itertools.product(*opened)]
            rows = [[self.counts(pattern, depth) for depth in depths] for pattern in patterns]
            self._tables[opened] = torch.tensor(rows, dtype=torch.float64)
        return self._tables[opened]
