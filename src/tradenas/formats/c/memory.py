"""Where each value of a program lies: rings of a stream, buffers of a window, or only variables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tradenas.formats.c.layout import chunks, strides
from tradenas.formats.c.vnni import Dot
from tradenas.formats.program import Attend, Concat, Input, Max, Pick, Program, Recurrent, Step, Taps

__all__ = ["Ring", "groups", "rings", "scalars", "split_recurrent"]


def split_recurrent(program: Program) -> Program:
    """Puts a dense step before each recurrent one: the gates' share of a row, worked out once.

    Each gate begins at a chunk of its own.  Before `reach` rows were seen this gives other numbers, which nobody sees.
    """
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Recurrent):
            gates = 3 if step.cell == "gru" else 4
            last = chunks(step.channels)[-1]
            room = last.at + last.width
            bias = step.bias_input + step.bias_hidden
            if step.cell == "gru":
                bias[2 * step.channels :] = step.bias_input[2 * step.channels :]
            weight = np.zeros((gates, room, step.weight_input.shape[1]))
            weight[:, : step.channels] = step.weight_input.reshape(gates, step.channels, -1)
            padded = np.zeros((gates, room))
            padded[:, : step.channels] = bias.reshape(gates, step.channels)
            name = f"{step.name}/gates"
            flat = weight.reshape(gates * room, -1, 1)
            steps.append(
                Taps(name=name, reads=step.reads, channels=gates * room, weight=flat, bias=padded.ravel(), at=(0,))
            )
            step = replace(step, reads=(name,))
        steps.append(step)
    return replace(program, steps=tuple(steps))


def scalars(program: Program) -> set[str]:
    """Values of which single numbers are read, or whose earlier rows are walked through: they must be in memory."""
    found = {step.name for step in program.steps if isinstance(step, Concat)}
    for step in program.steps:
        if isinstance(step, Pick | Recurrent | Dot) or (isinstance(step, Taps) and step.channels >= 4):
            found |= set(step.reads)
        if isinstance(step, Attend):
            found |= set(step.reads[1:])
    return found


@dataclass(frozen=True)
class Ring:
    """The latest rows of a value, twice in a row, so that they always lie one after the other.

    Attributes:
        rows: remembered, the current one included.
        stride: floats from row to row.
    """

    rows: int
    stride: int


def rings(program: Program, live: dict[str, int]) -> dict[str, Ring]:
    """Of each value that a live step looks back to."""
    kept = {step.name: 0 for step in program.steps}
    for step in program.steps:
        if live[step.name] and not isinstance(step, Recurrent):  # its cells are under way, one of each age
            for name in step.reads:
                kept[name] = max(kept[name], *step.lags)
    width = strides(program)
    return {name: Ring(rows + 1, width[name]) for name, rows in kept.items() if rows}


def groups(program: Program, rows: dict[str, int]) -> list[list[Step]]:
    """Steps that are run row by row together: as many rows each, and none looks back at another of its group."""
    found: list[list[Step]] = []
    for step in program.steps:
        if isinstance(step, Input) or not rows[step.name]:
            continue
        last = found[-1] if found else []
        inside = {s.name for s in last}
        back = max(step.lags) > 0 or isinstance(step, Max | Recurrent | Attend)
        if last and rows[last[0].name] == rows[step.name] and not (back and inside & set(step.reads)):
            last.append(step)
        else:
            found.append([step])
    return found
