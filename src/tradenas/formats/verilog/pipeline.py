"""Traced logic cut into stages of about equal delay, written as Verilog.

One row is worked on at a time, and its inputs and the memory are held in registers until it is done.  So a value that a
later stage reads needs one register at the end of its own stage and no chain of them: once right, it stays right.

Stages are filled from the first operation on, under a delay for each operation (`Delays`), with the smallest period for
which so many stages are enough.  Of all numbers of stages the one is taken with the smallest estimated latency,
(stages + 1) (period + what a register costs), unless the number is given.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Core", "Delays", "pipeline"]

NAME = re.compile(r"\bv\d+(?:_neg)?\b")
DEFINED = re.compile(r"wire \[(-?\d+):0\] (v\d+(?:_neg)?);")
MODULE = re.compile(r";\s*(shift_adder|mux|multiplier|lookup_table|negative|binop) #\(([^)]*)\)")


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Nanoseconds from register to register on an iCE40 HX, routing included; rough, for cutting.

    Periods were within 8 % of nextpnr's on three networks (10.1, 14.4 and 17.5 ns; set by the last two).

    Attributes:
        level: one look-up table and the way to it.
        carry: of an adder, for each bit.
        adder: of an adder, beside its bits.
        register: clock to output, set-up, and the way between.
    """

    level: float = 1.125
    carry: float = 0.0975
    adder: float = 1.5
    register: float = 1.125


@dataclass(frozen=True, eq=False)
class _Line:
    """One value, how it is made, from what, and the delay of making it."""

    text: str
    name: str
    width: int
    reads: tuple[str, ...]
    delay: float


@dataclass(frozen=True, eq=False)
class Core:
    """The logic as a module.

    Attributes:
        verilog: its text.
        stages: that follow each other; the outputs are right after so many clock edges.
        period: estimated, in nanoseconds.
        registers: bits of the registers between stages.
        input_widths: bits of each input, in the order of the trace; 0 where it is not read.
        output_widths: bits of each output.
    """

    verilog: str
    stages: int
    period: float
    registers: int
    input_widths: tuple[int, ...]
    output_widths: tuple[int, ...]


def pipeline(logic: Any, name: str, *, stages: int | None = None, most: int = 12, delays: Delays | None = None) -> Core:
    """Traced logic as a clocked module `name(clk, model_inp, model_out)`.

    Args:
        logic: da4ml's `CombLogic`.
        name: of the module.
        stages: how many; without it, those of the smallest estimated latency.
        most: stages, where they are not given.
        delays: of the operations.
    """
    from da4ml.codegen.rtl.verilog.comb import ssa_gen, table_mem_gen
    from da4ml.types import minimal_kif

    delays = delays or Delays()
    negated: dict[int, tuple[int, str]] = {}
    texts = ssa_gen(logic, negated)
    input_widths = tuple(sum(minimal_kif(q)) for q in logic.inp_qint)
    output_widths = tuple(sum(minimal_kif(q)) for q in logic.out_qint)
    outputs = []
    for i, (index, width, minus) in enumerate(zip(logic.out_idxs, output_widths, logic.out_negs, strict=True)):
        if not width or index < 0:
            outputs.append((i, "", width))
            continue
        if minus:
            from da4ml.codegen.rtl.verilog.comb import make_neg

            _, read = make_neg(texts, index, logic.ops[index].qint, f"v{index}", negated)
        else:
            read = f"v{index}"
        outputs.append((i, read, width))
    memories: dict[str, str] = table_mem_gen(logic)
    tables = {memory: f"t{k}" for k, memory in enumerate(memories)}
    lines = [_parsed(text, delays, tables) for text in texts]
    period, placed = _shortest(lines, stages, most, delays)
    count = max((placed[line.name] for line in lines), default=0) + 1
    constants = [part for memory, short in tables.items() for part in _truth(short, memories[memory].split())]
    text, registers = _module(name, constants, lines, placed, outputs, input_widths, output_widths)
    return Core(text, count, period + delays.register, registers, input_widths, output_widths)


def _truth(short: str, words: list[str]) -> list[str]:
    """A table as one constant for each output bit: logic, where yosys would make a memory, and find no place for it."""
    width, found = 4 * len(words[0]), []
    for bit in range(width):
        column = "".join("x" if "X" in word else str(int(word, 16) >> bit & 1) for word in reversed(words))
        found.append(f"  localparam [{len(words) - 1}:0] {short}_{bit} = {len(words)}'b{column};")
    return found


