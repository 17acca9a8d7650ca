"""How far a design is proved, tool by tool, noted in its folder under the word for how each figure is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tradenas.formats.verilog.route import Routed, route
from tradenas.formats.verilog.simulate import Simulated, simulate
from tradenas.formats.verilog.synthesise import Family, Synthesised, synthesise
from tradenas.formats.verilog.timing import timing
from tradenas.formats.verilog.write import Design, note

__all__ = ["routed", "simulated", "synthesised"]


def simulated(folder: Path, *, seconds: float = 600.0) -> Simulated:
    """Verilator against the windowed reference.

    Raises:
        ParityError: an output differs.
    """
    found = simulate(folder, seconds=seconds).demand()
    told = {"outputs": found.compared, "wrong": found.wrong, "distinct": found.distinct, "by": "verilator"}
    note(folder, "simulated", told)
    return found


def synthesised(made: Design, folder: Path, family: Family, *, seconds: float = 900.0) -> Synthesised:
    """Yosys' cells; for xc7 also our timing, whose routing is modelled."""
    found = synthesise(folder, family, seconds=seconds)
    word = "synthesised" if family == "xc7" else f"synthesised_{family}"
    note(folder, word, {**found.parts, "family": family, "by": "yosys"})
    if family == "xc7":
        time = timing(found)
        told = {
            "megahertz": time.megahertz, "nanoseconds": round(1e3 * made.wrapped.cycles / time.megahertz, 1),
            "logic_only_megahertz": time.logic_megahertz, "picoseconds_a_net": time.net, "by": "tradenas",
        }  # fmt: skip
        note(folder, "routing_modelled", told)
    return found


def routed(
    made: Design, folder: Path, netlist: Synthesised, *, seeds: Iterable[int] = (1,), seconds: float = 900.0
) -> Routed:
    """Nextpnr's chip, the fastest of some seeds."""
    found = route(netlist, seeds=seeds, seconds=seconds)
    best = found[0]
    told = {
        "device": best.device, "megahertz": best.megahertz, "cells": best.cells, "available": best.available,
        "nanoseconds": round(best.nanoseconds(made.wrapped.cycles), 1), "seed": best.seed, "seeds_tried": len(found),
        "by": "nextpnr-ice40",
    }  # fmt: skip
    note(folder, "placed_and_routed", told)
    return best
