"""Our own static timing analysis of the xc7 netlist: logic delays of an Artix-7, routing modelled.

Debian has no place and route for that chip, and yosys' own `sta` stops at cells without arcs.  The arcs are those of
yosys' cell library, which has them from Project X-Ray's measurements of an xc7a (speed grade -1); a net costs one
constant, except along a carry chain and into a wide multiplexer, whose cells sit beside each other.  So the logic is
exact and the routing is a model: report it as *routing modelled*, not as placed and routed.

    arrival(q) = clock to q                                         registers
    arrival(o) = max over arcs i -> o of arrival(i) + net + arc     other cells
    period     = max over registers' d of arrival(d) + net + set-up
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tradenas.errors import ExportError
from tradenas.formats.verilog.synthesise import Synthesised

__all__ = ["NET", "Timed", "timing"]

#: Picoseconds of a net between two slices of an Artix-7: an assumption, and the only one.
NET = 450
#: A register's clock to output, and what it needs before the next edge (yosys' library says 0 for the data).
CLOCK_TO_Q = 303
LIBRARY = "xilinx/cells_sim.v"

Arc = tuple[str, int, str, int]


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The longest path.

    Attributes:
        megahertz: of the clock, with routing modelled.
        logic_megahertz: with nets that cost nothing, an upper bound.
        net: picoseconds that a net was taken for.
        hops: nets on the longest path.
    """

    megahertz: float
    logic_megahertz: float
    net: int
    hops: int


def timing(made: Synthesised, *, net: int = NET) -> Timed:
    """The highest clock frequency of a netlist.

    Args:
        made: of the family `xc7`.
        net: picoseconds of a net.

    Raises:
        ExportError: another family, cells without arcs, a loop, or yosys' library is not there.
    """
    if made.family != "xc7":
        raise ExportError("timing", got=f"a netlist for {made.family}", expected="xc7: its cells have arcs")
    module = made.module["modules"]["top"]
    period, hops = _longest(module, net)
    logic, _ = _longest(module, 0)
    return Timed(megahertz=round(1e6 / period, 2), logic_megahertz=round(1e6 / logic, 2), net=net, hops=hops)


@lru_cache(maxsize=1)
def _arcs() -> dict[str, dict[Arc, int]]:
    """Picoseconds of each cell's arcs, of yosys' library."""
    found = shutil.which("yosys")
    path = Path(found or "/usr/bin/yosys").resolve().parent.parent / "share" / "yosys" / LIBRARY
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExportError(str(path), got="no such file", expected="the cell library that yosys brings") from error
    arcs: dict[str, dict[Arc, int]] = defaultdict(dict)
    pin = r"(\w+)\s*(?:\[\s*(\d+)\s*\])?"
    for module in re.finditer(r"^module\s+(\w+)(.*?)^endmodule", text, re.MULTILINE | re.DOTALL):
        plain = re.sub(r"/\*.*?\*/", "", module[2])
        for i, at, o, out, delay in re.findall(rf"\(\s*{pin}\s*=>\s*{pin}\s*\)\s*=\s*([0-9 +]+);", plain):
            arcs[module[1]][i, int(at or 0), o, int(out or 0)] = sum(int(part) for part in delay.split("+"))
    return dict(arcs)


def _longest(module: dict[str, Any], net: int) -> tuple[int, int]:
    """Picoseconds and hops of the longest path from register or port to register."""
    after: dict[int, list[tuple[int, int]]] = defaultdict(list)
    waiting: dict[int, int] = defaultdict(int)
    arrival: dict[int, tuple[int, int]] = {}
    ends: list[int] = []
    for cell in module["cells"].values():
        pins = cell["connections"]
        if cell["type"].startswith("FD"):
            arrival[pins["Q"][0]] = (CLOCK_TO_Q, 0)
            ends += [b for port in ("D", "CE", "R", "S") for b in pins.get(port, ()) if isinstance(b, int)]
            continue
        for i, o, delay, near in _through(cell):
            after[i].append((o, delay + (0 if near else net)))
            waiting[o] += 1
    ready = [bit for bit in {*after, *arrival} if not waiting[bit]]
    left = sum(waiting.values())
    while ready:
        bit = ready.pop()
        time, hops = arrival.get(bit, (0, 0))
        for o, delay in after.get(bit, ()):
            arrival[o] = max(arrival.get(o, (0, 0)), (time + delay, hops + (delay >= net > 0)))
            waiting[o] -= 1
            left -= 1
            if not waiting[o]:
                ready.append(o)
    if left:
        raise ExportError("timing", got=f"{left} arcs in a loop", expected="logic without loops")
    time, hops = max((arrival.get(bit, (0, 0)) for bit in ends), default=(CLOCK_TO_Q, 0))
    return time + net, hops + 1


def _through(cell: dict[str, Any]) -> Iterator[tuple[int, int, int, bool]]:
    """Input bit, output bit, picoseconds, and whether the two cells are neighbours by construction."""
    kind, pins = cell["type"], cell["connections"]
    if kind.startswith(("BUFG", "IBUF", "OBUF")):
        return
    arcs = _arcs().get(kind)
    if not arcs:
        raise ExportError("timing", got=f"a cell {kind!r} without arcs", expected="cells of yosys' library for xc7")
    for (i, at, o, out), delay in arcs.items():
        if at < len(pins.get(i, ())) and out < len(pins.get(o, ())):
            read, made = pins[i][at], pins[o][out]
            if isinstance(read, int) and isinstance(made, int):  # a constant arrives at once
                yield read, made, delay, i == "CI" or (kind.startswith("MUXF") and i != "S")
