"""The clocked module around the core: registers for the row and for what is remembered, a counter, a handshake.

    in_ready     the core is free; a row is taken at a clock edge where in_valid and in_ready are both set
    out_valid    for one cycle, `cycles` edges later: y is the signal of that row, or of that window
    warm         enough rows were seen: signals before that mean nothing

A gated cell starts from zero `rows - 1` rows before each signal, so that `rows` states are under way at any time, each
a row older than the next.  They stand in a queue and share one core: for each row it runs `rows` times, first on the
oldest state, which gives the signal and is done, last on zero, which begins a new one.  The latency is that of a pass.

One row is worked on at a time.  A reset forgets how many rows were seen, not the rows: `warm` says when they are gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tradenas.formats.program import GatedCell
from tradenas.formats.verilog.pipeline import Core
from tradenas.formats.verilog.trace import Traced

__all__ = ["Wrapped", "wrap"]


@dataclass(frozen=True, eq=False)
class Wrapped:
    """The top module.

    Attributes:
        verilog: its text.
        input_bits: of the port `x`: the numbers of `Traced.ports`, the first in the lowest bits.
        output_bits: of the port `y`, two's complement where `output_signed`.
        output_signed: whether the signal may be negative.
        output_step: what the lowest bit of `y` is worth.
        cycles: clock edges from the one that takes the row to the one after which `out_valid` is set, both counted.
        interval: clock edges from one row to the next, at least.
        state_bits: of the registers that hold the row and earlier rows.
    """

    verilog: str
    input_bits: int
    output_bits: int
    output_signed: bool
    output_step: float
    cycles: int
    interval: int
    state_bits: int


def wrap(traced: Traced, core: Core) -> Wrapped:
    """The top module `top` around a core named `core`."""
    inputs, outputs = list(core.input_widths), list(core.output_widths)
    row, signal = len(traced.ports), 1
    x_bits = sum(p.fixed.bits for p in traced.ports)
    early: list[str] = []
    late: list[str] = []
    parts, declared, state_bits = ["x_r"], [], x_bits
    at_in, at_out, bit = row, signal, outputs[0]
    for m, kept in enumerate(traced.remembered):
        channels = outputs[at_out : at_out + kept.channels]
        width, depth = sum(channels), max(kept.lags)
        if width:
            declared += [f"  reg [{width - 1}:0] m{m}_{lag};" for lag in range(1, depth + 1)]
            shifted = early if kept.name in traced.after_cells else late  # a cell's input stays until its last pass
            shifted += [f"m{m}_{lag} <= m{m}_{lag - 1};" for lag in range(depth, 1, -1)]
            shifted += [f"m{m}_1 <= core_out[{bit + width - 1}:{bit}];"]
            state_bits += width * depth
        for lag in kept.lags:
            low = 0
            for own, fed in zip(channels, inputs[at_in : at_in + kept.channels], strict=True):
                if fed:  # 0 where the value is a constant
                    parts.append(f"m{m}_{lag}[{low + fed - 1}:{low}]")
                low += own
            at_in += kept.channels
        at_out, bit = at_out + kept.channels, bit + width
    queued: list[str] = []
    for k, cell in enumerate(traced.cells):
        width = cell.channels * cell.state.bits
        declared.append(f"  reg [{width * (cell.rows - 1) - 1}:0] q{k};" if cell.rows > 1 else f"  wire [0:0] q{k};")
        ends = []
        for c in range(cell.channels):
            fed, own = inputs[at_in + c], outputs[at_out + c]
            if fed:
                low = c * cell.state.bits
                parts.append(f"q{k}[{low + fed - 1}:{low}]" if cell.rows > 1 else f"{fed}'b0")
            ends.append(_fitted(bit, own, traced.logic.out_qint[at_out + c], cell))
            bit += own
        if cell.rows > 1:
            last = f"(pass == 0 ? {width}'b0 : {{{', '.join(reversed(ends))}}})"
            older = "" if cell.rows == 2 else f", q{k}[{width * (cell.rows - 1) - 1}:{width}]"
            queued.append(f"q{k} <= {{{last}{older}}};")
        state_bits += width * (cell.rows - 1)
        at_in, at_out = at_in + cell.channels, at_out + cell.channels
    signed = traced.logic.out_qint[0].min < 0
    rows = traced.program.reach if traced.streaming else 1
    text = _text(
        x_bits=x_bits, y_bits=max(outputs[0], 1), in_bits=max(sum(inputs), 1), out_bits=max(sum(outputs), 1),
        y=f"core_out[{outputs[0] - 1}:0]" if outputs[0] else "1'b0",
        fed=", ".join(reversed(parts)), declared=declared, early=early, late=late, queued=queued, passes=traced.passes,
        stages=core.stages, rows=rows,
    )  # fmt: skip
    return Wrapped(
        verilog=text, input_bits=x_bits, output_bits=max(outputs[0], 1), output_signed=bool(signed),
        output_step=float(traced.logic.out_qint[0].step), cycles=core.stages + 1,
        interval=core.stages * traced.passes + 1,
        state_bits=state_bits,
    )  # fmt: skip


def _fitted(bit: int, width: int, interval: Any, cell: GatedCell) -> str:
    """Some bits of the core's output as a state: filled up with its sign above, with zeros below."""
    state = cell.state
    if not width:
        return f"{state.bits}'b0"
    below = state.fraction + round(math.log2(interval.step))
    above = state.bits - width - below
    sign = f"{{{above}{{core_out[{bit + width - 1}]}}}}" if interval.min < 0 else f"{above}'b0"
    parts = [sign] * (above > 0) + [f"core_out[{bit + width - 1}:{bit}]"] + [f"{below}'b0"] * (below > 0)
    return f"{{{', '.join(parts)}}}"


