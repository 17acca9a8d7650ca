"""A program without what does nothing: the same function in fewer steps, before it leaves.

    unread        steps that no output hangs on                                       left out
    twins         steps that do the same to the same values (an average on two edges) one of them
    picks         channels chosen in front of a dense step, zeros among them          into its weights
    dead channels of a filter over such a choice                                      left out
    diagonals     a factor and a shift of each channel (batch norm) behind a step     into its weights
    zero taps     lags whose weights are all exactly 0 (the lasso's, pruning's)       left out, and with them their rows

All but the diagonals keep every bit of a fixed-point program; a diagonal is folded only where neither side is rounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tradenas.formats.program import Depthwise, Pick, Program, Quantise, Step, Taps

__all__ = ["simplify"]


def simplify(program: Program) -> Program:
    """The same signal from fewer steps, weights and rows.

    >>> from tradenas.formats.program import Input
    >>> x = Input(name="x", channels=2)
    >>> swap = Pick(name="s", reads=("x",), channels=3, index=(1, 0, -1))
    >>> y = Taps(name="y", reads=("s",), channels=1, weight=np.array([[[3.0, 0.0], [5.0, 0.0], [7.0, 2.0]]]),
    ...          bias=np.zeros(1), at=(0, 9))
    >>> small = simplify(Program(steps=(x, swap, y), output="y", columns=(0, 1)))
    >>> [step.name for step in small.steps], small["y"].weight.tolist(), small.reach
    (['x', 'y'], [[[5.0], [3.0]]], 1)
    """
    for work in (_twins, _dead_channels, _picks, _diagonals, _zero_taps, _unread):
        program = replace(program, steps=tuple(work(program)))
    return program


def _twins(program: Program) -> list[Step]:
    """Later steps read the first of several that are equal in all but their name; the output keeps its own.

    >>> from tradenas.formats.program import Add, Input, Max
    >>> a, b = (Max(name=name, reads=("x",), channels=1, rows=3) for name in "ab")
    >>> both = Add(name="y", reads=("a", "b"), channels=1)
    >>> steps = simplify(Program(steps=(Input(name="x", channels=1), a, b, both), output="y", columns=(0,))).steps
    >>> [step.name for step in steps], steps[-1].reads
    (['x', 'a', 'y'], ('a', 'a'))
    """
    first: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    steps: list[Step] = []
    for step in program.steps:
        step = replace(step, reads=tuple(same.get(name, name) for name in step.reads))
        numbers = [getattr(step, name) for name in step.__dataclass_fields__ if name != "name"]
        told = [(n.shape, n.tobytes()) if isinstance(n, np.ndarray) else n for n in numbers]
        twin = first.setdefault((type(step), *told), step.name)
        if step.name in (twin, program.output):
            steps.append(step)
        else:
            same[step.name] = twin
    return steps


def _dead_channels(program: Program) -> list[Step]:
    """A filter over chosen channels runs on those that are there; the zeros among them are put back behind it."""
    steps: list[Step] = []
    for step in program.steps:
        source = program[step.reads[0]] if step.reads else None
        if not (isinstance(step, Depthwise) and isinstance(source, Pick)):
            steps.append(step)
            continue
        live = [c for c, origin in enumerate(source.index) if origin >= 0]
        dead = [c for c, origin in enumerate(source.index) if origin < 0]
        if not live or not dead or np.any(step.bias[dead]):
            steps.append(step)
            continue
        origins = tuple(source.index[c] for c in live)
        name, whole = f"{step.name}/live", tuple(range(program[source.reads[0]].channels))
        read = source.reads[0]
        if origins != whole:
            read = f"{step.name}/chosen"
            steps.append(Pick(name=read, reads=source.reads, channels=len(live), index=origins))
        steps.append(
            replace(step, name=name, reads=(read,), channels=len(live), weight=step.weight[live], bias=step.bias[live])
        )
        place = {c: k for k, c in enumerate(live)}
        back = tuple(place.get(c, -1) for c in range(step.channels))
        steps.append(Pick(name=step.name, reads=(name,), channels=step.channels, index=back))
    return steps


def _picks(program: Program) -> list[Step]:
    steps: list[Step] = []
    for step in program.steps:
        source = program[step.reads[0]] if step.reads else None
        if isinstance(step, Taps) and isinstance(source, Pick):
            weight = np.zeros((step.channels, program[source.reads[0]].channels, len(step.at)))
            for channel, origin in enumerate(source.index):
                if origin >= 0:
                    weight[:, origin] += step.weight[:, channel]
            step = replace(step, reads=source.reads, weight=weight)
        steps.append(step)
    return steps


def _diagonals(program: Program) -> list[Step]:
    rounded = any(isinstance(step, Quantise) for step in program.steps)
    readers = Counter(name for step in program.steps for name in step.reads)
    made: dict[str, Step] = {}
    for step in program.steps:
        source = made.get(step.reads[0]) if step.reads else None
        if (
            isinstance(step, Depthwise) and step.at == (0,) and isinstance(source, Taps | Depthwise)
            and not rounded and readers[source.name] == 1
        ):  # fmt: skip
            factor, bias = step.weight[:, 0], step.weight[:, 0] * source.bias + step.bias
            weight = source.weight * factor.reshape(-1, *[1] * (source.weight.ndim - 1))
            del made[source.name]
            step = replace(source, name=step.name, weight=weight, bias=bias)
        made[step.name] = step
    return list(made.values())


def _zero_taps(program: Program) -> list[Step]:
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Taps | Depthwise):
            used = np.abs(step.weight).reshape(-1, len(step.at)).sum(0) > 0
            kept = np.flatnonzero(used) if used.any() else np.array([int(np.argmin(step.at))])
            if not used.any():
                step = replace(step, weight=step.weight[..., kept], at=(0,))
            elif len(kept) < len(step.at):
                step = replace(step, weight=step.weight[..., kept], at=tuple(step.at[k] for k in kept))
        steps.append(step)
    return steps


def _unread(program: Program) -> list[Step]:
    rows = program.rows()
    return [step for i, step in enumerate(program.steps) if i == 0 or rows[step.name]]
