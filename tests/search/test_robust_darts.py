"""DARTS-ES, DARTS-ADA and R-DARTS(L2): what a rise of the curvature does, on curvatures made up for it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, bits, market, task
from tradenas.errors import ConfigError
from tradenas.search.methods import RobustDARTS
from tradenas.space import Cell

torch.set_num_threads(1)
SPACE = Cell(
    nodes=2,
    ops=("zero", "skip", "dense"),
    cells=(1,),
    widths=(4,),
    lookbacks=(5,),
    transforms=("raw",),
    norms=("none",),
).space()
DATA = market(rows=1200)
#: Rises at epochs 5, 12 and 19: each is known an epoch later, and the epoch five before the rise is kept.
RISES = [1.0] * 5 + [2.0] * 2 + [1.0] * 5 + [2.0] * 2 + [1.0] * 5 + [2.0] * 4


@pytest.fixture
def rising(monkeypatch):
    monkeypatch.setattr(RobustDARTS, "curvature", lambda self, task, state, learner, network, epoch: RISES[epoch])


def method(**changes):
    training = replace(QUICK, **{"epochs": 23, "segment": 64, "batch": 1024, **changes.pop("training", {})})
    return RobustDARTS(training=training, **{"num_ranked": 4, "eigenvalue_every": 1, "not_before": 0, **changes})


def searched(made, *, upto=23):
    """State and logs, and what the supernet was after each epoch."""
    one = task(data=DATA, choices=SPACE)
    state, logs, after = made.init(one), [], []
    for epoch in range(upto):
        logs.append(made.epoch(one, state, epoch))
        after.append(what(state))
    return state, logs, after


def what(state):
    parts = ("weight/", "optimizer/", "alpha/", "alpha_optimizer/")
    return bits({n: t for n, t in state.tensors().items() if n.startswith(parts)})


def decay(state):
    return [group["weight_decay"] for group in state.optimizers[0].param_groups]


def test_es_stops_and_keeps_the_alphas_from_before_the_rise(rising):
    state, logs, _ = searched(method())
    learner = state.learners[0]
    assert (learner.stopped.at, learner.stopped.keep) == (6, 0)
    assert all(torch.equal(a, learner.trail[0][n]) for n, a in learner.now().items())
    assert "stopped" in logs[7]


def test_ada_rolls_back_and_regularises_ten_times_as_much(rising):
    state, logs, after = searched(method(rule="ada"), upto=7)
    assert [log.get("rolled_back") for log in logs] == [None] * 6 + [0.0]
    assert after[6] == after[0] != after[5]  # weights, alphas and the moments of both, to the bit
    assert decay(state) == [10.0 * QUICK.weight_decay, 0.0]
    assert [log["l2"] for log in logs] == pytest.approx([1.0] * 6 + [10.0])
    assert state.learners[0].stopped is None


def test_ada_stops_where_it_may_not_regularise_more(rising):
    state, logs, after = searched(method(rule="ada"))
    assert [e for e, log in enumerate(logs) if "rolled_back" in log] == [6, 13]
    assert after[13] == after[7]
    assert decay(state) == pytest.approx([100.0 * QUICK.weight_decay, 0.0])
    learner = state.learners[0]
    assert (learner.stopped.at, learner.stopped.keep) == (20, 14)
    assert all(torch.equal(a, learner.trail[14][n]) for n, a in learner.now().items())
    assert after[20] != after[14]  # weights stay; only the alphas are those of before
    assert [e for e, log in enumerate(logs) if "stopped" in log] == [21, 22]
    assert len(learner.measured) == 21  # for the report, those of the epochs that were given up as well


def test_ada_begins_from_its_own_l2(rising):
    state, logs, _ = searched(method(rule="ada", l2=30.0), upto=8)
    assert decay(state) == pytest.approx([30.0 * QUICK.weight_decay, 0.0])  # 300 would be too much: it stopped
    assert state.learners[0].stopped.at == 6
    assert "rolled_back" not in logs[6]


@pytest.mark.parametrize("stop", [3, 6, 9, 13])
def test_what_may_be_gone_back_to_is_saved(rising, stop):
    made, one = method(rule="ada"), task(data=DATA, choices=SPACE)
    left_alone, _, _ = searched(made)
    state, _, _ = searched(made, upto=stop)
    saved = {k: v.clone() for k, v in state.tensors().items()}, json.loads(json.dumps(state.meta()))
    again = made.init(one)
    again.restore(*saved)
    for epoch in range(stop, 23):
        made.epoch(one, again, epoch)
    assert bits(again.tensors()) == bits(left_alone.tensors())
    assert again.meta() == left_alone.meta()


def test_no_more_epochs_are_kept_than_a_stop_can_name(rising):
    state, _, _ = searched(method(rule="ada"), upto=6)
    assert list(state.kept[0]) == [0, 1, 2, 3, 4, 5]
    made = method(rule="ada", rise=9.0)
    state, _, _ = searched(made, upto=10)
    assert list(state.kept[0]) == [3, 4, 5, 6, 7, 8, 9]


def test_l2_is_on_the_weights_and_without_a_rule_nothing_stops(rising):
    state, logs, _ = searched(method(rule="none", l2=9.0), upto=8)
    assert decay(state) == [9.0 * QUICK.weight_decay, 0.0]
    assert state.learners[0].optimizer.param_groups[0]["weight_decay"] == 1e-3  # of the alphas: as it was
    assert state.learners[0].stopped is None
    assert not any("stopped" in log for log in logs)
    plain, _, _ = searched(method(rule="none"), upto=8)
    assert what(plain) != what(state)
    sgd = method(rule="none", l2=27.0, optimizer_kind="sgd").init(task(data=DATA, choices=SPACE))
    assert decay(sgd) == pytest.approx([27.0 * QUICK.weight_decay, 0.0])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"l2": 0.0}, "l2"), ({"l2": 101.0}, "l2"), ({"l2": 3.0, "training": {"weight_decay": 0.0}}, "weight_decay"),
        ({"rule": "ada", "training": {"weight_decay": 0.0}}, "weight_decay"),
    ],
)  # fmt: skip
def test_settings_that_regularise_nothing(changes, key):
    with pytest.raises(ConfigError, match=key):
        method(**changes)
