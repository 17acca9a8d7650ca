"""Small fixed-point programs that between them hold every step that Verilog can express."""

from __future__ import annotations

import numpy as np

from tradenas.formats.program import (
    Add,
    Concat,
    Depthwise,
    Fixed,
    GatedCell,
    Input,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Program,
    Quantise,
    Step,
    Taps,
)  # fmt: skip
from tradenas.seeds import rng_for
from tradenas.typing import FloatArray

COLUMNS = 4
INPUT, SIGNED = Fixed(1, 3, 4), Fixed(1, 2, 3)


class Chain:
    """Steps one after the other, with random dyadic weights."""

    def __init__(self, seed: int = 0, columns: int = COLUMNS) -> None:
        self.rng, self.steps = rng_for(seed, "programs"), [Input(name="x", channels=columns)]
        self.quantise("in", "x", INPUT)

    def add(self, step: Step) -> str:
        self.steps.append(step)
        return step.name

    def channels(self, name: str) -> int:
        return next(s.channels for s in self.steps if s.name == name)

    def quantise(self, name: str, x: str, fixed: Fixed) -> str:
        return self.add(Quantise(name=name, reads=(x,), channels=self.channels(x), fixed=fixed))

    def weights(self, *shape: int, bits: int = 4, zeros: float = 0.3) -> FloatArray:
        w = self.rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape) / 2.0 ** (bits - 1)
        return np.where(self.rng.random(shape) < zeros, 0.0, w)

    def taps(self, name: str, x: str, channels: int, at: tuple[int, ...], zeros: float = 0.3) -> str:
        weight = self.weights(channels, self.channels(x), len(at), zeros=zeros)
        bias = self.rng.integers(-64, 64, channels) / 64.0
        return self.add(Taps(name=name, reads=(x,), channels=channels, weight=weight, bias=bias, at=at))

    def depthwise(self, name: str, x: str, at: tuple[int, ...]) -> str:
        c = self.channels(x)
        weight, bias = self.weights(c, len(at)), self.rng.integers(-8, 8, c) / 8.0
        return self.add(Depthwise(name=name, reads=(x,), channels=c, weight=weight, bias=bias, at=at))

    def point(self, name: str, x: str, function: str) -> str:
        return self.add(Pointwise(name=name, reads=(x,), channels=self.channels(x), function=function))

    def table(self, name: str, x: str, function: str, after: Fixed, before: Fixed = SIGNED) -> str:
        narrow = self.quantise(f"{name}/before", x, before)
        return self.quantise(name, self.point(f"{name}/{function}", narrow, function), after)

    def end(self, x: str) -> Program:
        self.taps("signal", x, 1, (0,), zeros=0.0)
        return Program(steps=tuple(self.steps), output="signal", columns=tuple(range(self.channels("x"))))


def relu() -> Program:
    c = Chain(1)
    return c.end(c.quantise("q", c.point("r", c.taps("c", "in", 5, (3, 1, 0)), "relu"), Fixed(0, 1, 3)))


def signed() -> Program:
    c = Chain(2)
    return c.end(c.quantise("q", c.taps("c", "in", 5, (0,)), Fixed(1, 0, 3)))


def coarse() -> Program:
    """A format with bits only before the point, and one with negative integer bits."""
    c = Chain(3)
    q = c.quantise("q", c.taps("c", "in", 4, (2, 0)), Fixed(1, 4, -1))
    return c.end(c.quantise("p", c.taps("d", q, 3, (0,)), Fixed(0, -1, 4)))


def tables() -> Program:
    c = Chain(4)
    x = c.taps("c", "in", 3, (1, 0))
    parts = (
        c.table("t", x, "tanh", Fixed(1, 0, 5)), c.table("s", x, "sigmoid", Fixed(0, 0, 5)),
        c.table("g", x, "gelu", Fixed(1, 2, 4)), c.table("l", x, "leaky_relu", Fixed(1, 2, 6)),
    )  # fmt: skip
    return c.end(c.add(Concat(name="all", reads=parts, channels=12)))


