"""Several programs as one whose signal is the mean of theirs: what a strategy of several seeds was traded as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tradenas.errors import SpaceError
from tradenas.formats.program import Concat, Program, Step, Taps

__all__ = ["mean_of"]


def mean_of(programs: Sequence[Program]) -> Program:
    """One program that reads the same row, runs all of them and says the mean; of one, that one.

    Raises:
        SpaceError: none, or programs that read other columns.

    >>> from tradenas.formats.program import Input
    >>> def scaled(by: float) -> Program:
    ...     y = Taps(name="y", reads=("x",), channels=1, weight=np.full((1, 1, 1), by), bias=np.zeros(1), at=(0,))
    ...     return Program(steps=(Input(name="x", channels=1), y), output="y", columns=(3,))
    >>> both = mean_of([scaled(2.0), scaled(4.0)])
    >>> [step.name for step in both.steps]
    ['rows', 'seed0/y', 'seed1/y', 'signals', 'mean']
    >>> from tradenas.formats.reference import run_series
    >>> run_series(both, np.array([[1.0], [2.0]])).tolist()
    [3.0, 6.0]
    """
    if len(programs) == 1:
        return programs[0]
    if not programs or len({program.columns for program in programs}) > 1:
        raise SpaceError(
            "mean_of", got=f"{len(programs)} programs of {len({p.columns for p in programs})} sets of columns",
            expected="one or more programs of the same columns",
        )  # fmt: skip
    first = programs[0].steps[0]
    steps: list[Step] = [replace(first, name="rows")]
    for k, program in enumerate(programs):
        named = {step.name: f"seed{k}/{step.name}" for step in program.steps[1:]} | {program.steps[0].name: "rows"}
        steps += [
            replace(step, name=named[step.name], reads=tuple(named[name] for name in step.reads))
            for step in program.steps[1:]
        ]
    outputs = tuple(f"seed{k}/{program.output}" for k, program in enumerate(programs))
    steps.append(Concat(name="signals", reads=outputs, channels=len(outputs)))
    share = np.full((1, len(outputs), 1), 1.0 / len(outputs))
    steps.append(Taps(name="mean", reads=("signals",), channels=1, weight=share, bias=np.zeros(1), at=(0,)))
    return Program(steps=tuple(steps), output="mean", columns=programs[0].columns, names=programs[0].names)
