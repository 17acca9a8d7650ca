"""Fair DARTS: gates that begin half open, a loss that asks them to decide, and nodes that may end without a way in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, market, task
from tradenas.search.methods import FairDARTS
from tradenas.space import Cell, Graph

torch.set_num_threads(1)
OPS = ("zero", "skip", "dense", "conv3")
CELL = Cell(nodes=3, ops=OPS, cells=(1,), widths=(4,), lookbacks=(5,), transforms=("raw",), norms=("none",))
EDGES = ("0-2", "1-2", "0-3", "1-3", "2-3", "0-4", "1-4", "2-4", "3-4")


def method(**changes):
    return FairDARTS(training=replace(QUICK, epochs=2, segment=64, batch=256), num_ranked=4, **changes)


def gates(space, open_):
    """Alphas whose gates are at 0.5 but for some: edge -> (index of the op, gate)."""
    alphas = {c.name: torch.zeros(len(c.options), dtype=torch.float64) for c in space.choices if c.name.endswith("/op")}
    for edge, (op, gate) in open_.items():
        alphas[f"cell/edge{edge}/op"][op] = torch.logit(torch.tensor(gate, dtype=torch.float64))
    return alphas


def live(architecture):
    graph = Graph.of(architecture, architecture["cell/output"])
    return {f"{e.source}-{e.target}": e.op for e in graph.live_edges(architecture)}, graph.live_nodes(architecture)


def test_gates_begin_half_open_and_alphas_learn_as_in_the_paper():
    made = method()
    state = made.init(task(data=market(rows=1200), choices=CELL.space()))
    assert all(not bool(alpha.any()) for alpha in state.learners[0].now().values())
    assert all(bool((w == 0.5).all()) for n, w in made.strengths(state.learners[0].now()).items() if n.endswith("/op"))
    assert state.learners[0].optimizer.param_groups[0]["betas"] == (0.9, 0.999)


def test_the_zero_one_loss_has_its_weight():
    """At gates of 0.9 and 0.1: -(0.4)^2 w; at 0.5: nothing, and no push."""
    alphas = {"cell/edge0-2/op": torch.logit(torch.tensor([0.9, 0.1], dtype=torch.float64)).requires_grad_()}
    for weight in (0.1, 1.0, 10.0):
        extra = method(zero_one=weight).regulariser(alphas)
        assert float(extra.detach()) == pytest.approx(-0.16 * weight)
        (push,) = torch.autograd.grad(extra, alphas["cell/edge0-2/op"])
        assert push.tolist() == pytest.approx([-0.4 * 0.09 * weight, 0.4 * 0.09 * weight])
    assert method(zero_one=0.0).regulariser(alphas) is None
    half = {"cell/edge0-2/op": torch.zeros(2, requires_grad=True)}
    (push,) = torch.autograd.grad(method().regulariser(half), half["cell/edge0-2/op"])
    assert push.tolist() == [0.0, 0.0]


def test_ways_below_the_threshold_are_closed_and_a_node_without_any_is_dropped():
    """Node 2 keeps one way, node 3 none, node 4 the two best of three that are open."""
    space = CELL.space()
    wide = {"0-2": (2, 0.86), "1-2": (3, 0.84), "2-3": (2, 0.849), "0-4": (3, 0.99), "1-4": (2, 0.9), "2-4": (1, 0.97)}
    a = method().chosen(space, gates(space, wide))
    edges, nodes = live(a)
    assert edges == {"0-2": "dense", "0-4": "conv3", "2-4": "skip"}
    assert nodes == (2, 4)
    assert live(method(threshold=0.849 - 1e-9).chosen(space, gates(space, wide)))[1] == (2, 3, 4)


def test_a_way_through_a_node_that_was_dropped_goes_with_it():
    space = CELL.space()
    a = method().chosen(space, gates(space, {"3-4": (2, 0.99), "0-4": (2, 0.9)}))
    assert live(a) == ({"0-4": "dense"}, (4,))


def test_a_gate_at_the_threshold_is_open():
    space = CELL.space()
    assert len(live(method(threshold=0.5).chosen(space, gates(space, {})))[0]) == 6
    assert live(method(threshold=0.5 + 1e-6).chosen(space, gates(space, {}))) == ({}, ())


def test_ops_gain_nothing_by_the_loss_of_others():
    made, space = method(), CELL.space()
    alphas = gates(space, {"0-2": (1, 0.9)})
    before = made.relax(alphas, epoch=0, seed=0)["cell/edge0-2/op"]
    alphas["cell/edge0-2/op"][3] = -9.0
    after = made.relax(alphas, epoch=0, seed=0)["cell/edge0-2/op"]
    assert torch.equal(before[:3], after[:3])
