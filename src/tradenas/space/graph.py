"""The graph of a cell: which edges there are, and which of them matter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tradenas.space.architecture import Architecture
from tradenas.space.choice import Picked

__all__ = ["Edge", "Graph", "essential"]

EDGE = re.compile(r"cell/edge(\d+)-(\d+)/op")


class Edge(NamedTuple):
    """From one node to a later one, through an op."""

    source: int
    target: int
    op: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The nodes of a cell in their order; the first of them are its inputs.

    Attributes:
        inputs: earlier outputs that the cell reads.
        num_nodes: inputs included.
        output: `all` nodes after the inputs side by side, or the `last` one.
    """

    inputs: int
    num_nodes: int
    output: Literal["all", "last"]

    @classmethod
    def of(cls, names: Iterable[str], output: object) -> Graph:
        """From the names of the choices of a space, or of an architecture; each node after the inputs has an edge."""
        targets = [int(found[2]) for name in names if (found := EDGE.fullmatch(name))]
        return cls(inputs=min(targets), num_nodes=max(targets) + 1, output="last" if output == "last" else "all")

    @property
    def nodes(self) -> range:
        """Those after the inputs."""
        return range(self.inputs, self.num_nodes)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The nodes that the cell hands on."""
        return (self.num_nodes - 1,) if self.output == "last" else tuple(self.nodes)

    def edges(self, architecture: Mapping[str, Picked]) -> tuple[Edge, ...]:
        """The edges that were taken, with their ops, in the order of targets, then of sources."""
        pairs = [(i, j) for j in self.nodes for i in range(j)]
        taken = {(i, j): op for i, j in pairs if (op := architecture.get(f"cell/edge{i}-{j}/op")) is not None}
        return tuple(Edge(i, j, str(op)) for (i, j), op in taken.items())

    def live(self, pairs: Collection[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """Those edges of some that lie on a path from an input to an output, in the order of targets and sources."""
        pairs = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
        fed = set(range(self.inputs))
        for source, target in pairs:  # sources of an edge come before it
            if source in fed:
                fed.add(target)
        heard = set(self.outputs)
        for source, target in reversed(pairs):
            if target in heard:
                heard.add(source)
        return tuple((i, j) for i, j in pairs if i in fed and j in heard)

    def live_edges(self, architecture: Mapping[str, Picked]) -> tuple[Edge, ...]:
        """The edges that matter: not `zero`, something reaches them from an input, and they reach the output.

        None at all means a cell that passes nothing.
        """
        ops = {(e.source, e.target): e.op for e in self.edges(architecture) if e.op != "zero"}
        return tuple(Edge(i, j, ops[i, j]) for i, j in self.live(ops))

    def live_nodes(self, architecture: Mapping[str, Picked]) -> tuple[int, ...]:
        """The nodes after the inputs that a live edge enters; the others are constant 0 or unheard."""
        return tuple(sorted({e.target for e in self.live_edges(architecture)}))

    def live_cells(self, cells: int, sources: Collection[int]) -> tuple[int, ...]:
        """The cells of a stack that the last one hears: not all, where cells read only the one before the last.

        Args:
            cells: in the stack.
            sources: of the live edges; without one among the inputs no cell is heard.
        """
        back = [self.inputs - source for source in set(sources) if source < self.inputs]  # node 0 of two is two back
        heard: set[int] = {cells - 1} if back else set()
        for cell in range(cells - 1, -1, -1):
            if cell in heard:
                heard.update(cell - b for b in back if cell - b >= 0)
        return tuple(sorted(heard))

    def count_op(self, architecture: Mapping[str, Picked], op: str) -> int:
        """On how many of the edges taken an op stands: skips, for the rules that limit them."""
        return sum(edge.op == op for edge in self.edges(architecture))


def essential(architecture: Mapping[str, Picked]) -> Architecture:
    """Without the edges that make no difference: architectures of cells that agree in this are the same network.

    >>> essential({"cells": 1, "cell/output": "last", "cell/edge0-1/op": "zero", "cell/edge0-2/op": "dense"})
    Architecture(cells 1 | 0-2 dense)
    """
    if "cells" not in architecture:
        return Architecture(architecture)
    live = Graph.of(architecture, architecture["cell/output"]).live_edges(architecture)
    kept = {f"cell/edge{e.source}-{e.target}/op" for e in live}
    rest = {n: p for n, p in architecture.items() if not n.startswith(("cell/edge", "cell/node")) or n in kept}
    return Architecture(rest)
