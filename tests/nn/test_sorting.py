"""Sorting channels changes what a narrow path keeps and nothing of what the full network says."""

from __future__ import annotations

import pytest
import torch

from tradenas.errors import SpaceError
from tradenas.nn import Layout, Mode, Network, hard
from tradenas.nn.ops import OPS, Dense
from tradenas.nn.sorting import _groups, sort_channels, sorted_axes
from tradenas.seeds import rng_for
from tradenas.space import CHAIN_OPS, Chain

LAYOUT = Layout(groups=("returns",) * 3, transforms=("raw",))
ROWS = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def chain(**changes):
    settings = {
        "depths": (1, 2, 3), "widths": (4, 16), "ops": CHAIN_OPS, "norms": ("none", "layer", "batch"),
        "activations": ("relu", "tanh"), "dropouts": (0.0,), "lookbacks": (5,), "transforms": ("raw",), **changes,
    }  # fmt: skip
    return Chain(**settings).space()


def network_of(space, seed=0):
    network = Network(space, LAYOUT, seed=seed)
    with torch.no_grad():  # as if trained: gains and shifts differ
        generator = torch.Generator().manual_seed(seed)
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return network.double()


def says(network, architecture):
    path = hard(network.space, architecture)
    return network(ROWS, path, Mode(moments=network.measure(ROWS, path)))


def full_paths(space, num):
    rng = rng_for(0, "paths")
    wide = space.restrict({c.name: [c.options[-1]] for c in space.choices if c.name.endswith("/width")})
    return [wide.sample(rng) for _ in range(num)]


@pytest.mark.parametrize("left_out", [(), ("residual",), ("residual", "skip")])
def test_the_full_network_says_what_it_said(left_out):
    space = chain(ops=tuple(o for o in CHAIN_OPS if o not in left_out))
    network = network_of(space)
    paths = full_paths(space, 15)
    narrow = [space.sample(rng_for(1, "narrow", i)) for i in range(15)]
    before, small = [says(network, a) for a in paths], [says(network, a) for a in narrow]
    moved = sort_channels(network)
    assert moved == ([] if not left_out else [0, 1, 2])
    for a, want in zip(paths, before, strict=True):
        torch.testing.assert_close(says(network, a), want, rtol=1e-9, atol=1e-9)
    changed = sum(not torch.allclose(says(network, a), want) for a, want in zip(narrow, small, strict=True))
    assert (changed > 3) == bool(moved)


@pytest.mark.parametrize("op", [o for o in CHAIN_OPS if o != "skip"])
def test_every_op_can_be_sorted_on_both_of_its_sides(op):
    """The op between two dense layers would tie them if it carried its input; between two it moves either way."""
    space = chain(depths=(2,), widths=(8,), ops=tuple(dict.fromkeys(("dense", op))))
    network = network_of(space, seed=3)
    paths = full_paths(space, 6)
    before = [says(network, a) for a in paths]
    moved = sort_channels(network)
    assert moved == ([] if op == "residual" else [0, 1])
    for a, want in zip(paths, before, strict=True):
        torch.testing.assert_close(says(network, a), want, rtol=1e-9, atol=1e-9)


def test_an_op_that_hides_that_it_carries_is_caught_by_the_same_question(monkeypatch):
    """Negative control: untied, the same sort changes what skips say."""
    monkeypatch.setattr(OPS["skip"], "carries", False)
    space = chain(ops=("skip", "dense"), depths=(3,))
    network = network_of(space)
    a = space.walk(lambda c: "skip" if c.name == "layer1/op" else c.options[-1])
    want = says(network, a)
    sort_channels(network)
    assert not torch.allclose(says(network, a), want)


def test_channels_are_in_the_order_of_the_weights_that_read_them():
    space = chain(ops=("dense", "conv3"))
    network = network_of(space)
    sort_channels(network)
    for i in range(3):
        read_C = torch.zeros(16, dtype=torch.float64)
        read_C += network.heads[str(i + 1)].weight[0].abs()
        if i < 2:
            after = network.layers[i + 1].ops
            read_C += after["dense"].linear.weight.abs().sum(0) + after["conv3"].conv.weight.abs().sum((0, 2, 3))
        assert torch.all(read_C[:-1] >= read_C[1:])
    orders, _ = sorted_axes(network)
    assert all(torch.equal(o, torch.arange(16)) for axes in orders.values() for o in axes.values())


def test_which_layers_move_together():
    def groups(ops, **changes):
        return _groups(list(network_of(chain(ops=ops, **changes)).layers))

    assert groups(("dense", "conv3")) == [[0], [1], [2]]
    assert groups(("skip", "dense")) == [[0, 1, 2]]
    assert groups(("residual", "dense")) == []


def pairs_of(weight, moment):
    return sorted(zip(weight.flatten().tolist(), moment.flatten().tolist(), strict=True))


def test_moments_of_the_optimiser_move_with_their_weights():
    space = chain(ops=("dense", "gated"))
    network = network_of(space)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for a in full_paths(space, 10):
        network(ROWS, hard(space, a), Mode(training=True)).square().sum().backward()
        optimizer.step()
    pairs = {n: (p.detach().clone(), optimizer.state[p]["exp_avg"].clone()) for n, p in network.named_parameters()
             if p in optimizer.state}  # fmt: skip
    assert sort_channels(network, optimizer) == [0, 1, 2]
    moved = 0
    for name, parameter in network.named_parameters():
        if name in pairs:
            weight, moment = pairs[name]
            now = parameter.detach(), optimizer.state[parameter]["exp_avg"]
            assert pairs_of(*now) == pairs_of(weight, moment)
            moved += not torch.equal(weight, parameter)
    assert moved > 5


def test_weights_whose_axis_is_more_than_channels_are_refused(monkeypatch):
    class Flat(Dense):
        def __init__(self, c_in, c_out):
            super().__init__(c_in, c_out)
            self.two = torch.nn.Parameter(torch.zeros(2 * c_out))

    space = chain(ops=("dense", "gated"), depths=(2,))
    monkeypatch.setitem(OPS._known, "gated", Flat)
    with pytest.raises(SpaceError, match="op gated, two, axis 0: got channels and something else"):
        sort_channels(Network(space, LAYOUT))
