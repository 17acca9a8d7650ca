"""What a step of each one-shot method trains: path dropout, strict fairness, the sandwich."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from search.worlds import one_shot, space, task
from tradenas.errors import ConfigError, SpaceError
from tradenas.search.methods.fairnas import dealt, num_passes
from tradenas.search.methods.path_dropout import kept
from tradenas.search.parts.oneshot import path_of
from tradenas.seeds import rng_for
from tradenas.space import Choice
from tradenas.train import loop
from tradenas.train.loop import train_epoch
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments

FAIR = space(ops=("dense", "conv3", "gated", "separable3"))
OPS = ("layer0/op", "layer1/op")


def planned(method, one, *, epoch=0):
    state = method.init(one)
    return state, method.plan(one, state, state.network, epoch=epoch, seed=one.seed)


class Noted(torch.optim.SGD):
    """Moves nothing; keeps the gradients it was asked to move by."""

    def __init__(self, network):
        super().__init__(network.parameters(), lr=0.0)
        self.network, self.seen = network, []

    def step(self, closure=None):
        self.seen.append({n: p.grad.clone() for n, p in self.network.named_parameters() if p.grad is not None})


def gradient(one, network, method, passes):
    """The gradients of the first step of an epoch, before any clip."""
    objective = Objective.fitted(one.data, one.train)
    segments = Segments(one.data, one.train, reach=network.reach(), length=32, objective=objective)
    noted = Noted(network)
    free = loop.Optimisation(epochs=1, segment=32, batch=128, clip=1e9, tap_l1=0.0)
    train_epoch(network, noted, segments, objective, free, epoch=0, seed=1, stream="t", plan=lambda _: passes)
    return noted.seen[0]


# --- path dropout


def test_all_ops_run_at_first_and_about_the_kept_share_at_last():
    method = one_shot("path_dropout", p_drop=0.5)
    choice, rng = Choice(name="layer0/op", options=("a", "b", "c")), rng_for(0, "kept")
    assert [method.rate(epoch) for epoch in range(4)] == [0.0, 0.5 / 3, 1.0 / 3, 0.5]
    assert kept(choice, rng, method.rate(0)) == ("a", "b", "c")
    sizes = Counter(len(kept(choice, rng, 0.5)) for _ in range(4000))  # one option is a name of one letter
    want = np.array([4 / 8, 3 / 8, 1 / 8]) * 4000  # one where one or none was left
    assert np.abs(np.array([sizes[1], sizes[2], sizes[3]]) - want).max() < 120
    one = task()
    _, plan = planned(method, one, epoch=0)
    assert all(plan(step)[0].mixture["layer0/op"] == (0, 1, 2) for step in range(20))


def test_path_dropout_of_one_ends_with_single_paths():
    one = task()
    _, plan = planned(one_shot("path_dropout", p_drop=1.0), one, epoch=3)
    drawn = Counter(plan(step)[0].mixture["layer0/op"] for step in range(300))
    assert set(drawn) == {0, 1, 2}
    assert min(drawn.values()) > 70


def test_every_op_that_runs_finds_its_choices():
    """Activation, norm and dropout are in the mixture where any of the ops has them, and the reach is the longest."""
    one = task()
    state, plan = planned(one_shot("path_dropout", p_drop=0.6), one, epoch=3)
    seen = set()
    for step in range(60):
        (only,) = plan(step)
        ops = [
            {one.space[n].options[i] for i in (w if isinstance(w, tuple) else (w,))}
            for n, w in only.mixture.items()
            if n in OPS
        ]
        assert only.reach == one.space["input/lookback"].options[only.mixture["input/lookback"]] + sum(
            2 * ("conv3" in some) for some in ops
        )
        for i, some in enumerate(ops):
            assert (f"layer{i}/activation" in only.mixture) == bool(some & {"dense", "conv3"})
            assert (f"layer{i}/norm" in only.mixture) == bool(some - {"skip"})
            seen.add(tuple(sorted(some)))
        state.network(torch.zeros(1, 40, 3), only.mixture, loop.Mode(training=True))
        state.count(only.mixture)
    assert len(seen) > 6
    assert sum(state.updates["layer0/op"]) > 60


def test_together_is_the_mean_of_each():
    one = task(choices=space(depths=(1,), norms=("none",), dropouts=(0.0,), activations=("tanh",)))
    state, plan = planned(one_shot("path_dropout"), one, epoch=0)
    (only,) = plan(0)
    assert only.mixture["layer0/op"] == (0, 1, 2)
    rows = torch.randn(2, 40, 3)
    each = [state.network(rows, {**only.mixture, "layer0/op": i}) for i in range(3)]
    torch.testing.assert_close(state.network(rows, only.mixture), sum(each) / 3, rtol=1e-5, atol=1e-6)


# --- strict fairness


@pytest.mark.parametrize("share_batch", [True, False])
def test_every_op_of_every_layer_that_runs_is_used_once_a_step(share_batch):
    one = task(choices=FAIR)
    state, plan = planned(one_shot("fairnas", share_batch=share_batch), one)
    orders, depths = set(), []
    for step in range(40):
        passes = plan(step)
        assert len(passes) == 4
        assert [p.part for p in passes] == ([None] * 4 if share_batch else [(i, 4) for i in range(4)])
        depth = {p.mixture["depth"] for p in passes}
        assert len(depth) == 1
        depths += depth
        for name in OPS[: 1 + depths[-1]]:
            assert sorted(p.mixture[name] for p in passes) == [0, 1, 2, 3]
            orders.add(tuple(p.mixture[name] for p in passes))
        for p in passes:
            state.count(p.mixture)
        assert len(set(state.updates["layer0/op"])) == len(set(state.updates["layer1/op"])) == 1
        assert abs(depths.count(0) - depths.count(1)) <= 1
        assert max(state.updates["layer0/width"]) - min(state.updates["layer0/width"]) <= 1
    assert len(orders) > 15  # of 24
    assert state.updates["layer0/op"] == [40] * 4


def test_decks_are_level_after_any_number_of_draws_and_need_no_memory():
    choice = Choice(name="x", options=tuple(range(5)))
    drawn = [dealt(choice, g, seed=3, epoch=1) for g in range(60)]
    for g in range(1, 60):
        counts = Counter(drawn[:g])
        assert max(counts.values()) - min(counts[o] for o in choice.options) <= 1
    assert [dealt(choice, g, seed=3, epoch=1) for g in reversed(range(60))] == drawn[::-1]
    assert drawn[:5] != drawn[5:10] or drawn[10:15] != drawn[5:10]
    assert drawn != [dealt(choice, g, seed=3, epoch=2) for g in range(60)]


def test_the_fair_gradient_is_the_sum_of_single_paths_in_any_order():
    one = task(choices=space(ops=("dense", "conv3", "gated", "separable3"), dropouts=(0.0,)))
    method = one_shot("fairnas")
    state, plan = planned(method, one)
    passes = plan(0)
    together = gradient(one, state.network, method, passes)
    each = [gradient(one, state.network, method, [p]) for p in passes]
    other = gradient(one, state.network, method, passes[::-1])
    assert set(together) == set().union(*each)
    for name, total in together.items():
        want = sum(g[name] for g in each if name in g)
        torch.testing.assert_close(total, want, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(other[name], total, rtol=1e-4, atol=1e-6)


def test_a_space_whose_fairness_cannot_hold_is_refused():
    uneven = space(ops=("skip", "dense", "conv3", "gated"))
    with pytest.raises(SpaceError, match=r"layer0/op: got 3 ops where a step has 4 paths.*divides 4.*skip"):
        one_shot("fairnas").init(task(choices=uneven))
    one = task(choices=uneven)
    state, plan = planned(one_shot("fairnas", strict=False), one)
    for step in range(9):
        for p in plan(step):
            state.count(p.mixture)
    assert state.updates["layer0/op"] == [12, 12, 12]
    assert num_passes(uneven) == 4
    half = space(depths=(1,), ops=("dense",))
    assert len(planned(one_shot("fairnas"), task(choices=half))[1](0)) == 1


# --- the sandwich


def test_the_largest_comes_first_and_the_smallest_last():
    one = task()
    _, plan = planned(one_shot("sandwich", num_random=3), one)
    sizes = {"depth": 1, "input/lookback": 1, "layer0/width": 1}
    ops, between = [], set()
    for step in range(30):
        first, *middle, last = plan(step)
        assert len(middle) == 3
        assert all(first.mixture[n] == top for n, top in {**sizes, "layer1/width": 1}.items())
        assert all(last.mixture[n] == 0 for n in sizes)
        assert "layer1/op" not in last.mixture
        assert (first.labels, first.teacher, first.dropout, first.part) == (1.0, 0.0, True, None)
        assert all((p.labels, p.teacher, p.dropout) == (0.0, 1.0, False) for p in [*middle, last])
        ops.append((first.mixture["layer0/op"], last.mixture["layer0/op"]))
        between |= {p.mixture["depth"] for p in middle}
    assert len(set(ops)) > 6
    assert between == {0, 1}


def test_how_much_the_others_learn_from_the_largest():
    one = task()
    _, plan = planned(one_shot("sandwich", distil=0.25), one)
    assert [(p.labels, p.teacher) for p in plan(0)] == [(1.0, 0.0)] + [(0.75, 0.25)] * 3
    _, plan = planned(one_shot("sandwich", distil=0.0, num_random=0), one)
    assert [(p.labels, p.teacher) for p in plan(0)] == [(1.0, 0.0), (1.0, 0.0)]


def test_the_smallest_learns_nothing_from_a_largest_that_is_itself():
    """In a space of one network the passes below the first ask it to be what it is."""
    one = task(choices=space(depths=(1,), widths=(4,), ops=("dense",), norms=("none",), dropouts=(0.0,),
                             activations=("tanh",), lookbacks=(5,)))  # fmt: skip
    method = one_shot("sandwich")
    state, plan = planned(method, one)
    together = gradient(one, state.network, method, plan(0))
    alone = gradient(one, state.network, method, [path_of(state.network, one.space.smallest())])
    for name, want in alone.items():
        torch.testing.assert_close(together[name], want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("path_dropout", {"p_drop": 1.2}),
        ("path_dropout", {"p_drop": -0.1}),
        ("sandwich", {"num_random": -1}),
        ("sandwich", {"distil": 1.5}),
        ("fairnas", {"supernets": 0}),
    ],
)
def test_faulty_settings_are_named(kind, change):
    with pytest.raises(ConfigError, match=rf"search\.{next(iter(change))}"):
        one_shot(kind, **change)
