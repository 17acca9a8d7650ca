"""On which grid each value of a program lies, and whether single precision holds it exactly.

Behind a `Quantise`, values are whole numbers of steps 2^-fraction within a range; dyadic weights keep them so:

    sum of products     fraction = that of the values + that of the weights (or of the bias, if finer)
    range               sum_i of the least and of the largest w_i x_i, with 0 for rows before the first
    product             fractions add;   sums take the finest;   maxima and choices of channels keep it

A sum is exact in float32, in whatever order it is made, if sum_i |w_i| max |x_i| + |b| is at most 2^24 steps.  Where
that holds for every step, the network in torch, the NumPy reference, the stream and the circuit give the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tradenas.errors import SpaceError
from tradenas.formats.program import (
    Add,
    Concat,
    Depthwise,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Program,
    Quantise,
    Step,
    Taps,
)
from tradenas.space.fixed import Fixed
from tradenas.typing import FloatArray

__all__ = ["SINGLE", "Grid", "check_exact", "fraction_of", "grids"]

#: Steps that float32 counts without a gap.
SINGLE = 2.0**24
#: The finest step that is looked for in weights.
FINEST = 30


@dataclass(frozen=True, eq=False)
class Grid:
    """Whole numbers of steps, channel by channel between two ends.

    Attributes:
        fraction: bits after the point.
        low_C: the least that each channel can be.
        high_C: the largest.
        most: the largest sum of magnitudes on the way to a value, in steps.
    """

    fraction: int
    low_C: FloatArray
    high_C: FloatArray
    most: float

    @property
    def fixed(self) -> Fixed:
        """The smallest format that holds every channel."""
        sign, integer = int(self.low_C.min() < 0), -self.fraction + 1 - int(self.low_C.min() < 0)
        while True:
            fixed = Fixed(sign, integer, self.fraction)
            if fixed.low <= self.low_C.min() and self.high_C.max() <= fixed.high:
                return fixed
            integer += 1


def grids(program: Program) -> dict[str, Grid]:
    """The grid of each value that has one.

    >>> from tradenas.formats.program import Input
    >>> x = Input(name="x", channels=1)
    >>> q = Quantise(name="q", reads=("x",), channels=1, fixed=Fixed(1, 3, 4))
    >>> y = Taps(name="y", reads=("q",), channels=1, weight=np.array([[[0.75, -0.5]]]), bias=np.ones(1), at=(0, 1))
    >>> found = grids(Program(steps=(x, q, y), output="y", columns=(0,)))
    >>> list(found), found["y"].fixed, found["y"].low_C, found["y"].most
    (['q', 'y'], Fixed(sign=1, integer=4, fraction=6), array([-8.96875]), 704.0)
    """
    found: dict[str, Grid] = {}
    for step in program.steps[1:]:
        grid = _grid(step, [found.get(name) for name in step.reads])
        if grid is not None:
            found[step.name] = grid
    return found


def check_exact(program: Program) -> Mapping[str, Grid]:
    """The grids of a program whose every value is exact in single precision.

    Functions that are tables stand between two roundings; they have no grid of their own and are exact all the same.

    Raises:
        SpaceError: names the first step that is not, and why.
    """
    found = grids(program)
    for i, step in enumerate(program.steps[1:], start=1):
        grid = found.get(step.name)
        if grid is not None and grid.most <= SINGLE:
            continue
        rounded = [s for s in program.steps if step.name in s.reads]
        if grid is None and _is_table(step, found) and rounded and all(isinstance(s, Quantise) for s in rounded):
            continue
        got = f"a {step.kind} of numbers on no grid" if grid is None else f"sums of {grid.most:.3g} steps"
        raise SpaceError(
            f"program step {i} ({step.name})", got=got, expected=f"fixed point, sums of {SINGLE:.3g} steps at most",
            fix="choose bits for weights and activations (space.weight_bits, space.activation_bits), or fewer of them",
        )  # fmt: skip
    return found


def fraction_of(numbers: FloatArray) -> int | None:
    """The fewest bits after the point that hold all of them (negative where all are even); None where 30 do not.

    >>> fraction_of(np.array([0.75, 2.0])), fraction_of(np.array([0.1])), fraction_of(np.zeros(2))
    (2, None, 0)
    """
    there = numbers[numbers != 0]
    if not there.size:
        return 0
    mantissa, exponent = np.frexp(there)
    whole = np.rint(np.ldexp(mantissa, 53)).astype(np.int64)
    zeros = np.round(np.log2((whole & -whole).astype(float))).astype(int)  # trailing ones of the 53
    fraction = int((53 - exponent - zeros).max())
    return fraction if fraction <= FINEST else None


def _grid(step: Step, read: list[Grid | None]) -> Grid | None:
    if isinstance(step, Quantise):
        ends = np.ones(step.channels)
        low, high = step.fixed.low * ends, step.fixed.high * ends
        if read[0] is not None:
            low, high = (
                np.maximum(low, np.minimum(_down(read[0].low_C, step), high)),
                np.minimum(high, np.maximum(_down(read[0].high_C, step), low)),
            )
        return _made(step.fixed.fraction, low, high)
    there = [grid for grid in read if grid is not None]
    if len(there) < len(read) or not there:
        return None
    first = there[0]
    match step:
        case Taps() | Depthwise():
            return _summed(step, first)
        case Pointwise(function="relu"):
            return _made(first.fraction, np.maximum(first.low_C, 0.0), np.maximum(first.high_C, 0.0))
        case Add():
            fraction = max(grid.fraction for grid in there)
            sizes = sum(np.maximum(np.abs(grid.low_C), np.abs(grid.high_C)) for grid in there)
            sums = [np.sum([getattr(grid, end) for grid in there], axis=0) for end in ("low_C", "high_C")]
            return Grid(fraction, sums[0], sums[1], float(np.max(sizes)) * 2.0**fraction)
        case Multiply():
            corners = [a * b for a in (first.low_C, first.high_C) for b in (there[1].low_C, there[1].high_C)]
            return _made(first.fraction + there[1].fraction, np.min(corners, axis=0), np.max(corners, axis=0))
        case Concat():
            ends_low, ends_high = (np.concatenate([getattr(g, end) for g in there]) for end in ("low_C", "high_C"))
            return _made(max(grid.fraction for grid in there), ends_low, ends_high)
        case Pick():
            index = np.array(step.index)
            low, high = (np.where(index >= 0, e[np.maximum(index, 0)], 0.0) for e in (first.low_C, first.high_C))
            return _made(first.fraction, low, high)
        case Max():
            return _made(first.fraction, np.minimum(first.low_C, 0.0), np.maximum(first.high_C, 0.0))
    return None


def _summed(step: Taps | Depthwise, x: Grid) -> Grid | None:
    fine, bias = fraction_of(step.weight), fraction_of(step.bias)
    if fine is None or bias is None:
        return None
    low_C, high_C = (np.minimum(x.low_C, 0.0), np.maximum(x.high_C, 0.0)) if max(step.lags) else (x.low_C, x.high_C)
    if isinstance(step, Taps):
        low_IC, high_IC = low_C[None, :, None], high_C[None, :, None]
        axes: tuple[int, ...] = (1, 2)
    else:
        low_IC, high_IC, axes = low_C[:, None], high_C[:, None], (1,)
    ends = step.weight * low_IC, step.weight * high_IC
    fraction = max(x.fraction + fine, bias)
    most = np.maximum(np.abs(ends[0]), np.abs(ends[1])).sum(axes) + np.abs(step.bias)
    low = np.minimum(*ends).sum(axes) + step.bias
    high = np.maximum(*ends).sum(axes) + step.bias
    return Grid(fraction, low, high, float(most.max()) * 2.0**fraction)


def _made(fraction: int, low_C: FloatArray, high_C: FloatArray) -> Grid:
    most = float(max(np.abs(low_C).max(), np.abs(high_C).max()))
    return Grid(fraction, np.asarray(low_C, float), np.asarray(high_C, float), most * 2.0**fraction)


def _down(ends_C: FloatArray, step: Quantise) -> FloatArray:
    """Ends, rounded as the step rounds."""
    rounded: FloatArray = np.floor(ends_C / step.fixed.step + 0.5) * step.fixed.step
    return rounded


def _is_table(step: Step, found: Mapping[str, Grid]) -> bool:
    return isinstance(step, Pointwise) and step.reads[0] in found
