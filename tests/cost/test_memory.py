"""Peaks by liveness, and remembered rows by running on nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cost.networks import cell, chain, chance, mixed
from tradenas.cost import CellFit
from tradenas.cost.chain_peak import peak_parts
from tradenas.cost.liveness import Plan
from tradenas.cost.lowering import LOWERINGS, lower
from tradenas.cost.maxima import SmoothMax
from tradenas.cost.memory import PeakBytes, plan_of, state_bytes
from tradenas.errors import SpaceError
from tradenas.nn import EVAL, OPS, Network, hard
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Picked

torch.set_num_threads(1)


def simulated(plan: Plan) -> int:
    """The peak by allocating and freeing."""
    readers = [{s for s, r in enumerate(plan.reads) if v in r} for v in range(len(plan.sizes))]
    readers[plan.keep].add(len(plan.sizes))
    memory: dict[int, int] = {}
    peak = 0
    for step, size in enumerate(plan.sizes):
        done = [v for v in memory if max(readers[v], default=-1) <= step]
        reuse = next((v for v in done if plan.inplace[step] and v in plan.reads[step] and plan.sizes[v] == size), None)
        if reuse is not None:
            memory.pop(reuse)
        memory[step] = size
        peak = max(peak, sum(memory.values()))
        for v in list(memory):
            if max(readers[v], default=-1) <= step:
                memory.pop(v)
    return peak


def test_liveness_agrees_with_allocating_and_freeing() -> None:
    rng = rng_for(0, "plans")
    for _ in range(300):
        plan = Plan()
        for step in range(int(rng.integers(1, 12))):
            reads = (
                [int(v) for v in rng.choice(step, size=min(step, int(rng.integers(0, 3))), replace=False)]
                if step
                else []
            )
            plan.add(int(rng.integers(1, 4)), *reads, inplace=bool(rng.integers(2)))
        plan.keep = len(plan.sizes) - 1
        assert plan.peak() == simulated(plan)


def held(name: str, c_in: int, width: int) -> int:
    """The most that an op holds, its input included."""
    plan = Plan()
    x = plan.add(c_in)
    plan.keep = lower(OPS[name](c_in, width), name, plan, (x,), c_in, width)  # type: ignore[call-arg]
    return plan.peak()


def test_what_ops_hold_inside() -> None:
    c, w = 10, 4
    assert held("skip", c, w) == c
    assert held("skip", w, c) == w + c  # zeros behind it
    assert held("conv3", c, w) == c + w
    assert held("separable3", c, w) == c + c
    assert held("gated", c, w) == c + 2 * w
    assert held("residual", c, w) == c + 2 * w
    assert held("attention", c, w) == max(c + 3 * w, 3 * w + 16)
    assert held("gru", c, w) == max(w + 3 * w + c, w + 6 * w)
    assert held("lstm", c, w) == max(2 * w + 4 * w + c, 2 * w + 8 * w)


def test_every_op_has_a_lowering_and_a_stranger_is_refused() -> None:
    assert set(LOWERINGS) == set(OPS)
    with pytest.raises(SpaceError, match="fourier"):
        lower(OPS["dense"](2, 2), "fourier", Plan(), (0,), 2, 2)  # type: ignore[call-arg]


def test_a_cell_by_hand() -> None:
    """Two edges into the last node: its sum takes the place of the second edge's output, the source dies last."""
    network = cell(inputs=1, nodes=2, take=0, cells=(1,), output="last", ops=("dense",), widths=(4,), norms=("none",))
    plan = plan_of(network, network.space.smallest())
    row, filtered, signal, stem, read, a, b, c, total, head, out = range(11)
    assert plan.reads[stem] == (row, filtered)
    assert plan.reads[read] == (stem,)
    assert plan.reads[a : head + 1] == [(read,), (read,), (a,), (b, c), (total,)]
    assert plan.reads[out] == (signal, head)
    #            x+x  +signal +stem +read      +1->1  +0->2     +1->2      sum      head  out
    assert plan.live()[signal:] == [7, 11, 9, 9, 13, 13, 9, 6, 2]


def test_sums_follow_the_order_of_the_sources() -> None:
    network = cell(inputs=1, nodes=2, take=0, cells=(1,), ops=("skip",), widths=(4,), norms=("none",), follow="sum")
    plan = plan_of(network, network.space.smallest())
    # 0->1 and 0->2 are the source itself; node 1's activation needs a place, since node 2 still reads the source.
    assert plan.reads[5:8] == [(4,), (4, 5), (6,)]
    assert plan.peak() == 11  # x, signal and stem are the most


