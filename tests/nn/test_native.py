"""Compiled paths against the layers one by one."""

from __future__ import annotations

import contextlib
import copy
import os

import numpy as np
import pytest
import torch

from tradenas import loader
from tradenas.nn import Mode, Network, hard, native
from tradenas.nn.inputs import Layout
from tradenas.nn.native import arena, build
from tradenas.nn.native import path as module
from tradenas.seeds import rng_for
from tradenas.space import Cell, Chain
from tradenas.splits import Span
from tradenas.train.moves import adamw, clipped
from tradenas.train.stream import stream

if os.environ.get("TRADENAS_NATIVE") == "0":
    pytest.skip("compiled paths: TRADENAS_NATIVE is 0", allow_module_level=True)
try:
    loader.compiler()
except loader.NoCompiler as error:
    pytest.skip(f"compiled paths: {error}", allow_module_level=True)

LAYOUT = Layout(groups=("a",) * 4 + ("b",) * 3, transforms=("zscore", "rank"))
OPS = (
    "dense", "conv3", "conv5", "dilated3", "separable3", "separable5", "residual", "gated", "skip", "ema4", "ema12",
    "mean5", "max5", "difference", "difference5",
)  # fmt: skip
SPACE = Chain(
    depths=(1, 2, 4), ops=OPS, widths=(8, 16, 40, 72), activations=("relu", "gelu", "tanh", "sigmoid", "leaky_relu"),
    norms=("none", "layer"), dropouts=(0.0, 0.2), lookbacks=(5, 20, 60), groups=("b",),
).space()  # fmt: skip
SCORED = 33


def space_of(**choices):
    """One option everywhere that is not asked for."""
    alone = {"activations": ("gelu",), "norms": ("none",), "dropouts": (0.0,), "transforms": ("zscore",), "groups": ()}
    return Chain(**{**alone, **choices}).space()


