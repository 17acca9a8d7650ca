"""Reads the Verilog that `pipeline` writes, and works it out in Python's whole numbers: no tool needs to be installed.

It knows the few forms that a core is made of, and da4ml's modules by what they are for.  Registers between stages are
read as the wires before them, which is what they hold once the row has passed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

WIRE = re.compile(r"^wire \[-?\d+:0\] (\w+); (.*);$")
ASSIGN = re.compile(r"^assign (\w+)(?:\[(\d+):(\d+)\])? = (.*)$")
CALL = re.compile(r"^(\w+) #\(([^)]*)\) \w+ \((.*)\)$")


class Interpreter:
    """One core; `run(word)` gives `model_out` for `model_inp`."""

    def __init__(self, verilog: str) -> None:
        constants = re.findall(r"localparam \[\d+:0\] (\w+) = \d+'b([01x]+);", verilog)
        self.tables = {name: int(bits.replace("x", "0"), 2) for name, bits in constants}
        self.lines: list[str] = []
        self.widths: dict[str, int] = {}
        for line in (raw.split("//")[0].strip() for raw in verilog.splitlines()):
            if line.startswith(("wire ", "assign model_out")):
                self.lines.append(line)
            for msb, name in re.findall(r"(?:wire|reg|input|output) \[(\d+):0\] (\w+)", line):
                self.widths[name] = int(msb) + 1

    def run(self, word: int) -> int:
        values, out = {"model_inp": word}, 0
        for line in self.lines:
            found = WIRE.match(line)
            body = found[2] if found else line.rstrip(";")
            assign, call = ASSIGN.match(body), CALL.match(body)
            if assign and assign[1] == "model_out":
                out |= self.value(assign[4], values)[0] << int(assign[3])
            elif assign:
                value, _ = self.value(assign[4], values)
                values[assign[1]] = value & ((1 << self.widths[assign[1]]) - 1)
            else:
                assert call is not None, line
                name, made = self.call(call[1], [p.strip() for p in call[2].split(",")], self.split(call[3]), values)
                values[name] = made
        return out

    def call(
        self, module: str, numbers: Sequence[str], pins: Sequence[str], values: Mapping[str, int]
    ) -> tuple[str, int]:
        target = pins[-1].partition("[")[0]
        read = [self.value(p, values) for p in pins[:-1]]
        n = [int(x) for x in numbers]
        mask = (1 << self.widths[target]) - 1
        if module == "negative":
            return target, -signed(read[0], n[2]) & mask
        if module == "multiplier":
            return target, signed(read[0], n[2]) * signed(read[1], n[3]) & mask
        a, b = (read[1], read[2]) if module == "mux" else (read[0], read[1])
        x, y = signed(a, n[2]), signed(b, n[3])
        shift = n[5]
        x, y = (x << -shift, y) if shift < 0 else (x, y << shift)
        if module == "shift_adder":
            return target, (x - y if n[6] else x + y) & mask
        if module == "mux":
            return target, (x if read[0][0] else (-y if n[6] else y)) & mask
        return target, [x & y, x | y, x ^ y][n[6]] & mask

    @staticmethod
    def split(pins: str) -> list[str]:
        return [p.strip() for p in pins.split(",")]

    def value(self, text: str, values: Mapping[str, int]) -> tuple[int, int]:
        """A number and its width, of one of the forms that da4ml writes."""
        text = text.strip()
        if found := re.fullmatch(r"(\d*)'b([01]+)", text):
            return int(found[2], 2), int(found[1] or len(found[2]))
        if found := re.fullmatch(r"\{(t\d+_\d+\[\w+\](?:, t\d+_\d+\[\w+\])*)\}", text):  # a table
            reads = [re.fullmatch(r"(\w+)\[(\w+)\]", part) for part in found[1].split(", ")]
            bits = [self.tables[r[1]] >> self.value(r[2], values)[0] & 1 for r in reads if r is not None]
            return int("".join(map(str, bits)), 2), len(bits)
        if found := re.fullmatch(r"(\w+)(?:\[(\d+)(?::(\d+))?\])?", text):
            name = found[1] if found[1] in values else found[1].removesuffix("_r")
            if found[2] is None:
                return values[name], self.widths[name]
            high, low = int(found[2]), int(found[3] if found[3] is not None else found[2])
            return values[name] >> low & ((1 << (high - low + 1)) - 1), high - low + 1
        if found := re.fullmatch(r"(.+) & \{\d+\{~(.+)\}\}", text):  # relu
            (value, width), (sign, _) = self.value(found[1], values), self.value(found[2], values)
            return (0 if sign else value), width
        if found := re.fullmatch(r"\{\{(\d+)\{(.+?)\}\}, (.+)\}", text):  # sign extension
            (bit, _), (low, width) = self.value(found[2], values), self.value(found[3], values)
            return (((1 << int(found[1])) - 1) * bit) << width | low, width + int(found[1])
        if found := re.fullmatch(r"\{(\d+)\{(.+?)\}\}", text):
            bit, _ = self.value(found[2], values)
            return ((1 << int(found[1])) - 1) * bit, int(found[1])
        if text[0] in "~|&":
            value, width = self.value(text[1:], values)
            ones = (1 << width) - 1
            return {"~": (value ^ ones, width), "|": (int(value != 0), 1), "&": (int(value == ones), 1)}[text[0]]
        raise AssertionError(text)


def signed(read: tuple[int, int], is_signed: int) -> int:
    value, width = read
    return value - (1 << width) if is_signed and value >> (width - 1) & 1 else value
