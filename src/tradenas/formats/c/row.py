"""What the kernels write with: the file's constants, and the names of a row's values in variables and in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from tradenas.formats.c.layout import Chunk, chunks, numbers
from tradenas.formats.program import Program, Step
from tradenas.typing import FloatArray, IntArray

__all__ = ["CHAINS", "Constants", "Row", "chains_for"]

#: Sums that run beside each other: latency of a multiply-add times those that begin in a cycle.
CHAINS = 8


class Constants:
    """The weights of the file, each under a name with the file's prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.lines: list[str] = []
        self._known: dict[tuple[str, str], str] = {}

    def floats(self, values: FloatArray) -> str:
        """The name of an array of floats."""
        return self._add("float", numbers(values))

    def offsets(self, values: IntArray) -> str:
        """The name of an array of 32-bit integers."""
        return self._add("int32_t", "{" + ",".join(str(int(v)) for v in values) + "}")

    def bytes(self, values: npt.NDArray[np.int8]) -> str:
        """The name of an array of signed bytes."""
        flat = values.ravel()
        lines = [",".join(map(str, flat[i : i + 64].tolist())) for i in range(0, flat.size, 64)]
        return self._add("int8_t", "{" + ",\n".join(lines) + "}")

    def _add(self, sort: str, text: str) -> str:
        if (sort, text) not in self._known:
            name = f"{self.prefix}_{len(self.lines)}"
            self.lines.append(f"static const {sort} {name}[] __attribute__((aligned(64))) = {text};")
            self._known[sort, text] = name
        return self._known[sort, text]


class Row:
    """The statements that make values for one row.

    Args:
        program: whose steps they are.
        pointer: the C expression of where the current row of a value lies.
        constants: to which weights are added.
        strides: floats from row to row of each value.
        streaming: whether there is a state `s` that remembers.
    """

    def __init__(
        self,
        program: Program,
        pointer: Callable[[str], str],
        constants: Constants,
        *,
        strides: Mapping[str, int],
        streaming: bool = False,
    ) -> None:
        self.program, self.pointer, self.constants, self.streaming = program, pointer, constants, streaming
        self.strides = strides
        self.index = {step.name: i for i, step in enumerate(program.steps)}
        self.lines: list[str] = []
        self.registers: dict[str, list[str]] = {}

    def made(self, step: Step) -> list[str]:
        """The chunks of a step that is now in variables."""
        self.registers[step.name] = [f"y{self.index[step.name]}_{k}" for k in range(len(self.of(step)))]
        return self.registers[step.name]

    def of(self, step: Step) -> list[Chunk]:
        return chunks(step.channels)

    def let(self, step: Step, k: int, expression: str) -> None:
        """Chunk k of a step's value."""
        self.lines.append(f"const v{self.of(step)[k].width} y{self.index[step.name]}_{k} = {expression};")

    def chunk(self, name: str, k: int) -> str:
        """Chunk k of the current row of a value."""
        if name in self.registers:
            return self.registers[name][k]
        c = chunks(self.program[name].channels)[k]
        return f"*(const v{c.width} *)({self.pointer(name)} + {c.at})"

    def earlier(self, name: str, c: Chunk, lag: int | str) -> str:
        """A chunk of an earlier row; the lag is a number or a variable of C."""
        back = f" - {lag} * {self.strides[name]}" if lag else ""
        return f"*(const v{c.width} *)({self.pointer(name)}{back} + {c.at})"

    def products(
        self, sums: list[tuple[str, int]], weight: FloatArray, row: str, which: list[int], chains: int
    ) -> None:
        """Adds row[which[n]] * weight[n] to the sums, whose chunks follow each other in a row of `weight`.

        Each name in `sums` stands for `chains` variables (`a0`, `a0_1`, ...) that are added up by `joined`.
        """
        if not which:
            return
        n, width = weight.shape
        name = self.constants.floats(weight)
        first, run = which[0], which == list(range(which[0], which[0] + n))
        at = "" if run else self.constants.offsets(np.array(which))

        def one(c: str, p: int, offset: str) -> str:
            x = f"r[{c}]" if run else f"r[{at}[{c}]]"
            text, done = "", 0
            for variable, size in sums:
                text += (
                    f" {variable}{f'_{p}' if p else ''} += all{size}({x}) * *(const v{size} *)(w + {offset} + {done});"
                )
                done += size
            return text

        start = f"{row} + {first}" if run and first else row
        self.lines.append(f"{{ const float *r = {start}, *w = {name};")
        whole = n - n % chains
        if whole:
            body = "".join(one(f"c + {p}", p, f"(c + {p}) * {width}") for p in range(chains))
            self.lines.append(f"for (int c = 0; c < {whole}; c += {chains}) {{{body} }}")
        self.lines.append("".join(one(str(c), c - whole, str(c * width)) for c in range(whole, n)) + " }")

    def sums(self, starts: list[tuple[str, int, str]], chains: int) -> None:
        """Declares variables for `products`: name, width, and what each begins with."""
        for variable, width, start in starts:
            self.lines.append(f"v{width} {variable} = {start};")
            self.lines += [f"v{width} {variable}_{p} = {{0}};" for p in range(1, chains)]

    def joined(self, variable: str, chains: int) -> str:
        """The sum of the variables of one name."""
        names = [variable, *(f"{variable}_{p}" for p in range(1, chains))]
        while len(names) > 1:
            pairs = [f"({a} + {b})" for a, b in zip(names[::2], names[1::2], strict=False)]
            names = pairs + ([names[-1]] if len(names) % 2 else [])
        return names[0]

    def padded(self, values: FloatArray) -> FloatArray:
        """The last axis as a row lies: with zeros up to the end of its last chunk."""
        last = chunks(values.shape[-1])[-1]
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, last.at + last.width - values.shape[-1])])

    def constant(self, values: FloatArray, c: Chunk) -> str:
        """A chunk of a constant row."""
        return f"*(const v{c.width} *)({self.constants.floats(self.padded(values))} + {c.at})"

    def masked(self, text: str, c: Chunk) -> str:
        """Zeros in place of padding."""
        if c.used == c.width:
            return text
        return f"({text}) * (v{c.width}){{{','.join(['1'] * c.used)}}}"


def chains_for(sums: int, terms: int) -> int:
    """In how many variables each of so many sums of so many terms is added up."""
    return max(1, min(4, CHAINS // max(1, sums), terms))
