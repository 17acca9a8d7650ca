"""nextpnr places and routes a design on a Lattice iCE40 HX8K; what it says about time is real."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tradenas.errors import ExportError
from tradenas.formats.verilog.synthesise import Synthesised
from tradenas.formats.verilog.tools import run

__all__ = ["Routed", "route"]

FREQUENCY = re.compile(r"Max frequency for clock\s+'[^']*':\s+([0-9.]+) MHz")
CELLS = re.compile(r"ICESTORM_LC:\s+(\d+)/\s*(\d+)")


@dataclass(frozen=True, kw_only=True)
class Routed:
    """One design on one chip.

    Attributes:
        device: chip and package.
        seed: of the placement.
        megahertz: highest clock frequency, by the tool's own timing of the routed chip.
        cells: logic cells used (a look-up table, a carry and a register each).
        available: on the chip.
    """

    device: str
    seed: int
    megahertz: float
    cells: int
    available: int

    def nanoseconds(self, cycles: int) -> float:
        """Latency of so many cycles at that frequency."""
        return 1e3 * cycles / self.megahertz


def route(made: Synthesised, *, seeds: Iterable[int] = (1, 2), seconds: float = 600.0) -> list[Routed]:
    """Places and routes with each seed, the fastest first; seeds that do not come to an end are left out.

    A placement is a draw, pins included: Fmax differs by some percent, and with some pins nextpnr 0.4's router tears up
    the same wire for ever.

    Args:
        made: of the family `ice40`.
        seeds: of the placement.
        seconds: for each.

    Raises:
        ExportError: nextpnr-ice40 is missing, or no seed fits and ends.
    """
    if made.family != "ice40":
        raise ExportError("route", got=f"a netlist for {made.family}", expected="ice40: no other chip is placed here")
    found, failed = [], ""
    with tempfile.TemporaryDirectory(prefix="tradenas-nextpnr-") as scratch:
        Path(scratch, "netlist.json").write_text(json.dumps(made.module), encoding="utf-8")
        for seed in seeds:
            try:
                found.append(_route(Path(scratch), seed, seconds))
            except ExportError as error:
                failed = str(error)
    if not found:
        raise ExportError(
            "route", got=failed, expected="a seed that is placed and routed", fix="try more seeds, or bits"
        )
    return sorted(found, key=lambda r: -r.megahertz)


def _route(folder: Path, seed: int, seconds: float) -> Routed:
    # A frequency that is missed is an error to nextpnr: ask for a low one, it still does its best.
    command = ["nextpnr-ice40", "--hx8k", "--package", "ct256", "--json", "netlist.json", "--freq", "10"]
    text = run([*command, "--seed", str(seed), "--asc", "chip.asc"], folder, seconds=seconds)
    frequencies, cells = FREQUENCY.findall(text), CELLS.search(text)
    if not frequencies or cells is None:
        raise ExportError(
            "nextpnr-ice40", got=text.strip()[-300:], expected="a maximum frequency and a number of cells"
        )
    return Routed(
        device="iCE40 HX8K ct256", seed=seed, megahertz=float(frequencies[-1]), cells=int(cells[1]),
        available=int(cells[2]),
    )  # fmt: skip
