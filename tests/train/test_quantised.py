"""Quantised networks are trained, stacked, searched and traded like any other, and what is traded is what leaves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conformance.test_methods import small
from search.worlds import Told, space, task
from tradenas.formats.grid import check_exact
from tradenas.formats.lower import lower
from tradenas.formats.reference import run_windows
from tradenas.nn import Layout, Mode, Network
from tradenas.search.base import run_search
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.stack import Stack
from tradenas.train.stacked import Job, fit_stacked, stackable
from train.datasets import make_dataset

SPACE = Chain(
    depths=(2,), ops=("dense", "conv3", "separable3", "residual", "gated"), widths=(6,), norms=("none",),
    activations=("relu", "tanh"), dropouts=(0.0,), lookbacks=(4,), transforms=("raw",), groups=("returns",),
    weight_bits=("4", "ternary", "binary"), activation_bits=("5",), sparsities=(0.0, 0.5),
).space()  # fmt: skip
LAYOUT = Layout(groups=("returns", "trend", "trend"), transforms=("raw",))
QUICK = Training(epochs=6, segment=16, batch=128, lr=1e-2, holdout=0.0)


def architecture(**want):
    want = {name.replace("__", "/"): option for name, option in want.items()}
    return SPACE.walk(lambda c: want.get(c.name, c.options[-1]))


@pytest.fixture(scope="module")
def data():
    torch.set_num_threads(1)
    return make_dataset(rows=1400, features=3, planted="feature", strength=0.6, seed=1)


@pytest.mark.parametrize("weights", ["4", "ternary"])
def test_it_learns_and_its_signals_are_those_of_its_program(data, weights):
    a = architecture(layer0__op="conv3", layer1__op="residual", quant__weights=weights)
    fitted = fit(Network(SPACE, LAYOUT), a, data, Span(0, 1000), training=QUICK, seed=2)
    later = Span(1000, 1390)
    signal_T = fitted.signals(data, later)
    assert np.corrcoef(signal_T, data.bar_return_T[later.slice])[0, 1] > 0.4  # of 0.6 that is there
    program = lower(fitted.network)
    check_exact(program)
    windows = np.lib.stride_tricks.sliding_window_view(data.x_TF, program.reach, axis=0).transpose(0, 2, 1)
    windows = windows[later.start - program.reach + 1 : later.stop - program.reach + 1][:, :, list(program.columns)]
    said = run_windows(program, windows) * data.volatility_T[later.slice] * fitted.objective.scale
    assert np.array_equal(said, signal_T)


@pytest.mark.parametrize("closed", ["on", "off"])
@pytest.mark.parametrize("op", ["conv3", "separable3", "residual", "gated"])
def test_stacked_networks_say_bit_for_bit_what_each_of_them_says(op, closed):
    a = architecture(layer0__op=op, layer1__op=op, quant__weights="4", input__group__returns=closed)
    networks = [Network(SPACE, LAYOUT).standalone(a, seed=seed) for seed in range(3)]
    for network in networks:
        torch.nn.init.normal_(network.inputs.taps, std=0.1, generator=torch.Generator().manual_seed(3))
    assert stackable(networks[0])
    stack = Stack(networks)
    x_NBTF = torch.randn(3, 2, 30, 3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(stack.run(x_NBTF, Mode()), torch.stack([n(x) for n, x in zip(networks, x_NBTF, strict=True)]))
    stack.differentiate(stack.run(x_NBTF, Mode()).square().mean((1, 2)))
    for n, network in enumerate(networks):
        network(x_NBTF[n]).square().mean().backward()
        each = torch.cat([p.grad.flatten() for p in network.parameters()])
        torch.testing.assert_close(torch.cat([g[n].flatten() for g in stack.gradients]), each, rtol=1e-4, atol=1e-5)


def test_a_stack_trains_quantised_networks(data):
    a = architecture(layer0__op="conv3", layer1__op="dense", quant__weights="4")
    template = Network(SPACE, LAYOUT)
    jobs = [Job(data=data, train=Span(0, 1000), seed=seed) for seed in (0, 1)]
    for job, fitted in zip(jobs, fit_stacked(template, a, jobs, training=QUICK), strict=True):
        alone = fit(template, a, data, job.train, training=QUICK, seed=job.seed)
        together, by_itself = (f.signals(data, Span(1000, 1390)) for f in (fitted, alone))
        assert np.corrcoef(together, by_itself)[0, 1] > 0.95  # a weight on the border of a step may fall either way


@pytest.mark.parametrize("kind", ["spos", "darts"])
def test_searches_choose_bits(kind, tmp_path):
    choices = space(
        ops=("dense", "conv3"), norms=("none",), lookbacks=(5,), weight_bits=("float", "4", "ternary"),
        activation_bits=("6", "4"), sparsities=(0.0, 0.5),
    )  # fmt: skip
    candidates = run_search(small(kind, epochs=3, segment=32, batch=128), task(Told(), choices=choices), tmp_path)
    ics = [c.scores["ic"] for c in candidates if c.scores]
    assert np.median(ics[:5]) > 0.35  # of 0.6 that is there
    assert len({c.architecture["quant/weights"] for c in candidates}) > 1
