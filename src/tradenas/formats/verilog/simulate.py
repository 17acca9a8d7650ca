"""Verilator's simulation of the written Verilog against the windowed reference: equal to the bit, or not."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tradenas.errors import ExportError, ParityError
from tradenas.formats.verilog.tools import run

__all__ = ["Simulated", "simulate"]

RESULT = re.compile(r"^(PASS|FAIL) (\d+) outputs compared, (\d+) wrong", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What the testbench said.

    Attributes:
        passed: all outputs equal, each after the documented number of cycles.
        compared: outputs.
        wrong: of them.
        distinct: different numbers among them; a network that says one thing proves nothing.
        text: all that was printed.
    """

    passed: bool
    compared: int
    wrong: int
    distinct: int
    text: str

    def demand(self) -> Simulated:
        """Itself, if it passed.  Raises `ParityError` otherwise."""
        if not self.passed:
            raise ParityError(
                "verilog", got=f"{self.wrong} of {self.compared} outputs differ ({self.text.strip()[:400]})",
                expected="the windowed reference to the bit",
            )  # fmt: skip
        return self


def simulate(folder: Path, *, seconds: float = 600.0) -> Simulated:
    """Compiles a design and its testbench with Verilator and runs it.

    Debian's 5.006 is enough.  The compiler's optimisation stays off: it takes eight times longer than the simulation.

    Args:
        folder: that `write` made.
        seconds: for compiling and for running, each.

    Raises:
        ExportError: Verilator, make or g++ are missing or failed, or the testbench did not come to its end.
    """
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(prefix="tradenas-verilator-") as scratch:
        sources = [folder / "tb.v", folder / "top.v", folder / "core.v", *sorted((folder / "static").glob("*.v"))]
        for program in ("make", "g++"):
            run([program, "--version"], folder, seconds=seconds)
        command = [
            "verilator",
            "--binary",
            "--timing",
            "-Wno-fatal",
            "-Wno-WIDTH",
            "-Wfuture-WIDTHTRUNC",
            "--top-module",
            "tb",
        ]
        options = ["--Mdir", scratch, "-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0", "-j", "1"]
        run([*command, *options, *map(str, sources)], folder, seconds=seconds)
        text = run([f"{scratch}/Vtb", "+dump"], folder, seconds=seconds)
    found = RESULT.search(text)
    if found is None:
        raise ExportError("verilator", got=text.strip()[-400:] or "nothing printed", expected="a line PASS or FAIL")
    dumped = folder / "outputs.hex"
    distinct = len(set(dumped.read_text(encoding="ascii").split()))
    dumped.unlink()
    return Simulated(
        passed=found[1] == "PASS", compared=int(found[2]), wrong=int(found[3]), distinct=distinct, text=text
    )
