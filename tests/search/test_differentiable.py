"""Alphas and weights in turns: on which rows, in which order, and what an architecture is read off."""

from __future__ import annotations

import argparse
import importlib.util
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search.worlds import QUICK, market, task
from search.worlds import space as chain
from tradenas.errors import ConfigError, SpaceError
from tradenas.nn import Layout, Network, hard
from tradenas.nn.slot import weighted_sum
from tradenas.search.base import METHODS
from tradenas.search.methods.darts_minus import AuxiliarySkip
from tradenas.search.methods.gdas import drawn_alone
from tradenas.search.methods.pcdarts import Partial, shuffled
from tradenas.search.parts import differentiable
from tradenas.search.parts.early_stop import Stop
from tradenas.search.parts.learner import Alphas, Learner
from tradenas.search.parts.readout import discretised, sampled
from tradenas.search.parts.relaxation import alphas_for
from tradenas.seeds import rng_for
from tradenas.space import Cell
from tradenas.train import loop

torch.set_num_threads(1)
OPS = ("zero", "skip", "dense", "conv3")
CELL = Cell(nodes=2, ops=OPS, cells=(1, 2), widths=(4,), lookbacks=(5,), transforms=("raw",), norms=("none",))
ONE = replace(CELL, cells=(1,))
DATA = market(rows=1200)
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "darts.py"


def method(kind, **changes):
    training = replace(QUICK, **{"epochs": 2, "segment": 64, "batch": 256, **changes.pop("training", {})})
    return METHODS[kind](training=training, **{"num_ranked": 4, **changes})


def state_after(kind, epochs=1, *, choices=ONE, **changes):
    one, made = task(data=DATA, choices=choices.space()), method(kind, **changes)
    state = made.init(one)
    logs = [made.epoch(one, state, e) for e in range(epochs)]
    return state, logs


def alphas_of(state):
    return torch.cat(list(state.learners[0].now().values()))


def weights_of(state):
    return torch.cat([p.detach().flatten() for p in state.network.parameters()])


def test_weights_and_alphas_learn_from_rows_that_follow_each_other():
    one = task(data=DATA, choices=ONE.space())
    fold = method("darts").halves(one)
    assert one.train.start == fold.train.start
    assert fold.train.stop + DATA.purge_rows <= fold.valid.start
    assert fold.valid.stop == one.train.stop
    assert abs(len(fold.train) - len(fold.valid)) <= 1


@pytest.mark.parametrize("half", ["train", "valid"])
def test_each_learns_from_its_own_half_only(half):
    """Other labels on one half; nothing else is different."""
    one, made = task(data=DATA, choices=ONE.space()), method("darts", training={"batch": 4096})
    span = getattr(made.halves(one), half)
    labels = DATA.y_T.copy()
    middle = slice(span.start + 1, span.stop - 1)
    labels[middle] = labels[middle][::-1]
    other = replace(one, data=replace(DATA, y_T=labels))
    states = []
    for each in (one, other):
        state = made.init(each)
        made.epoch(each, state, 0)  # one step: alphas first, then weights under them
        states.append(state)
    same_alphas = torch.equal(*(alphas_of(s) for s in states))
    assert same_alphas == (half == "train")
    if half == "train":
        assert not torch.equal(*(weights_of(s) for s in states))