def products() -> Program:
    c = Chain(5)
    value = c.quantise("v", c.taps("c", "in", 4, (1, 0)), SIGNED)
    gate = c.table("g", c.taps("d", "in", 4, (0,)), "sigmoid", Fixed(0, 0, 5))
    glu = c.add(Multiply(name="glu", reads=(value, gate), channels=4))
    return c.end(c.quantise("q", c.depthwise("e", c.quantise("p", glu, SIGNED), (4, 2, 0)), SIGNED))


def carried() -> Program:
    c = Chain(6)
    wide = c.add(Pick(name="wide", reads=("in",), channels=6, index=(2, 0, -1, 3, 3, 1)))
    largest = c.add(Max(name="max", reads=(wide,), channels=6, rows=4))
    moved = c.quantise("m", c.depthwise("mean", wide, (0, 1, 2, 3)), SIGNED)
    return c.end(c.add(Add(name="sum", reads=(largest, moved, wide), channels=6)))


def pruned() -> Program:
    """A channel that nothing feeds, one that nobody reads, and a layer that is all zeros."""
    c = Chain(7)
    name = c.taps("c", "in", 4, (2, 0), zeros=0.6)
    step = c.steps[-1]
    assert isinstance(step, Taps)
    step.weight[1], step.bias[1] = 0.0, 0.0
    step.weight[2], step.bias[2] = 0.0, 0.5
    q = c.quantise("q", c.point("r", name, "relu"), Fixed(0, 1, 3))
    c.taps("d", q, 3, (1, 0), zeros=0.4)
    last = c.steps[-1]
    assert isinstance(last, Taps)
    last.weight[:, 0] = 0.0
    last.weight[0] = 0.0
    return c.end(c.quantise("p", "d", SIGNED))


def deep() -> Program:
    """What is searched: convolution, separable block with skip, dense head."""
    c = Chain(8)
    a = c.quantise("a", c.point("ar", c.taps("ac", "in", 8, (2, 1, 0)), "relu"), Fixed(0, 2, 3))
    d = c.quantise("d", c.depthwise("dw", a, (2, 1, 0)), SIGNED)
    s = c.add(Add(name="skip", reads=(c.taps("pw", d, 8, (0,)), a), channels=8))
    b = c.quantise("b", c.point("br", s, "relu"), Fixed(0, 2, 3))
    return c.end(c.quantise("h", c.point("hr", c.taps("hc", b, 8, (0,)), "relu"), Fixed(0, 2, 3)))


def cell(kind: str, rows: int = 4, width: int = 3) -> Program:
    """A gated cell between a convolution and one more convolution."""
    c, gates = Chain(10), 3 if kind == "gru" else 2
    x = c.quantise("a", c.taps("ac", "in", 4, (1, 0)), SIGNED)
    hidden = gates if kind == "gru" else 0
    c.add(GatedCell(
        name="cell", reads=(x,), channels=width, cell=kind, rows=rows, weight_input=c.weights(gates * width, 4),
        weight_hidden=c.weights(hidden * width, width), bias_input=c.weights(gates * width),
        bias_hidden=c.weights(hidden * width), source=Fixed(1, 2, 3), gate=Fixed(0, 0, 5), state=Fixed(1, 0, 5),
    ))  # fmt: skip
    return c.end(c.quantise("q", c.taps("d", "cell", 3, (2, 0)), SIGNED))


def gru() -> Program:
    return cell("gru")


def mingru() -> Program:
    return cell("mingru")


PROGRAMS = {
    "relu": relu, "signed": signed, "coarse": coarse, "tables": tables, "products": products, "carried": carried,
    "pruned": pruned, "deep": deep, "gru": gru, "mingru": mingru,
}  # fmt: skip


def rows(count: int, columns: int = COLUMNS, seed: int = 9) -> FloatArray:
    """Candles' worth of numbers, some of them far outside the input format."""
    return rng_for(seed, "rows").standard_t(3, (count, columns)) * 1.5
