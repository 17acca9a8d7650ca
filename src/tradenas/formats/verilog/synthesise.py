"""yosys' cells for a design: an Artix-7 (xc7) and an iCE40 netlist, counted."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tradenas.errors import ExportError
from tradenas.formats.verilog.tools import run

__all__ = ["Family", "Synthesised", "synthesise"]

Family = Literal["xc7", "ice40"]

SYNTHESIS: Mapping[Family, str] = {
    "xc7": "synth_xilinx -family xc7 -top top -flatten -noiopad -nosrl -nodsp",
    "ice40": "synth_ice40 -top top",
}
#: What counts as what, by the beginning of the cell's name; a name belongs to the first that fits.
PARTS: Mapping[Family, Mapping[str, tuple[str, ...]]] = {
    "xc7": {"luts": ("LUT",), "inverters": ("INV",), "carries": ("CARRY",), "muxes": ("MUXF",), "registers": ("FD",),
            "dsp": ("DSP",), "bram": ("RAMB", "FIFO"), "lutram": ("RAM", "SRL")},
    "ice40": {"luts": ("SB_LUT4",), "carries": ("SB_CARRY",), "registers": ("SB_DFF",), "dsp": ("SB_MAC16",),
              "bram": ("SB_RAM",)},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """Counts of one netlist.

    Attributes:
        family: of the device.
        parts: `luts registers carries dsp bram` and what else the family has, and how many of each.
        cells: the same by the tool's own names.
        module: yosys' netlist, for `timing` and `route`.
    """

    family: Family
    parts: dict[str, int]
    cells: dict[str, int]
    module: dict[str, Any]


def synthesise(folder: Path, family: Family, *, seconds: float = 900.0) -> Synthesised:
    """Runs yosys over a design and counts its cells.

    Args:
        folder: that `write` made.
        family: whose cells.
        seconds: to finish in.

    Raises:
        ExportError: yosys is missing or failed, or its netlist holds cells that nobody here knows.
    """
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(prefix="tradenas-yosys-") as scratch:
        netlist = Path(scratch, "netlist.json")
        static = " ".join(f"static/{module.name}" for module in sorted((folder / "static").glob("*.v")))
        script = "\n".join([
            f"read_verilog -sv -defer {static}",  # deferred: their parameters come later
            "read_verilog -sv -defer core.v top.v",
            "hierarchy -top top",
            SYNTHESIS[family],
            f"write_json {netlist}",
        ])  # fmt: skip
        Path(scratch, "script.ys").write_text(script + "\n", encoding="utf-8")
        run(["yosys", "-q", f"{scratch}/script.ys"], folder, seconds=seconds)
        module: dict[str, Any] = json.loads(netlist.read_text(encoding="utf-8"))
    cells = Counter(cell["type"] for cell in module["modules"]["top"]["cells"].values())
    parts = dict.fromkeys(PARTS[family], 0)
    for name, count in cells.items():
        part = next((p for p, begins in PARTS[family].items() if name.startswith(begins)), None)
        if part is not None:
            parts[part] += count
        elif not name.startswith(("BUF", "SB_GB", "IBUF", "OBUF", "$scopeinfo")):
            raise ExportError("yosys", got=f"{count} cells {name!r}", expected=f"cells of {family} that are counted")
    return Synthesised(family=family, parts=parts, cells=dict(sorted(cells.items())), module=module)