@pytest.mark.parametrize(
    "network", [chain(depths=(1, 2), ops=("skip", "dense", "residual", "gated"), lookbacks=(2,), norms=("none",))]
)
def test_parts_of_a_chain_have_its_peak(network: Network) -> None:
    smooth = SmoothMax(peak_parts(network, "int8", rows=3), temperature=0.5)
    peak = PeakBytes(network, "int8", rows=3)
    for architecture in network.space:
        exact = peak.exact(architecture)
        assert smooth.exact(architecture) == exact, architecture
        soft = float(smooth.expected(hard(network.space, architecture)))
        assert exact - 1e-9 <= soft <= exact + 0.5 * np.log(len(smooth.parts)) + 1e-9


def test_smooth_peak_of_a_mixture() -> None:
    """Below the mean of the maximum plus its slack, and differentiable."""
    network = chain(depths=(1, 2), ops=("skip", "dense", "gated"), features=("b",), norms=("none",))
    space, mixture = network.space, mixed(network.space, 3)
    smooth = SmoothMax(peak_parts(network), temperature=2.0)
    everything = list(space)
    weights = [chance(space, a, mixture) for a in everything]
    mean = sum(w * smooth.exact(a) for w, a in zip(weights, everything, strict=True)) / sum(weights)
    soft = float(smooth.expected(mixture))
    assert soft == pytest.approx(mean, rel=0.35)
    names = [n for n, w in mixture.items() if len(w) > 1]
    alphas = [mixture[n].log().clone().requires_grad_() for n in names]

    def value(*alphas: Tensor) -> Tensor:
        return smooth.expected({**mixture, **{n: a.softmax(0) for n, a in zip(names, alphas, strict=True)}})

    assert torch.autograd.gradcheck(value, alphas, fast_mode=True)
    with pytest.raises(SpaceError, match="chain"):
        peak_parts(cell())


def test_of_cells_the_mean_peak_is_a_fit_that_says_how_far_off_it_is() -> None:
    """Near the peak itself on architectures, and near its mean over draws from a mixture."""
    network = cell(cells=(1, 2), widths=(4, 12), ops=("zero", "dense", "gated", "conv3"))
    peak = PeakBytes(network, "int8")
    fit = CellFit(network.space, peak.exact)
    rng = rng_for(5, "peaks")
    exact, said = np.array([(peak.exact(a), fit.exact(a)) for a in (network.space.sample(rng) for _ in range(100))]).T
    assert 0.0 < fit.gap < 0.1
    assert np.mean(np.abs(said / exact - 1.0)) < 0.1
    assert np.corrcoef(said, exact)[0, 1] > 0.95
    even = {c.name: torch.full((len(c.options),), c.take / len(c.options)).double() for c in network.space.choices}
    even["cell/width"].requires_grad_()
    mean = fit.expected(even)
    assert float(mean.detach()) == pytest.approx(exact.mean(), rel=0.1)
    (gradient,) = torch.autograd.grad(mean, even["cell/width"])
    assert gradient[0] < gradient[1]


class Memory:
    """Rows kept between candles, by where."""

    def __init__(self) -> None:
        self.rows: dict[object, Tensor] = {}

    def with_history(self, place: object, x_1C: Tensor, reach: int) -> Tensor:
        """The last `reach` rows and this one, which takes the place of the oldest."""
        before = self.rows.get(place, x_1C.new_zeros(reach, x_1C.shape[-1]))
        both = torch.cat([before, x_1C])
        self.rows[place] = both[len(both) - reach :]
        return both

    def elements(self) -> int:
        return sum(rows.numel() for rows in self.rows.values())


def body_of_chain(net: Network, a: Mapping[str, Picked], memory: Memory, x: Tensor) -> Tensor:
    for i in range(int(str(a["depth"]))):
        layer: Any = net.layers[i]
        x = layer(memory.with_history(i, x, layer.reach(a[f"layer{i}/op"]))[None], {}, EVAL)[0, -1:]
    return net.heads[str(a["depth"])](x, 1)


