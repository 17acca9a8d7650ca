"""Programs as one C file: a window to a signal, a row to a signal, and what a user needs to trust and to load it.

Several programs (the seeds of one architecture, say) become one function, the mean of their signals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files

import numpy as np

from tradenas.errors import ConfigError, ExportError, SpaceError
from tradenas.formats.c.kernels import write
from tradenas.formats.c.layout import literal, numbers, strides
from tradenas.formats.c.memory import groups, rings, scalars, split_recurrent
from tradenas.formats.c.row import Constants, Row
from tradenas.formats.c.vnni import packed
from tradenas.formats.grid import check_exact
from tradenas.formats.program import Input, Program, Quantise, Step
from tradenas.formats.reference import run_series
from tradenas.typing import Float32Array

__all__ = ["emit", "golden_rows"]

#: Rows of the self-test after the first `reach`.
GOLDEN = 16


def emit(programs: Sequence[Program], prefix: str = "tradenas_net", *, vnni: bool = False) -> str:
    """The C source of the mean of programs, to be compiled by GCC or Clang without anything else.

    It declares `<prefix>_state`, and defines

        void <prefix>_reset(<prefix>_state *)                       as before the first row
        int <prefix>_step(<prefix>_state *, const float *row, float *signal)     0 while the signal is NaN
        void <prefix>_window(const float *rows, float *signal)      the latest `reach` rows, the oldest first

    A window with a number that is not finite gives NaN; a stream does until `reach` whole rows have been seen.
    With `-D<PREFIX>_MAIN` it is a program that tests itself, with `-D<PREFIX>_PYTHON` an extension module.

    Args:
        programs: of the same columns.
        prefix: of every symbol; letters, digits and `_`.
        vnni: add up 8-bit integers by instructions that not every CPU has (`tradenas.formats.c.vnni`); compiling such a
            file for one that has not is refused.

    Raises:
        UnsupportedOp: a step that C has no kernel for.
        ExportError: programs of different columns, or weights that are not finite.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix):
        raise ConfigError("prefix", got=repr(prefix), expected="a letter, then letters, digits and _")
    if not programs or any(p.columns != programs[0].columns for p in programs):
        got = "none" if not programs else "programs of different columns"
        raise ExportError("emit", got=got, expected="one or more programs of the same columns")
    columns, reach = len(programs[0].columns), max(p.reach for p in programs)
    constants = Constants(prefix)
    parts = [_Part(p, f"{prefix}_n{i}", constants, vnni=vnni) for i, p in enumerate(programs)]
    share = literal(1.0 / len(parts))
    fields = " ".join(f"struct {part.name} {part.name};" for part in parts)
    calls_row = " + ".join(f"{part.name}_row(&s->{part.name}, row)" for part in parts)
    calls_rows = " + ".join(f"{part.name}_rows(rows + {(reach - part.reach) * columns})" for part in parts)
    pieces = [
        _head(programs, prefix),
        _text("prelude.c"),
        *([_text("vnni.c")] if vnni else []),
        f"#define PREFIX_REACH {reach}",
        f"#define PREFIX_COLUMNS {columns}",
        f"#define PREFIX_PROGRAMS {len(parts)}",
        *(part.struct() for part in parts),
        f"typedef struct {{ {fields} int32_t silent; }} prefix_state;",
        *constants.lines,
        *(part.row + part.window for part in parts),
        "PREFIX_API void prefix_reset(prefix_state *s) {",
        "  memset(s, 0, sizeof *s);",
        f"  s->silent = {reach - 1};",
        "}",
        "PREFIX_API int prefix_step(prefix_state *s, const float *row, float *signal) {",
        f"  const float y = ({calls_row}) * {share}, bad = not_finite(row, {columns});",
        f"  if (bad != 0.0f) s->silent = {reach};",
        '  if (s->silent) { s->silent--; *signal = __builtin_nanf(""); return 0; }',
        "  *signal = y;",
        "  return 1;",
        "}",
        "PREFIX_API void prefix_window(const float *rows, float *signal) {",
        f"  *signal = ({calls_rows}) * {share} + not_finite(rows, {reach * columns});",
        "}",
        _golden(programs),
        *(_text(name) for name in ("library.c", "main.c", "python.c")),
    ]
    text = "\n".join(pieces)
    return text.replace("PREFIX_", f"{prefix.upper()}_").replace("prefix_", f"{prefix}_").replace("@name@", prefix)


