"""The clocked module around the core: registers for the row and for what is remembered, a counter, a handshake.

    in_ready     the core is free; a row is taken at a clock edge where in_valid and in_ready are both set
    out_valid    for one cycle, `cycles` edges later: y is the signal of that row, or of that window
    warm         enough rows were seen: signals before that mean nothing

One row is worked on at a time.  A reset forgets how many rows were seen, not the rows: `warm` says when they are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    parts, declared, shifted, state_bits = ["x_r"], [], [], x_bits
    at_in, at_out, bit = row, signal, outputs[0]
    for m, kept in enumerate(traced.remembered):
        channels = outputs[at_out : at_out + kept.channels]
        width, depth = sum(channels), max(kept.lags)
        if width:
            declared += [f"  reg [{width - 1}:0] m{m}_{lag};" for lag in range(1, depth + 1)]
            shifted += [f"      m{m}_{lag} <= m{m}_{lag - 1};" for lag in range(depth, 1, -1)]
            shifted += [f"      m{m}_1 <= core_out[{bit + width - 1}:{bit}];"]
            state_bits += width * depth
        for lag in kept.lags:
            low = 0
            for own, fed in zip(channels, inputs[at_in : at_in + kept.channels], strict=True):
                if fed:  # 0 where the value is a constant
                    parts.append(f"m{m}_{lag}[{low + fed - 1}:{low}]")
                low += own
            at_in += kept.channels
        at_out, bit = at_out + kept.channels, bit + width
    signed = traced.logic.out_qint[0].min < 0
    rows = traced.program.reach if traced.streaming else 1
    text = _text(
        x_bits=x_bits, y_bits=max(outputs[0], 1), in_bits=max(sum(inputs), 1), out_bits=max(sum(outputs), 1),
        y=f"core_out[{outputs[0] - 1}:0]" if outputs[0] else "1'b0",
        fed=", ".join(reversed(parts)), declared=declared, shifted=shifted,
        stages=core.stages, rows=rows,
    )  # fmt: skip
    return Wrapped(
        verilog=text, input_bits=x_bits, output_bits=max(outputs[0], 1), output_signed=bool(signed),
        output_step=float(traced.logic.out_qint[0].step), cycles=core.stages + 1, interval=core.stages + 1,
        state_bits=state_bits,
    )  # fmt: skip


def _text(
    *, x_bits: int, y_bits: int, in_bits: int, out_bits: int, y: str, fed: str, declared: list[str],
    shifted: list[str], stages: int, rows: int,
) -> str:  # fmt: skip
    count, seen = max(stages - 1, 1).bit_length(), rows.bit_length()
    return "\n".join([
        "`timescale 1ns/1ps", "",
        "module top (",
        "  input clk,", "  input rst,",
        "  input in_valid,", "  output in_ready,", f"  input [{x_bits - 1}:0] x,",
        "  output reg out_valid,", "  output warm,", f"  output reg [{y_bits - 1}:0] y",
        ");",
        f"  reg [{x_bits - 1}:0] x_r;", "  reg busy;", f"  reg [{count - 1}:0] count;",
        f"  reg [{seen - 1}:0] seen;",
        *declared,
        f"  wire [{in_bits - 1}:0] core_in = {{{fed}}};",
        f"  wire [{out_bits - 1}:0] core_out;",
        "  core core (.clk(clk), .model_inp(core_in), .model_out(core_out));",
        "  assign in_ready = !busy;",
        f"  assign warm = seen == {rows};",
        "  always @(posedge clk) begin",
        "    out_valid <= 0;",
        "    if (rst) begin",
        "      busy <= 0;", "      count <= 0;", "      seen <= 0;",
        "    end else if (!busy) begin",
        "      if (in_valid) begin", "        x_r <= x;", "        busy <= 1;", "        count <= 0;", "      end",
        f"    end else if (count == {stages - 1}) begin",
        "      busy <= 0;", "      out_valid <= 1;", f"      y <= {y};",
        "      if (!warm) seen <= seen + 1;", *shifted,
        "    end else count <= count + 1;",
        "  end",
        "endmodule", "",
    ])  # fmt: skip