def network_of(space=SPACE, seed=1):
    network, generator = Network(space, LAYOUT, seed=seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def batch_of(network, architecture=None, segments=5, lead=()):
    generator = torch.Generator().manual_seed(0)
    rows = network.reach(architecture) - 1 + SCORED
    return torch.randn(*lead, segments, rows, 14, generator=generator)


def ways():
    return (contextlib.nullcontext(), native.off())


def passed(network, x, mixture, **mode):
    """Signals and gradients of the weights that are reached."""
    weights = dict(network.named_parameters())
    mode = {"training": True, "generator": torch.Generator().manual_seed(3), "scored": SCORED, **mode}
    signal = network(x, mixture, Mode(**mode))
    pull = torch.randn(signal.shape, generator=torch.Generator().manual_seed(4))
    found = torch.autograd.grad((signal * pull).sum(), list(weights.values()), allow_unused=True)
    return signal, {n: g for n, g in zip(weights, found, strict=True) if g is not None}


def same(one, other):
    torch.testing.assert_close(one[0], other[0], rtol=1e-4, atol=1e-5)
    assert one[1].keys() == other[1].keys()
    largest = max(float(g.abs().max()) for g in other[1].values())
    for name, gradient in other[1].items():
        torch.testing.assert_close(one[1][name], gradient, rtol=1e-3, atol=3e-6 * largest, msg=name)


def runs(network, x, mixture, **mode):
    return module.run_path(network, x, mixture, Mode(scored=SCORED, **mode)) is not None


def test_random_paths_forward_and_backward():
    network, rng, seen = network_of(), rng_for(0, "paths"), set()
    for _ in range(60):
        architecture = SPACE.sample(rng)
        mixture, x = hard(SPACE, architecture), batch_of(network, architecture)
        assert runs(network, x, mixture)
        same(*(passed(network, x, mixture) for way in ways() if not contextlib.ExitStack().enter_context(way)))
        seen |= {str(v) for v in architecture.values()}
    assert set(OPS) <= seen


@pytest.mark.parametrize("segments", [1, 2, 67])
def test_blocks_of_segments(segments):
    """Segments go through in blocks, the last of them smaller; a block is never more than there is."""
    network = network_of(space_of(depths=(2,), ops=("conv5",), widths=(40,), dropouts=(0.2,), lookbacks=(20,)))
    x = batch_of(network, segments=segments)
    same(passed(network, x, {}), _off(network, x, {}))


def _off(network, x, mixture, **mode):
    with native.off():
        return passed(network, x, mixture, **mode)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_stacked_networks(dropout):
    space = space_of(
        depths=(3,), ops=("separable3",), widths=(24,), norms=("layer",), dropouts=(dropout,), lookbacks=(20,)
    )
    members = [network_of(space, seed) for seed in (1, 2, 3)]
    stack = copy.deepcopy(members[0])
    rows = {
        name: torch.stack([m.get_parameter(name).detach() for m in members]) for name, _ in stack.named_parameters()
    }
    for name, stacked in rows.items():
        home, _, last = name.rpartition(".")
        setattr(stack.get_submodule(home), last, torch.nn.Parameter(stacked))
    x = batch_of(members[0], lead=(3,))

    def generators():
        return {"generator": None, "generators": tuple(torch.Generator().manual_seed(9 + n) for n in range(3))}

    assert runs(stack, x, {})
    one = passed(stack, x, {}, **generators())
    same(one, _off(stack, x, {}, **generators()))
    for n, member in enumerate(members):
        with torch.no_grad():
            mode = Mode(training=True, scored=SCORED, generator=torch.Generator().manual_seed(9 + n))
            torch.testing.assert_close(one[0][n], member(x[n], {}, mode), rtol=1e-4, atol=1e-5)


def test_a_series_in_chunks_with_shared_filters():
    network, rng = network_of(), rng_for(1, "series")
    x = torch.randn(700, 14, generator=torch.Generator().manual_seed(1))
    reach, memos = network.reach(), {}
    for _ in range(12):
        architecture = SPACE.sample(rng)
        mixture = hard(SPACE, architecture)
        memo = memos.setdefault((architecture["input/lookback"], architecture["input/transform"]), {})
        told = stream(network, x, mixture, Span(reach, 700), reach=reach, chunk=150, memo=memo)
        with native.off():
            plain = stream(network, x, mixture, Span(reach, 700), reach=reach)
        np.testing.assert_allclose(told, plain, rtol=1e-4, atol=2e-5)


def test_several_passes_before_a_backward_one():
    """Each call has its own memory until nobody can ask for its gradient any more."""
    network = network_of(space_of(depths=(2,), ops=("gated",), widths=(16,), lookbacks=(5,)))
    weights = list(network.parameters())
    xs = [batch_of(network) * scale for scale in (1.0, 2.0, 3.0)]
    outs = [network(x, {}, Mode(scored=SCORED)).square().sum() for x in xs]
    twice = [[torch.autograd.grad(out, weights, retain_graph=True) for out in outs] for _ in range(2)]
    for n, x in enumerate(xs):
        with native.off():
            alone = torch.autograd.grad(network(x, {}, Mode(scored=SCORED)).square().sum(), weights)
        for time in twice:
            torch.testing.assert_close(time[n], alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "sigmoid", "leaky_relu"])
