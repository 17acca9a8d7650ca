"""A lowered network says what the network says, on windows and row by row, whatever the architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from formats.programs import LAYOUT, SPACES, drawn
from tradenas.errors import ArchitectureError, SpaceError
from tradenas.formats.lower import lower
from tradenas.formats.program import Depthwise, Input, Pick, Program, Taps
from tradenas.formats.reference import run_series, run_windows
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.nn.mode import Mode
from tradenas.seeds import rng_for
from tradenas.space import Chain


@pytest.mark.parametrize("kind", SPACES)
def test_a_program_says_what_its_network_says(kind):
    for number in range(12):
        network, moments = drawn(kind, number)
        program = lower(network, moments)
        x_TF = rng_for(number, "rows").standard_normal((240, 8))
        with torch.no_grad():
            said_T = network(torch.from_numpy(x_TF)[None], None, Mode(moments=moments))[0].numpy()
        x_TC = x_TF[:, list(program.columns)]
        ready = slice(program.reach - 1, None)
        assert program.reach <= network.reach(next(iter(network.space)))
        np.testing.assert_allclose(run_series(program, x_TC)[ready], said_T[ready], rtol=1e-9, atol=1e-10)
        windows = np.lib.stride_tricks.sliding_window_view(x_TC, program.reach, axis=0).transpose(0, 2, 1)
        np.testing.assert_allclose(run_windows(program, windows), said_T[ready], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", ["chain", "summed", "columns"])
def test_a_simplified_program_is_the_same_function(kind):
    fewer = 0
    for number in range(12):
        network, moments = drawn(kind, number)
        with torch.no_grad():
            network.inputs.taps[:, -2:] = network.inputs.taps[:, 1:2] = 0.0
        whole = lower(network, moments)
        program = simplify(whole)
        x_TC = rng_for(number, "rows").standard_normal((240, len(whole.columns)))
        ready = slice(whole.reach - 1, None)
        np.testing.assert_allclose(run_series(program, x_TC)[ready], run_series(whole, x_TC)[ready], atol=1e-10)
        assert program.reach <= whole.reach
        assert not any(isinstance(program[s.reads[0]], Pick) for s in program.steps if isinstance(s, Taps))
        for step in program.steps:
            if isinstance(step, Depthwise) and isinstance(source := program[step.reads[0]], Pick):
                assert min(source.index) >= 0
        fewer += program.reach < whole.reach or len(program.steps) < len(whole.steps)
    assert fewer


def test_batch_norm_goes_into_the_weights():
    space = Chain(depths=(1,), ops=("conv3",), widths=(4,), norms=("batch",), activations=("relu",)).space()
    network = Network(space, LAYOUT).standalone(space.smallest(), seed=0)
    moments = network.measure(torch.randn(1, 300, 8))
    whole = lower(network, moments)
    program = simplify(whole)
    assert "layer0/conv3/norm" in whole.channels
    assert isinstance(program["layer0/conv3/norm"], Taps)
    assert "layer0/conv3" not in program.channels
    x_TC = rng_for(0, "rows").standard_normal((240, 4))
    np.testing.assert_allclose(run_series(program, x_TC), run_series(whole, x_TC), atol=1e-12)


def test_counts_are_those_of_the_network():
    """Of chains that read all they carry; a program has no weights for inputs that are switched off."""
    space = Chain(depths=(1, 2), ops=("dense", "conv3", "residual", "gated", "gru", "attention"), widths=(4,),
                  norms=("none", "layer"), lookbacks=(7,)).space()  # fmt: skip
    for number in range(10):
        architecture = space.sample(rng_for(number, "count"))
        network = Network(space, LAYOUT).standalone(architecture, seed=0)
        program, count = lower(network), network.count(architecture)
        assert program.macs() == count.macs + len(program.columns)  # the sum of the filters
        assert program.history()["rows"] == 7 - 1


def test_what_has_choices_or_no_moments_is_refused():
    space = Chain(depths=(1,), ops=("dense", "conv3"), widths=(4,), norms=("batch",)).space()
    network = Network(space, LAYOUT)
    with pytest.raises(ArchitectureError, match="layer0/op"):
        lower(network)
    with pytest.raises(SpaceError, match="moments"):
        lower(network.standalone(space.smallest(), seed=0))


def test_ops_that_mix_assets_are_refused():
    layout = Layout(groups=("a", "b"), transforms=("zscore",), assets=2)
    space = Chain(depths=(1,), ops=("leader",), widths=(4,), norms=("none",)).space()
    with pytest.raises(SpaceError, match="Leader"):
        lower(Network(space, layout).standalone(space.smallest(), seed=0))


def test_a_program_checks_itself():
    x = Input(name="x", channels=2)
    taps = Taps(name="y", reads=("x",), channels=1, weight=np.ones((1, 2, 1)), bias=np.zeros(1), at=(3,))
    with pytest.raises(SpaceError, match="Program step 0"):
        Program(steps=(taps, x), output="y", columns=(0, 1))
    with pytest.raises(SpaceError, match="one channel"):
        Program(steps=(x, taps), output="x", columns=(0, 1))
    program = Program(steps=(x, taps), output="y", columns=(0, 1))
    assert program.reach == 4
    with pytest.raises(SpaceError, match="4 rows or more"):
        run_windows(program, np.zeros((1, 3, 2)))


def test_rows_are_counted_along_the_longest_way():
    def step(name, reads, at):
        return Depthwise(name=name, reads=(reads,), channels=1, weight=np.ones((1, len(at))), bias=np.zeros(1), at=at)

    x = Input(name="x", channels=1)
    program = Program(
        steps=(x, step("a", "x", (0, 4)), step("b", "a", (0, 2)), step("unread", "x", (9,))), output="b", columns=(0,)
    )
    assert program.rows() == {"x": 7, "a": 3, "b": 1, "unread": 0}
    assert program.history() == {"x": 9, "a": 2, "b": 0, "unread": 0}