def golden_rows(rows: int, columns: int) -> Float32Array:
    """Rows of the self-test: multiples of 2^-22 in [-2, 2) from Knuth's congruential generator (MMIX)."""
    state, found = 1, np.empty(rows * columns, np.float32)
    for i in range(found.size):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        found[i] = (state >> 40) * 2.0**-22 - 2.0
    return found.reshape(rows, columns)


def _text(name: str) -> str:
    return (files("tradenas.formats.c") / "text" / name).read_text(encoding="utf-8")


def _head(programs: Sequence[Program], prefix: str) -> str:
    first = programs[0]
    names = (", ".join(first.names) or ", ".join(map(str, first.columns))).replace("*/", "")
    return (
        f"/* {prefix}: written by tradenas {version('tradenas')}. {len(programs)} network(s), "
        f"{sum(p.parameters for p in programs)} numbers, {sum(p.macs() for p in programs)} multiply-adds a row.\n"
        f" * A row is {len(first.columns)} floats: {names}.\n"
        f" * cc -O2 -march=native -D{prefix.upper()}_MAIN {prefix}.c -lm && ./a.out    tests itself. */"
    )


def _golden(programs: Sequence[Program]) -> str:
    reach = max(p.reach for p in programs)
    rows = golden_rows(reach + GOLDEN - 1, len(programs[0].columns)).astype(np.float64)
    signal = np.mean([run_series(p, rows) for p in programs], axis=0)[reach - 1 :]
    tolerance = "1e-6f" if all(map(_steady, programs)) else "1e-2f"
    given = f"static const float prefix_golden[{GOLDEN}] = {numbers(signal)};"
    return f"#ifdef PREFIX_MAIN\n#define PREFIX_TOLERANCE {tolerance}\n{given}\n#endif"


def _steady(program: Program) -> bool:
    """Whether rounding in single precision cannot tip a quantiser: there is none, or every sum is exact."""
    if not any(isinstance(step, Quantise) for step in program.steps):
        return True
    try:
        check_exact(program)
    except SpaceError:
        return False
    return True


