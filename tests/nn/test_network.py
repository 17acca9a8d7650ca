"""One network is the supernet and the standalone net: the same numbers, whichever way it is asked."""

import numpy as np
import pytest
import torch

from tradenas.errors import MixtureError, SpaceError
from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.seeds import rng_for
from tradenas.space import CHAIN_OPS, Chain

LAYOUT = Layout(groups=("returns", "returns", "trend", "volume"), transforms=("raw", "zscore"))
CHAIN = Chain(
    depths=(1, 2, 3), widths=(4, 8), ops=CHAIN_OPS, norms=("none", "layer", "batch"), dropouts=(0.0, 0.3),
    lookbacks=(5, 20), transforms=("raw", "zscore"), groups=("trend", "volume"),
)  # fmt: skip
SPACE = CHAIN.space()
ROWS = 90


@pytest.fixture(scope="module")
def network():
    return Network(SPACE, LAYOUT, seed=1).double()


@pytest.fixture(scope="module")
def rows():
    return torch.randn(2, ROWS, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def samples(count, *path):
    rng = rng_for(5, *path)
    return [SPACE.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("architecture", samples(60, "equal"), ids=lambda a: a.digest)
def test_path_equals_standalone_bit_for_bit(network, rows, architecture):
    path = hard(SPACE, architecture)
    moments = network.measure(rows, path)
    shared = network(rows, path, Mode(moments=moments))
    alone = network.inherit(SPACE.fix(architecture)).double()
    assert torch.equal(alone(rows, {}, Mode(moments=moments)), shared)
    assert sum(p.numel() for p in alone.parameters()) == network.count(architecture).parameters


@pytest.mark.parametrize("way", [hard, lambda s, a: soft(s, a, dtype=torch.float64)], ids=["path", "weights"])
def test_scored_rows_need_no_more_rows_than_they_hang_on(network, rows, way):
    """The same signals and gradients, and NaN in front of what a path reads is never looked at."""
    for architecture in samples(5, "scored"):
        mixture = way(SPACE, architecture)
        moments = network.measure(rows, mixture)
        want = network(rows, mixture, Mode(moments=moments))[:, -9:]
        short = network(rows, mixture, Mode(moments=moments, scored=9))
        assert short.shape == (2, 9)
        torch.testing.assert_close(short, want, rtol=1e-10, atol=1e-12)
        ahead = network.reach(architecture if way is hard else None) - 1
        assert ahead < ROWS - 9
        dark = rows.clone()
        dark[:, : ROWS - 9 - ahead] = torch.nan
        blind = network(dark, mixture, Mode(moments=moments, scored=9))
        torch.testing.assert_close(blind, want, rtol=1e-10, atol=1e-12)
        ours, theirs = (torch.autograd.grad(y.square().sum(), network.inputs.taps)[0] for y in (short, want))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("architecture", samples(60, "soft"), ids=lambda a: a.digest)
def test_one_hot_weights_equal_the_path(network, rows, architecture):
    path, weights = hard(SPACE, architecture), soft(SPACE, architecture, dtype=torch.float64)
    moments = network.measure(rows, weights)
    want = network(rows, path, Mode(moments=network.measure(rows, path)))
    torch.testing.assert_close(network(rows, weights, Mode(moments=moments)), want, rtol=1e-10, atol=1e-12)


def test_one_hot_ops_alone_are_exact(network, rows):
    """With widths given as indices, mixing ops by weights of 0 and 1 changes no bit."""
    for architecture in samples(20, "ops"):
        path = hard(SPACE, architecture)
        mixed = dict(path)
        for choice in SPACE.choices:
            if choice.name.endswith("/op") and choice.name in path:
                weights = torch.zeros(len(choice.options), dtype=torch.float64)
                weights[path[choice.name]] = 1.0
                mixed[choice.name] = weights
                for what in ("activation", "norm", "dropout"):
                    mixed.setdefault(choice.name.replace("op", what), 0)
        if any(architecture.get(f"layer{i}/norm") == "batch" for i in range(3)):
            continue
        assert torch.equal(network(rows, mixed), network(rows, path))


def test_causal_and_reach(network, rows):
    for architecture in samples(30, "causal"):
        if "batch" in architecture.values():
            continue
        path, reach = hard(SPACE, architecture), network.reach(architecture)
        assert reach <= network.reach()
        before = network(rows, path)
        later = rows.clone()
        later[:, 60:] = 7.0
        assert torch.equal(network(later, path)[:, :60], before[:, :60])
        earlier = rows.clone()
        earlier[:, : ROWS - reach] += 3.0
        assert torch.equal(network(earlier, path)[:, -1], before[:, -1])


def test_only_the_active_path_gets_gradients():
    network = Network(SPACE, LAYOUT, seed=1)
    architecture = SPACE.walk(lambda c: {"depth": 1, "layer0/op": "conv3"}.get(c.name, c.options[0]))
    network(torch.ones(1, 30, 8), hard(SPACE, architecture)).sum().backward()
    touched = {name for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {
        "inputs.taps", "heads.1.weight", "heads.1.bias", "layers.0.ops.conv3.conv.weight",
        "layers.0.ops.conv3.conv.bias",
    }  # fmt: skip
    outside = network.get_parameter("layers.0.ops.conv3.conv.weight").grad[4:]
    assert bool((outside == 0).all())


def test_groups_that_are_off_do_not_matter(network, rows):
    architecture = SPACE.walk(
        lambda c: {"input/group/volume": "off", "input/transform": "zscore"}.get(c.name, c.options[-1])
    )
    path = hard(SPACE, architecture)
    moments = network.measure(rows, path)
    changed = rows.clone()
    changed[..., 7] += 5.0  # volume under zscore
    changed[..., :4] -= 5.0  # the whole raw block
    assert torch.equal(network(changed, path, Mode(moments=moments)), network(rows, path, Mode(moments=moments)))
    changed[..., 4] += 5.0  # returns under zscore
    assert not torch.equal(network(changed, path, Mode(moments=moments)), network(rows, path, Mode(moments=moments)))


def test_batch_norm_moments_are_those_of_the_rows(network, rows):
    architecture = SPACE.walk(
        lambda c: {"depth": 1, "layer0/op": "dense", "layer0/norm": "batch"}.get(c.name, c.options[0])
    )
    path = hard(SPACE, architecture)
    drift = rows + torch.linspace(0, 9, ROWS)[None, :, None]  # chronological, drifting
    mean, variance = network.measure(drift, path)["layer0/dense/batch"]
    y = network.layers[0].ops["dense"](network.inputs(drift, path), 4)
    torch.testing.assert_close(mean, y.mean((0, 1)))
    torch.testing.assert_close(variance, y.var((0, 1), unbiased=False))
    with pytest.raises(MixtureError, match="moments"):
        network(rows, path)


def test_dropout_is_drawn_from_its_generator(network, rows):
    architecture = SPACE.walk(lambda c: {"layer0/op": "dense", "layer0/dropout": 0.3}.get(c.name, c.options[0]))
    path = hard(SPACE, architecture)

    def run(seed):
        return network(rows, path, Mode(training=True, generator=torch.Generator().manual_seed(seed)))

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    many = torch.stack([run(s) for s in range(300)]).mean(0)
    torch.testing.assert_close(many, network(rows, path), rtol=0.3, atol=0.3)


def test_mixture_faults_are_named(network, rows):
    path = hard(SPACE, samples(1, "fault")[0])
    with pytest.raises(MixtureError, match="depth"):
        network(rows, {k: v for k, v in path.items() if k != "depth"})
    with pytest.raises(MixtureError, match="input/lookback"):
        network(rows, {**path, "input/lookback": 9})
    with pytest.raises(MixtureError, match="input/transform"):
        network(rows, {**path, "input/transform": torch.ones(5)})


def test_weights_depend_on_seed_and_name_only():
    small = Network(SPACE.restrict({"layer0/op": ["dense", "conv3"]}), LAYOUT, seed=1)
    large = Network(SPACE, LAYOUT, seed=1)
    name = "layers.0.ops.conv3.conv.weight"
    assert torch.equal(small.get_parameter(name), large.get_parameter(name))
    assert not torch.equal(Network(SPACE, LAYOUT, seed=2).get_parameter(name), large.get_parameter(name))


def test_inherit_refuses_a_foreign_space(network):
    other = Chain(depths=(1,), widths=(64,), lookbacks=(5,), transforms=("raw",)).space()
    with pytest.raises(SpaceError):
        network.inherit(other)


def test_space_and_layout_must_agree():
    with pytest.raises(SpaceError, match="rank"):
        Network(Chain(transforms=("rank",)).space(), LAYOUT)
    with pytest.raises(SpaceError, match="moon"):
        Network(Chain(groups=("moon",)).space(), LAYOUT)


def test_restricting_shrinks_the_parameters():
    space = SPACE.restrict({"layer1/op": ["dense"], "layer0/width": [4]})
    big, small = Network(SPACE, LAYOUT), Network(space, LAYOUT)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in big.parameters())
    assert np.isfinite(space.size())


def test_shrinking_moves_reached_taps_towards_zero_and_not_past_it():
    network = Network(SPACE, LAYOUT, seed=1)
    taps = network.inputs.taps
    with torch.no_grad():
        taps.fill_(0.05)
        taps[:, 1] = -0.01
    taps.grad = torch.ones_like(taps)
    taps.grad[:, 10:] = 0.0  # a lookback of 10: later taps were not reached
    network.inputs.shrink(0.02)
    assert torch.allclose(taps[:, 0], torch.tensor(0.03))
    assert bool((taps[:, 1] == 0.0).all())
    assert torch.allclose(taps[:, 10:], torch.tensor(0.05))


def test_a_batch_holds_every_asset():
    space = Chain(depths=(1,), ops=("dense",), widths=(4,), lookbacks=(3,), transforms=("raw",)).space()
    network = Network(space, Layout(groups=("a",), transforms=("raw",), assets=3))
    mixture = hard(space, space.smallest())
    assert network(torch.zeros(6, 9, 1), mixture).shape == (6, 9)
    with pytest.raises(SpaceError, match="a multiple of its 3 assets"):
        network(torch.zeros(4, 9, 1), mixture)
    with pytest.raises(SpaceError, match="1 or more"):
        Layout(groups=("a",), transforms=("raw",), assets=0)
