"""Smooth maxima between their bounds, and the longest of all paths."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from cost.networks import cell, mixed
from tradenas.cost import AdditiveCost, Term
from tradenas.cost.maxima import LongestPath, Part, SmoothMax
from tradenas.errors import SpaceError
from tradenas.nn import Network, hard
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, Graph, SearchSpace

torch.set_num_threads(1)


def paths(network: Network, a: Architecture, costs: dict[tuple[int, int], list[float]], read: float) -> list[float]:
    """What each way from the stem to the last cell costs, one by one."""
    graph = Graph.of(a, a["cell/output"])
    edges = [e for e in graph.edges(a) if e.op != "zero"]

    def ways(cell: int, node: int) -> Iterator[float]:
        if node < graph.inputs:
            before = cell - (graph.inputs - node)
            for base in [0.0] if before < 0 else [w for j in graph.outputs for w in ways(before, j)]:
                yield base + read
        for e in edges:
            if e.target == node:
                own = costs[e.source, e.target][network.space[f"cell/edge{e.source}-{node}/op"].index(e.op)]
                yield from (own + way for way in ways(cell, e.source))

    return [way for j in graph.outputs for way in ways(int(str(a["cells"])) - 1, j)]


def longest(network: Network, temperature: float, read: float = 1.5) -> LongestPath:
    rng = rng_for(0, "latency")
    assert network.stack is not None
    costs = {
        pair: rng.uniform(1.0, 9.0, size=len(choice.options)).tolist() for pair, choice in network.stack.ops.items()
    }
    path = LongestPath(network.space, costs, read=read, temperature=temperature)
    path.costs = costs  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    "network",
    [cell(cells=(1, 2), norms=("none",), widths=(2,)), cell(nodes=2, take=1, cells=(3,), norms=("none",), widths=(2,))],
)
def test_longest_path_is_the_longest_of_all(network: Network) -> None:
    tau = 0.3
    path = longest(network, tau)
    seen = 0
    for a in network.space:
        every = paths(network, a, path.costs, 1.5)  # type: ignore[attr-defined]
        assert path.exact(a) == pytest.approx(max(every, default=0.0), rel=1e-12), a
        soft = float(path.expected(hard(network.space, a)))
        if every:
            assert soft == pytest.approx(tau * np.logaddexp.reduce(np.array(every) / tau), rel=1e-10)
            assert max(every) - 1e-9 <= soft <= max(every) + tau * math.log(len(every)) + 1e-9
            seen += 1
    assert seen > 10


def test_longest_path_is_differentiable() -> None:
    network = cell(cells=(1, 2), norms=("none",), widths=(2,))
    path, mixture = longest(network, 1.0), mixed(network.space, 5)
    names = [n for n, w in mixture.items() if len(w) > 1 and "width" not in n]
    alphas = [mixture[n].log().clone().requires_grad_() for n in names]

    def value(*alphas: torch.Tensor) -> torch.Tensor:
        return path.expected({**mixture, **{n: a.softmax(0) for n, a in zip(names, alphas, strict=True)}})

    assert torch.autograd.gradcheck(value, alphas, fast_mode=True)


def test_smooth_maximum_keeps_its_bounds() -> None:
    """Three parts: one always there, one with a chance, one never."""
    space = SearchSpace([
        Choice(name="depth", options=(1, 2, 3)),
        Choice(name="a", options=(1, 2)),
        Choice(name="b", options=(1, 2), when={"depth": (2, 3)}),
        Choice(name="c", options=(1, 2), when={"depth": (3,)}),
    ])  # fmt: skip
    parts = [
        Part(*(AdditiveCost(space, [Term((name,), table)]) for table in (torch.tensor(cost), torch.ones(2))))
        for name, cost in {"a": [5.0, 7.0], "b": [1.0, 20.0], "c": [100.0, 200.0]}.items()
    ]
    mixture = {"depth": torch.tensor([0.5, 0.5, 0.0]), **{n: torch.tensor([0.5, 0.5]) for n in "abc"}}
    for tau in (10.0, 1.0, 0.01):
        soft = float(SmoothMax(parts, temperature=tau).expected(mixture))
        assert soft == pytest.approx(tau * np.logaddexp(6.0 / tau, math.log(0.5) + 10.5 / tau))
        assert 6.0 <= soft <= 10.5 + tau * math.log(1.5)
    assert SmoothMax(parts, temperature=1.0).exact({"depth": 2, "a": 2, "b": 1}) == 7.0
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(SpaceError, match="temperature"):
            SmoothMax(parts, temperature=wrong)
    with pytest.raises(SpaceError, match="parts"):
        SmoothMax([], temperature=1.0)
