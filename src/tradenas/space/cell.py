"""The cell blueprint: a small graph of ops, the same in every cell of a stack (the DARTS chapter's space)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradenas.errors import SpaceError
from tradenas.space.blueprint import BLUEPRINTS, Blueprint, check_rates, check_rising
from tradenas.space.choice import Choice, Option
from tradenas.space.graph import Graph

__all__ = ["CELL_OPS", "Cell"]

CELL_OPS = ("zero", "skip", "dense", "conv3", "separable3", "dilated3", "ema4", "ema12", "difference")


@BLUEPRINTS.register("cell")
@dataclass(frozen=True, kw_only=True)
class Cell(Blueprint):
    """Cells in a row that share their choices: nodes in an order, an op on each edge, a node sums what reaches it.

    The first nodes are the cell's inputs; with two, as in DARTS (arXiv:1806.09055), node 0 is the output of the cell
    before the last and node 1 that of the last, both the stem where there is none.  Each later node takes `take` of
    the nodes before it.

    Choices: those of the inputs, `cells`, `cell/{width,activation,norm,dropout,output,follow}`, for each node that has
    more nodes before it than it takes `cell/node<j>/from`, and `cell/edge<i>-<j>/op`, active where node j takes node i.

    Args:
        cells: numbers of cells on offer; a search on few and a retraining on more use the same other choices.
        inputs: earlier outputs that a cell reads.
        nodes: nodes after the inputs.
        take: nodes that each of them takes; 0 takes all (NAS-Bench-201, arXiv:2001.00326).
        output: `all` nodes after the inputs side by side (DARTS), or the `last` node.
        ops: on offer on each edge; in a study of several markets also those that mix them: `cross_attention`,
            `correlation`, `leader`, `market`, `relative`.  `zero` passes nothing: an edge with it is pruned.  The
            memory of ops adds up along the longest way through all cells, and every search reads that much history: a
            long op on every edge of many cells is dear.
        widths: channels of every node.
        activations: what follows an op that is linear and has weights.
        norms: what follows an op that has weights.
        dropouts: rates of channel dropout.
        follow: where norm, activation and dropout stand: after `each` op that has weights, or once on the `sum` of the
            edges into a node, of whatever ops they are.  Under `sum` the linear ops of a mixture run as one
            convolution, and a differentiable search two to three times as fast (`tradenas.nn.merge`).  It is another
            function: a layer norm on the sum also takes the size out of averages and differences, and less of planted
            signals was found; with norms `none` no less (`benchmarks/darts.py`).

    >>> Cell(inputs=1, nodes=3, take=0, output="last", ops=("skip", "zero", "conv3", "dense", "mean5")).space().size()
    15625
    >>> darts = Cell(nodes=4, ops=("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "mean5"))
    >>> darts.space().size()
    1037664180
    """

    kind: Literal["cell"] = "cell"
    cells: tuple[int, ...] = (2,)
    inputs: Literal[1, 2] = 2
    nodes: int = 3
    take: int = 2
    output: Literal["all", "last"] = "all"
    ops: tuple[str, ...] = CELL_OPS
    widths: tuple[int, ...] = (16,)
    activations: tuple[str, ...] = ("relu",)
    norms: tuple[str, ...] = ("layer",)
    dropouts: tuple[float, ...] = (0.0,)
    follow: Literal["each", "sum"] = "each"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("space.cells", self.cells, 1, 20)
        check_rising("space.widths", self.widths, 1, 1024)
        if not 1 <= self.nodes <= 7:
            raise SpaceError("space.nodes", got=self.nodes, expected="1 to 7")
        if self.take < 0:
            raise SpaceError("space.take", got=self.take, expected="0 (all) or more")
        if set(self.ops) <= {"zero"}:
            raise SpaceError("space.ops", got=str(self.ops), expected="an op that passes something")
        check_rates("space.dropouts", self.dropouts)

    @property
    def graph(self) -> Graph:
        """The nodes, without ops."""
        return Graph(inputs=self.inputs, num_nodes=self.inputs + self.nodes, output=self.output)

    def body(self) -> list[Choice]:
        """What all cells have in common, then node by node."""
        choices = [
            Choice(name="cells", options=self.cells),
            Choice(name="cell/width", options=self.widths),
            Choice(name="cell/activation", options=self.activations),
            Choice(name="cell/norm", options=self.norms),
            Choice(name="cell/dropout", options=self.dropouts),
            Choice(name="cell/output", options=(self.output,)),
        ]
        if self.follow == "sum":  # spaces of before it was on offer keep their architectures
            choices.append(Choice(name="cell/follow", options=(self.follow,)))
        for j in self.graph.nodes:
            chosen = 0 < self.take < j
            if chosen:
                choices.append(Choice(name=f"cell/node{j}/from", options=tuple(range(j)), take=self.take))
            for i in range(j):
                when: dict[str, tuple[Option, ...]] = {f"cell/node{j}/from": (i,)} if chosen else {}
                choices.append(Choice(name=f"cell/edge{i}-{j}/op", options=self.ops, when=when))
        return choices
