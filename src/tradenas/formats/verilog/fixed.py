"""Arithmetic on traced numbers (`da4ml` variables) that costs less than what the tracer has for it.

da4ml saturates by subtracting each limit and looking at the sign: two carry chains.  The limits of a fixed-point format
are powers of two, so that the bits above the format already say whether a number fits:

    unsigned    y = 0 where the sign is set, all ones where a bit above the format is, its low bits otherwise
    signed      y = low bits where all bits above are equal to the sign, and the limit of that sign otherwise

which is one look-up table a bit after a wide OR.  Rounding adds half a step, in one constant with the bias before it.
"""

from __future__ import annotations

from typing import Any

from tradenas.formats.program import Fixed

__all__ = ["fraction_bits", "saturate"]


def saturate(v: Any, fixed: Fixed) -> Any:
    """A traced number in a fixed-point format: to the nearest, halves up, saturating; as `program.Quantise`.

    Args:
        v: a `da4ml.trace.FixedVariable`.
        fixed: the format.
    """
    if v.low == v.high:
        return _constant(v, fixed)
    if v.kif[2] > fixed.fraction:
        v = v + 2.0 ** -(fixed.fraction + 1)
        sign, whole, _ = v.kif
        if sign + whole + fixed.fraction <= 0:  # less than half a step, whatever it is
            return v.from_const(0.0, hwconf=v.hwconf)
        v = v.quantize(sign, whole, fixed.fraction)
    if v.low == v.high:
        return _constant(v, fixed)
    if fixed.sign:
        return _signed(v, fixed)
    if v.low < 0:
        v = v.relu()
    if v.high <= fixed.high:
        return v
    over = _above(v, fixed.integer, 0).unary_bit_op("any")
    return over.msb_mux(fixed.high, v.quantize(0, fixed.integer, fixed.fraction))


def _signed(v: Any, fixed: Fixed) -> Any:
    if v.low >= fixed.low and v.high <= fixed.high:
        return v
    if v.high < 0 or v.low >= 0:  # of one sign: the other limit cannot be met
        small = v.quantize(int(v.low < 0), fixed.integer, fixed.fraction)
        if v.low >= 0:
            return _above(v, fixed.integer, 0).unary_bit_op("any").msb_mux(fixed.high, small)
        return v.max_of(fixed.low)
    above, small = _above(v, fixed.integer, 1), v.quantize(1, fixed.integer, fixed.fraction)
    negative, positive = small, small
    if v.low < fixed.low:
        negative = above.unary_bit_op("all").msb_mux(small, fixed.low)
    if v.high > fixed.high:
        positive = above.unary_bit_op("any").msb_mux(fixed.high, small)
    return v.msb_mux(negative, positive)


def _above(v: Any, integer: int, sign: int) -> Any:
    """The bits that weigh 2^integer and more, and the sign."""
    return v.quantize(sign, v.kif[1], -integer)


def _constant(v: Any, fixed: Fixed) -> Any:
    value = float(v.low)
    steps = (value * 2.0**fixed.fraction + 0.5) // 1
    return v.from_const(min(max(steps * fixed.step, fixed.low), fixed.high), hwconf=v.hwconf)


def fraction_bits(value: float, most: int = 24) -> int | None:
    """Bits after the point that a number needs, or None where `most` are not enough.

    >>> fraction_bits(0.375), fraction_bits(-4.0), fraction_bits(0.1)
    (3, 0, None)
    """
    for bits in range(most + 1):
        if value * 2.0**bits == int(value * 2.0**bits):
            return bits
    return None