def _parsed(text: str, delays: Delays, tables: dict[str, str]) -> _Line:
    found = DEFINED.search(text)
    assert found is not None, text
    name, width = found[2], int(found[1]) + 1
    reads = tuple(dict.fromkeys(n for n in NAME.findall(text) if n != name))
    delay = _delay(text, width, delays)
    looked = re.search(r'lookup_table #\(\d+, \d+, "([^"]+)"\) \w+ \((\w+),', text)
    if looked:
        bits = ", ".join(f"{tables[looked[1]]}_{bit}[{looked[2]}]" for bit in reversed(range(width)))
        text = f"wire [{width - 1}:0] {name}; assign {name}[{width - 1}:0] = {{{bits}}};"
    return _Line(text, name, width, reads, delay)


def _delay(text: str, width: int, delays: Delays) -> float:
    module = MODULE.search(text)
    if module is None:
        reduced = re.search(r"= [|&]v", text)
        if reduced:
            wide = re.search(r"\[(\d+):", text)
            return delays.level * max(1, math.ceil(math.log(int(wide[1]) + 2 if wide else 4, 4)))
        return delays.level / 2 if "& {" in text else 0.0
    kind, numbers = module[1], module[2].split(",")
    first = int(numbers[0])
    if kind in ("shift_adder", "negative"):
        return delays.adder + delays.carry * width
    if kind == "lookup_table":
        return delays.level * (1 + max(0, first - 4) * 0.75)
    if kind == "multiplier":
        second = int(numbers[1])
        return math.ceil(math.log2(1 + min(first, second))) * delays.adder + delays.carry * (first + second)
    return delays.level


def _shortest(lines: list[_Line], stages: int | None, most: int, delays: Delays) -> tuple[float, dict[str, int]]:
    """The period, and the stage of each value."""
    longest = max((line.delay for line in lines), default=0.0)
    whole = _pack(lines, math.inf)[1]
    best: tuple[float, float, dict[str, int]] | None = None
    for count in range(1, most + 1) if stages is None else [stages]:
        low, high = max(longest, whole / count), max(whole, longest)
        while high - low > 0.02:
            middle = (low + high) / 2
            if max(_pack(lines, middle)[0].values(), default=0) < count:
                high = middle
            else:
                low = middle
        placed = _pack(lines, high)[0]
        used = max(placed.values(), default=0) + 1
        latency = (used + 1) * (high + delays.register)
        if best is None or latency < best[0]:
            best = latency, high, placed
        if high <= longest:
            break
    assert best is not None
    return best[1], best[2]


def _pack(lines: list[_Line], period: float) -> tuple[dict[str, int], float]:
    """The stage of each value, each as early as its period allows, and the longest time within a stage."""
    stage: dict[str, int] = {}
    done: dict[str, float] = {}
    for line in lines:
        at = max((stage[r] for r in line.reads), default=0)
        time = max((done[r] for r in line.reads if stage[r] == at), default=0.0) + line.delay
        if time > period and line.delay:
            at, time = at + 1, line.delay
        stage[line.name], done[line.name] = at, time
    return stage, max(done.values(), default=0.0)


def _module(
    name: str,
    constants: list[str],
    lines: list[_Line],
    placed: dict[str, int],
    outputs: list[tuple[int, str, int]],
    input_widths: tuple[int, ...],
    output_widths: tuple[int, ...],
) -> tuple[str, int]:
    widths = {line.name: line.width for line in lines}
    held = {line.name for line in lines if "model_inp" in line.text}  # in the wrapper's registers already
    crossing: dict[str, None] = {}

    def staged(text: str, own: str, at: int) -> str:
        def swap(found: re.Match[str]) -> str:
            read = found[0]
            if read == own or read in held or placed[read] == at:
                return read
            crossing[read] = None
            return f"{read}_r"

        return NAME.sub(swap, text)

    last = max(placed.values(), default=0)
    body: dict[int, list[str]] = {}
    for line in lines:
        at = placed[line.name]
        body.setdefault(at, []).append("  " + staged(line.text, line.name, at))
    ends, offset = [], 0
    for _, read, width in outputs:
        if width:
            value = staged(read, "", last) if read else f"{width}'b0"
            ends.append(
                f"  assign model_out[{offset + width - 1}:{offset}] = {value}" + (f"[{width - 1}:0];" if read else ";")
            )
        offset += width
    declared = [f"  reg [{widths[n] - 1}:0] {n}_r;" for n in crossing]
    clocked = [f"    {n}_r <= {n};" for n in crossing]
    stages = [part for at in sorted(body) for part in (f"  // stage {at}", *body[at])]
    registers = sum(widths[n] for n in crossing)
    return "\n".join([
        "`timescale 1ns/1ps", "",
        f"module {name} (",
        "  input clk,",
        f"  input [{max(sum(input_widths), 1) - 1}:0] model_inp,",
        f"  output [{max(sum(output_widths), 1) - 1}:0] model_out",
        ");",
        *constants, *declared, *stages,
        "  always @(posedge clk) begin", *clocked, "  end",
        *ends, "endmodule", "",
    ]), registers  # fmt: skip
