"""Costs of quantised spaces: bits that were chosen, exact and in the mean."""

import pytest
import torch

from tradenas.cost import bit_operations, cheapest, dearest, weight_bytes
from tradenas.nn import Layout, Network, soft
from tradenas.seeds import rng_for
from tradenas.space import Chain

SPACE = Chain(
    depths=(1, 2), widths=(4, 8), ops=("dense", "conv3", "skip"), norms=("none",), dropouts=(0.0,), lookbacks=(3,),
    activations=("relu",), weight_bits=("float", "6", "ternary", "binary"), activation_bits=("float", "5"),
    sparsities=(0.0, 0.75),
).space()  # fmt: skip
NETWORK = Network(SPACE, Layout(groups=("a", "b"), transforms=("zscore",)))
BITS = {"float": 32, "6": 6, "ternary": 2, "binary": 1, "5": 5}


@pytest.fixture(scope="module")
def drawn():
    rng = rng_for(1, "precision costs")
    return [SPACE.sample(rng) for _ in range(60)]


def test_bytes_and_bit_operations_are_those_of_the_chosen_bits(drawn):
    size, work = weight_bytes(NETWORK), bit_operations(NETWORK)
    for a in drawn:
        count, bits = NETWORK.count(a), BITS[a["quant/weights"]]
        assert size.exact(a) == pytest.approx(count.parameters * bits / 8)
        want = count.macs * bits * BITS[a["quant/activations"]] * (1 - a["quant/sparsity"])
        assert work.exact(a) == pytest.approx(want)
    floating = {**drawn[0], "quant/weights": "float"}
    assert weight_bytes(NETWORK, "float16").exact(floating) == NETWORK.count(drawn[0]).parameters * 2


def test_one_hot_weights_cost_what_their_architecture_costs(drawn):
    for cost in (weight_bytes(NETWORK), bit_operations(NETWORK)):
        for a in drawn[:20]:
            assert float(cost.expected(soft(SPACE, a, dtype=torch.float64))) == pytest.approx(cost.exact(a))


def test_the_mean_is_differentiable_by_the_bits():
    mixture = dict(soft(SPACE, SPACE.largest(), dtype=torch.float64))
    mixture["quant/weights"] = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64, requires_grad=True)
    mean = weight_bytes(NETWORK).expected(mixture)
    count = NETWORK.count(SPACE.largest()).parameters
    assert float(mean.detach()) == pytest.approx(count * (3.2 + 1.2 + 0.6 + 0.4) / 8)
    (gradient,) = torch.autograd.grad(mean, mixture["quant/weights"])
    assert gradient.tolist() == pytest.approx([count * b / 8 for b in (32, 6, 2, 1)])


def test_the_cheapest_has_the_fewest_bits(drawn):
    least, most = cheapest(bit_operations(NETWORK)), dearest(bit_operations(NETWORK))
    assert (least["quant/weights"], least["quant/activations"], least["quant/sparsity"]) == ("binary", "5", 0.75)
    assert (most["quant/weights"], most["quant/activations"], most["quant/sparsity"]) == ("float", "float", 0.0)
    cost = bit_operations(NETWORK)
    assert all(cost.exact(least) <= cost.exact(a) <= cost.exact(most) for a in drawn)


def test_spaces_without_a_choice_of_bits_cost_what_they_did():
    plain = Chain(depths=(1,), widths=(4,), ops=("dense",), norms=("none",), lookbacks=(3,)).space()
    network = Network(plain, NETWORK.layout)
    a = plain.smallest()
    assert weight_bytes(network).exact(a) == network.count(a).parameters * 4
    assert bit_operations(network).exact(a) == network.count(a).macs * 1024