@pytest.mark.parametrize("product", ["exact", "finite"])
def test_the_step_that_is_unrolled_is_the_one_that_follows(product, monkeypatch):
    """Alpha step before weight step, on the very batch that the weights are about to see."""
    seen = []
    accumulate, losses = loop.accumulate, differentiable.network_loss

    def weight_step(network, batch, *rest):
        seen.append(("weights", batch.x_BTF.clone(), weights_of_network(network)))
        return accumulate(network, batch, *rest)

    def loss(network, batch, *rest, **named):
        seen.append(("alphas", batch.x_BTF.clone(), weights_of_network(network)))
        return losses(network, batch, *rest, **named)

    def weights_of_network(network):
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    monkeypatch.setattr(loop, "accumulate", weight_step)
    monkeypatch.setattr(differentiable, "network_loss", loss)
    unwatched = {"optimizer_kind": "sgd", "training": {"lr": 0.05}, "eigenvalue_every": 0}
    state, _ = state_after("darts", order=2, hessian=product, **unwatched)
    assert len(seen) >= 6
    for valid, train, step in zip(seen[::3], seen[1::3], seen[2::3], strict=True):
        assert (valid[0], train[0], step[0]) == ("alphas", "alphas", "weights")
        assert torch.equal(train[1], step[1])
        assert torch.equal(train[2], step[2])  # alphas left the weights where they were
        assert train[1].shape != valid[1].shape or not torch.equal(train[1], valid[1])
    first, _ = state_after("darts", order=1, **unwatched)
    assert not torch.equal(alphas_of(first), alphas_of(state))


def test_second_order_needs_sgd():
    with pytest.raises(ConfigError, match="order"):
        method("darts", order=2)


def test_alphas_rest_while_weights_warm_up():
    warm = replace(Alphas(), warm_up=0.5)
    state, logs = state_after("darts", 2, alphas=warm)
    before, after = state.learners[0].trail
    start = method("darts", alphas=warm).init(task(data=DATA, choices=ONE.space())).learners[0].now()
    assert all(torch.equal(before[n], start[n]) for n in start)
    assert not all(torch.equal(after[n], start[n]) for n in start)
    assert "alpha_loss" not in logs[0]
    assert 0.9 < logs[1]["entropy"] <= 1.0


def test_a_node_keeps_the_ways_whose_best_op_is_best():
    space = Cell(nodes=3, ops=OPS).space()
    weights = {c.name: torch.tensor([0.7, 0.1, 0.1, 0.1]) for c in space.choices if c.name.endswith("/op")}
    weights["cell/edge1-4/op"] = torch.tensor([0.5, 0.1, 0.4, 0.0])
    weights["cell/edge2-4/op"] = torch.tensor([0.0, 0.3, 0.2, 0.1])
    a = discretised(space, weights)
    assert a["cell/node4/from"] == (1, 2)
    assert (a["cell/edge1-4/op"], a["cell/edge2-4/op"]) == ("dense", "skip")  # `zero` is left out
    betas = {"cell/node4/from": torch.tensor([0.9, 0.01, 0.9, 0.1])}
    assert discretised(space, weights | betas)["cell/node4/from"] == (0, 2)


def test_zero_may_be_chosen_where_nothing_else_says_that_an_edge_is_not_there():
    space = Cell(inputs=1, nodes=2, take=0, ops=OPS).space()
    weights = {c.name: torch.tensor([0.7, 0.1, 0.1, 0.1]) for c in space.choices if c.name.endswith("/op")}
    assert set(discretised(space, weights).values()) >= {"zero"}


def test_draws_follow_the_weights():
    space = ONE.space()
    weights = {c.name: torch.tensor([0.4, 0.1, 0.2, 0.3]) for c in space.choices if c.name.endswith("/op")}
    rng = rng_for(0, "draws")
    drawn = Counter(sampled(space, weights, rng)["cell/edge0-2/op"] for _ in range(1200))
    assert drawn["zero"] == 0
    for op, share in (("skip", 1 / 6), ("dense", 2 / 6), ("conv3", 3 / 6)):
        assert abs(drawn[op] / 1200 - share) < 4 * np.sqrt(share * (1 - share) / 1200)


def test_the_first_candidate_is_what_the_alphas_chose():
    state, _ = state_after("darts", 3, num_ranked=4, choices=CELL)
    made = method("darts", num_ranked=4)
    assert len(state.scored) == 4
    assert state.scored[0].architecture == made.chosen(state.space, state.learners[0].now())


