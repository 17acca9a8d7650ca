"""A quantised network and its program give the same bits; the grid of every value is what the proof says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from tradenas.errors import SpaceError
from tradenas.formats.grid import SINGLE, check_exact, fraction_of, grids
from tradenas.formats.lower import lower
from tradenas.formats.program import Input, Pointwise, Program, Quantise, Taps
from tradenas.formats.reference import apply, run_series, run_windows
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import FIXED_POINT, Cell, Chain, Fixed

LAYOUT = Layout(
    groups=("returns", "returns", "trend", "volume"), transforms=("zscore",), names=("a", "b", "c", "d")
)  # fmt: skip
COMMON = {
    "norms": ("none",), "lookbacks": (3, 8), "groups": ("trend",), "features": ("d",),
    "weight_bits": ("8", "6", "4", "3", "2", "ternary", "binary"), "activation_bits": ("8", "6", "5", "4", "3"),
    "sparsities": (0.0, 0.5, 0.75),
}  # fmt: skip
INDICATORS = dict(zip(LAYOUT.names, LAYOUT.groups, strict=True))
SPACES = {
    "chain": Chain(
        depths=(1, 2, 3), widths=(4, 8, 16), ops=tuple(o for o in FIXED_POINT if o != "zero"), **COMMON
    ).space(INDICATORS),
    "cell": Cell(
        cells=(1, 2), nodes=2, widths=(4, 8), ops=("zero", "skip", "dense", "separable3", "gated", "difference"),
        activations=("relu", "tanh"), **COMMON,
    ).space(INDICATORS),
}  # fmt: skip


def drawn(kind: str, number: int) -> Network:
    rng = rng_for(number, "quantised", kind)
    network = Network(SPACES[kind].fix(SPACES[kind].sample(rng)), LAYOUT, seed=number)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.from_numpy(rng.standard_normal(parameter.shape)).float()
            parameter.add_(noise * float(rng.choice([0.05, 0.3])))
    return network


def rows(number: int, count: int = 400) -> torch.Tensor:
    x_TF = rng_for(number, "rows").standard_normal((count, 4)) * 2.5
    x_TF[::7] = np.round(x_TF[::7] * 32) / 32  # on the border between two steps
    return torch.from_numpy(x_TF).float()


@pytest.mark.parametrize("kind", SPACES)
def test_the_same_bits_in_windows_in_a_series_and_in_the_network(kind):
    distinct = 0
    for number in range(15):
        network = drawn(kind, number)
        for program in (lower(network), simplify(lower(network))):
            check_exact(program)
            x_TF = rows(number)
            x_TC = x_TF[:, list(program.columns)].numpy()
            with torch.no_grad():
                said_T = network(x_TF[None])[0].double().numpy()
            ready = slice(program.reach - 1, None)
            assert np.array_equal(run_series(program, x_TC)[ready], said_T[ready])
            windows = np.lib.stride_tricks.sliding_window_view(x_TC, program.reach, axis=0).transpose(0, 2, 1)
            assert np.array_equal(run_windows(program, windows), said_T[ready])
            with torch.no_grad():
                each = torch.from_numpy(windows.copy())
                whole = torch.zeros(len(windows), program.reach, 4)
                whole[:, :, list(program.columns)] = each
                assert np.array_equal(network(whole)[:, -1].double().numpy(), said_T[ready])
        distinct += len(np.unique(said_T[ready]))
    assert distinct > 15 * 60


def before(x_TC, lag):
    return np.concatenate([np.zeros_like(x_TC[:lag]), x_TC[: len(x_TC) - lag]])


@pytest.mark.parametrize("kind", SPACES)
def test_values_lie_on_their_grids(kind):
    for number in range(10):
        program = lower(drawn(kind, number))
        found, x_TC = grids(program), rows(number)[:, list(program.columns)].double().numpy()
        values = {program.steps[0].name: x_TC}
        for step in program.steps[1:]:
            values[step.name] = apply(step, {n: partial(before, values[n]) for n in step.reads})
        for name, grid in found.items():
            steps = values[name] * 2.0**grid.fraction
            assert np.array_equal(steps, np.round(steps))
            assert (values[name] >= grid.low_C).all()
            assert (values[name] <= grid.high_C).all()
            fixed = grid.fixed
            assert fixed.low <= values[name].min() <= values[name].max() <= fixed.high
            assert grid.most <= SINGLE
        assert program.output in found


@pytest.mark.parametrize("op", ["mingru", "mingru8", "mingru4"])
def test_a_minimal_gru_leaves_as_a_state_for_each_row(op):
    space = Chain(depths=(2,), widths=(5,), ops=(op,), norms=("none",), lookbacks=(3,), dropouts=(0.0,)).space()
    network = Network(space, LAYOUT, seed=1).double()
    program, x_TF = lower(network), rows(3).double()
    with torch.no_grad():
        said_T = network(x_TF[None])[0].numpy()
    ready = slice(program.reach - 1, None)
    np.testing.assert_allclose(run_series(program, x_TF.numpy())[ready], said_T[ready], rtol=1e-10, atol=1e-12)
    assert program.reach == network.reach(space.smallest()) == 3 + 2 * (network.layers[0].ops[op].rows - 1)
    assert max(program.history()[s.name] for s in program.steps[1:]) == 1  # each state of the row before, no more


def test_what_is_not_exact_is_named():
    space = Chain(
        depths=(1,), widths=(8,), ops=("dense",), norms=("none",), lookbacks=(3,), weight_bits=("8",),
        activation_bits=("8",),
    ).space()  # fmt: skip
    program = lower(Network(space.fix(space.smallest()), LAYOUT))
    check_exact(program)
    steps = [replace(s, weight=s.weight + 0.1) if s.name == "head" else s for s in program.steps]
    with pytest.raises(SpaceError, match=r"\(head\): got a convolution of numbers on no grid"):
        check_exact(replace(program, steps=tuple(steps)))
    steps = [replace(s, bias=s.bias + 2.0**14) if s.name == "head" else s for s in program.steps]
    with pytest.raises(SpaceError, match=r"\(head\): got sums of .* steps, expected fixed point"):
        check_exact(replace(program, steps=tuple(steps)))
    bare = Pointwise(name="bare", reads=(program.output,), channels=1, function="tanh")
    with pytest.raises(SpaceError, match=r"\(bare\)"):
        check_exact(Program(steps=(*program.steps, bare), output="bare", columns=program.columns))
    unrounded = Chain(depths=(1,), widths=(8,), ops=("dense",), norms=("none",), lookbacks=(3,)).space()
    with pytest.raises(SpaceError, match=r"\(filters\)"):
        check_exact(lower(Network(unrounded, LAYOUT).standalone(unrounded.smallest(), seed=0)))


def test_rows_before_the_first_are_on_the_way_too():
    x = Input(name="x", channels=1)
    q = Quantise(name="q", reads=("x",), channels=1, fixed=Fixed(1, 0, 2))
    high = Taps(name="high", reads=("q",), channels=1, weight=np.ones((1, 1, 1)), bias=np.array([5.0]), at=(0,))
    last = Taps(name="last", reads=("high",), channels=1, weight=np.ones((1, 1, 2)), bias=np.zeros(1), at=(0, 1))
    found = grids(Program(steps=(x, q, high, last), output="last", columns=(0,)))
    assert (found["high"].low_C, found["high"].high_C) == (4.0, 5.75)
    assert (found["last"].low_C, found["last"].high_C) == (0.0, 11.5)
    assert found["last"].fixed == Fixed(0, 4, 2)


def test_depthwise_weights_are_not_pruned_and_have_six_bits():
    space = Chain(
        depths=(1,), widths=(8,), ops=("separable3",), norms=("none",), lookbacks=(3,), weight_bits=("ternary",),
        activation_bits=("6",), sparsities=(0.75,), dropouts=(0.0,), activations=("relu",),
    ).space()  # fmt: skip
    program = lower(Network(space, LAYOUT))
    assert (program["layer0/separable3/depthwise"].weight == 0).sum() < 6  # of 24
    assert (program["layer0/separable3"].weight == 0).sum() >= 48  # of 64
    assert len(np.unique(program["layer0/separable3/depthwise"].weight)) > 10
    assert len(np.unique(program["layer0/separable3"].weight)) == 3


def test_weights_leave_rounded_and_pruned():
    space = SPACES["chain"]
    picked = {**space.largest(), "quant/weights": "4", "quant/activations": "5", "quant/sparsity": 0.75}
    picked |= {"layer0/op": "conv3", "layer1/op": "dense", "layer2/op": "conv5", "input/feature/d": "on"}
    for i in range(3):
        picked |= {f"layer{i}/activation": "relu", f"layer{i}/norm": "none", f"layer{i}/dropout": 0.0}
    network = Network(space.fix(picked), LAYOUT, seed=3)
    program = lower(network)
    for name in ("layer0/conv3", "layer1/dense", "layer2/conv5"):
        weight = program[name].weight
        assert int((weight == 0).sum()) >= int(0.75 * weight.size)
        assert len(np.unique(weight)) <= 16
        assert fraction_of(weight) <= 7
    assert len(np.unique(program["head"].weight)) > 4
    assert sum(isinstance(step, Quantise) for step in program.steps) == 2 + 3
