"""nextpnr places and routes a design on a Lattice iCE40 HX8K; what it says about time is real."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def route(made: Synthesised, *, seeds: Iterable[int] = (1,), seconds: float = 900.0) -> list[Routed]:
    """Places and routes with each seed, the fastest first; a placement is a draw, so several are worth trying.

    Args:
        made: of the family `ice40`.
        seeds: of the placement.
        seconds: for each.

    Raises:
        ExportError: nextpnr-ice40 is missing, or the design does not fit.
    """
    if made.family != "ice40":
        raise ExportError("route", got=f"a netlist for {made.family}", expected="ice40: no other chip is placed here")
    with tempfile.TemporaryDirectory(prefix="tradenas-nextpnr-") as scratch:
        Path(scratch, "netlist.json").write_text(json.dumps(made.module), encoding="utf-8")
        found = [_route(Path(scratch), seed, seconds) for seed in seeds]
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


def resources(fastest: Routed, cycles: int, tried: int) -> dict[str, Any]:
    """What the card says about it."""
    return {
        "device": fastest.device, "megahertz": fastest.megahertz, "nanoseconds": round(fastest.nanoseconds(cycles), 1),
        "cells": fastest.cells, "available": fastest.available, "seed": fastest.seed, "seeds_tried": tried,
        "by": "nextpnr-ice40",
    }  # fmt: skip
