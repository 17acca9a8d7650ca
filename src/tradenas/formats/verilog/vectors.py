"""What is sent into the hardware and what must come out: rows as bits, and the windowed reference's signals as bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradenas.errors import SpaceError
from tradenas.formats.program import Fixed
from tradenas.formats.reference import run_windows
from tradenas.formats.verilog.trace import Port, Traced
from tradenas.typing import FloatArray, IntArray

__all__ = ["decoded", "input_lines", "output_lines", "signals", "windows"]


def windows(rows_TF: FloatArray, reach: int) -> FloatArray:
    """All stretches of `reach` rows (T - reach + 1, reach, F), as a view.

    >>> windows(np.arange(4.0)[:, None], 3)[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    """
    return np.lib.stride_tricks.sliding_window_view(rows_TF, reach, axis=0).transpose(0, 2, 1)


def signals(traced: Traced, rows_TF: FloatArray) -> FloatArray:
    """The reference's signal of every window of a series, each run by itself (T - reach + 1,)."""
    every = windows(rows_TF, traced.program.reach)
    parts = [run_windows(traced.program, every[i : i + 2048]) for i in range(0, len(every), 2048)]
    return np.concatenate(parts)


def input_lines(traced: Traced, rows_TF: FloatArray) -> list[str]:
    """One word of hexadecimal for each row of a series, or for each window of it, as the port `x` reads it."""
    reach = traced.program.reach
    if rows_TF.ndim != 2 or rows_TF.shape[1] != len(traced.program.columns) or len(rows_TF) < reach:
        raise SpaceError(
            "input_lines", got=f"rows of shape {rows_TF.shape}",
            expected=f"({reach} rows or more, {len(traced.program.columns)} columns)",
        )  # fmt: skip
    last = np.arange(0 if traced.streaming else reach - 1, len(rows_TF))
    return _words([(rows_TF[last - p.lag, p.column], p.fixed) for p in traced.ports])


def output_lines(signals_N: FloatArray, bits: int, step: float) -> list[str]:
    """Signals as words of the port `y`; numbers that it cannot hold exactly are refused."""
    whole = np.round(signals_N / step)
    if not np.array_equal(whole * step, signals_N):
        raise SpaceError("output_lines", got="a signal between two numbers", expected=f"multiples of {step:g}")
    return _hexadecimal(_bits(whole.astype(np.int64), bits))


def decoded(words: Sequence[str], bits: int, *, signed: bool, step: float) -> FloatArray:
    """The numbers that words of the port `y` stand for.

    >>> decoded(["1ff", "010"], 9, signed=True, step=0.5)
    array([-0.5,  8. ])
    """
    whole = np.array([int(word, 16) for word in words], dtype=np.int64)
    if signed:
        whole = np.where(whole >> (bits - 1) & 1 == 1, whole - (1 << bits), whole)
    return np.asarray(whole * step, dtype=np.float64)


def _words(columns: Sequence[tuple[FloatArray, Fixed]]) -> list[str]:
    parts = []
    for values_N, fixed in columns:
        steps = np.clip(np.floor(values_N / fixed.step + 0.5), fixed.low / fixed.step, fixed.high / fixed.step)
        parts.append(_bits(steps.astype(np.int64), fixed.bits))
    return _hexadecimal(np.concatenate(parts, axis=1))


def _bits(whole_N: IntArray, bits: int) -> IntArray:
    """The lowest bit first (N, bits)."""
    return whole_N[:, None] >> np.arange(bits) & 1


def _hexadecimal(bits_NB: IntArray) -> list[str]:
    digits = -(-bits_NB.shape[1] // 4)
    packed = np.packbits(bits_NB.astype(np.uint8), axis=1, bitorder="little")[:, ::-1]
    return [bytes(line).hex()[-digits:] for line in packed]


def port_name(port: Port, names: Sequence[str], columns: Sequence[int]) -> str:
    """What a port carries, for people."""
    name = names[port.column] if names else f"column {columns[port.column]}"
    return f"{name}, {port.lag} rows ago" if port.lag else name
