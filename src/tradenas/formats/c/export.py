"""The format `c`: one C file, the loader that compiles it where it runs, and proofs of what was compiled here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tradenas import loader
from tradenas.atomic import write_text
from tradenas.errors import ConfigError
from tradenas.formats.base import FORMATS, Options, Written
from tradenas.formats.c.build import compile_programs, needs_compiler, self_test
from tradenas.formats.c.emit import tolerance_of
from tradenas.formats.ensemble import mean_of
from tradenas.formats.parity import Proof, Subject, prove_stream, prove_windows, windows_of
from tradenas.formats.reference import run_windows
from tradenas.seeds import rng_for
from tradenas.typing import Float32Array, FloatArray

__all__ = ["LOADER", "NAME", "write_c"]

#: Prefix of all symbols, and name of the file.
NAME, LOADER = "tradenas_net", "loader.py"


@FORMATS.register("c")
def write_c(subject: Subject, options: Options, folder: Path) -> Written:
    """Writes `tradenas_net.c` and `loader.py`, compiles the C file, runs its own test, and proves both entries.

    The C file always holds both entries, for one series at a time; those that were asked for are proved.

    Raises:
        ConfigError: several signals at once, or 8 bits.
        MissingExtra: nothing to compile it with, so that nothing can be proved.
    """
    if options.batch not in (None, 1):
        raise ConfigError("c: batch", got=options.batch, expected="1", fix="loop over the series, each with its state")
    if options.int8:
        raise ConfigError(
            "c: int8", got="asked for", expected="float32",
            fix="make 8-bit C with tradenas.formats.eight_bits; its answers are near, and not to be proved equal",
        )  # fmt: skip
    made = compile_programs(subject.programs, folder, NAME)
    write_text(folder / LOADER, Path(loader.__file__).read_text(encoding="utf-8"))
    told = self_test(made.source, NAME)
    windows_NRF = _drawn(subject)
    exact_N = run_windows(mean_of(subject.programs), windows_NRF.astype(float))
    size = max(1.0, float(np.abs(exact_N).max()))
    scaled = replace(subject, network=lambda x_NRF: subject.network(x_NRF) / size)
    some_TF = windows_NRF[:20].reshape(-1, windows_NRF.shape[-1]).astype(float)
    tolerance = tolerance_of(subject.programs, some_TF)
    words = "" if size == 1.0 else f", in units of {size:.3g}"
    proofs: list[Proof] = []
    if options.window:
        run = partial(_scaled, made.windows, size)
        proofs.append(prove_windows(scaled, run, what=f"c window{words}", tolerance=tolerance))
    if options.streaming:
        run = partial(_scaled, made.series, size)
        proofs.append(prove_stream(scaled, run, what=f"c stream{words}", tolerance=tolerance))
    return Written(
        files=(made.source, folder / LOADER),
        proofs=tuple(proofs),
        notes=(
            "C: `tradenas_net.c` and `loader.py` need nothing but a C compiler; `loader.py` says how to call them.",
        ),
        facts={
            "command": f"cc {' '.join(loader.FLAGS)} -D{NAME.upper()}_MAIN {NAME}.c -lm -o test && ./test",
            "self_test": told.strip(),
            "compiler": _compiler(),
            "shared_object_bytes": made.shared.stat().st_size,
            "c_from_double": float(np.abs(made.windows(windows_NRF) - exact_N).max()) / size,
            "network_from_double": float(np.abs(subject.network(windows_NRF) - exact_N).max()) / size,
        },
    )


def _drawn(subject: Subject) -> Float32Array:
    """Windows that say how large signals are, and who is nearer to double precision."""
    reach, columns = subject.program.reach, len(subject.program.columns)
    random_NRF = rng_for(0, "c", "size").standard_normal((256, reach, columns)).astype(np.float32)
    real_NRF = windows_of(subject.rows_TF, reach)[-1024:]
    return np.concatenate([random_NRF, real_NRF[np.isfinite(real_NRF).all(axis=(1, 2))]])


def _scaled(run: Callable[[Float32Array], Float32Array], size: float, x: Float32Array) -> FloatArray:
    return run(x).astype(float) / size


def _compiler() -> str:
    with needs_compiler():
        command = loader.compiler()
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return (told.stdout.splitlines() or ["unknown"])[0]