def test_activations_over_their_whole_range(activation):
    network = Network(
        space_of(depths=(1,), ops=("dense",), widths=(8,), activations=(activation,), lookbacks=(1,)), LAYOUT
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.layers[0].ops["dense"].linear.weight[0, 0] = 1.0
        network.heads["1"].weight[0, 0] = 1.0
    x = torch.zeros(1, 4001, 14)
    x[0, :, 0] = torch.cat([torch.linspace(-30, 30, 3000), torch.linspace(-0.01, 0.01, 1001)])
    assert runs(network, x, {})
    told = network(x, {}, Mode(scored=4001))[0].detach()
    exact = getattr(torch.nn.functional, activation)(x[0, :, 0].double())
    torch.testing.assert_close(told.double(), exact, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "sigmoid", "leaky_relu"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_weight_that_is_no_number_is_heard(activation, dropout):
    """An activation that made a number of it would hide that a training has diverged."""
    network = network_of(
        space_of(
            depths=(1,), ops=("dense",), widths=(8,), activations=(activation,), dropouts=(dropout,), lookbacks=(1,)
        )
    )
    with torch.no_grad():
        network.layers[0].ops["dense"].linear.bias[:] = float("nan")
    x = batch_of(network, segments=1)
    assert runs(network, x, {})
    assert bool(network(x, {}, Mode(scored=SCORED)).isnan().all())


@pytest.mark.parametrize("op", ["max5", "gated", "residual"])
def test_a_row_that_is_no_number_is_heard(op):
    network = network_of(space_of(depths=(1,), ops=(op,), widths=(16,), lookbacks=(1,)))
    x = batch_of(network, segments=1)
    x[0, -10, 2] = float("nan")
    signal = network(x, {}, Mode(scored=SCORED))[0]
    with native.off():
        assert torch.equal(signal.isnan(), network(x, {}, Mode(scored=SCORED))[0].isnan())
    assert bool(signal[-10].isnan())


def test_what_has_no_compiled_form_runs_in_pytorch():
    chain = space_of(depths=(1,), ops=("dense", "gru"), widths=(8,), norms=("none", "batch"), lookbacks=(5,))
    network = network_of(chain)
    x = batch_of(network)
    paths = {"layer0/op": 0, "layer0/norm": 0}
    assert runs(network, x, paths)
    assert not runs(network, x, {**paths, "layer0/op": 1})
    assert not runs(network, x, {**paths, "layer0/norm": 1})
    assert not runs(network, x, {**paths, "layer0/op": torch.tensor([0.5, 0.5])})
    assert not runs(network, x[:, -SCORED:], paths)  # no history
    assert not runs(network.double(), x.double(), paths)
    cell = Network(Cell().space(), LAYOUT)
    assert not runs(cell, torch.zeros(2, cell.reach() - 1 + SCORED, 14), hard(cell.space, cell.space.smallest()))
    fixed = Network(space_of(depths=(1,), ops=("dense",), weight_bits=("4",), widths=(8,), lookbacks=(5,)), LAYOUT)
    assert not runs(fixed, torch.zeros(2, fixed.reach() - 1 + SCORED, 14), {})


def test_without_a_compiler_everything_runs_as_before(monkeypatch, caplog):
    def none():
        raise loader.NoCompiler("no C compiler (CC, gcc, clang) on PATH")

    monkeypatch.setattr(loader, "compiler", none)
    monkeypatch.setattr(build, "library", build.library.__wrapped__)
    network = network_of()
    architecture = SPACE.largest()
    x, mixture = batch_of(network, architecture), hard(SPACE, architecture)
    with caplog.at_level("INFO"):
        assert not runs(network, x, mixture)
    assert "no C compiler" in caplog.text
    assert network(x, mixture, Mode(scored=SCORED)).shape == (5, SCORED)


def test_it_can_be_switched_off(monkeypatch):
    assert build.library("path") is not None
    monkeypatch.setenv("TRADENAS_NATIVE", "0")
    assert build.library.__wrapped__("path") is None


def test_moves_are_those_of_torch():
    def moved(steps=30):
        generator = torch.Generator().manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in ((7, 5), (3,), (64, 33))]
        optimizer = adamw([(weights[::2], 0.1), (weights[1:2], 0.0)], lr=1e-2, betas=(0.9, 0.99))
        norms = []
        for step in range(steps):
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator) * (step % 3)
            if step % 7 == 0:
                weights[1].grad = None
            norms.append(clipped(weights, 1.0))
            optimizer.step()
        return weights, norms, optimizer.state_dict()["state"]

    ours = moved()
    with native.off():
        theirs = moved()
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-5)
    for at, state in theirs[2].items():
        assert ours[2][at].keys() == state.keys()
        torch.testing.assert_close(ours[2][at], state, rtol=1e-5, atol=1e-6)


