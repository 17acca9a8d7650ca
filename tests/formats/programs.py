"""Small networks of every kind, with weights that all matter, and programs around each kind of step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
    Fixed,
    Input,
    LayerNorm,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Program,
    Quantise,
    Recurrent,
    Step,
    Taps,
)  # fmt: skip
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Cell, Chain

INDICATORS = {"a": "price", "b": "price", "c": "volume", "d": "other"}
LAYOUT = Layout(groups=tuple(INDICATORS.values()), transforms=("zscore", "rank"), names=tuple(INDICATORS))
CHAIN_OPS = (
    "skip", "dense", "conv3", "conv5", "separable3", "dilated3", "residual", "gated", "lstm", "gru", "attention",
    "max5", "mean5", "ema4", "difference", "difference5",
)  # fmt: skip
SPACES = {
    "chain": Chain(
        depths=(1, 2, 3), ops=CHAIN_OPS, widths=(4, 6), lookbacks=(1, 7), transforms=("zscore", "rank"),
        norms=("none", "layer", "batch"), groups=("volume",), features=("b",),
    ),
    "columns": Chain(depths=(1, 2), ops=("skip", "conv3", "residual"), widths=(4,),
                     column_ops=("zscore", "rank", "drop"), lookbacks=(6,)),
    "cell": Cell(nodes=3, cells=(1, 2), widths=(4,), ops=("zero", *CHAIN_OPS), norms=("none", "layer", "batch")),
    "summed": Cell(nodes=2, cells=(1, 3), widths=(4,), ops=("zero", *CHAIN_OPS[:10]), norms=("layer", "batch"),
                   follow="sum"),
    "last": Cell(nodes=3, cells=(2,), widths=(4,), ops=("zero", "skip", "conv3"), output="last", norms=("none",)),
}  # fmt: skip


def drawn(kind: str, number: int) -> tuple[Network, dict]:
    """A standalone network with weights that all matter, and its moments."""
    space = SPACES[kind].space(INDICATORS)
    architecture = space.sample(rng_for(number, "lower", kind))
    network = Network(space, LAYOUT).standalone(architecture, seed=number).double()
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
    rows = torch.randn(2, 100, 8, generator=generator, dtype=torch.float64)
    return network, network.measure(rows)


COLUMNS, WIDTH = 5, 8


def numbers(name: str, *shape: int) -> np.ndarray:
    """Weights with outputs of order 1."""
    return rng_for(0, "weights", name).standard_normal(shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))


def taps(name: str, reads: str, c_in: int, c_out: int, at: tuple[int, ...]) -> Taps:
    weight, bias = numbers(name, c_out, c_in, len(at)), numbers(f"{name}/bias", c_out)
    return Taps(name=name, reads=(reads,), channels=c_out, weight=weight, bias=bias, at=at)


def depthwise(*at: int) -> Depthwise:
    weight, bias = numbers("depthwise", WIDTH, len(at)), numbers("depthwise/bias", WIDTH)
    return Depthwise(name="m", reads=("a",), channels=WIDTH, weight=weight, bias=bias, at=at)


def recurrent(cell: str, gates: int) -> Recurrent:
    return Recurrent(
        name="m", reads=("a",), channels=WIDTH, cell=cell, rows=6,
        weight_input=2 * numbers("wi", gates * WIDTH, WIDTH), weight_hidden=2 * numbers("wh", gates * WIDTH, WIDTH),
        bias_input=numbers("bi", gates * WIDTH), bias_hidden=numbers("bh", gates * WIDTH),
    )  # fmt: skip


def pointwise(function: str) -> Pointwise:
    return Pointwise(name="m", reads=("a",), channels=WIDTH, function=function)


#: A step `m` of each kind that reads `a` (and `k`, `v`), values of 8 channels.
STEPS: dict[str, Callable[[], Step]] = {
    "dense": lambda: taps("m", "a", WIDTH, WIDTH, (0,)),
    "conv": lambda: taps("m", "a", WIDTH, WIDTH, (2, 1, 0)),
    "dilated": lambda: taps("m", "a", WIDTH, WIDTH, (8, 4, 0)),
    "uneven": lambda: taps("m", "a", WIDTH, 6, (1, 3, 6)),
    "depthwise": lambda: depthwise(0, 1, 2, 3, 4),
    "difference": lambda: depthwise(0, 5),
    "scale": lambda: depthwise(0),
    **{f: (lambda f=f: pointwise(f)) for f in ("relu", "gelu", "tanh", "sigmoid", "leaky_relu")},
    "quantise": lambda: Quantise(name="m", reads=("a",), channels=WIDTH, fixed=Fixed(1, 0, 4)),
    "unsigned": lambda: Quantise(name="m", reads=("a",), channels=WIDTH, fixed=Fixed(0, 2, 0)),
    "layer_norm": lambda: LayerNorm(
        name="m", reads=("a",), channels=WIDTH, gain=numbers("gain", WIDTH), shift=numbers("shift", WIDTH)
    ),
    "add": lambda: Add(name="m", reads=("a", "k"), channels=WIDTH),
    "add3": lambda: Add(name="m", reads=("a", "k", "v"), channels=WIDTH),
    "multiply": lambda: Multiply(name="m", reads=("a", "k"), channels=WIDTH),
    "concat": lambda: Concat(name="m", reads=("a", "k", "a"), channels=3 * WIDTH),
    "pick": lambda: Pick(name="m", reads=("a",), channels=6, index=(3, -1, 0, 0, 7, 1)),
    "crop": lambda: Pick(name="m", reads=("a",), channels=3, index=(2, 3, 4)),
    "nothing": lambda: Pick(name="m", reads=("a",), channels=2, index=(-1, -1)),
    "max": lambda: Max(name="m", reads=("a",), channels=WIDTH, rows=4),
    "gru": lambda: recurrent("gru", 3),
    "lstm": lambda: recurrent("lstm", 4),
    "attention": lambda: Attend(name="m", reads=("a", "k", "v"), channels=WIDTH, bias=numbers("lags", 7), scale=0.35),
}


def around(kind: str, *, rows: int) -> Program:
    """A program with one step of a kind in its middle, of which the signal reads so many rows."""
    middle = STEPS[kind]()
    return Program(
        steps=(
            Input(name="x", channels=COLUMNS), taps("a", "x", COLUMNS, WIDTH, (0, 1, 2)),
            taps("k", "x", COLUMNS, WIDTH, (0,)), taps("v", "x", COLUMNS, WIDTH, (0, 1)), middle,
            taps("signal", "m", middle.channels, 1, tuple(range(rows))),
        ),
        output="signal", columns=tuple(range(COLUMNS)), names=tuple("abcde"),
    )  # fmt: skip


#: Channels of tangled programs: few, and around the widths of vectors.
NARROW, WIDE = (1, 2, 3, 4), (1, 3, 4, 5, 8, 9, 16, 17, 20, 33)


def tangled(number: int, *, widths: tuple[int, ...] = NARROW, lags: int = 7) -> Program:
    """Random steps of every kind that read random earlier values, at random lags; the signal hears all of them."""
    rng = rng_for(number, "tangled")
    columns = int(rng.choice(widths))
    steps: list[Step] = [Input(name="x", channels=columns)]
    for i in range(int(rng.integers(3, 12))):
        few = [s for s in steps if s.channels <= 2 * max(widths)]
        steps.append(random_step(f"s{i}", few, rng, widths=widths, lags=lags))
    every = Concat(name="all", reads=tuple(s.name for s in steps), channels=sum(s.channels for s in steps))
    steps += [every, taps("signal", "all", every.channels, 1, (0, 2))]
    return Program(steps=tuple(steps), output="signal", columns=tuple(range(1, columns + 1))[::-1])


def random_step(name: str, steps: list[Step], rng: np.random.Generator, *, widths: tuple[int, ...], lags: int) -> Step:
    read = steps[int(rng.integers(len(steps)))]
    c, out = read.channels, int(rng.choice(widths))
    at = tuple(int(k) for k in rng.choice(lags, size=int(rng.choice([1, 2, 3, lags - 3])), replace=False))
    rows, cell, gates = int(rng.integers(1, 6)), *(("gru", 3), ("lstm", 4))[int(rng.integers(2))]

    def draw(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return np.where(rng.random(shape) < rng.choice([0.0, 0.3, 0.9]), 0.0, values)

    def more(count: int) -> tuple[str, ...]:
        fitting = [s.name for s in steps if s.channels == c]
        return (read.name, *(fitting[int(rng.integers(len(fitting)))] for _ in range(count - 1)))

    one = {"name": name, "reads": (read.name,), "channels": c}
    kinds: list[Callable[[], Step]] = [
        lambda: Taps(**{**one, "channels": out}, weight=draw(out, c, len(at)), bias=draw(out), at=at),
        lambda: Depthwise(**one, weight=draw(c, len(at)), bias=draw(c) * float(rng.integers(2)), at=at),
        lambda: Pointwise(**one, function=str(rng.choice(["relu", "gelu", "tanh", "sigmoid", "leaky_relu"]))),
        lambda: LayerNorm(**one, gain=1 + draw(c), shift=draw(c), epsilon=1e-2),
        lambda: Add(**{**one, "reads": more(int(rng.integers(2, 4)))}),
        lambda: Multiply(**{**one, "reads": more(2)}),
        lambda: Concat(**{**one, "reads": more(2), "channels": 2 * c}),
        lambda: Pick(**{**one, "channels": out}, index=tuple(int(k) for k in rng.integers(-1, c, out))),
        lambda: Max(**one, rows=rows),
        lambda: Attend(**{**one, "reads": more(3)}, bias=draw(len(at) + rows), scale=0.5),
        lambda: Recurrent(
            **{**one, "channels": out}, cell=cell, rows=rows, weight_input=draw(gates * out, c),
            weight_hidden=draw(gates * out, out), bias_input=draw(gates * out), bias_hidden=draw(gates * out),
        ),
    ]  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))]()
