"""Programs of other people that this format is proved with: found, run with a limit, and their failures told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tradenas.errors import ExportError

__all__ = ["PACKAGES", "missing", "run"]

#: Debian's packages, by the program that each brings.
PACKAGES = {"verilator": "verilator", "g++": "g++", "make": "make", "yosys": "yosys", "nextpnr-ice40": "nextpnr-ice40"}


def missing(*programs: str) -> str:
    """Why these programs cannot be run here, with the command that installs them; empty where all are there.

    >>> missing()
    ''
    """
    lacking = sorted({PACKAGES[p] for p in programs if shutil.which(p) is None})
    return f"{', '.join(lacking)} not installed; run: apt-get install {' '.join(lacking)}" if lacking else ""


def run(command: Sequence[str], folder: Path, *, seconds: float, good: Sequence[int] = (0,)) -> str:
    """What a program printed, on either stream.

    Args:
        command: program and arguments; the program is one of `PACKAGES`, or a path.
        folder: to run it in.
        seconds: after which it is stopped.
        good: exit codes that are no failure.

    Raises:
        ExportError: it is not installed, took too long, or failed; its last lines are in the message.
    """
    program = command[0]
    if program in PACKAGES and (lacking := missing(program)):
        raise ExportError(
            program, got="not installed", expected=f"Debian's package {PACKAGES[program]!r}",
            fix=f"run: {lacking.partition('run: ')[2]}, or for all of them: make fpga-tools",
        )  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ExportError(
            program,
            got=f"still at work after {seconds:g} s",
            expected="an end",
            fix="give it more time, or a smaller network",
        ) from None
    if done.returncode not in good:
        last = " | ".join(done.stdout.strip().splitlines()[-6:])
        raise ExportError(program, got=f"exit code {done.returncode}: {last}", expected="success")
    return done.stdout
