"""Compiled cells against merged and unmerged ones in PyTorch."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest
import torch

from nn.test_merge import CELL_OPS, LAYOUT, SCORED, SETS, World, cell, error, one_by_one
from tradenas import loader
from tradenas.errors import ConfigError
from tradenas.nn import Mode, Network, hard, native
from tradenas.nn.native import build
from tradenas.nn.native import cells as module
from tradenas.nn.native.tables import _runs
from tradenas.search.parts.relaxation import softmax
from tradenas.seeds import rng_for
from tradenas.space import Cell

if os.environ.get("TRADENAS_NATIVE") == "0":
    pytest.skip("compiled cells: TRADENAS_NATIVE is 0", allow_module_level=True)
try:
    loader.compiler()
except loader.NoCompiler as error_:
    pytest.skip(f"compiled cells: {error_}", allow_module_level=True)

AUTHORS = ("zero", "skip", "conv3", "conv5", "separable3", "separable5", "dilated3", "mean5", "max5")
BLUEPRINTS = {
    "no norm": cell(norms=("none",), cells=(1,)),
    "layer norm": cell(cells=(3,), nodes=3),
    "batch norm, maxima": cell(AUTHORS, norms=("batch",), widths=(32,), cells=(2,)),
    "wide": cell(widths=(20,), activations=("tanh",)),
    "gelu": cell(activations=("gelu",), nodes=3),
    "leaky": cell(activations=("leaky_relu",), norms=("none",)),
    "weightless": cell(SETS["weightless"], norms=("batch",)),
    "no lags to share": cell(SETS["no lags to share"], activations=("sigmoid",)),
    "long averages": cell(("skip", "ema26", "ema12", "dense", "separable5"), widths=(17,)),
    "one input, last node": cell(output="last", inputs=1, take=0),
    "dropout": cell(dropouts=(0.4,), cells=(2,)),
}  # fmt: skip


@pytest.fixture
def calls(monkeypatch):
    """How often compiled code ran forward, and backward with what was wanted of it."""
    found, forward, backward = [], module._Call.forward, module._Call.backward
    monkeypatch.setattr(module._Call, "forward", lambda self, given: (found.append(0), forward(self, given))[1])
    monkeypatch.setattr(
        module._Call, "backward", lambda self, given, g, want: (found.append(want), backward(self, given, g, want))[1]
    )
    return found


def both(blueprint, mix=None):
    """Of compiled code and of PyTorch, in float32."""
    found = World(blueprint, torch.float32, mix=mix).numbers()
    with native.off():
        return found, World(blueprint, torch.float32, mix=mix).numbers()


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_compiled_is_merged(name, calls):
    """Signals, and gradients in weights and alphas; what gets none in PyTorch gets none here."""
    found, want = both(BLUEPRINTS[name])
    assert calls == [0, 3, 0]
    near = 3e-5 if name == "gelu" else 1e-5  # its erf is good to some units in the last place
    assert error(found[0], want[0]) < 1e-6
    assert error(found[1], want[1]) < near
    assert error(found[2], want[2]) < near
    assert found[3] == want[3]


def test_compiled_is_one_by_one(calls):
    """And as far from float64 as the ops one by one in PyTorch are."""
    blueprint = cell(AUTHORS, nodes=3, norms=("layer",), widths=(16,))
    with native.off():
        apart = World(blueprint, torch.float32, mix=one_by_one).numbers()
    found, truth = World(blueprint, torch.float32).numbers(), World(blueprint).numbers()
    assert calls == [0, 3, 0]
    for a, b, want in zip(found[:3], apart[:3], truth[:3], strict=True):
        assert error(a, b) < 1e-5
        assert error(a.double(), want) < max(1e-6, 4 * error(b.double(), want))


def twice(blueprint, dtype=torch.float32, wanted=("weights", "alphas"), *, constant=False):
    """The derivative of gradients along a drawn direction, in weights and in alphas; and the gradients."""
    world, generator = World(blueprint, dtype), torch.Generator().manual_seed(9)
    if constant:
        world.batches[0].x_BTF[:] = world.batches[0].x_BTF[:, :1]
    weights = {n: w.detach().requires_grad_("weights" in wanted) for n, w in world.weights.items()}
    alphas = {n: a.detach().requires_grad_("alphas" in wanted) for n, a in world.alphas.items()}
    given = [t for t in (*weights.values(), *alphas.values()) if t.requires_grad]
    first = torch.autograd.grad(world.losses()[0](weights, alphas), given, create_graph=True, allow_unused=True)
    along = [torch.randn(t.shape, generator=generator, dtype=torch.float64).to(dtype) for t in given]
    total = sum((g * v).sum() for g, v in zip(first, along, strict=True) if g is not None)
    found = torch.autograd.grad(total, given, allow_unused=True)
    both = [torch.cat([g.detach().flatten() for g in each if g is not None]) for each in (found, first)]
    return both[0], [g is None for g in found], both[1]


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_second_derivatives(name, calls):
    """Of weights and alphas at once, and of alphas alone; of ReLUs and maxima too, which have kinks."""
    for wanted in (("weights", "alphas"), ("alphas",)):
        found, missing, _ = twice(BLUEPRINTS[name], wanted=wanted)
        assert calls == [0, *[3 if len(wanted) > 1 else 2] * 2]  # back again, as the loss is no straight line
        with native.off():
            want, others, _ = twice(BLUEPRINTS[name], wanted=wanted)
        assert error(found, want) < (3e-5 if name == "gelu" else 1e-5)
        assert missing == others
        calls.clear()


def test_rows_that_are_alike_share_the_gradient_of_their_maximum():
    blueprint = cell(AUTHORS, norms=("none",), activations=("tanh",), nodes=3)
    found = twice(blueprint, constant=True)
    with native.off():
        want = twice(blueprint, constant=True)
    assert error(found[2], want[2]) < 1e-5
    assert error(found[0], want[0]) < 1e-5


def test_a_third_derivative_is_refused():
    world = World(cell(), torch.float32)
    alphas = {n: a.detach().requires_grad_() for n, a in world.alphas.items()}
    first = torch.autograd.grad(world.losses()[0](world.weights, alphas), list(alphas.values()), create_graph=True)
    with pytest.raises(ConfigError, match="third derivative"):
        torch.autograd.grad(sum(g.square().sum() for g in first), list(alphas.values()), create_graph=True)


@pytest.mark.parametrize("product", ["finite", "exact"])
def test_second_order_of_a_search(product, calls):
    """By finite differences of compiled passes, and exact."""
    blueprint = cell(activations=("tanh",), nodes=3)
    found, want = World(blueprint, torch.float32).hypergradient(product), World(blueprint).hypergradient("exact")
    assert len([c for c in calls if c == 0]) == {"finite": 4, "exact": 2}[product]
    assert error(found.double(), want) < {"finite": 0.05, "exact": 1e-4}[product]


@pytest.mark.parametrize("which", ["weights", "alphas"])
def test_only_what_is_wanted(which, calls):
    blueprint = cell(cells=(3,), nodes=3)
    gradients = []
    for on in (True, False):
        world = World(blueprint, torch.float32)
        weights = {n: w.detach().requires_grad_(which == "weights") for n, w in world.weights.items()}
        alphas = {n: a.detach().requires_grad_(which == "alphas") for n, a in world.alphas.items()}
        with nullcontext() if on else native.off():
            loss = world.losses()[0](weights, alphas)
            asked = list((weights if which == "weights" else alphas).values())
            gradients.append([g for g in torch.autograd.grad(loss, asked, allow_unused=True) if g is not None])
    assert calls == [0, 1 if which == "weights" else 2]
    for found, want in zip(*gradients, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-6)


def test_edges_that_are_closed_and_shares_of_ways(calls):
    """Weights of 0 and of ways in between; ops that differ from edge to edge, as P-DARTS leaves them."""
    space = (
        cell((*CELL_OPS, "max5"), nodes=3)
        .space()
        .restrict(
            {"cell/edge0-2/op": ["conv3", "ema4"], "cell/edge0-3/op": ["max5", "ema4"], "cell/edge2-3/op": ["dilated3"]}
        )
    )
    world = World(type("Given", (), {"space": lambda self=None: space}), torch.float32)
    mixture = softmax(world.alphas)
    mixture["cell/edge1-3/op"] = torch.zeros(len(space["cell/edge1-3/op"].options))
    mixture["cell/node4/from"] = torch.tensor([0.0, 0.5, 0.25, 2.0])
    signals, gradients = [], []
    for on in (True, False):
        with nullcontext() if on else native.off():
            signals.append(world.network(world.batches[0].x_BTF, mixture, Mode(training=True, scored=SCORED)))
        world.network.zero_grad()
        signals[-1].square().sum().backward()
        gradients.append([None if w.grad is None else w.grad.clone() for w in world.weights.values()])
    assert calls == [0, 1]
    torch.testing.assert_close(*signals, rtol=1e-5, atol=1e-5)
    for found, want in zip(*gradients, strict=True):
        assert (found is None) == (want is None)
        if want is not None:
            torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)


def test_a_narrower_width_and_a_shorter_lookback_are_slices(calls):
    space = Cell(ops=CELL_OPS, follow="sum", nodes=2, widths=(4, 20), lookbacks=(3, 9), transforms=("raw",)).space()
    world = World(type("Given", (), {"space": lambda self=None: space}), torch.float32)
    mixture = {**softmax(world.alphas), "cell/width": 0, "input/lookback": 0}
    found = world.network(world.batches[0].x_BTF, mixture, Mode(scored=SCORED))
    gradients = torch.autograd.grad(found.square().sum(), list(world.weights.values()), allow_unused=True)
    with native.off():
        want = world.network(world.batches[0].x_BTF, mixture, Mode(scored=SCORED))
    others = torch.autograd.grad(want.square().sum(), list(world.weights.values()), allow_unused=True)
    assert calls == [0, 1]
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients, others, strict=True):
        if b is None:
            assert a is None
        else:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_network_of_one_architecture(calls):
    """Ops without an alternative weigh 1."""
    world = World(cell(nodes=3), torch.float32)
    alone = world.network.standalone(world.space.sample(rng_for(4, "alone")), seed=3)
    rows = torch.randn(3, alone.reach() + SCORED - 1, 2, generator=torch.Generator().manual_seed(2))
    results = []
    for on in (True, False):
        with nullcontext() if on else native.off():
            signal_BS = alone(rows, {}, Mode(training=True, scored=SCORED))
        gradients = torch.autograd.grad(signal_BS.square().sum(), list(alone.parameters()))
        results.append([signal_BS, *gradients])
    assert calls == [0, 1]
    for found, want in zip(*results, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)


def test_calls_do_not_share_memory():
    """Two passes forward before the first goes backward; what is kept of the earlier is not written over."""
    world = World(cell(), torch.float32)
    losses = world.losses()
    alphas = {n: a.detach().requires_grad_() for n, a in world.alphas.items()}

    def gradient(of):
        return torch.cat([g.flatten() for g in torch.autograd.grad(of, list(alphas.values()))])

    alone = [gradient(loss(world.weights, alphas)) for loss in losses]
    first, second = (loss(world.weights, alphas) for loss in losses)
    assert torch.equal(gradient(second), alone[1])
    assert torch.equal(gradient(first), alone[0])
    assert not torch.equal(*alone)


def test_what_is_not_a_number_stays_so(calls):
    world = World(cell(AUTHORS), torch.float32)
    x_BTF = world.batches[0].x_BTF.clone()
    x_BTF[1, -1, 0] = float("nan")
    signal_BS = world.network(x_BTF, softmax(world.alphas), Mode(scored=SCORED))
    assert calls == [0]
    assert signal_BS[1, -1].isnan()
    assert signal_BS[0].isfinite().all()


ASIDE = {
    "float64": (cell(), {"dtype": torch.float64}),
    "an op that does not merge": (cell(("skip", "gated", "conv3", "dense")), {}),
    "an op without weights that is not known": (cell(("skip", "relative", "conv3")), {}),
    "norms after each op": (cell(follow="each"), {}),
    "another mix": (cell(), {"mix": one_by_one}),
    "widths by weights": (cell(widths=(2, 4)), {}),
    "norms by weights": (cell(norms=("layer", "none")), {}),
    "ways by cells": (cell(cells=(1, 2)), {}),
}


@pytest.mark.parametrize("name", ASIDE)
def test_pytorch_does_the_rest(name, calls):
    blueprint, more = ASIDE[name]
    World(blueprint, **{"dtype": torch.float32, **more}).numbers()
    assert calls == []


def test_pytorch_where_rows_or_the_compiler_are_missing(calls, monkeypatch):
    world = World(cell(), torch.float32)
    mixture, x_BTF = softmax(world.alphas), world.batches[0].x_BTF
    mode = Mode(training=True, scored=SCORED)
    found = world.network(x_BTF, mixture, mode)
    assert calls == [0]
    for x, other, how in (
        (x_BTF[:, 1:], mixture, mode),  # zeros are in front
        (x_BTF, mixture, Mode()),
        (x_BTF, hard(world.space, world.space.smallest()), mode),
    ):
        world.network(x, other, how)
    assert calls == [0]
    monkeypatch.setattr(build, "library", lambda name: None)
    torch.testing.assert_close(world.network(x_BTF, mixture, mode), found, rtol=1e-5, atol=1e-5)
    assert calls == [0]


def test_copies_and_new_weights_are_their_own(calls):
    """A plan knows where weights are looked up, not what they were."""
    world = World(cell(), torch.float32)
    mixture, x_BTF, mode = softmax(world.alphas), world.batches[0].x_BTF, Mode(scored=SCORED)
    before = world.network(x_BTF, mixture, mode)
    other = Network(world.space, LAYOUT, seed=2)
    other.load_state_dict(world.network.state_dict())
    assert torch.equal(other(x_BTF, mixture, mode), before)
    with torch.no_grad():
        for weight in world.network.parameters():
            weight.mul_(0.9)
    assert not torch.equal(world.network(x_BTF, mixture, mode), before)
    assert torch.equal(other(x_BTF, mixture, mode), before)
    assert calls == [0] * 4


def test_lags_stand_in_runs():
    assert list(_runs([8, 4, 2, 1, 0])) == [[8, 4, 0], [2, 1]]
    assert list(_runs([8, 4, 3, 2, 1, 0])) == [[4, 3, 2, 1, 0], [8]]
    assert list(_runs([0])) == [[0]]
    assert list(_runs([7, 3])) == [[7, 3]]
