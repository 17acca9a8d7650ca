"""P-DARTS: what its stages search, how dropout behind skips falls, and how skips are limited."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, bits, market, task
from tradenas.errors import ConfigError
from tradenas.nn import Layout, Mode, Network
from tradenas.search.base import METHODS
from tradenas.search.methods.pdarts import SkipDropout, restrained, skips_of
from tradenas.search.parts.learner import Alphas
from tradenas.space import Cell, Chain
from tradenas.train.loop import Optimisation

torch.set_num_threads(1)
OPS = ("zero", "skip", "dense", "conv3", "ema4", "ema12", "difference", "gated")
CELL = Cell(nodes=1, ops=OPS, cells=(1, 2, 3), widths=(4,), lookbacks=(5,), transforms=("raw",), norms=("none",))
SMALL = replace(CELL, nodes=2, ops=("zero", "skip", "dense"), cells=(1,))
DATA = market(rows=1200)


def method(kind="pdarts", **changes):
    training = replace(QUICK, **{"epochs": 3, "segment": 64, "batch": 1024, **changes.pop("training", {})})
    return METHODS[kind](training=training, **{"num_ranked": 4, **changes})


def alphas_of(state):
    return torch.cat(list(state.learners[0].now().values()))


def test_the_stages_of_the_paper():
    """75 epochs, 8, 5 and 3 ops of 8, from the fewest cells to the most."""
    made, one = method(), task(data=DATA, choices=CELL.space())
    assert replace(made, training=Optimisation(epochs=75)).ends() == [25, 50, 75]
    state, seen = made.init(one), []
    for epoch in range(3):
        network = state.network
        seen.append((state.stage, {len(c.options) for c in network.space.choices if c.name.endswith("/op")}))
        assert network.space["cells"].options == (epoch + 1,)
        assert len(network.stack.bodies) == epoch + 1
        fresh = one.network(mix=made.mix()).state_dict()
        begun = {n: w for n, w in network.state_dict().items() if w.ndim > 1 and n in fresh}
        assert begun
        same = [torch.equal(w, fresh[n]) for n, w in begun.items() if bool((w != 0).any())]
        assert all(same) if epoch == 0 else not any(same)  # anew, from another seed
        start = alphas_of(state)
        assert float(start.abs().max()) < 0.01
        assert made.epoch(one, state, epoch)["search_stage"] == epoch
    assert seen == [(0, {8}), (1, {5}), (2, {3})]
    assert state.stage == 2
    assert float((alphas_of(state) - start).abs().max()) > 1e-4
    assert state.updates["cell/edge0-2/op"] == [1, 1, 1]  # in the one step of this stage alone


def test_the_weakest_ops_go_by_the_mean_of_the_supernets():
    made, one = method(supernets=2), task(data=DATA, choices=CELL.space())
    state = made.init(one)
    name = "cell/edge1-2/op"
    with torch.no_grad():
        state.learners[0].alphas[name].copy_(torch.tensor([5.0, 0, 1, 2, -1, 0, 0, 0]))
        state.learners[1].alphas[name].copy_(torch.tensor([0.0, 0, 2, 4, 3, 0, 0, -9]))
    left = made.dropped(one.space, state, 1)
    assert left[name] == ["zero", "skip", "dense", "conv3", "ema4"]
    assert len(made.dropped(one.space, state, 2)[name]) == 3
    assert left["cells"] == [2]
    few = replace(made, keep=(1.0, 0.5, 0.01))
    assert len(few.dropped(one.space, state, 2)[name]) == 2  # alphas of one op would not say how strong a way is


def test_a_layer_that_a_deeper_chain_adds_begins_with_all_its_ops():
    ops = ("dense", "conv3", "ema4", "gated")
    chain = Chain(
        depths=(1, 2), ops=ops, widths=(4,), activations=("relu",), norms=("none",), dropouts=(0.0,), lookbacks=(5,),
        transforms=("raw",),
    )  # fmt: skip
    made = method(keep=(1.0, 0.5), skip_dropout=(0.0, 0.0), training={"epochs": 2})
    one = task(data=DATA, choices=chain.space())
    state = made.init(one)
    assert "layer1/op" not in state.space
    made.epoch(one, state, 0)
    assert len(state.space["layer0/op"].options) == 2  # of the three that a first layer may be
    assert state.space["layer1/op"].options == ops
    made.epoch(one, state, 1)
    made.epoch(one, state, 2)
    assert {c.architecture["depth"] for c in state.scored} == {2}


def test_alphas_rest_in_the_first_part_of_every_stage():
    """Ten epochs of twenty-five are two of five."""
    made = method(keep=(1.0, 0.7), skip_dropout=(0.0, 0.3), training={"epochs": 10})
    one = task(data=DATA, choices=SMALL.space())
    state = made.init(one)
    moved = []
    for epoch in range(10):
        before, stage = alphas_of(state), state.stage
        log = made.epoch(one, state, epoch)
        assert ("alpha_loss" in log) == (epoch % 5 >= 2)
        moved.append(stage == state.stage and not torch.equal(before, alphas_of(state)))
    assert moved == [False, False, True, True, False, False, False, True, True, True]  # the fifth: a new stage


def test_dropout_behind_skips_has_the_rates_of_the_authors():
    """E = 25, frozen for 10: p (E - e - 1) / E, then p exp(-0.2 (e - 10)); the network is told before each epoch."""
    made = method(training={"epochs": 75})
    rates = {0: 0.0, 1: 0.4, 2: 0.7}
    for at, rate in rates.items():
        stage = made.stage(at)
        want = [rate * (24 - e) / 25 for e in range(10)] + [rate * 2.718281828459045 ** (-0.2 * e) for e in range(15)]
        assert [stage.skip_rate(e) for e in range(25)] == pytest.approx(want, abs=1e-12)
    one = task(data=DATA, choices=SMALL.space())
    state = made.init(one)
    made.stage(2).plan(one, state, state.network, epoch=10, seed=0)
    assert state.network.mix.rate == 0.7


def test_only_skips_lose_channels_and_only_in_training():
    network = Network(
        replace(SMALL, nodes=1).space(), Layout(groups=("a", "b"), transforms=("raw",)), seed=1, mix=SkipDropout()
    )
    layer = network.stack.bodies["0"].layer((0, 2))
    x = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
    network.mix.rate = 0.5

    def through(weights, mode):
        mixture = {"cell/edge0-2/op": torch.tensor(weights), "cell/width": 0}
        return layer(x, {**mixture, "cell/norm": 0, "cell/activation": 0, "cell/dropout": 0}, mode).detach()

    training = Mode(training=True, generator=torch.Generator().manual_seed(3))
    share = through([0.0, 1.0, 0.0], training) / x
    assert {round(float(v), 4) for v in share.flatten()} == {0.0, 2.0}
    assert torch.equal(share, share[:, :1].expand_as(share))  # a channel at a time
    torch.testing.assert_close(through([0.0, 1.0, 0.0], Mode()), x)
    dense = through([0.0, 0.0, 1.0], Mode())
    assert torch.equal(through([0.0, 0.0, 1.0], training), dense)


def test_the_weakest_skip_goes_until_two_are_left_and_ways_are_chosen_anew():
    """0-2 (0.5) goes: `dense` (0.3) takes its place.  0-3 (0.6) goes: with 0.1 left it is behind the way 2-3 (0.4)."""
    space = replace(SMALL, ops=("zero", "skip", "dense")).space()
    weights = {
        "cell/edge0-2/op": torch.tensor([0.2, 0.5, 0.3]), "cell/edge1-2/op": torch.tensor([0.0, 0.9, 0.1]),
        "cell/edge0-3/op": torch.tensor([0.3, 0.6, 0.1]), "cell/edge1-3/op": torch.tensor([0.1, 0.8, 0.1]),
        "cell/edge2-3/op": torch.tensor([0.5, 0.1, 0.4]),
    }  # fmt: skip
    before = {n: w.clone() for n, w in weights.items()}
    free = restrained(space, weights, most=4)
    assert skips_of(free) == ["cell/edge0-2/op", "cell/edge1-2/op", "cell/edge0-3/op", "cell/edge1-3/op"]
    assert free["cell/node3/from"] == (0, 1)
    three = restrained(space, weights, most=3)
    assert (three["cell/edge0-2/op"], three["cell/node3/from"]) == ("dense", (0, 1))
    two = restrained(space, weights, most=2)
    assert two["cell/node3/from"] == (1, 2)
    assert {n: p for n, p in two.items() if n.endswith("/op")} == {
        "cell/edge0-2/op": "dense", "cell/edge1-2/op": "skip", "cell/edge1-3/op": "skip", "cell/edge2-3/op": "dense"
    }  # fmt: skip
    assert all(torch.equal(w, before[n]) for n, w in weights.items())
    assert skips_of(restrained(space, weights, most=0)) == []


def test_what_offers_nothing_but_a_skip_keeps_it():
    space = replace(SMALL, take=0, ops=("zero", "skip")).space()
    weights = {c.name: torch.tensor([-1.0, 0.4]) for c in space.choices if c.name.endswith("/op")}
    assert len(skips_of(restrained(space, weights, most=1))) == 5


def test_zero_is_not_what_remains():
    space = replace(SMALL, take=0).space()
    alphas = {c.name: torch.tensor([3.0, 0.0, 1.0]) for c in space.choices if c.name.endswith("/op")}
    assert {p for n, p in method().chosen(space, alphas).items() if n.endswith("/op")} == {"dense"}
    assert "zero" in METHODS["darts"]().chosen(space, alphas).values()


def test_no_candidate_has_more_skips_than_allowed():
    few = {"keep": (1.0,), "skip_dropout": (0.0,), "num_ranked": 8, "training": {"epochs": 1}}
    one = task(data=DATA, choices=replace(SMALL, ops=("skip", "skip", "dense")[1:]).space())
    counts = []
    for most in (1, 4):
        made = method(max_skips=most, **few)
        state = made.init(one)
        for epoch in range(made.num_epochs()):
            made.epoch(one, state, epoch)
        counts.append(max(len(skips_of(c.architecture)) for c in state.scored))
    assert counts[0] == 1 < counts[1]


def test_one_stage_that_drops_nothing_is_darts():
    choices = replace(SMALL, ops=("zero", "skip", "dense", "conv3"))
    plain = {"training": {"epochs": 2}, "alphas": Alphas()}
    darts, one = method("darts", **plain), task(data=DATA, choices=choices.space())
    same = method(keep=(1.0,), skip_dropout=(0.0,), max_skips=99, **plain)
    other = method(keep=(1.0,), skip_dropout=(0.3,), max_skips=99, **plain)
    ended = []
    for made in (darts, same, other):
        state = made.init(one)
        for epoch in range(made.num_epochs()):
            made.epoch(one, state, epoch)
        ended.append((bits(state.tensors()), [(c.architecture, c.scores) for c in state.scored], state.updates))
    assert ended[0] == ended[1]
    assert ended[0] != ended[2]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"keep": ()}, "keep"), ({"keep": (0.5, 0.6), "skip_dropout": (0.0, 0.0)}, "keep"), ({"keep": (1.5,)}, "keep"),
        ({"keep": (1.0, 0.5)}, "skip_dropout"), ({"skip_dropout": (0.0, 0.4, 1.0)}, "skip_dropout"),
        ({"max_skips": -1}, "max_skips"), ({"training": {"epochs": 2}}, "keep"),
    ],
)  # fmt: skip
def test_settings_that_make_no_stages(changes, key):
    with pytest.raises(ConfigError, match=key):
        method(**changes)
