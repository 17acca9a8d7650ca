"""How numbers lie in the C file: rows of channels, in chunks of 16, 8 or 4, padded at the end of a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradenas.errors import ExportError
from tradenas.formats.program import Concat, Program
from tradenas.typing import FloatArray

__all__ = ["Chunk", "chunks", "concat_offsets", "literal", "numbers", "stride", "strides"]


@dataclass(frozen=True)
class Chunk:
    """One vector of a row.

    Attributes:
        at: its first channel.
        width: 4, 8 or 16.
        used: how many of its channels are channels of the value; the rest are padding.
    """

    at: int
    width: int
    used: int


def chunks(channels: int) -> list[Chunk]:
    """The vectors that hold a row.

    >>> [(c.at, c.width, c.used) for c in chunks(21)]
    [(0, 16, 16), (16, 8, 5)]
    """
    found, at = [], 0
    while at < channels:
        left = channels - at
        width = 16 if left > 8 else 8 if left > 4 else 4
        found.append(Chunk(at, width, min(width, left)))
        at += width
    return found


def stride(channels: int) -> int:
    """Floats from one row to the next: whole cache lines from 16 channels on.

    >>> stride(1), stride(6), stride(21)
    (4, 8, 32)
    """
    return 4 if channels <= 4 else 8 if channels <= 8 else -(-channels // 16) * 16


def strides(program: Program) -> dict[str, int]:
    """Of every value; a concatenation has room for the padding of its last part."""
    found = {}
    for step in program.steps:
        room = step.channels
        if isinstance(step, Concat):
            parts = [program[name].channels for name in step.reads]
            room = max(
                at + chunks(n)[-1].at + chunks(n)[-1].width for at, n in zip(concat_offsets(parts), parts, strict=True)
            )
        found[step.name] = stride(room)
    return found


def concat_offsets(parts: list[int]) -> list[int]:
    """Where each part of a concatenation begins.

    >>> concat_offsets([3, 5, 2])
    [0, 3, 8]
    """
    return [sum(parts[:i]) for i in range(len(parts))]


def literal(value: float) -> str:
    """A float of C that reads back as the same 32 bits.

    >>> literal(0.1), literal(2.0), literal(-1e-12)
    ('0.1f', '2.f', '-1e-12f')
    """
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(value)):
            raise ExportError("a weight", got=value, expected="finite in 32 bits", fix="train it again")
    text = f"{float(np.float32(value)):.9g}"
    short = f"{value:.7g}"
    if np.float32(short) == np.float32(value):
        text = short
    return f"{text}f" if "." in text or "e" in text else f"{text}.f"


def numbers(values: FloatArray) -> str:
    """An initialiser; raises `ExportError` where a weight is not a finite 32-bit number."""
    with np.errstate(over="ignore"):
        flat = np.asarray(values, np.float64).ravel().astype(np.float32)
    for value in flat[~np.isfinite(flat)]:
        literal(value)  # refuses it
    told = [f"{text.removesuffix('0')}f" if text.endswith(".0") else f"{text}f" for text in flat.astype(str).tolist()]
    lines = [",".join(told[i : i + 16]) for i in range(0, flat.size, 16)]
    return "{" + ",\n".join(lines) + "}"
