"""The folder of a network as Verilog: core, wrapper, testbench with vectors, da4ml's modules, licence note, card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradenas.atomic import write_json, write_text
from tradenas.formats.program import Program
from tradenas.formats.verilog.pipeline import Core, pipeline
from tradenas.formats.verilog.testbench import testbench
from tradenas.formats.verilog.trace import Traced, trace
from tradenas.formats.verilog.vectors import input_lines, output_lines, port_name, signals
from tradenas.formats.verilog.wrapper import Wrapped, wrap
from tradenas.typing import FloatArray

__all__ = ["RESOURCES", "Design", "design", "note", "write", "write_vectors"]

#: What is known about a design, word by word: estimated, simulated, synthesised, placed and routed, routing modelled.
RESOURCES = "resources.json"

LICENCE = """\
core.v and top.v were generated from a network; they belong to whoever owns the network.
The modules in static/ are part of da4ml (https://github.com/calad0i/da4ml), copyright of its authors, and are under the
GNU Lesser General Public License, version 3.  They are unchanged copies.  Whoever passes this folder on, passes on that
licence for them: https://www.gnu.org/licenses/lgpl-3.0.html
"""


@dataclass(frozen=True, eq=False)
class Design:
    """A program as hardware, in memory."""

    traced: Traced
    core: Core
    wrapped: Wrapped

    def describe(self) -> dict[str, Any]:
        """Ports, latency and estimated resources as plain data."""
        traced, wrapped = self.traced, self.wrapped
        program, low = traced.program, 0
        ports = []
        for port in traced.ports:
            f = port.fixed
            ports.append({"bits": [low + f.bits - 1, low], "carries": port_name(port, program.names, program.columns),
                          "signed": bool(f.sign), "step": f.step})  # fmt: skip
            low += f.bits
        return {
            "mode": "streaming" if traced.streaming else "window",
            "parameters": program.parameters,
            "reach": program.reach,
            "x": ports,
            "y": {"bits": wrapped.output_bits, "signed": wrapped.output_signed, "step": wrapped.output_step},
            "cycles": wrapped.cycles,
            "interval_cycles": wrapped.interval,
            "state_bits": wrapped.state_bits,
            "estimated": {
                "luts": traced.estimated_luts, "registers": self.core.registers + wrapped.state_bits, "by": "da4ml",
                "period_ns": round(self.core.period, 2), "dsp": 0, "bram": 0,
            },
        }  # fmt: skip


def design(program: Program, *, streaming: bool = True, stages: int | None = None, depth: int = 2) -> Design:
    """Hardware for a fixed-point program.

    Args:
        program: dyadic weights, quantisers on the inputs and before everything remembered.
        streaming: one row at a time, or a whole window.
        stages: of the pipeline; without it those of the smallest estimated latency.
        depth: see `trace`.

    Raises:
        UnsupportedOp: a step that Verilog cannot express.
    """
    traced = trace(program, streaming=streaming, depth=depth)
    core = pipeline(traced.logic, "core", stages=stages)
    return Design(traced, core, wrap(traced, core))


def write(made: Design, folder: Path, rows_TF: FloatArray) -> Path:
    """All files of a design, with a testbench over a series.

    Args:
        made: the design.
        folder: made if need be.
        rows_TF: the program's columns, row after row, before any quantiser; `reach` rows or more.
    """
    import da4ml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "static").mkdir(exist_ok=True)
    write_text(folder / "core.v", made.core.verilog)
    write_text(folder / "top.v", made.wrapped.verilog)
    for module in sorted((Path(da4ml.__file__).parent / "codegen/rtl/verilog/source").glob("*.v")):
        write_text(folder / "static" / module.name, module.read_text(encoding="utf-8"))
    write_text(folder / "LICENCE.txt", LICENCE)
    write_vectors(made, folder, rows_TF)
    write_json(folder / RESOURCES, made.describe())
    return folder


def write_vectors(made: Design, folder: Path, rows_TF: FloatArray, expected_N: FloatArray | None = None) -> int:
    """The testbench and its vectors alone; how many outputs it compares.

    Args:
        made: the design.
        folder: of the design.
        rows_TF: as in `write`.
        expected_N: the signal of every window of the series, of the network that was backtested; without it the
            reference's.

    Raises:
        ExportError: the signals are not numbers of the output's format, so that they are not this program's.
    """
    wrapped, traced = made.wrapped, made.traced
    lines = input_lines(traced, rows_TF)
    expected = signals(traced, rows_TF) if expected_N is None else expected_N
    words = output_lines(expected, wrapped.output_bits, wrapped.output_step)
    write_text(folder / "rows.hex", "\n".join(lines) + "\n")
    write_text(folder / "expected.hex", "\n".join(words) + "\n")
    write_text(folder / "tb.v", testbench(wrapped, rows=len(lines), skipped=len(lines) - len(words)))
    return len(words)


def note(folder: Path, what: str, found: dict[str, Any]) -> None:
    """Adds what was found out about a design to its resources, under the word for how it is known."""
    path = folder / RESOURCES
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[what] = {**known.get(what, {}), **found}
    write_json(path, known)
