"""A testbench that checks itself: rows in, signals of the windowed reference beside them, PASS or FAIL with counts."""

from __future__ import annotations

from tradenas.formats.verilog.wrapper import Wrapped

__all__ = ["testbench"]


def testbench(wrapped: Wrapped, *, rows: int, skipped: int) -> str:
    """Plain Verilog that reads `rows.hex` and `expected.hex` and prints one line, `PASS ...` or `FAIL ...`.

    With `+dump` it also writes every compared output to `outputs.hex`.

    Args:
        wrapped: the module under test.
        rows: lines of `rows.hex`.
        skipped: first rows, whose signals mean nothing; `expected.hex` begins after them.
    """
    x, y = wrapped.input_bits - 1, wrapped.output_bits - 1
    return f"""`timescale 1ns/1ps
// with Verilator: verilator --binary --timing -Wno-fatal -Wfuture-WIDTHTRUNC --top-module tb *.v static/*.v &&
//                 obj_dir/Vtb
// with Icarus:    iverilog -g2012 -o tb tb.v top.v core.v static/*.v && vvp tb
module tb;
  reg clk = 0, rst = 1, in_valid = 0;
  reg [{x}:0] x = 0;
  wire in_ready, out_valid, warm;
  wire [{y}:0] y;
  reg [{x}:0] rows [0:{rows - 1}];
  reg [{y}:0] expected [0:{rows - skipped - 1}];
  integer i, waited, compared, wrong, late, dump;
  top dut (.clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .x(x), .out_valid(out_valid), .warm(warm),
           .y(y));
  always #5 clk = ~clk;
  initial begin
    $readmemh("rows.hex", rows);
    $readmemh("expected.hex", expected);
    compared = 0; wrong = 0; late = 0; dump = 0;
    if ($test$plusargs("dump")) dump = $fopen("outputs.hex", "w");
    repeat (4) @(negedge clk);
    rst = 0;
    for (i = 0; i < {rows}; i = i + 1) begin
      while (!in_ready) @(negedge clk);
      x = rows[i];
      in_valid = 1;
      @(negedge clk);
      in_valid = 0;
      x = ~rows[i];
      waited = 1;
      while (!out_valid && waited < 10000) begin
        @(negedge clk);
        waited = waited + 1;
      end
      if (waited != {wrapped.cycles}) late = late + 1;
      if (warm != (i >= {skipped})) wrong = wrong + 1;
      if (i >= {skipped}) begin
        compared = compared + 1;
        if (y !== expected[i - {skipped}]) begin
          wrong = wrong + 1;
          if (wrong < 9) $display("row %0d: got %h, expected %h", i, y, expected[i - {skipped}]);
        end
        if (dump != 0) $fwrite(dump, "%h\\n", y);
      end
    end
    if (dump != 0) $fclose(dump);
    if (wrong == 0 && late == 0)
      $display("PASS %0d outputs compared, 0 wrong, {wrapped.cycles} cycles each", compared);
    else
      $display("FAIL %0d outputs compared, %0d wrong, %0d not after {wrapped.cycles} cycles", compared, wrong, late);
    $finish;
  end
endmodule
"""