def test_shrinking_taps_is_that_of_torch():
    def shrunk():
        network = network_of(space_of(depths=(1,), ops=("dense",), widths=(8,), lookbacks=(20,)))
        taps = network.inputs.taps
        taps.grad = torch.ones_like(taps)
        taps.grad[2, :5] = 0.0
        with torch.no_grad():
            taps[0, 0] = float("nan")
        network.inputs.shrink(0.03)
        return taps.detach()

    ours = shrunk()
    with native.off():
        torch.testing.assert_close(ours, shrunk(), equal_nan=True)
    assert bool((ours == 0).any())


def test_a_loaded_state_is_the_one_that_is_used():
    def one():
        weight = torch.nn.Parameter(torch.ones(40))
        return weight, adamw([([weight], 0.0)], lr=0.1, betas=(0.9, 0.99))

    def step(weight, optimizer, slope):
        weight.grad = torch.full((40,), slope)
        optimizer.step()

    (going, first), (fresh, second) = one(), one()
    for _ in range(3):
        step(going, first, 1.0)
    step(fresh, second, -5.0)  # it has moments of its own by now
    with torch.no_grad():
        fresh.copy_(going)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for optimizer, weight in ((first, going), (second, fresh)):
        step(weight, optimizer, 2.0)
    assert torch.equal(going, fresh)
    step(going, copy.deepcopy(first), 2.0)  # moves the weights of its own copy only
    assert torch.equal(going, fresh)


def test_equal_largest_rows_share_a_gradient():
    space = Chain(
        depths=(2,), ops=("dense", "max5"), widths=(8,), activations=("tanh",), norms=("none",), dropouts=(0.0,),
        transforms=("zscore",), lookbacks=(1,), groups=(),
    ).space()  # fmt: skip
    network, mixture = network_of(space), {"layer0/op": 0, "layer1/op": 1}
    x = batch_of(network)[:, ::3].repeat_interleave(3, dim=1)[:, -(SCORED + 4) :].contiguous()
    assert runs(network, x, mixture)
    same(passed(network, x, mixture), _off(network, x, mixture))


def test_a_gradient_of_the_inputs_is_had_from_pytorch():
    network = network_of(space_of(depths=(1,), ops=("dense",), widths=(8,), lookbacks=(5,)))
    x = batch_of(network).requires_grad_()
    network(x, {}, Mode(scored=SCORED)).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())


@pytest.mark.parametrize("op", ["skip", "residual", "dense"])
def test_a_network_that_some_inputs_were_left_out_of(op):
    """What is carried through keeps its place among the channels; such a path runs in PyTorch."""
    names = tuple(f"i{n}" for n in range(7))
    layout = Layout(groups=("a",) * 7, transforms=("zscore", "rank"), names=names)
    space = Chain(
        depths=(1,), ops=(op,), widths=(24,), activations=("gelu",), norms=("none",), dropouts=(0.0,),
        transforms=("zscore",), lookbacks=(5,), groups=(), features=("i2", "i5"),
    ).space(dict.fromkeys(names, "a"))  # fmt: skip
    off = {"input/feature/i2": "off"}
    network = Network(space, layout, seed=1)
    architecture = space.walk(lambda choice: off.get(choice.name, choice.options[-1]))
    alone = network.inherit(space.fix(architecture))
    with torch.no_grad():
        for parameter in alone.parameters():
            parameter += 0.1
    assert alone.inputs.features < 7
    x = torch.randn(3, alone.reach() - 1 + SCORED, 14, generator=torch.Generator().manual_seed(0))
    assert runs(alone, x, {}) == (op == "dense")
    same(passed(alone, x, {}), _off(alone, x, {}))


def test_memory_is_used_again_and_bounded(monkeypatch):
    monkeypatch.setattr(arena, "_free", {})
    monkeypatch.setattr(arena, "_held", 0)
    first = arena.Arena(100_000).address
    assert arena.Arena(99_000).address == first  # of nearly the same size
    for floats in range(200_000, 4_000_000, 150_000):
        arena.Arena(floats)
        held = sum(4 * len(m) for waiting in arena._free.values() for m in waiting)
        assert held == arena._held <= arena.KEPT_BYTES
    arena.Arena(arena.KEPT_BYTES)  # four times as many bytes: not kept
    assert arena._held <= arena.KEPT_BYTES
