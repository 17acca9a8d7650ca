"""Memory of an architecture: activations at their peak, and what has to be remembered between candles.

The peak is a maximum, not a sum: no `AdditiveCost`.  It is exact for an architecture (`PeakBytes`: liveness over the
steps in the network's order), and for a chain under weights it is a smooth maximum of means
(`tradenas.cost.chain_peak.peak_parts` in a `SmoothMax`).

Remembered are the rows that an op reads before the current one, `reach` rows of its input's channels (of keys and
values instead where it attends: `REMEMBERED`).  In a chain that is a sum of tables.  Edges that leave one node of a
cell share its rows, so that the furthest reaching of them counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.count import bits_of, feature_terms, table_over
from tradenas.cost.liveness import Plan
from tradenas.cost.lowering import REMEMBERED, lower
from tradenas.cost.probabilities import chances
from tradenas.cost.topology import Topology, edge_name
from tradenas.errors import SpaceError
from tradenas.nn import Mixture, Network
from tradenas.space import Graph, Picked

__all__ = ["CellState", "PeakBytes", "plan_of", "state_bytes"]


class PeakBytes:
    """The most that activations take at once while one architecture runs, weights and remembered rows apart.

    Args:
        network: of the space.
        precision: of activations: a name of `tradenas.cost.count.BITS`, or bits.
        rows: 1 for a streaming step; the length of the window otherwise.
    """

    def __init__(self, network: Network, precision: str | int = "float32", *, rows: int = 1) -> None:
        if rows < 1:
            raise SpaceError("rows", got=rows, expected="1 or more")
        self.network, self.rows, self.bits = network, rows, bits_of(precision)

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """Bytes; every value of the network has as many rows as the window, so they are `rows` times those of one."""
        return plan_of(self.network, architecture).peak() * self.rows * self.bits / 8


def plan_of(network: Network, architecture: Mapping[str, Picked]) -> Plan:
    """The steps of an architecture for one row, in the order in which the network runs them; sizes in elements."""
    plan = Plan()
    features, _ = network.inputs.count(architecture)
    row = plan.add(features)
    filtered = plan.add(features, row)
    signal = plan.add(1, filtered)
    if network.stack is not None:
        read = _cells(network.stack, architecture, plan, (row, filtered))
    else:
        read, channels = (row, filtered), 2 * features
        for i in range(int(str(architecture["depth"]))):
            name, width = str(architecture[f"layer{i}/op"]), int(str(architecture[f"layer{i}/width"]))
            layer: Any = network.layers[i]
            read, channels = (lower(layer.ops[name], name, plan, read, channels, width),), width
    plan.keep = plan.add(1, signal, plan.add(1, *read), inplace=True)
    return plan


def _cells(stack: Any, architecture: Mapping[str, Picked], plan: Plan, inputs: tuple[int, ...]) -> tuple[int, ...]:
    """Stem and cells; the values that the head reads."""
    graph: Graph = stack.graph
    width, live = int(str(architecture["cell/width"])), graph.live_edges(architecture)
    summed = architecture.get("cell/follow") == "sum"
    heard = graph.live_cells(int(str(architecture["cells"])), [e.source for e in live])
    done: dict[int, list[int]] = {-1: [plan.add(width, *inputs)]} if heard else {}
    nodes = sorted({node for e in live for node in (e.source, e.target)})
    turns = [(i, [e for e in live if e.source == i]) for i in nodes] if summed else [(-1, list(live))]
    for k in heard:
        body, at = stack.bodies[str(k)], dict[int, int]()
        for i in sorted({e.source for e in live if e.source < graph.inputs}):
            at[i] = plan.add(width, *done[body.before(i)])
        for node, edges in turns:
            if node >= graph.inputs:  # its sum is whole: norm and activation
                at[node] = plan.add(width, at[node], inplace=True)
            for edge in edges:
                op = body.layer((edge.source, edge.target)).ops[edge.op]
                y = lower(op, edge.op, plan, (at[edge.source],), width, width)
                at[edge.target] = plan.add(width, at[edge.target], y, inplace=True) if edge.target in at else y
        done[k] = [at[j] for j in graph.outputs if j in at]
    return tuple(done[heard[-1]]) if heard else ()


def state_bytes(network: Network, precision: str | int = "float32") -> AdditiveCost | CellState:
    """Bytes to remember between candles so that one more candle costs one row: `exact` and `expected` like any cost."""
    per = bits_of(precision) / 8
    if network.stack is not None:
        return CellState(network, precision)
    return AdditiveCost(network.space, [*_history(network), *_layers(network)]).scaled(per)


def _history(network: Network) -> Iterator[Term]:
    """Rows that the input filters read before the current one."""
    return feature_terms(network, ("input/lookback",), lambda features, rows: features * (rows - 1))


def _layers(network: Network) -> Iterator[Term]:
    for i in range(len(network.layers)):
        layer: Any = network.layers[i]
        op, before, width = f"layer{i}/op", f"layer{i - 1}/width", f"layer{i}/width"

        def kept(o: Any, c_in: Any, w: Any, layer: Any = layer) -> float:
            return float(layer.reach(o) * (REMEMBERED[o] * w if o in REMEMBERED else c_in))

        if i == 0:
            yield from feature_terms(network, (op, width), lambda f, o, w, kept=kept: kept(o, 2 * f, w))
        else:
            yield Term((op, before, width), table_over(network.space, (op, before, width), kept))


class CellState:
    """What a body of cells remembers: of each node that is read, the rows of the furthest reaching edge that leaves it.

    A maximum over the edges of a node, for which the mean is known exactly: given the open edges their ops are
    independent, and E[max] = sum_r (r - r') (1 - prod_e P(reach_e < r)) over the reaches r' < r in order.

    Args:
        network: over cells.
        precision: of what is remembered.
    """

    def __init__(self, network: Network, precision: str | int = "float32") -> None:
        assert network.stack is not None
        self.space, self.per, self.topology = network.space, bits_of(precision) / 8, Topology(network.space)
        body: Any = next(iter(network.stack.bodies.values()), None)
        self.reaches: dict[tuple[int, int], list[float]] = {}
        terms = list(_history(network))
        for pair in network.stack.pairs:
            name = f"cell/edge{pair[0]}-{pair[1]}/op"
            options = [str(o) for o in network.space[name].options]
            far = {o: float(body.layer(pair).reach(o)) for o in options}
            self.reaches[pair] = [0.0 if o in REMEMBERED else far[o] for o in options]
            own = table_over(
                network.space, (name, "cell/width"), lambda o, w, far=far: REMEMBERED.get(o, 0) * far[o] * w
            )
            terms.append(Term((name, "cell/width"), own, edge_name(pair)))
        #: What is a sum: the inputs' rows, and what edges remember for themselves.
        self.history = AdditiveCost(network.space, terms, multiplicities=self.topology)

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """Bytes of an architecture."""
        live = self.topology.graph.live_edges(architecture)
        heard = self.topology.graph.live_cells(int(str(architecture["cells"])), [e.source for e in live])
        furthest: dict[int, float] = {}
        for e in live:
            choice = self.space[f"cell/edge{e.source}-{e.target}/op"]
            own = self.reaches[e.source, e.target][choice.index(e.op)]
            furthest[e.source] = max(own, furthest.get(e.source, 0.0))
        rows = len(heard) * sum(furthest.values())
        return self.per * (self.history.exact(architecture) + rows * int(str(architecture["cell/width"])))

    def expected(self, mixture: Mixture) -> Tensor:
        """Bytes in the mean over architectures drawn from a mixture; differentiable by its weights."""
        found, topology = chances(self.space, mixture), self.topology
        chance_P, table_PDK = topology.patterns(found)
        widths = torch.tensor([float(str(w)) for w in self.space["cell/width"].options], dtype=torch.float64)
        rows_P = torch.zeros_like(chance_P)
        steps = sorted({0.0, *(r for reaches in self.reaches.values() for r in reaches)})
        for source in {i for i, _ in self.reaches}:
            for low, high in pairwise(steps):
                below_P = torch.ones_like(chance_P)
                for pair in self.reaches:
                    if pair[0] == source:
                        live_P = table_PDK[:, -1, topology.names.index(edge_name(pair))] > 0
                        below_P = below_P * torch.where(live_P, self._below(pair, high, found), 1.0)
                rows_P = rows_P + (high - low) * (1.0 - below_P)
        cells_PD = table_PDK[..., topology.names.index("cells")]
        rows = torch.einsum("p,p,pd,d->", chance_P, rows_P, cells_PD, found["cells"])
        return self.per * (self.history.expected(mixture) + rows * (widths * found["cell/width"]).sum())

    def _below(self, pair: tuple[int, int], rows: float, found: Mapping[str, Tensor]) -> Tensor:
        """The chance that an open edge reaches less far."""
        name = f"cell/edge{pair[0]}-{pair[1]}/op"
        options = zip(self.space[name].options, self.reaches[pair], strict=True)
        less = torch.tensor([float(o != "zero" and r < rows) for o, r in options], dtype=torch.float64)
        passing = self.topology.passing(pair, found)
        return (found[name] * less).sum() / passing if float(passing.detach()) > 0.0 else passing
