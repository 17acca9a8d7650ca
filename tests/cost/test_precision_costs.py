"""Costs of quantised spaces: bits that were chosen, exact and in the mean."""

import numpy as np
import pytest
import torch

from tradenas.cost import bit_operations, cheapest, dearest, weight_bytes
from tradenas.formats.lower import lower
from tradenas.formats.program import Depthwise, Program, Taps
from tradenas.nn import Layout, Network, soft
from tradenas.seeds import rng_for
from tradenas.space import Cell, Chain

SPACE = Chain(
    depths=(1, 2), widths=(4, 8), ops=("dense", "conv3", "skip"), norms=("none",), dropouts=(0.0,), lookbacks=(3,),
    activations=("relu",), weight_bits=("float", "6", "ternary", "binary"), activation_bits=("float", "5"),
    sparsities=(0.0, 0.75),
).space()  # fmt: skip
NETWORK = Network(SPACE, Layout(groups=("a", "b"), transforms=("zscore",)))
BITS = {"float": 32, "6": 6, "ternary": 2, "binary": 1, "5": 5}
FINE = {"float": 32, "6": 6, "ternary": 6, "binary": 6}

ALL = {
    "norms": ("none",), "lookbacks": (7, 9), "widths": (12, 16), "activations": ("relu", "tanh"),
    "weight_bits": ("2", "3", "5", "8", "ternary", "binary"), "activation_bits": ("5", "8"), "sparsities": (0.0, 0.5),
}  # fmt: skip
CHAIN = Chain(
    depths=(1, 2, 3), dropouts=(0.0,), features=("a", "b"),
    ops=("dense", "conv3", "dilated3", "separable3", "gated", "residual", "skip", "mingru4"), **ALL,
)  # fmt: skip
CELL = Cell(cells=(1, 2), nodes=3, ops=("zero", "skip", "separable3", "conv3", "max5"), **ALL)
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def drawn():
    rng = rng_for(1, "precision costs")
    return [SPACE.sample(rng) for _ in range(60)]


def test_bytes_and_bit_operations_are_those_of_the_chosen_bits(drawn):
    size, work = weight_bytes(NETWORK), bit_operations(NETWORK)
    for a in drawn:
        count, bits, fine = NETWORK.count(a), BITS[a["quant/weights"]], FINE[a["quant/weights"]]
        stored = max(bits, 2) if a["quant/sparsity"] else bits
        bias = 32 if a["quant/weights"] == "float" else 12
        plain = count.parameters - count.biases - count.fine
        assert size.exact(a) == pytest.approx((plain * stored + count.fine * fine + count.biases * bias) / 8)
        products = (count.macs - count.fine) * bits * (1 - a["quant/sparsity"]) + count.fine * fine
        assert work.exact(a) == pytest.approx(products * BITS[a["quant/activations"]])
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
    each = [weight_bytes(NETWORK).exact({**SPACE.largest(), "quant/weights": o}) for o in BITS if o != "5"]
    assert float(mean.detach()) == pytest.approx(sum(w * b for w, b in zip((0.1, 0.2, 0.3, 0.4), each, strict=True)))
    (gradient,) = torch.autograd.grad(mean, mixture["quant/weights"])
    assert gradient.tolist() == pytest.approx(each)


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


def bits_of_values(values: np.ndarray) -> int:
    """The least that holds every number of a tensor, in steps of a power of two and two's complement."""
    sizes = sorted({abs(float(v)) for v in values.ravel()})
    if len(sizes) == 1:
        return 1
    if sizes[0] == 0.0 and len(sizes) == 2:
        return 2
    step = next(2.0**-k for k in range(-4, 40) if np.all(values * 2.0**k == np.rint(values * 2.0**k)))
    return 1 + max(int(v if v >= 0 else -v - 1).bit_length() for v in values.ravel() / step)


def stored_bits(program: Program) -> int:
    """Of all numbers that were learnt, told from the numbers themselves; ones and zeros that are wiring are none."""
    total = 0
    for step in program.steps:
        wired = step.name == "linear" or "/kept" in step.name or "/before" in step.name
        if isinstance(step, Taps | Depthwise) and not wired:
            total += step.weight.size * bits_of_values(step.weight) * step.weight.any()
            if step.bias.any():
                total += step.bias.size * 12
                assert np.all(step.bias * 2**8 == np.rint(step.bias * 2**8))
    return total


def filled(network: Network) -> Network:
    """Every tensor with numbers that need all bits of any format (they are cut to the largest), and one that is 0."""
    rng = rng_for(0, "filled")
    with torch.no_grad():
        for parameter in network.parameters():
            flat = torch.from_numpy(
                rng.uniform(0.5, 1.0, parameter.numel()) * rng.choice([-1.0, 1.0], parameter.numel())
            )
            flat[:3] = torch.tensor([0.9999, -0.9999, 0.0001])[: len(flat)]
            parameter.copy_(flat.view_as(parameter))
    return network


@pytest.mark.parametrize("blueprint", [CHAIN, CELL])
def test_bytes_are_those_of_the_exported_program(blueprint):
    space = blueprint.space(dict.fromkeys(NAMES, "g")) if blueprint is CHAIN else blueprint.space()
    network = Network(space, Layout(groups=("g",) * 3, transforms=("zscore",), names=NAMES))
    size, rng, seen = weight_bytes(network), rng_for(3, "exported"), set()
    for _ in range(50):
        a = space.sample(rng)
        program = lower(filled(network.standalone(a, seed=0)))
        assert size.exact(a) == stored_bits(program) / 8, dict(a)
        seen |= {str(o) for o in a.values()}
    assert seen >= {"separable3", "binary", "ternary", "0.5"}


def test_the_mean_of_bytes_is_that_of_what_is_drawn():
    space = Chain(
        depths=(1, 2), widths=(4,), ops=("separable3", "dense"), norms=("none",), dropouts=(0.0,), lookbacks=(2, 3),
        activations=("relu",), weight_bits=("3", "binary"), activation_bits=("5",), sparsities=(0.0, 0.5),
    ).space()  # fmt: skip
    network = Network(space, NETWORK.layout)
    for cost in (weight_bytes(network), bit_operations(network)):
        even = {c.name: torch.full((len(c.options),), 1 / len(c.options), dtype=torch.float64) for c in space.choices}
        exact = [cost.exact(a) * np.prod([1 / len(space[n].options) for n in a]) for a in space]
        assert float(cost.expected(even)) == pytest.approx(sum(exact), rel=1e-12)
