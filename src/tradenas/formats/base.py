"""What formats share: their registry, how they refuse an op, and the name that a program goes by."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tradenas.atomic import canonical_json
from tradenas.errors import ConfigError, UnsupportedOp
from tradenas.formats.program import Program, Step
from tradenas.registry import Registry, did_you_mean

if TYPE_CHECKING:
    from tradenas.formats.parity import Proof, Subject

__all__ = ["FORMATS", "Format", "PROOFS", "Options", "Written", "find_format", "program_digest", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is asked of a format.

    Attributes:
        window: write the entry that takes the last `reach` rows.
        streaming: write the entry that takes one row and remembers.
        batch: signals at once; None leaves it open where the format can.
        int8: write an 8-bit version beside the exact one.
        prove: how far a circuit is proved (`PROOFS`); software is proved in any case.
    """

    window: bool = True
    streaming: bool = True
    batch: int | None = 1
    int8: bool = False
    prove: str = "simulate"


#: Each with those before it: nothing is run, Verilator, yosys, nextpnr.
PROOFS = ("none", "simulate", "synthesise", "route")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a format left in the folder.

    Attributes:
        files: in it.
        proofs: that they compute what the network computes.
        notes: for the card, e.g. on licences; whole sentences.
        facts: for the card, e.g. an INT8 version's accuracy; plain JSON values.
    """

    files: tuple[Path, ...]
    proofs: tuple[Proof, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


#: Writes a subject (a program, and the network that it must equal) into an existing folder.
Format = Callable[["Subject", Options, Path], Written]

FORMATS: Registry[Format] = Registry("format")

#: Modules that register the formats which ship with the package.
BUILT_IN = {
    "c": "tradenas.formats.c.export",
    "onnx": "tradenas.formats.onnx_file",
    "verilog": "tradenas.formats.verilog.export",
}


def find_format(name: str) -> Format:
    """A format by its name; its module is imported now.

    Raises:
        ConfigError: no such format.
    """
    if name in BUILT_IN:
        importlib.import_module(BUILT_IN[name])
    try:
        return FORMATS[name]
    except ConfigError:
        known = sorted({*BUILT_IN, *FORMATS})
        raise ConfigError(
            "format", got=repr(name), expected=f"one of {', '.join(known)}", fix=did_you_mean(name, known)
        ) from None


def refuse(step: Step, format: str, nearest: str) -> NoReturn:  # noqa: A002 - the word that the user types
    """Says that a format has no such op, and which one comes closest.

    Raises:
        UnsupportedOp: always.
    """
    raise UnsupportedOp(
        f"{format}: step {step.name!r}", got=f"op {step.kind!r}", expected=f"an op that {format} can express",
        fix=f"the nearest that it can is {nearest}",
    )  # fmt: skip


def program_digest(program: Program) -> str:
    """16 hexadecimal digits of the SHA-256 over all steps and their numbers: programs with one digest are equal."""
    told: list[Any] = [program.output, list(program.columns)]
    hashed = hashlib.sha256()
    for step in program.steps:
        plain: dict[str, Any] = {"kind": step.kind}
        for name in step.__dataclass_fields__:
            value = getattr(step, name)
            if isinstance(value, np.ndarray):
                hashed.update(np.ascontiguousarray(value, dtype="<f8").tobytes())
                value = list(value.shape)
            plain[name] = list(value) if isinstance(value, tuple) else value if _plain(value) else str(value)
        told.append(plain)
    hashed.update(canonical_json(told).encode("ascii"))
    return hashed.hexdigest()[:16]


def _plain(value: object) -> bool:
    return isinstance(value, int | float | str | list)
