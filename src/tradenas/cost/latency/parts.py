"""A program cut into the parts that a table knows.

A part is one step with the norms, activations and quantisers that follow it, since that is what runtimes fuse.  Its key
is its form (what it does, without numbers), the channels that it reads and makes, and the rows that it makes.  What a
program does to its input (filters, the sum of them beside the body, and the addition at the very end) is one part, the
front.  Where a value is read with fewer rows than it has, a runtime may have to cut it: the part `trim`.

A compiler lets what does not wait for each other run at the same time, so that branches which part and meet again
inside an op (a value and its gate, a residual) take less than one after the other.  Where a chain is `woven`, such an
op is one part, and parts are measured between neighbours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
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

__all__ = ["EXIT", "THEN", "TRIM", "Part", "Placed", "cut", "form_of", "rows_back"]

#: Between a step and what follows it, in a form.
THEN = " > "
TRIM = "trim"
EXIT = "exit"


@dataclass(frozen=True)
class Part:
    """What a table has a time for.

    Attributes:
        form: what it does, e.g. `taps 0-2 > norm > relu`.
        c_in: channels that it reads.
        c_out: channels that it makes.
        reach: rows that it reads before the first that it makes.
        steps: that it is made of, reading `x` (and of the front its own input).
        woven: whether it is measured between neighbours.
    """

    form: str
    c_in: int
    c_out: int
    reach: int = field(default=0, compare=False)
    steps: tuple[Step, ...] = field(default=(), compare=False, repr=False)
    woven: bool = field(default=False)

    @property
    def key(self) -> tuple[str, int, int]:
        return self.form, self.c_in, self.c_out

    @property
    def is_front(self) -> bool:
        return bool(self.steps) and isinstance(self.steps[0], Input)


class Placed(NamedTuple):
    """A part in a program: how many rows it makes there, and the name of its first step."""

    part: Part
    rows: int
    owner: str


class _Group(NamedTuple):
    """A part on its way: a step, or those of an op that are one, and what follows."""

    main: list[Step]
    then: list[Step]


def cut(program: Program, *, woven: bool = False) -> list[Placed]:
    """The parts of a program.

    Args:
        program: to be cut.
        woven: of a chain, see the head of this module.

    >>> import numpy as np
    >>> dense = Taps(name="a", reads=("x",), channels=2, weight=np.ones((2, 3, 2)), bias=np.ones(2), at=(1, 0))
    >>> steps = (Input(name="x", channels=3), dense, Pointwise(name="b", reads=("a",), channels=2, function="relu"),
    ...          Taps(name="y", reads=("b",), channels=1, weight=np.ones((1, 2, 1)), bias=np.ones(1), at=(0,)))
    >>> found = cut(Program(steps=steps, output="y", columns=(0, 1, 2)))
    >>> [(p.part.form, p.part.c_in, p.part.c_out, p.rows) for p in found]
    [('front input', 3, 3, 2), ('taps 0-1 > relu', 3, 2, 1), ('taps 0', 2, 1, 1)]
    """
    rows, channels = program.rows(), program.channels
    alive = [step for step in program.steps if rows[step.name]]
    front, exit_ = _front(program, alive)
    groups: list[_Group] = []
    of: dict[str, _Group] = {}
    whole = _whole_ops(alive, front) if woven else {}
    readers = Counter(name for step in alive for name in step.reads)
    for step in alive:
        if step.name in front:
            continue
        before = of.get(step.reads[0]) if len(step.reads) == 1 else None
        if step.name in whole:
            before = of.get(whole[step.name][0].name)
        elif not (before and isinstance(step, Pointwise | LayerNorm | Quantise) and readers[step.reads[0]] == 1):
            before = None
        else:
            before.then.append(step)
        if before is None:
            groups.append(before := _Group(whole.get(step.name, [step]), []))
        of[step.name] = before
    found = [Placed(_front_part(alive, front, exit_, channels), max(1, rows[exit_]), exit_)]
    trims: set[tuple[str, int]] = set()
    for group in groups:
        owner = group.main[-1].name
        made = rows[owner]
        for name, back in _read(group.main).items():
            read = made + back
            if read < rows[name] and (name, read) not in trims:
                trims.add((name, read))
                found.append(Placed(Part(TRIM, channels[name], channels[name]), read, owner))
        found.append(Placed(_part(group, channels), made, owner))
    return [p._replace(part=replace(p.part, woven=woven)) for p in found]


def _whole_ops(alive: Sequence[Step], front: set[str]) -> dict[str, list[Step]]:
    """Of each step of an op of a chain that has branches which meet, all of the op's.

    They are named after layer and op; norm and activation behind it are no part of it, and a choice of channels that
    only the op reads is (it is not in the form: it takes next to nothing).
    """
    ops: dict[str, list[Step]] = defaultdict(list)
    for step in alive:
        if step.name not in front and "/" in step.name:
            ops["/".join(step.name.split("/")[:2])].append(step)
    found: dict[str, list[Step]] = {}
    for steps in ops.values():
        while len(steps) > 1 and isinstance(steps[-1], Pointwise | LayerNorm | Quantise):
            steps.pop()
        if not any(isinstance(step, Add | Multiply | Attend) for step in steps[1:]):
            continue
        names = {step.name for step in steps}
        picks = [s for s in alive if isinstance(s, Pick) and s.name not in front and names >= _readers(alive, s.name)]
        steps = [s for s in alive if s in steps or s in picks]
        if len(_read(steps)) == 1:
            found |= {step.name: steps for step in steps}
    return found


def _readers(alive: Sequence[Step], name: str) -> set[str]:
    return {step.name for step in alive if name in step.reads}


def _read(steps: Sequence[Step]) -> dict[str, int]:
    """What some steps read from outside, and how many rows before those that the last one makes."""
    back = {steps[-1].name: 0}
    for step in reversed(steps):
        for name in step.reads:
            back[name] = max(back.get(name, 0), back[step.name] + rows_back(step, name))
    return {name: rows for name, rows in back.items() if name not in {step.name for step in steps}}


def rows_back(step: Step, name: str) -> int:
    """Rows that a step reads of a value before those that it makes; a query is read at its own row only."""
    if isinstance(step, Attend) and name not in step.reads[1:]:
        return 0
    return max(step.lags)


def _front(program: Program, alive: Sequence[Step]) -> tuple[set[str], str]:
    """The steps between the rows and the body, and the value that the body reads."""
    first, last = program.steps[0].name, program[program.output]
    front = {first}
    by_name = {step.name: step for step in alive}
    spoken = last.reads[0] if isinstance(last, Add) and len(last.reads) == 2 else ""
    if spoken and by_name[spoken].channels == 1:
        way = _ancestors(by_name, spoken)
        if sum(by_name[n].channels == 1 and isinstance(by_name[n], Taps) for n in way) == 1:
            front |= way | {last.name}
    for step in alive:  # what alone reads the front belongs to it
        others = {s.name for s in alive if set(s.reads) & set(step.reads)} - front - {step.name}
        if isinstance(step, Concat | Pick | Quantise) and set(step.reads) <= front and not others:
            front.add(step.name)
    exits = {n for step in alive if step.name not in front for n in step.reads if n in front}
    if len(exits) == 1:
        return front, exits.pop()
    return {first}, first


def _ancestors(by_name: dict[str, Step], name: str) -> set[str]:
    found, waiting = set[str](), [name]
    while waiting:
        at = waiting.pop()
        found.add(at)
        waiting.extend(by_name[at].reads)
    return found


def _front_part(alive: Sequence[Step], front: set[str], exit_: str, channels: dict[str, int]) -> Part:
    steps = [step for step in alive if step.name in front]
    form = "front " + ", ".join(form_of(step) for step in steps)
    steps = [_renamed(step, {exit_: EXIT}) for step in steps]
    return Part(form, steps[0].channels, channels[exit_], 0, tuple(steps))


def _part(group: _Group, channels: dict[str, int]) -> Part:
    read = _read(group.main)
    steps = [_renamed(step, dict.fromkeys(read, "x")) for step in (*group.main, *group.then)]
    weighs = [step for step in group.main if len(group.main) == 1 or not isinstance(step, Pick)]
    form = THEN.join([", ".join(map(form_of, weighs)), *map(form_of, group.then)])
    return Part(form, max(channels[name] for name in read), steps[-1].channels, max(read.values()), tuple(steps))


def _renamed(step: Step, names: dict[str, str]) -> Step:
    reads = tuple(names.get(name, name) for name in step.reads)
    return replace(step, name=names.get(step.name, step.name), reads=reads)


def _lags(at: Sequence[int]) -> str:
    lags = sorted(at)
    if len(lags) > 1 and all(b - a == 1 for a, b in pairwise(lags)):
        return f"{lags[0]}-{lags[-1]}"
    return ",".join(map(str, lags))


def _index(step: Pick) -> str:
    index = [i for i in step.index if i >= 0]
    padded = "" if len(index) == len(step.index) else "padded "
    return padded + ("crop" if index == list(range(len(index))) else "gather")


#: What a step is called in a form: all that its time depends on but its channels.
FORMS: dict[type[Step], Callable[[Any], str]] = {
    Input: lambda _: "input",
    Taps: lambda step: f"taps {_lags(step.at)}",
    Depthwise: lambda step: f"depthwise {_lags(step.at)}" + (" bias" if step.bias.any() else ""),
    Pointwise: lambda step: str(step.function),
    Quantise: lambda _: "quantise",
    LayerNorm: lambda _: "norm",
    Add: lambda step: f"add {len(step.reads)}",
    Multiply: lambda _: "multiply",
    Concat: lambda step: f"concat {len(step.reads)}",
    Pick: _index,
    Max: lambda step: f"max {step.rows}",
    Recurrent: lambda step: f"{step.cell} {step.rows}",
    Attend: lambda step: f"attend {len(step.bias)}",
}


def form_of(step: Step) -> str:
    """What a step does, without its numbers and channels."""
    return next(form(step) for kind, form in FORMS.items() if isinstance(step, kind))
