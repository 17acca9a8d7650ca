"""DARTS-PT: an edge keeps what is missed most, every test is counted, and weights are trained on between decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, Told, market, task
from search.worlds import space as chain
from tradenas.errors import ConfigError
from tradenas.search.base import METHODS, run_search
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.perturbation import Tuning, in_order, needed
from tradenas.space import Cell, Choice
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Optimisation

torch.set_num_threads(1)
EDGE = Cell(
    inputs=1, nodes=1, take=0, output="last", ops=("zero", "conv3", "dense"), cells=(1,), widths=(4,), lookbacks=(5,),
    transforms=("raw",), norms=("none",),
)  # fmt: skip
CELL = replace(EDGE, inputs=2, nodes=2, take=2, output="all")
DATA = market(rows=1200)


def method(kind="darts", **changes):
    training = replace(QUICK, **{"epochs": 2, "segment": 64, "batch": 256, **changes.pop("training", {})})
    return METHODS[kind](training=training, **{"num_ranked": 4, "select": "perturbation", "tune": 3, **changes})


def after(made, one, epochs):
    state = made.init(one)
    logs = [made.epoch(one, state, epoch) for epoch in range(epochs)]
    return state, logs


# --- the decisions by themselves


def test_the_op_stays_without_which_it_is_worst():
    choice = Choice(name="edge/op", options=("a", "b", "c", "d"))
    weights, asked = torch.tensor([0.4, 0.3, 0.2, 0.1]), []

    def judge(without, missing):
        asked.append((without.tolist(), missing))
        return {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.1}[missing]

    assert needed(choice, weights, judge) == (2,)  # the first of two that are missed alike
    assert [row.index(0.0) for row, _ in asked] == [0, 1, 2, 3]
    assert all(sum(v == 0.0 for v in row) == 1 for row, _ in asked)
    assert weights.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert needed(choice, weights, judge, leave_out=("c",)) == (3,)
    assert needed(choice, weights, judge, leave_out=choice.options) == (2,)


def test_what_nothing_can_be_told_without_is_needed():
    choice = Choice(name="edge/op", options=("a", "b"))
    assert needed(choice, torch.ones(2), lambda _, o: float("-inf") if o == "b" else 0.1) == (1,)


def test_ways_go_one_by_one_the_least_missed_first():
    """Ways 0 and 1 carry the same, so either may go alone, but not both; by single removals both would go."""
    choice = Choice(name="node/from", options=(0, 1, 2, 3), take=2)
    asked = []

    def judge(without, missing):
        asked.append(missing)
        left = {i for i, w in enumerate(without.tolist()) if w}
        return 1.0 * bool(left & {0, 1}) + 0.5 * (2 in left) + 0.2 * (3 in left)

    assert needed(choice, torch.ones(4), judge) == (0, 2)
    assert asked == [0, 1, 2, 3, 0, 2, 3]  # 1 goes, then 3


def test_edges_come_before_nodes_in_an_order_of_the_seed():
    space = replace(CELL, nodes=4).space()
    orders = [[c.name for c in in_order(space, seed=seed)] for seed in (0, 0, 1)]
    edges = {c.name for c in space.choices if c.name.endswith("/op")}
    assert len(edges) == 14
    assert set(orders[0][:14]) == edges
    assert set(orders[0][14:]) == {f"cell/node{j}/from" for j in (3, 4, 5)}  # node 2 has no more than it takes
    assert orders[0] == orders[1] != orders[2]


def test_tuning_begins_at_a_tenth_and_ends_at_nothing():
    tuning = Tuning.after(Optimisation(epochs=10, lr=2.0, batch=64), 5)
    rates = [tuning.lr_at(step, 150) for step in range(100, 151)]
    assert (tuning.epochs, tuning.before, tuning.batch) == (15, 10, 64)
    assert rates[0] == pytest.approx(0.2)
    assert rates[25] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.0)
    assert rates == sorted(rates, reverse=True)


# --- on supernets


def test_where_the_largest_alpha_is_of_an_op_that_does_nothing():
    """`conv3` has most weight and puts out zeros; all that the network knows passes `dense`."""
    one = task(data=DATA, choices=EDGE.space())
    made = method(training={"epochs": 6}, alphas=Alphas(lr=1e-9))
    state, _ = after(made, one, 6)
    network, name = state.network, "cell/edge0-1/op"
    edge = network.stack.bodies["0"].layer((0, 1))
    with torch.no_grad():
        network.inputs.taps.zero_()
        for weight in edge.ops["conv3"].parameters():
            weight.zero_()
        state.learners[0].alphas[name].copy_(torch.tensor([0.0, 2.0, 0.5]))
    made.decide(one, state, 0, network.space[name])
    assert made.chosen(state.space, state.learners[0].now())[name] == "conv3"
    assert made.stands_for(state.space, state.learners[0])[name] == "dense"


def test_every_test_is_a_trial_on_the_rows_of_the_alphas(tmp_path, monkeypatch):
    told, spans, real = Told(), [], Evaluator.score_mixture

    def score(self, network, mixture):
        spans.append((self.train, self.valid))
        return real(self, network, mixture)

    monkeypatch.setattr(Evaluator, "score_mixture", score)
    made, one = method(), task(told, data=DATA, choices=CELL.space())
    candidates = run_search(made, one, tmp_path)
    looks = [(key, scores) for key, scores, _ in told.trials if "/" in key]
    assert len({key for key, _ in looks}) == len(looks) == len(spans) == 5 * 2 + 3  # five edges of two ops, three ways
    fold = made.halves(one)
    assert set(spans) == {(fold.train, fold.valid)}
    assert fold.valid.stop <= one.train.stop <= one.scorer.evaluator.valid.start
    assert all(name.startswith("mixture_") for _, scores in looks for name in scores)  # no architecture's own
    assert {c.architecture.digest for c in candidates} == {key for key, _, _ in told.trials if "/" not in key}


def test_decisions_are_spread_over_the_tuning_and_bind_what_comes_after():
    made, one = method(), task(data=DATA, choices=CELL.space())
    state, logs = after(made, one, 5)
    assert [log["decided"] for log in logs[2:]] == [2.0, 4.0, 6.0]
    learner, first = state.learners[0], state.learners[0].decided
    mixture = made.mixture(state.space, learner.now(), epoch=5, seed=0, decided=first)
    for name, kept in first.items():
        assert mixture[name].nonzero().flatten().tolist() == kept
    ops = [name for name in first if name.endswith("/op")]
    assert len(ops) == 5
    assert len(first["cell/node3/from"]) == 2
    made.epoch(one, state, 5)
    best = state.scored[0].architecture
    assert best == made.stands_for(state.space, learner)
    assert all(best.get(n, state.space[n].options[k[0]]) == state.space[n].options[k[0]] for n, k in first.items()
               if n in ops)  # fmt: skip
    assert best["cell/node3/from"] == tuple(state.space["cell/node3/from"].options[i] for i in first["cell/node3/from"])


def test_weights_and_alphas_are_trained_on_but_not_alphas_of_what_is_decided(monkeypatch):
    made, one = method(tune=5), task(data=DATA, choices=CELL.space())
    assert made.num_epochs() == method(select="magnitude").num_epochs() + 5
    state, _ = after(made, one, 2)
    order, learner, seen = in_order(state.space, seed=one.seed), state.learners[0], []
    weights = [p.detach().clone() for p in state.network.parameters()]
    monkeypatch.setattr(learner, "step", lambda gradients: seen.append(gradients) or True)
    made.epoch(one, state, 2)
    assert list(learner.decided) == [c.name for c in order[:2]]
    assert len(seen) == 2
    for gradients in seen:
        dead = {name for name, g in gradients.items() if not bool(g.any())}
        assert dead >= set(learner.decided)
        assert len(dead) < 5
    assert not all(torch.equal(p, w) for p, w in zip(state.network.parameters(), weights, strict=True))


@pytest.mark.parametrize(
    ("kind", "choices", "changes"),
    [
        ("fairdarts", CELL.space(), {}), ("darts_minus", CELL.space(), {}), ("gdas", CELL.space(), {"draw": "soft"}),
        ("pcdarts", replace(CELL, widths=(8,)).space(), {}), ("darts", chain(norms=("none", "batch")), {}),
        ("pdarts", CELL.space(), {"keep": (1.0, 0.7), "skip_dropout": (0.0, 0.2)}),
        ("darts", replace(CELL, take=1).space(), {"supernets": 2}),
    ],
)  # fmt: skip
def test_every_method_and_space_may_select_so(kind, choices, changes):
    made, one = method(kind, tune=1, training={"batch": 1024}, **changes), task(data=DATA, choices=choices)
    state, _ = after(made, one, made.num_epochs())
    assert len(state.scored) == 4
    for learner in state.learners:
        assert set(learner.decided) == {c.name for c in in_order(state.space, seed=0)}
    if kind == "darts_minus":
        assert state.network.mix.beta == 0.0


def test_it_is_cited_where_it_is_used():
    assert [c.split("{")[1].split(",")[0] for c in method().citations()] == ["liu2019darts", "wang2021rethinking"]
    assert len(method(select="magnitude").citations()) == 1
    both = [c.split("{")[1].split(",")[0] for c in method("gdas", draw="soft", select="magnitude").citations()]
    assert both == ["dong2019searching", "xie2019snas"]


def test_of_one_op_there_is_nothing_to_take_away():
    with pytest.raises(ConfigError, match=r"search\.select"):
        method("gdas")
    with pytest.raises(ConfigError, match=r"search\.tune"):
        method(tune=0)
