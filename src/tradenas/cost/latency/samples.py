"""Each part as a small program that can be timed, and how its own time comes out of that.

A part cannot run alone: it is measured between an input and a `sink`, a map to one number of the first and last of its
rows, and what input and sink cost by themselves is subtracted (`recipe`).  Of that only the sum is known.  Half of it
is taken for each: what one part is so charged too much, the part that reads it is charged too little.

Where a compiler weaves neighbours into each other, a part is measured between what stands beside it in a chain: a
dense step makes its input, and the sink is a layer and a head.  Both are in what is subtracted, so the sum over a
network's parts is that of its own steps all the same.  The head itself, one channel of one row, has no sink behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tradenas.cost.latency.parts import EXIT, TRIM, Part, rows_back
from tradenas.formats.program import Add, Input, Pointwise, Program, Step, Taps
from tradenas.seeds import rng_for

__all__ = ["EMPTY", "Sample", "filled", "probe_program", "recipe", "sample_program"]

#: Rows more than are read of the value that a `trim` is measured on.
SPARE = 4
#: Channels of the input of a neighbour, and of the layer of a sink.
BESIDE = 8, 16


class Sample(NamedTuple):
    """A small program to be timed.

    Attributes:
        what: `part`, `base` (input and sink), `empty`, `trim` or `whole` (the same without the cut).
        part: of a `part`; otherwise channels and nothing else.
        rows: that are made, or read.
    """

    what: str
    part: Part
    rows: int


EMPTY = Sample("empty", Part("empty", 1, 1), 1)


def recipe(part: Part, rows: int, *, stream: bool = False) -> dict[Sample, float]:
    """What to measure for the time of a part, and with which factors to add it up.

    With o for an empty program and base(c, r) for input and sink of r rows of c channels, half of base - o each:

        part        t(part) - o - half(c_in, rows + reach) - half(c_out, rows) - trims that the sample has itself
        front       t(front) - o - half(c_out, rows)
        trim        t(trim) - t(whole) - half(c, rows) + half(c, rows + spare)

    Args:
        part: the part.
        rows: that it makes.
        stream: one row at a time: nothing is cut, and every input has one row.
    """
    found: Counter[Sample] = Counter()

    def add(sample: Sample, factor: float) -> None:
        found[sample] += factor  # type: ignore[assignment]

    def half(channels: int, of_rows: int, factor: float) -> None:
        add(Sample("base", _channels(channels, part), 1 if stream else of_rows), 0.5 * factor)
        add(EMPTY, -0.5 * factor)

    if part.form == TRIM:
        if not stream:
            add(Sample(TRIM, _channels(part.c_in, part), rows), 1.0)
            add(Sample("whole", _channels(part.c_in, part), rows + SPARE), -1.0)
            half(part.c_in, rows, -1.0)
            half(part.c_in, rows + SPARE, 1.0)
        return dict(found)
    add(Sample("part", part, rows), 1.0)
    add(EMPTY, -1.0)
    if not _is_head(part, rows):
        half(part.c_out, rows, -1.0)
    if not part.is_front:
        half(part.c_in, rows + part.reach, -1.0)
        if (
            part.reach
            and not (stream or part.woven)
            and any(rows_back(part.steps[0], n) == 0 for n in part.steps[0].reads)
        ):
            for sample, factor in recipe(Part(TRIM, part.c_in, part.c_in), rows).items():
                add(sample, -factor)
    return {sample: factor for sample, factor in found.items() if factor}


def _is_head(part: Part, rows: int) -> bool:
    return part.woven and part.c_out == rows == 1


def _channels(channels: int, like: Part) -> Part:
    return Part("channels", channels, channels, woven=like.woven)


def sample_program(sample: Sample, *, stream: bool = False) -> Program:
    """The small program of a sample."""
    what, part, rows = sample
    rows = 1 if stream else rows
    sink = _layer_and_head if part.woven else _sink
    if what == "empty":
        return Program(steps=(Input(name="x", channels=1),), output="x", columns=(0,))
    if what == "part" and part.is_front:
        *steps, last = part.steps
        if not isinstance(last, Add) or last.channels != 1 or last.name == EXIT:
            return _program([*part.steps, *sink("out", part.steps[0].name, part.c_out, rows)])
        return _program([*steps, *sink("sink", EXIT, part.c_out, rows), replace(last, reads=(last.reads[0], "sink"))])
    x = _neighbour(part.c_in) if part.woven else [Input(name="x", channels=part.c_in)]
    if what == "part" and _is_head(part, rows):
        return _program([*x, *part.steps])
    if what == "part":
        return _program([*x, *part.steps, *sink("out", part.steps[-1].name, part.c_out, rows)])
    if what == "base":
        return _program([*x, *sink("out", "x", part.c_in, rows)])
    first = sink("first", "x", part.c_in, rows + SPARE if what == TRIM else rows)
    second = sink("second", "x", part.c_in, rows, seed=1)
    return _program([*x, *first, *second, Add(name="out", reads=("first", "second"), channels=1)])


def _program(steps: Sequence[Step]) -> Program:
    columns = tuple(range(steps[0].channels))
    return filled(Program(steps=tuple(steps), output=steps[-1].name, columns=columns))


def _sink(name: str, reads: str, channels: int, rows: int, *, seed: int = 0, outputs: int = 1) -> list[Step]:
    at = (0,) if rows == 1 else (rows - 1, 0)
    weight = rng_for(seed, "sink").normal(0.0, 0.1, (outputs, channels, len(at)))
    return [Taps(name=name, reads=(reads,), channels=outputs, weight=weight, bias=np.zeros(outputs), at=at)]


def _layer_and_head(name: str, reads: str, channels: int, rows: int, *, seed: int = 0) -> list[Step]:
    layer = _sink(f"{name}/layer", reads, channels, rows, seed=seed, outputs=BESIDE[1])
    relu = Pointwise(name=f"{name}/relu", reads=(layer[0].name,), channels=BESIDE[1], function="relu")
    return [*layer, relu, *_sink(name, relu.name, BESIDE[1], 1, seed=seed)]


def _neighbour(channels: int) -> list[Step]:
    """A layer that makes the value `x` of some channels."""
    weight = rng_for(0, "neighbour").normal(0.0, 0.3, (channels, BESIDE[0], 1))
    return [
        Input(name="in", channels=BESIDE[0]),
        Taps(name="x/layer", reads=("in",), channels=channels, weight=weight, bias=np.zeros(channels), at=(0,)),
        Pointwise(name="x", reads=("x/layer",), channels=channels, function="relu"),
    ]


def filled(program: Program) -> Program:
    """The same with small random numbers where a network has not learnt any yet: a compiler may leave out zeros."""
    steps = []
    for step in program.steps:
        empty: dict[str, Any] = {
            name: rng_for(0, "filled", step.name, name).normal(0.0, 0.1, value.shape)
            for name in ("weight", "weight_input", "weight_hidden")
            if isinstance(value := getattr(step, name, None), np.ndarray) and not value.any()
        }
        steps.append(replace(step, **empty))
    return replace(program, steps=tuple(steps))


def probe_program() -> Program:
    """The unit: three convolutions over three rows between 16 channels and a head, on 8 features; never changed.

    >>> probe_program().reach, probe_program().parameters
    (7, 1985)
    """
    steps: list[Step] = [Input(name="x", channels=8)]
    rng, before, c_in = rng_for(0, "probe"), "x", 8
    for i in range(3):
        weight = rng.normal(0.0, 0.2, (16, c_in, 3))
        taps = Taps(name=f"c{i}", reads=(before,), channels=16, weight=weight, bias=np.zeros(16), at=(2, 1, 0))
        steps += [taps, Pointwise(name=f"r{i}", reads=(f"c{i}",), channels=16, function="relu")]
        before, c_in = f"r{i}", 16
    head = Taps(name="y", reads=(before,), channels=1, weight=rng.normal(0, 0.2, (1, 16, 1)), bias=np.zeros(1), at=(0,))
    return Program(steps=(*steps, head), output="y", columns=tuple(range(8)))
