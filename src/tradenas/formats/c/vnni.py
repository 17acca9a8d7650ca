"""Integer steps with VNNI: `vpdpbusd` adds four products of unsigned and signed bytes to a 32-bit sum, 16 sums at once.

A `Taps` that reads a `Quantise` of 8 bits or fewer, and whose weights are integers of 8 bits times a power of two of
each output channel (trained so, or by `tradenas.formats.eight_bits`), becomes a `Dot`.  Sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tradenas.formats.c.layout import chunks
from tradenas.formats.c.row import Row
from tradenas.formats.program import Program, Quantise, Step, Taps
from tradenas.typing import FloatArray

__all__ = ["Dot", "Pack", "packed", "write_dot", "write_pack"]

#: Sums that run beside each other.
CHAINS = 16
#: Vectors of sums in one pass over the inputs.
BLOCK = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack(Step):
    """Fixed-point numbers as bytes, four in the room of a float.

    Attributes:
        channels: bytes / 4.
        scale: a number times this is an integer.
        zero: that is added, so that none is negative.
    """

    kind: ClassVar[str] = "packing"
    scale: float
    zero: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Dot(Step):
    """`Taps` on bytes: y[t] = bias + factor * sum_k weight[:, :, k] (bytes[t - at[k]] - zero).

    Attributes:
        weight: (channels, bytes, taps), signed bytes.
        factor: (channels,).
        bias: (channels,).
        at: the lag of each tap.
        zero: of the bytes.
    """

    kind: ClassVar[str] = "convolution of bytes"
    weight: npt.NDArray[np.int8]
    factor: FloatArray
    bias: FloatArray
    at: tuple[int, ...]
    zero: int

    @property
    def lags(self) -> tuple[int, ...]:
        return self.at


def packed(program: Program) -> Program:
    """The same program with a `Pack` and a `Dot` in place of each `Taps` that allows it; itself where none does."""
    steps: list[Step] = []
    done: set[str] = set()
    for step in program.steps:
        dot = _dot(program, step)
        if dot is None:
            steps.append(step)
            continue
        x = program[step.reads[0]]
        assert isinstance(x, Quantise)
        if dot.reads[0] not in done:
            done.add(dot.reads[0])
            steps.append(
                Pack(
                    name=dot.reads[0], reads=(x.name,), channels=x.channels // 4, scale=1 / x.fixed.step, zero=dot.zero
                )
            )
        steps.append(dot)
    return replace(program, steps=tuple(steps))


def _dot(program: Program, step: Step) -> Dot | None:
    x = program[step.reads[0]] if isinstance(step, Taps) else None
    if not (isinstance(step, Taps) and isinstance(x, Quantise)) or x.fixed.bits > 8:
        return None
    if step.channels % 16 or x.channels % 16:
        return None
    scale_O = _scales(step.weight)
    if scale_O is None:
        return None
    return Dot(
        name=step.name, reads=(f"{x.name}/bytes",), channels=step.channels, at=step.at, bias=step.bias,
        weight=(step.weight * scale_O[:, None, None]).astype(np.int8), factor=x.fixed.step / scale_O,
        zero=128 if x.fixed.sign else 0,
    )  # fmt: skip


def _scales(weight_OIK: FloatArray) -> FloatArray | None:
    """The power of two by which each channel's weights are integers of -127 .. 127; None where there is none."""
    flat = weight_OIK.reshape(len(weight_OIK), -1)
    scale_O = np.full(len(flat), np.nan)
    for power in range(24, -9, -1):
        whole = flat * 2.0**power
        fits = (np.abs(whole).max(axis=1) <= 127) & (whole == np.round(whole)).all(axis=1)
        scale_O[fits] = 2.0**power
    return None if np.isnan(scale_O).any() else scale_O


def write_pack(row: Row, step: Pack) -> None:
    """Bytes of the current row, to memory."""
    x = step.reads[0]
    for k, c in enumerate(chunks(row.program[x].channels)):
        number = f"{row.chunk(x, k)} * {step.scale}f + {step.zero}.f"
        byte = f"__builtin_convertvector(__builtin_convertvector({number}, i16), b16)"
        row.lines.append(f"*(b16 *)({row.pointer(step.name)} + {c.at // 4}) = {byte};")


def write_dot(row: Row, step: Dot) -> None:
    """Each four bytes of the input times four rows of weights."""
    x, own, i = step.reads[0], row.of(step), row.index[step.name]
    for begin in range(0, len(own), BLOCK):
        block = own[begin : begin + BLOCK]
        outputs = slice(block[0].at, block[-1].at + 16)
        weight_KJO4 = step.weight[outputs].transpose(2, 1, 0).reshape(len(step.at), -1, 4, 16 * len(block))
        w = row.constants.bytes(weight_KJO4.transpose(0, 1, 3, 2))
        start_O = -step.zero * step.weight[outputs].astype(int).sum(axis=(1, 2))
        chains, quads = max(1, min(4, CHAINS // len(block))), step.weight.shape[1] // 4
        for k in range(len(block)):
            first = f"*(const i16 *)({row.constants.offsets(start_O)} + {16 * k})" if step.zero else "{0}"
            row.lines.append(f"i16 e{i}_{begin + k} = {first};")
            row.lines += [f"i16 e{i}_{begin + k}_{p} = {{0}};" for p in range(1, chains)]
        for n, lag in enumerate(step.at):
            back = f" - {lag * row.strides[x]}" if lag else ""
            row.lines.append(f"{{ const word *r = (const word *)({row.pointer(x)}{back});")
            row.lines.append(f"const int8_t *w = {w} + {n * quads * 64 * len(block)};")
            body = "".join(
                f" e{i}_{begin + k}{f'_{p}' if p else ''} = dot16(e{i}_{begin + k}{f'_{p}' if p else ''}, r[c + {p}], "
                f"w + (c + {p}) * {64 * len(block)} + {64 * k});"
                for p in range(chains)
                for k in range(len(block))
            )
            row.lines.append(f"for (int c = 0; c < {quads}; c += {chains}) {{{body} }} }}")
        for k, c in enumerate(block):
            total = " + ".join(f"e{i}_{begin + k}{f'_{p}' if p else ''}" for p in range(chains))
            factor, bias = row.constant(step.factor, c), row.constant(step.bias, c)
            row.let(step, begin + k, f"__builtin_convertvector({total}, v16) * {factor} + {bias}")