def _text(
    *, x_bits: int, y_bits: int, in_bits: int, out_bits: int, y: str, fed: str, declared: list[str],
    early: list[str], late: list[str], queued: list[str], passes: int, stages: int, rows: int,
) -> str:  # fmt: skip
    count, seen, ages = max(stages - 1, 1).bit_length(), rows.bit_length(), max(passes - 1, 1).bit_length()
    first = ["out_valid <= 1;", f"y <= {y};", "if (!warm) seen <= seen + 1;", *early]
    if passes > 1:
        ended = [
            "      count <= 0;", *(f"      {line}" for line in queued),
            "      if (pass == 0) begin", *(f"        {line}" for line in first), "      end",
            f"      if (pass == {passes - 1}) begin", "        busy <= 0;", "        pass <= 0;",
            *(f"        {line}" for line in late), "      end else pass <= pass + 1;",
        ]  # fmt: skip
    else:
        ended = ["      busy <= 0;", *(f"      {line}" for line in (*first, *late))]
    return "\n".join([
        "`timescale 1ns/1ps", "",
        "module top (",
        "  input clk,", "  input rst,",
        "  input in_valid,", "  output in_ready,", f"  input [{x_bits - 1}:0] x,",
        "  output reg out_valid,", "  output warm,", f"  output reg [{y_bits - 1}:0] y",
        ");",
        f"  reg [{x_bits - 1}:0] x_r;", "  reg busy;", f"  reg [{count - 1}:0] count;",
        f"  reg [{seen - 1}:0] seen;",
        *([f"  reg [{ages - 1}:0] pass;"] if passes > 1 else []),
        *declared,
        f"  wire [{in_bits - 1}:0] core_in = {{{fed}}};",
        f"  wire [{out_bits - 1}:0] core_out;",
        "  core core (.clk(clk), .model_inp(core_in), .model_out(core_out));",
        "  assign in_ready = !busy;",
        f"  assign warm = seen == {rows};",
        "  always @(posedge clk) begin",
        "    out_valid <= 0;",
        "    if (rst) begin",
        "      busy <= 0;", "      count <= 0;", "      seen <= 0;", *(["      pass <= 0;"] if passes > 1 else []),
        "    end else if (!busy) begin",
        "      if (in_valid) begin", "        x_r <= x;", "        busy <= 1;", "        count <= 0;", "      end",
        f"    end else if (count == {stages - 1}) begin",
        *ended,
        "    end else count <= count + 1;",
        "  end",
        "endmodule", "",
    ])  # fmt: skip
