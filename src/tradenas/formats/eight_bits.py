"""A trained program with its large dense steps and convolutions in 8-bit integers, as a program again.

Weights become integers of -127 .. 127 with one factor for each output channel, their inputs integers of 0 .. 255 with
one factor and one zero for each value, by the range that it has on calibration rows (affine quantisation as in Jacob et
al. 2018, arXiv:1712.05877, section 2.1).  The result has only steps that any format knows; C adds up four products in
one instruction where a `Taps` has such weights and reads such integers (`tradenas.formats.c.vnni`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tradenas.errors import ConfigError
from tradenas.formats.program import Depthwise, Fixed, Program, Quantise, Step, Taps
from tradenas.formats.reference import values_of
from tradenas.typing import FloatArray

__all__ = ["eight_bits"]

#: Channels of inputs and outputs come in multiples of this where a step is worth it.
MULTIPLE = 16


def eight_bits(program: Program, x_TF: FloatArray) -> Program:
    """The program with every `Taps` between multiples of 16 channels in 8-bit integers; its signal is near, not equal.

    Args:
        program: a trained one.
        x_TF: rows of the training zone, by which the ranges of values are set.

    Raises:
        ConfigError: no step has such channels, or there are no rows.
    """
    chosen = [
        s for s in program.steps
        if isinstance(s, Taps) and s.channels % MULTIPLE == 0 and program[s.reads[0]].channels % MULTIPLE == 0
    ]  # fmt: skip
    if not chosen or len(x_TF) < program.reach:
        got = f"{len(x_TF)} rows" if chosen else "no such step"
        raise ConfigError(
            "eight_bits", got=got, expected=f"a dense step or convolution between multiples of {MULTIPLE} channels, "
            f"and {program.reach} rows or more", fix="use wider layers, or leave it in float: it is small",
        )  # fmt: skip
    values = values_of(program, np.asarray(x_TF, dtype=float))
    made: list[Step] = []
    ranges: dict[str, tuple[float, float]] = {}
    for step in program.steps:
        if step not in chosen:
            made.append(step)
            continue
        assert isinstance(step, Taps)
        x = step.reads[0]
        if x not in ranges:
            ranges[x] = _range(values[x][program.reach - 1 :])
            made += _encoded(x, program[x].channels, *ranges[x])
        made += _integers(step, *ranges[x])
    return replace(program, steps=tuple(made))


def _range(value_TC: FloatArray) -> tuple[float, float]:
    """Size of a step between integers, and the integer that stands for 0."""
    low, high = min(0.0, float(value_TC.min())), max(0.0, float(value_TC.max()))
    size = (high - low) / 255 or 1.0
    return size, float(np.round(-low / size))


def _encoded(x: str, channels: int, size: float, zero: float) -> list[Step]:
    scaled = Depthwise(
        name=f"{x}/scaled", reads=(x,), channels=channels, weight=np.full((channels, 1), 1 / size),
        bias=np.full(channels, zero), at=(0,),
    )  # fmt: skip
    return [scaled, Quantise(name=f"{x}/u8", reads=(scaled.name,), channels=channels, fixed=Fixed(0, 8, 0))]


def _integers(step: Taps, size: float, zero: float) -> list[Step]:
    """The step on integers, and what makes its sums numbers again."""
    largest = np.abs(step.weight).max(axis=(1, 2))
    factor_O = np.where(largest > 0, largest, 1.0) / 127
    weight_OIK = np.round(step.weight / factor_O[:, None, None])
    inner = replace(
        step, name=f"{step.name}/s8", reads=(f"{step.reads[0]}/u8",), weight=weight_OIK, bias=np.zeros(step.channels)
    )
    back = Depthwise(
        name=step.name, reads=(inner.name,), channels=step.channels, weight=(factor_O * size)[:, None],
        bias=step.bias - zero * size * factor_O * weight_OIK.sum(axis=(1, 2)), at=(0,),
    )  # fmt: skip
    return [inner, back]
