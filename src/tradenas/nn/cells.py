"""The body of a network of cells: a stem, then cells in a row that share their choices but not their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from tradenas.errors import ArchitectureError
from tradenas.nn.elastic import Count, ElasticLinear, Width, opened, width_of
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.mode import Mode
from tradenas.nn.reading import Blocks, Reading
from tradenas.nn.slot import After, Layer, Mix
from tradenas.nn.together import Pair, Together, together
from tradenas.space import Architecture, Choice, Graph, Picked, SearchSpace

__all__ = ["CellStack"]

#: In place of a node: the cell as the next ones read it.
OUT = -1


class _Cell(nn.Module):
    """One cell: what it reads of earlier ones, and its edges."""

    def __init__(
        self, at: int, space: SearchSpace, graph: Graph, pairs: Sequence[Pair], width: int, *, mix: Mix, assets: int
    ) -> None:
        super().__init__()
        self.graph, self.at = graph, at
        self.ahead: dict[int, int] = {}
        summed = "cell/follow" in space and space["cell/follow"].options == ("sum",)
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
                    finished=not summed,
                )
                for i, j in pairs
            }
        )
        self.nodes = nn.ModuleDict(
            {
                str(j): After("cell", space, label=f"cell{at}/node{j}").with_norms(width)
                for j in sorted({target for _, target in pairs} if summed else ())
            }
        )

    def last(self, x_BTC: Tensor, node: int, mode: Mode) -> Tensor:
        """Of a node the rows that the scored ones hang on; all, where the sum of a node is not the form of this cell.

        What a row reads lies in the rows before it, so that the fewer ops there are ahead of a node, the fewer of its
        rows are read.  Rows that are not there have never been: those that are left keep their numbers.
        """
        spare = x_BTC.shape[-2] - mode.scored - self.ahead[node] if self.nodes and mode.scored else 0
        return x_BTC[..., spare:, :] if spare > 0 else x_BTC

    def before(self, node: int) -> int:
        """The cell whose output an input node is; -1 is the stem."""
        return max(-1, self.at - (self.graph.inputs - node))

    def layer(self, pair: Pair) -> Layer:
        """The ops of an edge."""
        layer = self.edges[f"{pair[0]}-{pair[1]}"]
        assert isinstance(layer, Layer)
        return layer

    def forward(
        self,
        done: Mapping[int, Blocks],
        live: Mapping[Pair, Tensor | None],
        made: Mapping[Pair, Together],
        width: Width,
        mixture: Mixture,
        mode: Mode,
    ) -> Blocks:
        states: dict[int, Tensor] = {}
        precision = mode.precision
        for i in {i for i, _ in live if i < self.graph.inputs}:
            read = {name: self.last(y_BTC, i, mode) for name, y_BTC in done[self.before(i)].items()}
            states[i] = self.reads[str(i)](read, width, joined=bool(self.nodes), precision=precision)
            if precision is not None and states[i] is not None:
                states[i] = precision.activation(states[i])
        if self.nodes:
            self._sum(states, live, made, width, mixture, mode)
        else:
            for (i, j), share in live.items():
                y_BTC = self.layer((i, j))(states[i], mixture, mode)
                y_BTC = y_BTC if share is None else share * y_BTC
                states[j] = states[j] + y_BTC if j in states else y_BTC
        return {str(j): self.last(states[j], OUT, mode) for j in self.graph.outputs if j in states}

    def _sum(
        self,
        states: dict[int, Tensor],
        live: Mapping[Pair, Tensor | None],
        made: Mapping[Pair, Together],
        width: Width,
        mixture: Mixture,
        mode: Mode,
    ) -> None:
        """The nodes after the inputs: sums of edges, then norm, activation and dropout; source by source."""

        def add(j: int, y_BTC: Tensor) -> None:
            y_BTC = self.last(y_BTC, j, mode)
            states[j] = states[j] + y_BTC if j in states else y_BTC

        for i in sorted({node for pair in live for node in pair}):
            if i >= self.graph.inputs:
                after = self.nodes[str(i)]
                assert isinstance(after, After)
                states[i] = after.finish("sum", states[i], width, mixture, mode)
            leaving = {pair: share for pair, share in live.items() if pair[0] == i}
            for pairs, merge, kernels in {id(made[p]): made[p] for p in leaving if p in made}.values():
                sources, nodes = list(dict.fromkeys(p[0] for p in pairs)), list(dict.fromkeys(p[1] for p in pairs))
                if i > sources[0]:  # they ran with the first of them
                    continue
                x_BTX = torch.cat([states[s] for s in sources], -1) if len(sources) > 1 else states[i]
                rows = max(self.last(states[i], j, mode).shape[-2] for j in nodes)
                for j, y_BTC in zip(nodes, merge.run(x_BTX, kernels, width, rows), strict=True):
                    add(j, y_BTC)
            for (_, j), share in leaving.items():
                if (i, j) not in made:
                    y_BTC = self.layer((i, j))(states[i], mixture, mode)
                    add(j, y_BTC if share is None else share * y_BTC)


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
        self.summed = any(self.cell(k).nodes for k in heard)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Tells each cell how many rows before the scored ones each of its nodes is read."""
        for k in sorted(map(int, self.bodies), reverse=True):
            body = self.cell(k)
            readers = [(self.cell(m), i) for m in map(int, self.bodies) for i in range(self.graph.inputs)]
            out = max((r.ahead[i] for r, i in readers if r.at > k and r.before(i) == k and i in r.ahead), default=0)
            ahead = {OUT: out} | {j: out if j in self.graph.outputs else 0 for pair in self.pairs for j in pair}
            for i, j in sorted(self.pairs, reverse=True):  # what leaves a node was seen to before what enters it
                far = max(body.layer((i, j)).reach(str(o)) for o in self.ops[i, j].options)
                ahead[i] = max(ahead[i], ahead[j] + far)
            body.ahead = ahead
        rows = [{self.cell(int(k)).ahead.get(i, 0) for i in range(self.graph.inputs)} for k in self.bodies]
        self.alike = range(self.graph.inputs) if all(len(each) == 1 for each in rows) else ()

    def head(self) -> Reading:
        """What reads the last cell: all its output nodes."""
        nodes = [str(j) for j in self.graph.outputs if j in {target for _, target in self.pairs}]
        return Reading(nodes, self.c_out, 1, gain=0.1, bias=True)

    def heard(self, pairs: Iterable[Pair], depths: Iterable[int]) -> list[int]:
        """The cells that matter in stacks of these lengths."""
        sources = [i for i, _ in pairs]
        return sorted({k for depth in depths for k in self.graph.live_cells(depth, sources)})

    def cell(self, at: int) -> _Cell:
        body = self.bodies[str(at)]
        assert isinstance(body, _Cell)
        return body

    def live(self, mixture: Mixture, *, unread: bool = False) -> dict[Pair, Tensor | None]:
        """The edges that a mixture runs, in order, with the weight of each where there is one.

        Args:
            unread: do not look at weights: those of 0 close nothing.
        """
        shares: dict[Pair, Tensor | None] = {}
        for i, j in self.pairs:
            if j in self.taken:
                which, at = weighting(self.taken[j], mixture), self.taken[j].options.index(i)
                if isinstance(which, Tensor):
                    if not unread and float(which[at].detach()) == 0.0:
                        continue
                    shares[i, j] = which[at]
                elif at not in (which if isinstance(which, tuple) else (which,)):
                    continue
            if self._passes(self.ops[i, j], mixture, unread=unread):
                shares.setdefault((i, j), None)
            else:
                shares.pop((i, j), None)
        return {pair: shares[pair] for pair in self.graph.live(shares)}

    @staticmethod
    def _passes(choice: Choice, mixture: Mixture, *, unread: bool) -> bool:
        which = weighting(choice, mixture)
        if isinstance(which, Tensor) and unread:
            return any(o != "zero" for o in choice.options)
        if isinstance(which, Tensor):
            return any(w != 0.0 and o != "zero" for w, o in zip(which.tolist(), choice.options, strict=True))
        return any(choice.options[o] != "zero" for o in (which if isinstance(which, tuple) else (which,)))

    def forward(self, x_BTC: Tensor, depths: Iterable[int], mixture: Mixture, mode: Mode) -> dict[int, Blocks]:
        """The output blocks of the cells that stacks of these lengths hear."""
        width = width_of(self.width, weighting(self.width, mixture))
        live = self.live(mixture, unread=mode.open)
        cells = self.heard(live, depths)
        made: dict[int, dict[Pair, Together]] = {}
        if self.summed and cells:
            made = together(cells, lambda k, pair: self.cell(k).layer(pair), live, self.alike, width, mixture)
        done: dict[int, Blocks] = {}
        precision = mode.precision
        if cells and self.stem is not None:
            y_BTC = self.stem(x_BTC, width, precision)
            done[-1] = {"stem": y_BTC if precision is None else precision.activation(y_BTC)}
        if precision is not None:
            mode = replace(mode, precision=precision.reading(opened(width)))
        for k in cells:
            done[k] = self.cell(k)(done, live, made.get(k, {}), width, mixture, mode)
        return done

    def reach(self, architecture: Mapping[str, Picked] | None = None) -> int:
        """Rows before the current one that the longest way through the cells reads; of any network without one."""
        if not self.bodies:
            return 0
        some = self.cell(int(next(iter(self.bodies))))
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
        total = self.head().count(nodes, width, 1).at_edge()
        cells = self.graph.live_cells(int(str(architecture["cells"])), [e.source for e in edges])
        if cells and self.stem is not None:
            total += self.stem.count(channels, width)
        for k in cells:
            body = self.cell(k)
            for i in {e.source for e in edges if e.source < self.graph.inputs}:
                read = body.reads[str(i)]
                assert isinstance(read, Reading)
                total += read.count(nodes if body.before(i) >= 0 else 1, width, width)
            for e in edges:
                total += body.layer((e.source, e.target)).count(e.op, width, width, str(norm))
            for j in {e.target for e in edges} if body.nodes else ():
                after = body.nodes[str(j)]
                assert isinstance(after, After)
                total += after.norms[str(norm)].count(width)
        return total


def _tuple(picked: Picked) -> tuple[str, ...]:
    return tuple(str(o) for o in picked) if isinstance(picked, tuple) else (str(picked),)
