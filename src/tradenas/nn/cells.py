"""The body of a network of cells: a stem, then cells in a row that share their choices but not their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from tradenas.errors import ArchitectureError
from tradenas.nn.elastic import Count, ElasticLinear, Width, width_of
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.mode import Mode
from tradenas.nn.norms import per_row
from tradenas.nn.slot import Layer, Mix
from tradenas.space import Architecture, Choice, Graph, Picked, SearchSpace

__all__ = ["CellStack", "Reading"]

Pair = tuple[int, int]
Blocks = dict[str, Tensor]


class Reading(nn.Module):
    """A dense map of blocks of channels side by side, as the sum of one map for each block.

    A block that is not there (a node that nothing reaches) reads as zeros.
    """

    def __init__(self, blocks: Sequence[str], c_in: int, c_out: int, *, gain: float = 1.0, bias: bool = False) -> None:
        super().__init__()
        gain /= max(1, len(blocks)) ** 0.5
        self.parts = nn.ModuleDict({name: ElasticLinear(c_in, c_out, gain=gain, bias=False) for name in blocks})
        self.bias = nn.Parameter(torch.empty(c_out)) if bias else None

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, blocks: Blocks, width: Width) -> Tensor | None:
        """The sum over the blocks that are there; only a bias may be left, and nothing at all is None."""
        total: Tensor | None = None if self.bias is None else per_row(self.bias)
        for name, part in self.parts.items():
            if name in blocks:
                y_BTC = part(blocks[name], width)
                total = y_BTC if total is None else total + y_BTC
        return total

    def count(self, blocks: int, c_in: int, width: int) -> Count:
        """Of a map that reads so many blocks."""
        own = 0 if self.bias is None else width
        return Count(parameters=blocks * c_in * width + own, macs=blocks * c_in * width)


class _Cell(nn.Module):
    """One cell: what it reads of earlier ones, and its edges."""

    def __init__(
        self, at: int, space: SearchSpace, graph: Graph, pairs: Sequence[Pair], width: int, *, mix: Mix, assets: int
    ) -> None:
        super().__init__()
        self.graph, self.at = graph, at
        read = sorted({i for i, _ in pairs if i < graph.inputs})
        nodes = [str(j) for j in graph.outputs if j in {target for _, target in pairs}]
        self.reads = nn.ModuleDict(
            {str(i): Reading(nodes if self.before(i) >= 0 else ["stem"], width, width) for i in read}
        )
        self.edges = nn.ModuleDict(
            {
                f"{i}-{j}": Layer(
                    f"cell/edge{i}-{j}",
                    space,
                    width,
                    mix=mix,
                    common="cell",
                    label=f"cell{at}/edge{i}-{j}",
                    assets=assets,
                )
                for i, j in pairs
            }
        )

    def before(self, node: int) -> int:
        """The cell whose output an input node is; -1 is the stem."""
        return max(-1, self.at - (self.graph.inputs - node))

    def layer(self, pair: Pair) -> Layer:
        """The ops of an edge."""
        layer = self.edges[f"{pair[0]}-{pair[1]}"]
        assert isinstance(layer, Layer)
        return layer

    def forward(
        self, done: Mapping[int, Blocks], live: Mapping[Pair, Tensor | None], width: Width, mixture: Mixture, mode: Mode
    ) -> Blocks:
        states: dict[int, Tensor] = {}
        for i in {i for i, _ in live if i < self.graph.inputs}:
            states[i] = self.reads[str(i)](done[self.before(i)], width)
        for (i, j), share in live.items():
            y_BTC = self.layer((i, j))(states[i], mixture, mode)
            y_BTC = y_BTC if share is None else share * y_BTC
            states[j] = states[j] + y_BTC if j in states else y_BTC
        return {str(j): states[j] for j in self.graph.outputs if j in states}


class CellStack(nn.Module):
    """Inputs to the output blocks of each cell.  Edges that pass nothing are not run, nor built where they never can.

    An edge that a mixture gives to `zero` alone, or weighs with 0, is closed; what only closed edges lead to or from is
    left out, the same way under indices and under weights of 0 and 1.
    """

    def __init__(self, space: SearchSpace, channels: int, *, mix: Mix, assets: int = 1) -> None:
        super().__init__()
        self.graph = Graph.of((c.name for c in space.choices), space["cell/output"].options[0])
        self.cells, self.width = space["cells"], space["cell/width"]
        self.ops: dict[Pair, Choice] = {
            (i, j): space[name]
            for j in self.graph.nodes
            for i in range(j)
            if (name := f"cell/edge{i}-{j}/op") in space and space[name].options != ("zero",)
        }
        self.taken = {j: space[name] for j in self.graph.nodes if (name := f"cell/node{j}/from") in space}
        self.pairs = self.graph.live(self.ops)
        self.c_out = max(int(w) for w in self.width.options)
        heard = self.heard(self.pairs, (int(c) for c in self.cells.options))
        self.stem = ElasticLinear(channels, self.c_out, gain=1.0) if heard else None
        self.bodies = nn.ModuleDict(
            {str(k): _Cell(k, space, self.graph, self.pairs, self.c_out, mix=mix, assets=assets) for k in heard}
        )

    def head(self) -> Reading:
        """What reads the last cell: all its output nodes."""
        nodes = [str(j) for j in self.graph.outputs if j in {target for _, target in self.pairs}]
        return Reading(nodes, self.c_out, 1, gain=0.1, bias=True)

    def heard(self, pairs: Iterable[Pair], depths: Iterable[int]) -> list[int]:
        """The cells that matter in stacks of these lengths."""
        sources = [i for i, _ in pairs]
        return sorted({k for depth in depths for k in self.graph.live_cells(depth, sources)})

    def _cell(self, at: int) -> _Cell:
        body = self.bodies[str(at)]
        assert isinstance(body, _Cell)
        return body

    def live(self, mixture: Mixture) -> dict[Pair, Tensor | None]:
        """The edges that a mixture runs, in order, with the weight of each where there is one."""
        shares: dict[Pair, Tensor | None] = {}
        for i, j in self.pairs:
            if j in self.taken:
                which, at = weighting(self.taken[j], mixture), self.taken[j].options.index(i)
                if isinstance(which, Tensor):
                    if float(which[at].detach()) == 0.0:
                        continue
                    shares[i, j] = which[at]
                elif at not in (which if isinstance(which, tuple) else (which,)):
                    continue
            if self._passes(self.ops[i, j], mixture):
                shares.setdefault((i, j), None)
            else:
                shares.pop((i, j), None)
        return {pair: shares[pair] for pair in self.graph.live(shares)}

    @staticmethod
    def _passes(choice: Choice, mixture: Mixture) -> bool:
        which = weighting(choice, mixture)
        if isinstance(which, Tensor):
            return any(w != 0.0 and o != "zero" for w, o in zip(which.tolist(), choice.options, strict=True))
        return any(choice.options[o] != "zero" for o in (which if isinstance(which, tuple) else (which,)))

    def forward(self, x_BTC: Tensor, depths: Iterable[int], mixture: Mixture, mode: Mode) -> dict[int, Blocks]:
        """The output blocks of the cells that stacks of these lengths hear."""
        width = width_of(self.width, weighting(self.width, mixture))
        live = self.live(mixture)
        cells = self.heard(live, depths)
        done: dict[int, Blocks] = {}
        if cells and self.stem is not None:
            done[-1] = {"stem": self.stem(x_BTC, width)}
        for k in cells:
            done[k] = self._cell(k)(done, live, width, mixture, mode)
        return done

    def reach(self, architecture: Mapping[str, Picked] | None = None) -> int:
        """Rows before the current one that the longest way through the cells reads; of any network without one."""
        if not self.bodies:
            return 0
        some = self._cell(int(next(iter(self.bodies))))
        if architecture is None:
            rows = {p: max(some.layer(p).reach(str(o)) for o in self.ops[p].options) for p in self.pairs}
            return max(self._longest(rows, int(depth)) for depth in self.cells.options)
        ops = {p: _tuple(architecture[c.name]) for p, c in self.ops.items() if c.name in architecture}
        live = self.graph.live({p for p, options in ops.items() if any(o != "zero" for o in options)})
        rows = {p: max(some.layer(p).reach(o) for o in ops[p]) for p in live}
        return self._longest(rows, int(str(architecture["cells"])))

    def _longest(self, rows: Mapping[Pair, int], depth: int) -> int:
        far = {-1: 0}
        for k in range(depth):
            node = {i: far[max(-1, k - (self.graph.inputs - i))] for i in range(self.graph.inputs)}
            for (i, j), own in rows.items():
                node[j] = max(node.get(j, 0), node[i] + own)
            far[k] = max((node[j] for j in self.graph.outputs if j in node), default=0)
        return far[depth - 1]

    def count(self, architecture: Architecture, channels: int) -> Count:
        """Of the standalone network's stem and cells, and of the head behind them."""
        edges = self.graph.live_edges(architecture)
        width, norm = architecture["cell/width"], architecture["cell/norm"]
        if not isinstance(width, int):
            raise ArchitectureError("cell/width", got=repr(width), expected="a whole number")
        nodes = sum(j in {e.target for e in edges} for j in self.graph.outputs)
        total = self.head().count(nodes, width, 1)
        cells = self.graph.live_cells(int(str(architecture["cells"])), [e.source for e in edges])
        if cells and self.stem is not None:
            total += self.stem.count(channels, width)
        for k in cells:
            body = self._cell(k)
            for i in {e.source for e in edges if e.source < self.graph.inputs}:
                read = body.reads[str(i)]
                assert isinstance(read, Reading)
                total += read.count(nodes if body.before(i) >= 0 else 1, width, width)
            for e in edges:
                total += body.layer((e.source, e.target)).count(e.op, width, width, str(norm))
        return total


def _tuple(picked: Picked) -> tuple[str, ...]:
    return tuple(str(o) for o in picked) if isinstance(picked, tuple) else (str(picked),)
