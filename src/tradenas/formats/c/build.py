"""From programs to something that runs: writes the C file, compiles it, loads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradenas import loader
from tradenas.atomic import write_text
from tradenas.errors import ExportError, MissingExtra
from tradenas.formats.c.emit import emit
from tradenas.formats.program import Program
from tradenas.typing import Float32Array, FloatArray

__all__ = ["Compiled", "compile_programs", "needs_compiler", "self_test"]


@dataclass(frozen=True)
class Compiled:
    """Programs as machine code of this CPU, to be asked from Python.

    For the least latency keep what `module` makes: `module.Stream(row).step()` and `module.Window(rows).run()` read an
    array that is written to in place, and give a float.

    Attributes:
        source: the C file.
        shared: the shared object.
        module: it, loaded: `Stream`, `Window`, `window`, `windows`, `REACH`, `COLUMNS`.
    """

    source: Path
    shared: Path
    module: Any

    def series(self, x_TF: FloatArray | Float32Array) -> Float32Array:
        """The signal after each row (T,), from the first; it counts from row `REACH - 1` on."""
        signal_T = np.empty(len(x_TF), np.float32)
        self.module.Stream().series(np.ascontiguousarray(x_TF, np.float32), signal_T)
        return signal_T

    def windows(self, x_NRF: FloatArray | Float32Array) -> Float32Array:
        """The signal of each window (N,), which has `REACH` rows."""
        signal_N = np.empty(len(x_NRF), np.float32)
        self.module.windows(np.ascontiguousarray(x_NRF, np.float32), signal_N)
        return signal_N


def compile_programs(
    programs: Sequence[Program], folder: str | Path, prefix: str = "tradenas_net", *, vnni: bool = False
) -> Compiled:
    """Writes `<prefix>.c` into a folder that there is, and compiles and loads it; what is there already is used.

    Args:
        programs: that speak as their mean.
        folder: for the C file; what is compiled goes into `built` inside it.
        prefix: of every symbol.
        vnni: as in `emit`.

    Raises:
        MissingExtra: no C compiler, or no Python.h; says which package brings it.
        ExportError: the compiler refused.
        UnsupportedOp: a step that C has no kernel for.
    """
    source = Path(folder) / f"{prefix}.c"
    text = emit(programs, prefix, vnni=vnni)
    if not source.exists() or source.read_text(encoding="utf-8") != text:
        write_text(source, text)
    with needs_compiler():
        return Compiled(source, loader.extension(source, prefix), loader.load(source, prefix))


def self_test(source: str | Path, prefix: str = "tradenas_net", *, calls: int = 0) -> str:
    """Compiles and runs the C file's own test, without Python; what it prints.

    Args:
        source: the C file.
        prefix: of its symbols.
        calls: to be timed; prints medians and 99th percentiles in nanoseconds.
    """
    with needs_compiler():
        return loader.run(loader.executable(source, prefix), *([str(calls)] if calls else []))


@contextmanager
def needs_compiler() -> Iterator[None]:
    """Turns what the loader says, which knows no tradenas, into errors of tradenas."""
    try:
        yield
    except loader.NoCompiler as error:
        place, _, fix = str(error).partition("; on Debian and Ubuntu: ")
        raise MissingExtra(
            "a C compiler", got=place, expected="gcc or clang, and the headers of Python",
            fix=f"run: {fix}; or use the ONNX file, which needs neither",
        ) from None  # fmt: skip
    except loader.CompilerError as error:
        raise ExportError("the C compiler", got=str(error), expected="no complaint") from error
