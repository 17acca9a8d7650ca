"""The Verilog that is written, worked out in Python, is the windowed reference to the bit: stream and window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from formats.verilog.interpreter import Interpreter, signed
from formats.verilog.programs import PROGRAMS, Chain, rows
from tradenas.errors import UnsupportedOp
from tradenas.formats.program import Attend, Fixed, GatedCell, LayerNorm, Program, Taps
from tradenas.formats.verilog.fixed import fraction_bits, saturate
from tradenas.formats.verilog.pipeline import pipeline
from tradenas.formats.verilog.trace import Traced, trace
from tradenas.formats.verilog.vectors import signals
from tradenas.typing import FloatArray

pytest.importorskip("da4ml", reason="da4ml is not installed; run: pip install 'tradenas[fpga]'")


Runner = Callable[[FloatArray], FloatArray]


def runner(logic: Any) -> Runner:
    """Numbers in, numbers out, through the text of the Verilog.  (da4ml 0.6.0's own interpreters, in Python and in C++,
    take some multiplexers wrongly that its Verilog takes rightly.)"""
    core = pipeline(logic, "core")
    chip = Interpreter(core.verilog)
    ins, outs = logic.inp_qint, logic.out_qint

    def run(numbers: FloatArray) -> FloatArray:
        word, low = 0, 0
        for x, width, q in zip(numbers, core.input_widths, ins, strict=True):
            word |= (round(x / q.step) & ((1 << width) - 1)) << low
            low += width
        out, said = chip.run(word), []
        for width, q in zip(core.output_widths, outs, strict=True):
            said.append(signed((out & ((1 << width) - 1), max(width, 1)), int(q.min < 0)) * q.step)
            out >>= width
        return np.array(said)

    return run


def quantised(traced: Traced, rows_TF: FloatArray) -> FloatArray:
    """What the ports carry at each row (T, ports); rows before the first are zeros."""
    found = []
    for port in traced.ports:
        f, x = port.fixed, np.zeros(len(rows_TF))
        x[port.lag :] = rows_TF[: len(rows_TF) - port.lag, port.column]
        found.append(np.clip(np.floor(x / f.step + 0.5) * f.step, f.low, f.high))
    return np.stack(found, axis=1)


def stream(traced: Traced, rows_TF: FloatArray) -> FloatArray:
    """Every signal, the memory carried by hand."""
    run = runner(traced.logic)
    past = {kept.name: [np.zeros(kept.channels)] * max(kept.lags) for kept in traced.remembered}
    zeros = np.zeros(sum(cell.channels for cell in traced.cells))
    states = [zeros] * traced.passes  # of all cells, from those that begin now to the oldest
    said = []
    for row in quantised(traced, rows_TF):
        memory = [past[kept.name][lag - 1] for kept in traced.remembered for lag in kept.lags]
        every = [run(np.concatenate([row, *memory, state])) for state in states]
        states, out = [zeros, *(after[len(after) - len(zeros) :] for after in every[:-1])], every[-1]
        said.append(out[0])
        at = 1
        for kept in traced.remembered:
            past[kept.name] = [out[at : at + kept.channels], *past[kept.name][:-1]]
            at += kept.channels
    return np.array(said)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_stream_is_the_windowed_reference(name):
    program, rows_TF = PROGRAMS[name](), rows(15)
    traced = trace(program)
    want = signals(traced, rows_TF)
    np.testing.assert_array_equal(stream(traced, rows_TF)[program.reach - 1 :], want)
    assert len(np.unique(want)) > 2


@pytest.mark.parametrize("name", ["relu", "products", "carried"])
def test_a_window_is_the_windowed_reference(name):
    program, rows_TF = PROGRAMS[name](), rows(20)
    traced = trace(program, streaming=False)
    assert not traced.remembered
    run = runner(traced.logic)
    got = [run(row)[0] for row in quantised(traced, rows_TF)]
    np.testing.assert_array_equal(got[program.reach - 1 :], signals(traced, rows_TF))


def test_streaming_is_smaller_than_a_window():
    program = PROGRAMS["deep"]()
    assert trace(program).estimated_luts < 0.7 * trace(program, streaming=False).estimated_luts


@pytest.mark.parametrize(
    "fixed", [Fixed(0, 1, 2), Fixed(1, 1, 2), Fixed(1, 3, 0), Fixed(0, 4, -1), Fixed(1, -1, 4), Fixed(0, 0, 1)]
)
@pytest.mark.parametrize(
    ("low", "high"), [(-8.0, 7.875), (0.0, 5.0), (-3.0, -0.5), (-0.5, 0.25), (2.0, 6.0), (-9.0, 0.0)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_is_that_of_a_quantiser(fixed, low, high, sign):
    from da4ml.trace import FixedVariable, HWConfig, comb_trace

    x = FixedVariable(low, high, 0.125, hwconf=HWConfig(1, -1, -1))
    logic = comb_trace([x], [saturate(x * sign, fixed)], keep_dead_inputs=True)
    values = np.arange(low, high + 0.1, 0.125)[::3]
    want = np.clip(np.floor(sign * values / fixed.step + 0.5) * fixed.step, fixed.low, fixed.high)
    run = runner(logic)
    np.testing.assert_array_equal([run(np.array([x]))[0] for x in values], want)


def test_what_it_cannot_express_is_refused_by_name():
    def refused(change, match):
        c = Chain()
        with pytest.raises(UnsupportedOp, match=match) as told:
            trace(c.end(change(c)))
        assert "verilog" in str(told.value)

    one, wide = np.ones(4), Fixed(1, 8, 8)
    norm = LayerNorm(name="n", reads=("in",), channels=4, gain=one, shift=one)
    refused(lambda c: c.add(norm), r"'n'.*layer norm.*batch norm")
    attend = Attend(name="a", reads=("in",) * 3, channels=4, bias=np.zeros(3), scale=1.0)
    refused(lambda c: c.add(attend), r"'a'.*attention.*convolution")
    refused(lambda c: c.point("t", "in", "tanh"), r"tanh of unbounded precision.*quantiser behind")
    refused(
        lambda c: c.table("t", c.taps("c", "in", 2, (0,)), "tanh", Fixed(1, 0, 4), before=wide),
        r"tanh of a number of 1\d bits",
    )
    refused(lambda c: c.taps("c", "x", 3, (0,)), r"floating-point.*quantiser on the inputs")


def test_a_gated_cell_above_another_is_for_windows():
    program = PROGRAMS["mingru"]()
    cell = next(s for s in program.steps if isinstance(s, GatedCell))
    above = replace(cell, name="above", reads=("cell",), weight_input=cell.weight_input[:, :3])
    signal = Taps(name="s", reads=("above",), channels=1, weight=np.ones((1, 3, 1)), bias=np.zeros(1), at=(0,))
    stacked = Program(steps=(*program.steps, above, signal), output="s", columns=program.columns)
    with pytest.raises(UnsupportedOp, match=r"'above'.*second gated cell.*window core"):
        trace(stacked)
    run, rows_TF = runner(trace(stacked, streaming=False).logic), rows(12)
    traced = trace(stacked, streaming=False)
    got = [run(row)[0] for row in quantised(traced, rows_TF)]
    np.testing.assert_array_equal(got[stacked.reach - 1 :], signals(traced, rows_TF))


def test_weights_of_full_precision_are_refused():
    program = PROGRAMS["relu"]()
    steps = [replace(s, weight=s.weight * 0.1) if isinstance(s, Taps) else s for s in program.steps]
    with pytest.raises(UnsupportedOp, match=r"full precision.*weights in fixed point"):
        trace(Program(steps=tuple(steps), output=program.output, columns=program.columns))
    assert fraction_bits(2.0**-24) == 24
    assert fraction_bits(2.0**-25) is None
