"""The format `verilog`: a folder of hardware, proved as far as was asked for against the networks that were traded."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.errors import ConfigError, UnsupportedOp
from tradenas.formats.base import FORMATS, PROOFS, Options, Written
from tradenas.formats.parity import Proof, Subject, windows_of
from tradenas.formats.verilog.prove import routed, simulated, synthesised
from tradenas.formats.verilog.write import RESOURCES, Design, design, write, write_vectors

__all__ = ["FOLDER", "gzipped", "write_verilog"]

FOLDER = "verilog"
#: Rows of the testbench that leaves with the design, and of the proof at most.
KEPT, PROVED = 600, 12_000


@FORMATS.register("verilog")
def write_verilog(subject: Subject, options: Options, folder: Path) -> Written:
    """Writes the folder `verilog`: streaming, unless only a window was asked for.

    A streaming core computes one column of each layer per row and remembers the others; a window core computes all of
    them at once, is many times larger, and says the same.

    Raises:
        ConfigError: several signals at once, 8 bits, or an unknown proof.
        UnsupportedOp: a step that Verilog cannot express.
        ParityError: the simulation differs from the networks.
        ExportError: a tool is missing or failed.
    """
    _check(options)
    try:
        made = design(subject.program, streaming=options.streaming)
    except UnsupportedOp as error:
        if len(subject.programs) > 1 and "mean" in error.place:
            raise UnsupportedOp(
                "verilog: the mean of trainings", got=f"{len(subject.programs)} of them", expected="1, 2, 4 or 8",
                fix="export one training alone (--seed-index 0)",
            ) from error  # fmt: skip
        raise
    target = folder / FOLDER
    rows_TF = _whole(subject)
    write(made, target, rows_TF[-KEPT - subject.program.reach :])
    proofs = []
    if options.prove != "none":
        proofs.append(_simulated(subject, made, target, rows_TF))
        write_vectors(made, target, rows_TF[-KEPT - subject.program.reach :])
    if options.prove in ("synthesise", "route"):
        synthesised(made, target, "xc7")
        netlist = synthesised(made, target, "ice40")
        if options.prove == "route":
            routed(made, target, netlist, seeds=(1, 2, 3))
    facts: dict[str, Any] = json.loads((target / RESOURCES).read_text(encoding="utf-8"))
    return Written(
        files=tuple(sorted(p for p in target.rglob("*") if p.is_file())),
        proofs=tuple(proofs),
        notes=(
            "Verilog: `top.v` is the module, `core.v` its logic, `tb.v` a testbench that checks itself.",
            "`verilog/static` is part of da4ml and under the LGPL, version 3: see `verilog/LICENCE.txt`.",
            *(("The Verilog was not simulated here.",) if options.prove == "none" else ()),
        ),
        facts={"verilog": facts},
    )


def gzipped(folder: Path) -> int:
    """Bytes of a design's Verilog and tables, compressed; the testbench does not count."""
    files = sorted(folder.rglob("*.v"))
    return len(gzip.compress(b"".join(f.read_bytes() for f in files if f.name != "tb.v"), mtime=0))


def _check(options: Options) -> None:
    if options.prove not in PROOFS:
        raise ConfigError("verilog: prove", got=repr(options.prove), expected=f"one of {', '.join(PROOFS)}")
    if options.batch not in (None, 1):
        raise ConfigError("verilog: batch", got=options.batch, expected="1", fix="use one core for each series")
    if options.int8:
        raise ConfigError(
            "verilog: int8", got="asked for", expected="a network that rounds by itself",
            fix="search with space.weight_bits and space.activation_bits; its bits are those that were traded",
        )  # fmt: skip


def _whole(subject: Subject) -> Any:
    """The longest stretch of real rows without a gap: a stream has no way to say that a number is missing."""
    rows_TF = np.asarray(subject.rows_TF, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(rows_TF).all(axis=1))
    edges = np.concatenate([[-1], bad, [len(rows_TF)]])
    longest = int(np.argmax(np.diff(edges)))
    found = rows_TF[edges[longest] + 1 : edges[longest + 1]]
    if len(found) < subject.program.reach:
        raise ConfigError(
            "verilog", got=f"{len(found)} real rows without a gap", expected=f"{subject.program.reach} or more"
        )
    return found[-PROVED:]


def _simulated(subject: Subject, made: Design, folder: Path, rows_TF: Any) -> Proof:
    """Simulates over real rows; expected are the signals of the networks that were traded, window by window."""
    reach = subject.program.reach
    windows_NRF = windows_of(rows_TF.astype(np.float32), reach)
    expected_N = np.concatenate(
        [np.asarray(subject.network(windows_NRF[i : i + 2048]), float) for i in range(0, len(windows_NRF), 2048)]
    )
    write_vectors(made, folder, rows_TF.astype(np.float32), expected_N)
    found = simulated(folder)
    return Proof(
        what=f"verilog {'stream' if made.traced.streaming else 'window'}",
        against="the networks on windows, to the bit",
        compared=found.compared, real=found.compared, max_error=0.0, tolerance=0.0, spoiled=0, spoke=0,
    )  # fmt: skip