class _Part:
    """One program's functions."""

    def __init__(self, program: Program, name: str, constants: Constants, *, vnni: bool) -> None:
        self.name, self.reach, self.columns = name, program.reach, len(program.columns)
        program = split_recurrent(program)
        self.program = packed(program) if vnni else program
        self.rows, self.strides, self.single = self.program.rows(), strides(self.program), scalars(self.program)
        self.index = {step.name: i for i, step in enumerate(self.program.steps)}
        self.rings = rings(self.program, self.rows)
        self.constants = constants
        self.row = self._row()
        self.window = self._window()

    def struct(self) -> str:
        fields = [
            f"  float r{self.index[v]}[{2 * ring.rows * ring.stride}] __attribute__((aligned(64)));"
            for v, ring in self.rings.items()
        ]
        fields += [f"  int32_t at{rows};" for rows in sorted({ring.rows for ring in self.rings.values()})]
        return "\n".join([f"struct {self.name} {{", *(fields or ["  int32_t none;"]), "};"])

    def _row(self) -> str:
        """One more row: into rings, through all steps."""
        lines = [f"static float {self.name}_row(struct {self.name} *s, const float *row) {{"]
        lines += [f"  const int at{n} = s->at{n};" for n in sorted({r.rows for r in self.rings.values()})]
        for v, ring in self.rings.items():
            i = self.index[v]
            lines.append(f"  float *m{i} = s->r{i} + (at{ring.rows} + {ring.rows}) * {ring.stride};")
        live = [step for step in self.program.steps if self.rows[step.name]]
        for step in live:
            if step.name not in self.rings and (step.name in self.single or isinstance(step, Input)):
                lines.append(self._local(step))
        body = Row(self.program, lambda v: f"m{self.index[v]}", self.constants)
        for step in live:
            i = self.index[step.name]
            if isinstance(step, Input):
                body.lines.append(f"memcpy(m{i}, row, {4 * self.columns});")
            else:
                self._kept(body, step, step.name in self.rings or step.name in self.single)
            if step.name in self.rings:
                ring = self.rings[step.name]
                whole = f"memcpy(m{i} - {ring.rows * ring.stride}, m{i}, {4 * ring.stride});"
                body.lines.append(whole)
        lines += [f"  {line}" for line in body.lines]
        lines += [
            f"  s->at{n} = at{n} + 1 == {n} ? 0 : at{n} + 1;" for n in sorted({r.rows for r in self.rings.values()})
        ]
        return "\n".join([*lines, f"  return ({body.chunk(self.program.output, 0)})[0];", "}\n"])

    def _window(self) -> str:
        """Each step on the rows that are read of it."""
        lines = [f"static float {self.name}_rows(const float *rows) {{"]
        source = self.program.steps[0]
        together = groups(self.program, self.rows)
        home = {step.name: n for n, group in enumerate(together) for step in group}
        buffered = {
            name for n, group in enumerate(together) for step in group for name in step.reads
            if home.get(name, -1) != n and name != source.name
        }  # fmt: skip
        room, packed = self.rows[source.name] * self.strides[source.name], self.strides[source.name] == self.columns
        if not packed:
            lines.append(f"  float b0[{room}] __attribute__((aligned(64))) = {{0}};")
            copy = f"memcpy(b0 + i * {self.strides[source.name]}, rows + i * {self.columns}, {4 * self.columns});"
            lines.append(f"  for (int i = 0; i < {self.rows[source.name]}; i++) {copy}")
        else:
            lines.append("  const float *b0 = rows;")
        for name in sorted(buffered, key=self.index.__getitem__):
            size = self.rows[name] * self.strides[name]
            lines.append(f"  float b{self.index[name]}[{size}] __attribute__((aligned(64)));")
        for group in together:
            count = self.rows[group[0].name]
            t = "0" if count == 1 else "t"

            def pointer(v: str, t: str = t, count: int = count) -> str:
                i = self.index[v]
                if v in buffered or v == source.name:
                    late = self.rows[v] - count
                    at = str(late) if t == "0" else f"({t} + {late})" if late else t
                    return f"(b{i} + {at} * {self.strides[v]})"
                return f"m{i}"

            body = Row(self.program, pointer, self.constants)
            for step in group:
                inside = step.name in self.single and step.name not in buffered
                if inside:
                    body.lines.append(self._local(step))
                self._kept(body, step, inside or step.name in buffered)
            if any(step.name == self.program.output for step in group):
                body.lines.append(f"return ({body.chunk(self.program.output, 0)})[0];")
            loop = f"  for (int t = 0; t < {count}; t++) {{" if count > 1 else "  {"
            lines += [loop, *(f"    {line}" for line in body.lines), "  }"]
        return "\n".join([*lines, "}\n"])

    def _local(self, step: Step) -> str:
        return f"  float m{self.index[step.name]}[{self.strides[step.name]}] __attribute__((aligned(64))) = {{0}};"

    def _kept(self, body: Row, step: Step, memory: bool) -> None:
        """Writes a step, and its chunks to memory where someone reads them there."""
        names = write(body, step)
        if memory:
            for name, c in zip(names, body.of(step), strict=False):
                body.lines.append(f"*(v{c.width} *)({body.pointer(step.name)} + {c.at}) = {name};")
