"""Rounding: exactly what integer arithmetic says, with the gradients that training needs."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.nn.activations import ACTIVATIONS
from tradenas.nn.quant import fixed_point, quantised_weight, tabled, through
from tradenas.space.fixed import Fixed, activation_format, table_format

floats = st.floats(-40, 40, width=32)
formats = st.builds(Fixed, st.just(1), st.integers(-1, 4), st.integers(1, 9)) | st.builds(
    Fixed, st.just(0), st.integers(0, 4), st.integers(1, 9)
)


@settings(max_examples=300, deadline=None)
@given(floats, formats)
def test_fixed_point_is_integer_arithmetic(x, fixed):
    exact = Fraction(x) * 2**fixed.fraction
    steps = math.floor(exact + Fraction(1, 2))
    steps = min(max(steps, -(2 ** (fixed.integer + fixed.fraction)) * fixed.sign), 2 ** (fixed.bits - fixed.sign) - 1)
    assert Fraction(float(fixed_point(torch.tensor(x), fixed))) == Fraction(steps) / 2**fixed.fraction


def test_halves_go_up_and_just_below_does_not():
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert fixed_point(torch.tensor([below, 0.5, -0.5, -1.5]), Fixed(1, 3, 0)).tolist() == [0.0, 1.0, 0.0, -1.0]


def test_gradients_pass_inside_the_range_only():
    x = torch.tensor([-9.0, -8.0, -0.3, 7.9, 8.5], requires_grad=True)
    (fixed_point(x, Fixed(1, 3, 4)) * torch.arange(1.0, 6.0)).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]
    w = torch.tensor([[0.9, -0.2, 0.05, 0.4]], requires_grad=True)
    for option, share in (("3", 0.5), ("ternary", 0.0), ("binary", 0.75), ("float", 0.5)):
        (gradient,) = torch.autograd.grad((quantised_weight(w, option, share) * 3.0).sum(), w)
        assert gradient.tolist() == [[3.0] * 4]


def test_gradients_of_gradients():
    x = torch.tensor([0.3, 1.4], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(fixed_point(x, Fixed(1, 3, 2)).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    rounded = torch.tensor([0.25, 1.5], dtype=torch.float64)
    assert torch.equal(first, 3 * rounded**2)
    assert torch.equal(second, 6 * rounded)
    assert torch.equal(through(x, torch.zeros(2)), torch.zeros(2))


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@settings(max_examples=60, deadline=None)
@given(w=st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=12))
def test_weights_of_some_bits(w, bits):
    w = torch.tensor(w)
    q, largest = quantised_weight(w, str(bits)), float(w.abs().max())
    above = max(-4, math.ceil(math.log2(largest))) if largest else 0
    step = 2.0 ** (above - bits + 1)
    steps = q / step
    assert torch.equal(steps, steps.round())
    assert float(steps.min()) >= -(2 ** (bits - 1))
    assert float(steps.max()) <= 2 ** (bits - 1) - 1
    assert bool(((q - w).abs() <= step * (1.0 if largest > 2.0**above - step else 0.5)).all())


def test_ternary_and_binary_weights_are_those_of_the_papers():
    w = torch.randn(40, 30, generator=torch.Generator().manual_seed(1)) * 0.3
    threshold = 0.7 * float(w.abs().mean())
    scale = 2.0 ** round(math.log2(float(w.abs()[w.abs() > threshold].mean())))
    assert torch.equal(quantised_weight(w, "ternary"), torch.where(w.abs() > threshold, torch.sign(w) * scale, 0.0))
    scale = 2.0 ** round(math.log2(float(w.abs().mean())))
    assert torch.equal(quantised_weight(w, "binary"), torch.where(w >= 0, scale, -scale))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
def test_the_smallest_weights_are_cut_and_no_others(share):
    w = torch.randn(7, 9, generator=torch.Generator().manual_seed(2))
    q = quantised_weight(w, "float", share)
    assert int((q == 0).sum()) == int(share * 63)
    assert float(w[q == 0].abs().max()) < float(w[q != 0].abs().min())
    assert torch.equal(q[q != 0], w[q != 0])
    assert int((quantised_weight(w, "binary", share) == 0).sum()) == int(share * 63)
    tied = quantised_weight(torch.ones(8), "float", share)
    assert int((tied == 0).sum()) == int(share * 8)


def test_closed_channels_have_no_say():
    w = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    w[3], w[:, 4] = 50.0, 70.0
    open_ = torch.ones(4, 5, dtype=torch.bool)
    open_[3], open_[:, 4] = False, False
    for option in ("float", "8", "4", "ternary", "binary"):
        for share in (0.0, 0.5):
            alone = quantised_weight(w[:3, :4], option, share)
            assert torch.equal(quantised_weight(w, option, share, open_=open_)[:3, :4], alone)


def test_stacked_weights_are_rounded_one_by_one():
    w = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(4)) * torch.tensor([0.1, 1.0, 7.0]).view(3, 1, 1)
    for option in ("8", "3", "ternary", "binary"):
        each = torch.stack([quantised_weight(part, option, 0.5) for part in w])
        assert torch.equal(quantised_weight(w, option, 0.5, stacked=True), each)


@pytest.mark.parametrize("function", ["tanh", "sigmoid", "gelu", "leaky_relu"])
@pytest.mark.parametrize("bits", [3, 5, 8])
def test_tables_hold_the_rounded_function(function, bits):
    source, out = table_format(bits), activation_format(bits, function)
    x = torch.arange(source.low - 1, source.high + 1, source.step / 4)
    y = tabled(x, function, bits)
    inside = (ACTIVATIONS[function](fixed_point(x, source).double()) * 2.0**out.fraction + 0.5).floor() * out.step
    assert torch.equal(y.double(), inside.clamp(out.low, out.high))
    assert len(y.unique()) <= 2**source.bits
    assert source.bits == bits + 1


def test_tables_pass_the_slope_of_their_function():
    x = torch.tensor([-0.5, 0.25, 9.0], requires_grad=True)
    tabled(x, "tanh", 5).sum().backward()
    assert x.grad.tolist() == pytest.approx([1 - math.tanh(0.5) ** 2, 1 - math.tanh(0.25) ** 2, 0.0])