def paths(architecture, network, x):
    one_hot = {}
    for name, which in hard(network.space, architecture).items():
        choice = network.space[name]
        if len(choice.options) == 1:
            continue
        one_hot[name] = torch.zeros(len(choice.options))
        one_hot[name][list(which) if isinstance(which, tuple) else which] = 1.0
    return network(x, one_hot), network(x, hard(network.space, architecture))


@pytest.mark.parametrize("mix", [drawn_alone, Partial(2), weighted_sum])
def test_weights_of_one_and_zero_are_the_path_under_every_mix(mix):
    network = Network(ONE.space(), Layout(groups=("a", "b"), transforms=("raw",)), seed=2, mix=mix)
    x = torch.randn(2, 40, 2, generator=torch.Generator().manual_seed(1))
    for i in range(6):
        mixed, path = paths(ONE.space().sample(rng_for(i, "a")), network, x)
        torch.testing.assert_close(mixed, path, rtol=1e-4, atol=1e-5)


def test_an_op_that_was_not_drawn_does_not_run():
    ran = []

    def branch(option, x, width):
        ran.append(option)
        return x

    x = torch.ones(1, 2, 3)
    which = torch.tensor([0.0, 1.0, 0.0], requires_grad=True)
    drawn_alone(branch, x, which, 3).sum().backward()
    assert ran == [1]
    assert which.grad.tolist() == [0.0, 6.0, 0.0]


def test_soft_draws_run_every_op_and_hard_ones_do_not():
    made = {draw: method("gdas", draw=draw) for draw in ("one", "soft")}
    alphas = alphas_for([ONE.space()["cell/edge0-2/op"]], seed=0)
    drawn = {draw: m.relax(alphas, epoch=0, seed=3)["cell/edge0-2/op"] for draw, m in made.items()}
    assert int((drawn["one"] > 0).sum()) == 1
    assert bool((drawn["soft"] > 0).all())
    assert int(drawn["one"].argmax()) == int(drawn["soft"].argmax())
    assert made["one"].mix() is drawn_alone
    assert made["soft"].mix() is weighted_sum
    assert (made["one"].passes(ONE.space()), made["soft"].passes(ONE.space())) == (1.0, np.inf)


def test_partial_channels_are_dealt_so_that_all_take_part():
    assert sorted(shuffled(torch.arange(12), 4).tolist()) == list(range(12))
    seen = []

    def branch(option, x, width):
        seen.append(x.shape[-1])
        return x * 0.0 + 100.0

    x = torch.arange(8.0).view(1, 1, 8)
    y = Partial(4)(branch, x, torch.tensor([0.5, 0.5]), 8).flatten().tolist()
    assert seen == [2, 2]
    assert sorted(y) == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0, 100.0]
    assert y == [100.0, 2.0, 4.0, 6.0, 100.0, 3.0, 5.0, 7.0]
    plain = Partial(1)(lambda o, x, w: x * (o + 1.0), x, torch.tensor([0.5, 0.5]), 8)
    assert torch.equal(plain, weighted_sum(lambda o, x, w: x * (o + 1.0), x, torch.tensor([0.5, 0.5]), 8))


def test_partial_channels_need_cells_of_one_width():
    for choices in (chain(), replace(ONE, widths=(4, 8)).space(), replace(ONE, widths=(6,)).space()):
        with pytest.raises(SpaceError, match="pcdarts"):
            method("pcdarts").init(task(data=DATA, choices=choices))


def test_edges_are_normalised_by_betas():
    state, _ = state_after("pcdarts", 2)
    assert "cell/node3/from" in state.learners[0].alphas
    mixture = method("pcdarts").mixture(state.space, state.learners[0].now(), epoch=0, seed=0)
    assert abs(float(mixture["cell/node3/from"].sum()) - 1.0) < 1e-6
    plain, _ = state_after("darts", 1)
    assert method("darts").mixture(plain.space, plain.learners[0].now(), epoch=0, seed=0)[
        "cell/node3/from"
    ].tolist() == [1.0, 1.0, 1.0]


