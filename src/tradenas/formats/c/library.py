"""Many networks in one compiler run, for tables of latency and for tests: a shared object that `ctypes` opens."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tradenas import loader
from tradenas.atomic import write_text
from tradenas.errors import ConfigError
from tradenas.formats.c.build import needs_compiler
from tradenas.formats.c.emit import emit
from tradenas.formats.program import Program
from tradenas.typing import Float32Array, FloatArray

__all__ = ["Member", "compile_library"]

PAGE = 4096


class Member:
    """One of the networks; called inside C, so that Python's share of a call is not in the figures."""

    def __init__(self, library: Any, name: str, reach: int, columns: int) -> None:
        self.library, self.name, self.reach, self.columns = library, name, reach, columns

    def series(self, x_TF: FloatArray | Float32Array) -> Float32Array:
        """The signal after each row (T,), from a fresh start."""
        return self._each("series", x_TF, len(x_TF))

    def windows(self, x_NRF: FloatArray | Float32Array) -> Float32Array:
        """The signal of each window (N,) of `reach` rows."""
        return self._each("windows", x_NRF, len(x_NRF) * self.reach)

    def nanoseconds(self, calls: int, *, streaming: bool | None) -> FloatArray:
        """Times of single calls (calls,), the clock's own included.

        The rows begin where a page does: in vectors that cross the border of a cache line, a window takes longer.

        Args:
            calls: how many.
            streaming: one more row, or a whole window; None calls nothing and so times the clock.
        """
        room = np.zeros(4 * self.reach * self.columns + PAGE, np.uint8)
        rows = room[-room.ctypes.data % PAGE :]
        taken = np.empty(calls)
        kind = -1 if streaming is None else int(streaming)
        getattr(self.library, f"{self.name}_time")(
            ctypes.c_int(kind),
            ctypes.c_void_p(rows.ctypes.data),
            ctypes.c_long(calls),
            ctypes.c_void_p(taken.ctypes.data),
        )
        return taken

    def _each(self, what: str, x: FloatArray | Float32Array, rows: int) -> Float32Array:
        x = np.ascontiguousarray(x, np.float32)
        if x.size != rows * self.columns:
            raise ConfigError(self.name, got=f"rows of shape {x.shape}", expected=f"{self.columns} columns")
        signals = np.empty(len(x), np.float32)
        getattr(self.library, f"{self.name}_{what}")(
            ctypes.c_void_p(x.ctypes.data), ctypes.c_long(len(x)), ctypes.c_void_p(signals.ctypes.data)
        )
        return signals


def compile_library(
    networks: Mapping[str, Sequence[Program]], folder: str | Path, name: str = "bundle", *, vnni: bool = False
) -> dict[str, Member]:
    """Compiles networks together; each is the mean of its programs and goes by its key, which is its C prefix.

    Args:
        networks: programs by prefix.
        folder: for the C file, which there is.
        name: of the C file.
        vnni: as in `emit`.

    Raises:
        MissingExtra: no C compiler.
        ExportError: it refused.
    """
    source = Path(folder) / f"{name}.c"
    write_text(source, "\n".join(emit(programs, prefix, vnni=vnni) for prefix, programs in networks.items()))
    with needs_compiler():
        library = ctypes.CDLL(str(loader.library(source, name)))
    return {
        prefix: Member(library, prefix, max(p.reach for p in programs), len(programs[0].columns))
        for prefix, programs in networks.items()
    }
