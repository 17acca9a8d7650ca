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
from tradenas.formats.c.layout import literal, numbers
from tradenas.formats.c.part import Part
from tradenas.formats.c.row import Constants
from tradenas.formats.ensemble import mean_of
from tradenas.formats.grid import check_exact
from tradenas.formats.program import Program, Quantise
from tradenas.formats.reference import run_series
from tradenas.typing import Float32Array, FloatArray

__all__ = ["TOLERANCE", "emit", "golden_rows", "tolerance_of"]

#: Rows of the self-test after the first `reach`.
GOLDEN = 16
#: Of the largest signal, or of 1.
TOLERANCE = 1e-6


def emit(programs: Sequence[Program], prefix: str = "tradenas_net", *, vnni: bool = False) -> str:
    """The C source of the mean of programs, to be compiled by GCC or Clang without anything else.

    It declares `<prefix>_state`, and defines

        size_t <prefix>_bytes(void)                                 of a state, for who does not include the file
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
    parts = [Part(p, f"{prefix}_n{i}", constants, vnni=vnni) for i, p in enumerate(programs)]
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
        "PREFIX_API size_t prefix_bytes(void) { return sizeof(prefix_state); }",
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
    mean = mean_of(programs)
    given = f"static const float prefix_golden[{GOLDEN}] = {numbers(run_series(mean, rows)[reach - 1 :])};"
    return f"#ifdef PREFIX_MAIN\n#define PREFIX_TOLERANCE {literal(tolerance_of(programs, rows))}\n{given}\n#endif"


def tolerance_of(programs: Sequence[Program], x_TF: FloatArray) -> float:
    """What single precision may make of the mean of programs on some rows, as a share of the largest signal (or of 1).

    1e-6; more where the last bit of the rows alone makes more than an eighth of it; 1e-2 where it may tip a quantiser.
    """
    if any(isinstance(step, Quantise) for program in programs for step in program.steps):
        return TOLERANCE if all(map(_steady, programs)) else 1e-2
    mean = mean_of(programs)
    signal, nudged = (run_series(mean, x)[mean.reach - 1 :] for x in (x_TF, x_TF * (1 + 2.0**-23)))
    size = max(1.0, float(np.abs(signal).max()))
    return max(TOLERANCE, float(f"{8 * np.abs(nudged - signal).max() / size:.1e}"))


def _steady(program: Program) -> bool:
    """Whether rounding in single precision cannot tip a quantiser: every sum is exact."""
    try:
        check_exact(program)
    except SpaceError:
        return False
    return True