def test_gates_below_the_threshold_close_an_edge():
    made, space = method("fairdarts"), ONE.space()
    alphas = {c.name: torch.full((4,), -1.0) for c in space.choices if c.name.endswith("/op")}
    alphas["cell/edge0-2/op"][2] = 3.0  # sigmoid 0.95
    alphas["cell/edge1-3/op"][0] = 9.0  # the gate of `zero` says nothing
    a = made.chosen(space, alphas)
    assert {n: p for n, p in a.items() if n.endswith("/op") and p != "zero"} == {"cell/edge0-2/op": "dense"}


def test_the_auxiliary_skip_fades_and_is_gone_from_paths():
    made, one = method("darts_minus", training={"epochs": 3}), task(data=DATA, choices=ONE.space())
    state, betas = made.init(one), []
    for epoch in range(3):
        made.plan(one, state, state.network, epoch=epoch, seed=0)
        betas.append(state.network.mix.beta)
    assert betas == [1.0, 0.5, 0.0]
    mix, x = AuxiliarySkip(), torch.ones(1, 2, 4)
    half = torch.tensor([0.5, 0.5])
    assert float(mix(lambda o, x, w: 0.0 * x, x, half, 4).mean()) == 1.0
    assert float(mix(lambda o, x, w: 0.0 * x, x, 1, 4).mean()) == 0.0


def test_a_stop_keeps_the_alphas_of_its_epoch():
    made = method("dartsplus", max_skips=1, not_before=1, patience=99, training={"epochs": 4})
    one = task(data=DATA, choices=replace(ONE, ops=("skip", "zero")).space())  # every edge becomes a skip
    state = made.init(one)
    logs = [made.epoch(one, state, e) for e in range(4)]
    assert state.learners[0].stopped.at == 1
    assert [("stopped" in log) for log in logs] == [False, False, True, True]
    kept = state.learners[0].trail[1]
    assert all(torch.equal(kept[n], a) for n, a in state.learners[0].now().items())


def test_a_stop_goes_back_to_an_earlier_epoch():
    learner = Learner(ONE.space().choices[-2:], Alphas(lr=0.1), seed=0, device=torch.device("cpu"))
    first = {n: a.clone() for n, a in learner.now().items()}
    for sign in (1.0, -1.0, -1.0):
        learner.remember()
        assert learner.step({n: sign * torch.ones_like(a) for n, a in learner.now().items()})
    assert not learner.step({n: torch.full_like(a, torch.nan) for n, a in learner.now().items()})
    learner.stop(Stop(at=2, keep=0, why="test"))
    assert all(torch.equal(first[n], a) for n, a in learner.now().items())


def test_the_curvature_is_measured_every_second_epoch():
    state, logs = state_after("robust_darts", 3, training={"epochs": 3})
    assert [epoch for epoch, _ in state.learners[0].measured] == [0, 2]
    assert all("eigenvalue" in log for log in logs)


def test_a_warning_where_alphas_cannot_get_anywhere():
    one = task(data=DATA, choices=ONE.space())

    def warned(**alphas):
        made = method("darts", alphas=Alphas(**alphas), training={"epochs": 10})
        return [w for w in made.warnings(one, made.init(one)) if "alpha" in w]

    assert "26.3-fold" in warned(lr=3.8e-3)[0]  # two batches of 400 rows, ten epochs
    assert warned(lr=0.1) == []
    assert "2.0-fold" in warned(lr=0.1, warm_up=0.5)[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["darts", "fairdarts"])
def test_a_planted_op_is_found(kind):
    """The average; a difference can be computed by a convolution as well, so that world has no one right op."""
    spec = importlib.util.spec_from_file_location("darts_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = {"norm": "none", "follow": "each", "zero": False, "rows": 4000, "strength": 0.3, "epochs": 20}
    few = argparse.Namespace(**given, lr=5e-3, alpha_lr=3e-2)
    assert sum(module.one(kind, "edge", "ema12", seed, few)["found"] for seed in (10, 11, 12)) == 3