def body_of_cells(net: Network, a: Mapping[str, Picked], memory: Memory, x: Tensor) -> Tensor:
    stack: Any = net.stack
    width, live = int(str(a["cell/width"])), stack.graph.live_edges(a)
    if not live:
        return net.heads[str(a["cells"])]({}, 1)
    done = {-1: {"stem": stack.stem(x, width)}}
    for k in stack.graph.live_cells(a["cells"], [e.source for e in live]):
        body, at = stack.bodies[str(k)], dict[int, Tensor]()
        for i in {e.source for e in live if e.source < stack.graph.inputs}:
            at[i] = body.reads[str(i)](done[body.before(i)], width)
        for node in sorted({n for e in live for n in (e.source, e.target)}):
            leaving = [e for e in live if e.source == node]
            if node >= stack.graph.inputs and body.nodes:
                at[node] = body.nodes[str(node)].finish("sum", at[node], width, {}, EVAL)
            if leaving:
                layers = [body.layer((e.source, e.target)) for e in leaving]
                far = max(layer.reach(e.op) for layer, e in zip(layers, leaving, strict=True))
                rows = memory.with_history((k, node), at[node], far)
                for layer, e in zip(layers, leaving, strict=True):
                    y = layer(rows[None], {}, EVAL)[0, -1:]
                    at[e.target] = at[e.target] + y if e.target in at else y
        done[k] = {str(j): at[j] for j in stack.graph.outputs if j in at}
    return net.heads[str(a["cells"])](done[max(done)], 1)


def streamed(net: Network, a: Architecture, x_TF: Tensor) -> tuple[Tensor, int]:
    """Row by row, from what is remembered; and how much that is."""
    memory, lookback, said = Memory(), int(str(a["input/lookback"])), []
    body = body_of_chain if net.stack is None else body_of_cells
    for t in range(len(x_TF)):
        rows = memory.with_history("input", x_TF[t : t + 1, net.inputs.columns], lookback - 1)
        full = x_TF.new_zeros(lookback, x_TF.shape[-1])
        full[:, net.inputs.columns] = rows
        x = net.inputs(full[None], {})[0, -1:]
        said.append(x[:, net.inputs.features :].sum() + body(net, a, memory, x).sum())
    return torch.stack(said), memory.elements()


STREAMS = {
    "chain": lambda: chain(
        depths=(1, 2, 3), ops=("dense", "conv3", "dilated3", "gru", "skip", "ema4"), features=("b",)
    ),
    "each": lambda: cell(nodes=2, ops=("zero", "dense", "conv3", "mean5", "difference5")),
    "sum": lambda: cell(nodes=2, ops=("zero", "conv5", "dense", "difference"), follow="sum", cells=(2,)),
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_state_is_all_that_has_to_be_remembered(name: str) -> None:
    """One row at a time from that many numbers gives the signal of the whole pass."""
    network = STREAMS[name]()
    cost = state_bytes(network)
    for k in range(5):
        a = network.space.sample(rng_for(k, "state", name))
        alone = network.standalone(a, seed=k)
        with torch.no_grad():
            alone.inputs.taps.uniform_(generator=torch.Generator().manual_seed(k))
            x_TF = torch.randn(alone.reach() + 3, 3, generator=torch.Generator().manual_seed(k))
            said, elements = streamed(alone, a, x_TF)
            torch.testing.assert_close(said[-3:], alone(x_TF[None])[0, -3:], rtol=1e-4, atol=1e-5)
        assert cost.exact(a) == 4 * elements, a


def test_attention_remembers_keys_and_values() -> None:
    for network in (
        chain(depths=(1,), ops=("attention",), lookbacks=(1,), widths=(5,)),
        cell(inputs=1, nodes=1, take=0, cells=(1,), ops=("attention",), widths=(5,), lookbacks=(1,)),
    ):
        assert state_bytes(network, "int8").exact(network.space.smallest()) == 2 * 15 * 5


@pytest.mark.parametrize(
    "network",
    [
        chain(depths=(1, 2), ops=("skip", "dense", "conv3"), norms=("none",), features=("a",)),
        cell(ops=("zero", "conv3", "attention"), norms=("layer",)),
        cell(nodes=2, take=1, ops=("conv3", "dense", "mean5"), norms=("layer",), widths=(2,), output="last"),
    ],
)  # fmt: skip
def test_expected_state_is_the_mean_over_all_architectures(network: Network) -> None:
    space, cost, mixture = network.space, state_bytes(network, "float16"), mixed(network.space, 4)
    everything = list(space)
    weights = [chance(space, a, mixture) for a in everything]
    mean = sum(w * cost.exact(a) for w, a in zip(weights, everything, strict=True)) / sum(weights)
    assert float(cost.expected(mixture)) == pytest.approx(mean, rel=1e-10)
    names = [n for n, w in mixture.items() if len(w) > 1]
    alphas = [mixture[n].log().clone().requires_grad_() for n in names]

    def value(*alphas: Tensor) -> Tensor:
        return cost.expected({**mixture, **{n: a.softmax(0) for n, a in zip(names, alphas, strict=True)}})

    assert torch.autograd.gradcheck(value, alphas, fast_mode=True)
