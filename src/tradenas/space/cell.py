"""The cell blueprint: a small graph of ops, the same in every cell of a stack (the DARTS chapter's space)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tradenas.errors import SpaceError
from tradenas.space.choice import Choice, Option, Picked
from tradenas.space.space import SearchSpace

__all__ = ["CELL_OPS", "Cell", "Edge"]

CELL_OPS = ("zero", "skip", "dense", "conv3", "separable3", "dilated3", "gated")


class Edge(NamedTuple):
    """From one node to a later one, through an op."""

    source: int
    target: int
    op: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Cells in a row that share their choices: nodes in an order, an op on each edge, a node sums what reaches it.

    The first nodes are the cell's inputs; with two, as in DARTS (arXiv:1806.09055), node 0 is the output of the cell
    before the last and node 1 that of the last, both the stem where there is none.  Each later node takes `take` of
    the nodes before it.

    Choices: `cells`, `cell/width`, `cell/activation`, `cell/norm`, `cell/dropout`, for each node that has more nodes
    before it than it takes `cell/node<j>/from`, and `cell/edge<i>-<j>/op`, active where node j takes node i.

    Args:
        cells: numbers of cells on offer; a search on few and a retraining on more use the same other choices.
        inputs: earlier outputs that a cell reads.
        nodes: nodes after the inputs.
        take: nodes that each of them takes; 0 takes all (NAS-Bench-201, arXiv:2001.00326).
        output: `all` nodes after the inputs side by side (DARTS), or the `last` node.
        ops: on offer on each edge.  `zero` passes nothing: an edge with it is pruned.
        widths: channels of every node.
        activations: what follows an op that is linear.
        norms: what follows an op that has weights.
        dropouts: rates of channel dropout.

    >>> Cell(inputs=1, nodes=3, take=0, output="last", ops=("skip", "zero", "conv3", "conv1", "pool")).space().size()
    15625
    >>> Cell(ops=("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "pool")).space().size()  # DARTS
    1037664180
    """

    kind: Literal["cell"] = "cell"
    cells: tuple[int, ...] = (3,)
    inputs: Literal[1, 2] = 2
    nodes: int = 4
    take: int = 2
    output: Literal["all", "last"] = "all"
    ops: tuple[str, ...] = CELL_OPS
    widths: tuple[int, ...] = (16,)
    activations: tuple[str, ...] = ("relu",)
    norms: tuple[str, ...] = ("layer",)
    dropouts: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, high in (("cells", 20), ("widths", 1024)):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < 1 or values[-1] > high:
                raise SpaceError(f"space.{name}", got=str(values), expected=f"rising whole numbers from 1 to {high}")
        if not 1 <= self.nodes <= 7:
            raise SpaceError("space.nodes", got=self.nodes, expected="1 to 7")
        if self.take < 0:
            raise SpaceError("space.take", got=self.take, expected="0 (all) or more")
        if set(self.ops) <= {"zero"}:
            raise SpaceError("space.ops", got=str(self.ops), expected="an op that passes something")
        if any(not 0.0 <= p < 1.0 for p in self.dropouts):
            raise SpaceError("space.dropouts", got=str(self.dropouts), expected="rates from 0 up to but not with 1")

    @property
    def num_nodes(self) -> int:
        """Inputs included."""
        return self.inputs + self.nodes

    def space(self, before: Sequence[Choice] = ()) -> SearchSpace:
        """The choices of this blueprint, in the order in which they are made.

        Args:
            before: choices of the network's inputs, which come first.
        """
        choices = [
            *before,
            Choice(name="cells", options=self.cells),
            Choice(name="cell/width", options=self.widths),
            Choice(name="cell/activation", options=self.activations),
            Choice(name="cell/norm", options=self.norms),
            Choice(name="cell/dropout", options=self.dropouts),
        ]
        for j in range(self.inputs, self.num_nodes):
            chosen = 0 < self.take < j
            if chosen:
                choices.append(Choice(name=f"cell/node{j}/from", options=tuple(range(j)), take=self.take))
            for i in range(j):
                when: dict[str, tuple[Option, ...]] = {f"cell/node{j}/from": (i,)} if chosen else {}
                choices.append(Choice(name=f"cell/edge{i}-{j}/op", options=self.ops, when=when))
        return SearchSpace(choices)

    def edges(self, architecture: Mapping[str, Picked]) -> tuple[Edge, ...]:
        """The edges that were taken, with their ops, in the order of targets, then of sources."""
        pairs = [(i, j) for j in range(self.inputs, self.num_nodes) for i in range(j)]
        taken = {(i, j): op for i, j in pairs if (op := architecture.get(f"cell/edge{i}-{j}/op")) is not None}
        return tuple(Edge(i, j, str(op)) for (i, j), op in taken.items())

    def live_edges(self, architecture: Mapping[str, Picked]) -> tuple[Edge, ...]:
        """The edges that matter: not `zero`, something reaches them from an input, and they reach the output.

        None at all means a cell that passes nothing.
        """
        edges = [e for e in self.edges(architecture) if e.op != "zero"]
        fed = set(range(self.inputs))
        for edge in edges:  # sources of an edge come before it
            if edge.source in fed:
                fed.add(edge.target)
        heard = {self.num_nodes - 1} if self.output == "last" else set(range(self.inputs, self.num_nodes))
        for edge in reversed(edges):
            if edge.target in heard:
                heard.add(edge.source)
        return tuple(e for e in edges if e.source in fed and e.target in heard)

    def live_nodes(self, architecture: Mapping[str, Picked]) -> tuple[int, ...]:
        """The nodes after the inputs that a live edge enters; the others are constant 0 or unheard."""
        return tuple(sorted({e.target for e in self.live_edges(architecture)}))

    def live_cells(self, architecture: Mapping[str, Picked]) -> tuple[int, ...]:
        """The cells of the stack that the last one hears: not all, where cells read only the one before the last."""
        read = {e.source for e in self.live_edges(architecture) if e.source < self.inputs}
        back = [self.inputs - source for source in read]  # cells back: node 0 of two is two back
        heard: set[int] = {int(str(architecture["cells"])) - 1} if read else set()
        for cell in range(max(heard, default=-1), -1, -1):
            if cell in heard:
                heard.update(cell - b for b in back if cell - b >= 0)
        return tuple(sorted(heard))

    def count_op(self, architecture: Mapping[str, Picked], op: str) -> int:
        """On how many of the edges taken an op stands: skips, for the rules that limit them."""
        return sum(edge.op == op for edge in self.edges(architecture))
