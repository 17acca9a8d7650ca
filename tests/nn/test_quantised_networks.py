"""Quantised networks: one function, whichever way it is asked, and exactly on its grid."""

import pytest
import torch

from tradenas.errors import SpaceError
from tradenas.nn import OPS, Layout, Network, hard, soft
from tradenas.seeds import rng_for
from tradenas.space import FIXED_POINT, Cell, Chain, SearchSpace

LAYOUT = Layout(
    groups=("returns", "returns", "trend", "volume"), transforms=("zscore",), names=("a", "b", "c", "d")
)  # fmt: skip
INDICATORS = dict(zip(LAYOUT.names, LAYOUT.groups, strict=True))
BITS = {
    "weight_bits": ("float", "4", "ternary", "binary"),
    "activation_bits": ("float", "5"),
    "sparsities": (0.0, 0.75),
}
COMMON = {"norms": ("none",), "lookbacks": (5, 8), "groups": ("trend",), "features": ("b", "d"), **BITS}
CHAIN = Chain(
    depths=(1, 2, 3),
    widths=(4, 8),
    ops=tuple(o for o in FIXED_POINT if o != "zero"),
    dropouts=(0.0, 0.2),
    activations=("relu", "tanh"),
    **COMMON,
).space(INDICATORS)
CELL = Cell(
    cells=(1, 2), nodes=2, ops=("zero", "skip", "dense", "separable3", "gated"), widths=(4, 6),
    activations=("relu", "tanh"), **COMMON,
).space(INDICATORS)  # fmt: skip


def built(space):
    network = Network(space, LAYOUT, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return network


@pytest.fixture(scope="module", params=[CHAIN, CELL], ids=["chain", "cell"])
def network(request):
    return built(request.param)


@pytest.fixture(scope="module")
def rows():
    return torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0)) * 2.0


def exact(architecture):
    return "float" not in (architecture["quant/weights"], architecture["quant/activations"])


def test_path_weights_and_standalone_say_the_same(network, rows):
    rng = rng_for(5, "paths")
    for _ in range(8):
        architecture = network.space.sample(rng)
        path = network(rows, hard(network.space, architecture))
        alone = network.inherit(network.space.fix(architecture))(rows)
        mixed = network(rows, soft(network.space, architecture))
        if exact(architecture):
            assert torch.equal(alone, path)
            assert torch.equal(mixed, path)
        torch.testing.assert_close(alone, path, rtol=1e-5, atol=1e-6)  # sums of floats over fewer columns
        torch.testing.assert_close(mixed, path, rtol=1e-4, atol=1e-4)


def test_signals_are_steps_of_a_power_of_two_and_the_same_in_float64(network, rows):
    rng, seen = rng_for(6, "grid"), 0
    twice = built(network.space).double()
    while seen < 15:
        architecture = network.space.sample(rng)
        if exact(architecture):
            path = hard(network.space, architecture)
            signal = network(rows, path)
            assert torch.equal(signal * 2.0**18, (signal * 2.0**18).round())
            assert torch.equal(twice(rows.double(), path), signal.double())
            seen += 1


def test_float_and_dense_is_the_network_without_a_choice(network, rows):
    architecture = network.space.sample(rng_for(7, "float"))
    free = {**architecture, "quant/weights": "float", "quant/activations": "float", "quant/sparsity": 0.0}
    without = {name: picked for name, picked in free.items() if not name.startswith("quant/")}
    unquantised = SearchSpace([c for c in network.space.choices if not c.name.startswith("quant/")])
    other = Network(unquantised, LAYOUT)
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(rows, hard(network.space, free)), other(rows, hard(unquantised, without)))


def test_gradients_reach_weights_that_are_cut(network, rows):
    architecture = {
        **network.space.largest(), "quant/weights": "4", "quant/activations": "5", "quant/sparsity": 0.75,
    }  # fmt: skip
    architecture = network.space.check(architecture)
    network.zero_grad()
    network(rows, hard(network.space, architecture)).square().mean().backward()
    reached = [p.grad for p in network.parameters() if p.grad is not None and p.ndim > 1]
    assert len(reached) > 3
    assert all(float((g != 0).float().mean()) > 0.5 for g in reached[-2:])


def test_weights_of_a_mixture_learn():
    network = built(CHAIN)
    mixture = dict(soft(CHAIN, CHAIN.largest()))
    for name in ("quant/weights", "quant/activations", "quant/sparsity"):
        mixture[name] = torch.full((len(CHAIN[name].options),), 1.0 / len(CHAIN[name].options), requires_grad=True)
    x = torch.randn(2, 40, 4, generator=torch.Generator().manual_seed(1))
    network(x, mixture).square().mean().backward()
    assert all(bool((mixture[n].grad != 0).any()) for n in mixture if n.startswith("quant/"))


def test_which_ops_round():
    assert set(FIXED_POINT) == {name for name in OPS if OPS[name].rounds}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ops": ("dense", "lstm")}, "space.ops: got 'lstm' in a quantised space.*Offer 'mingru'"),
        ({"ops": ("dense",), "norms": ("layer",)}, "space.norms: got 'layer'.*Set norms"),
        ({"ops": ("dense",), "norms": ("batch",)}, "space.norms: got 'batch'"),
        ({"ops": ("dense",), "norms": ("none",), "weight_bits": ("9",)}, "space.weight_bits"),
        ({"ops": ("dense",), "norms": ("none",), "activation_bits": ("2",)}, "space.activation_bits"),
        ({"ops": ("dense",), "norms": ("none",), "sparsities": (0.5, 0.0)}, "space.sparsities"),
    ],
)
def test_what_cannot_round_is_refused(settings, says):
    with pytest.raises(SpaceError, match=says):
        Chain(**{"weight_bits": ("4",), **settings})


def test_cells_that_merge_kernels_are_refused():
    with pytest.raises(SpaceError, match=r"space\.follow"):
        Cell(ops=("dense",), norms=("none",), follow="sum", weight_bits=("4",))
