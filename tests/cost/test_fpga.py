"""Look-up tables before there is a circuit: digits, the fit to da4ml, and the mean over a mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tradenas.cost.fpga import Luts, _digits, csd_digits, measures, program_luts
from tradenas.errors import SpaceError
from tradenas.formats.lower import lower
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain

LAYOUT = Layout(groups=("returns",) * 4, transforms=("zscore",))


def chain(**changes: object) -> Chain:
    offered = {
        "depths": (1, 2), "widths": (4, 8), "lookbacks": (2, 3), "ops": ("dense", "conv3"), "norms": ("none",),
        "dropouts": (0.0,), "activations": ("relu",), "weight_bits": ("3", "6"), "activation_bits": ("4", "8"),
        "sparsities": (0.0, 0.5),
    }  # fmt: skip
    return Chain(**{**offered, **changes})


def slow_digits(value: float) -> int:
    """One digit after the other, from the lowest: the definition."""
    whole, count = round(abs(value) * 2**24), 0
    while whole:
        if whole & 1:
            whole -= 2 - (whole & 3)
            count += 1
        whole >>= 1
    return count


def test_digits_are_those_of_the_definition():
    weights = rng_for(0, "csd").integers(-255, 256, 500) / 64.0
    assert csd_digits(weights) == sum(slow_digits(w) for w in weights)


def test_uniform_weights_have_a_third_of_a_digit_a_bit():
    for bits in (6, 10):
        every = np.arange(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1))
        assert csd_digits(every) / len(every) == pytest.approx(bits / 3 + 1 / 9, abs=0.05)


def test_fewer_bits_and_more_zeros_have_fewer_digits():
    assert _digits("3", 0.0) < _digits("5", 0.0) < _digits("8", 0.0)
    assert _digits("4", 0.75) < _digits("4", 0.5) < _digits("4", 0.0)
    assert _digits("binary", 0.0) == 1.0
    assert _digits("binary", 0.5) == 0.5


def drawn(architecture: object, network: Network, seed: int = 0):
    alone = network.standalone(architecture, seed=seed)  # type: ignore[arg-type]
    with torch.no_grad():
        alone.inputs.taps.copy_(torch.from_numpy(rng_for(seed, "taps").normal(0, 0.3, tuple(alone.inputs.taps.shape))))
    return simplify(lower(alone))


def test_it_says_what_da4ml_says():
    """Eight networks that were not among those of the fit; the full comparison is `benchmarks/fpga.py --calibrate`."""
    pytest.importorskip("da4ml", reason="da4ml is not installed; run: pip install 'tradenas[fpga]'")
    from tradenas.formats.verilog.trace import trace

    space = chain(widths=(8, 12)).space()
    network, rng, errors, guesses = Network(space, LAYOUT), rng_for(5, "fpga"), [], []
    for k in range(8):
        architecture = space.sample(rng)
        program = drawn(architecture, network, k)
        luts = trace(program).estimated_luts
        errors.append(abs(program_luts(program) / luts - 1))
        guesses.append(abs(Luts(network).exact(architecture) / luts - 1))
    assert np.mean(errors) < 0.12
    assert np.mean(guesses) < 0.3


def test_columns_that_are_always_zero_cost_nothing():
    """Taps begin at zero: what reads them adds nothing."""
    space = chain().space()
    network = Network(space, LAYOUT)
    architecture = space.smallest()
    silent = simplify(lower(network.standalone(architecture, seed=0)))
    assert measures(silent)[0] < measures(drawn(architecture, network))[0]


def test_the_mean_of_a_mixture_is_the_mean_of_what_it_draws():
    space = chain(depths=(1,), widths=(4,), lookbacks=(2,)).space()
    luts = Luts(Network(space, LAYOUT))
    even = {c.name: torch.full((len(c.options),), 1 / len(c.options), dtype=torch.float64) for c in space.choices}
    every = list(space)
    assert len(every) == math.prod(len(c.options) for c in space.choices)
    assert float(luts.expected(even)) == pytest.approx(np.mean([luts.exact(a) for a in every]))


def test_the_mean_has_a_gradient_that_wants_fewer_bits():
    space = chain().space()
    luts = Luts(Network(space, LAYOUT))
    even = {c.name: torch.full((len(c.options),), 1 / len(c.options), dtype=torch.float64) for c in space.choices}
    for name in ("quant/weights", "quant/activations"):
        even[name].requires_grad_()
    luts.expected(even).backward()
    assert even["quant/weights"].grad is not None
    for name in ("quant/weights", "quant/activations"):
        grad = even[name].grad
        assert grad is not None
        assert grad[0] < grad[1]


@pytest.mark.parametrize("changes", [{"weight_bits": ()}, {"activation_bits": ("4", "float")}])
def test_a_space_that_may_be_float_is_refused(changes):
    with pytest.raises(SpaceError, match=r"may be float.*space\.weight_bits"):
        Luts(Network(chain(**changes).space(), LAYOUT))
