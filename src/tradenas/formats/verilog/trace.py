"""A fixed-point program as adders, shifts and small tables: what `da4ml` makes of its multiplications by constants.

`da4ml` (Sun et al. 2025, arXiv:2507.04535) replaces a product with constants by shared additions of shifted numbers
("distributed arithmetic"); no multiplier is left.  It is given one row of the program:

    streaming   the row, and of every value that a later row looks back to, the rows that are remembered: inputs too;
                beside the signal the values to remember are outputs.  One column of each layer is computed per row.
    window      all rows that the signal reads, every step on as many of them as later steps read

A gated cell reads a state and gives the next one.  Streaming, the wrapper runs the core once for each state that is
under way, the oldest first (see `wrapper`): `rows` passes over one cell, and the signal is there after the first.
Numbers must be dyadic and bounded: each value must pass a quantiser before it is remembered or looked up in a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tradenas.errors import MissingExtra, UnsupportedOp
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
from tradenas.formats.reference import FUNCTIONS
from tradenas.formats.verilog.cells import next_state
from tradenas.formats.verilog.fixed import fraction_bits, saturate

__all__ = ["Port", "Remembered", "Traced", "trace"]

#: Bits of the widest number that is looked up in a table.
WIDEST_TABLE = 10


@dataclass(frozen=True)
class Port:
    """A number of a row as it enters: which of the program's columns, how many rows ago, in which format."""

    column: int
    fixed: Fixed
    lag: int = 0


@dataclass(frozen=True)
class Remembered:
    """A value that a streaming core keeps, and how many rows ago it reads it."""

    name: str
    lags: tuple[int, ...]
    channels: int


@dataclass(frozen=True, eq=False)
class Traced:
    """What was traced, and what its inputs and outputs are, in this order.

    Attributes:
        program: that it computes.
        streaming: or of a whole window.
        logic: da4ml's `CombLogic`: inputs `ports`, then for each of `remembered` its lags; outputs the signal, then the
            values to remember.
        ports: of the row or the window.
        remembered: values of earlier rows.
        cells: gated cells whose states are further inputs, and whose next states are further outputs.
        after_cells: names of the remembered values that read a cell's.
    """

    program: Program
    streaming: bool
    logic: Any
    ports: tuple[Port, ...]
    remembered: tuple[Remembered, ...] = ()
    cells: tuple[GatedCell, ...] = ()
    after_cells: frozenset[str] = frozenset()

    @property
    def passes(self) -> int:
        """Runs of the core for each row."""
        return max((cell.rows for cell in self.cells), default=1)

    @property
    def estimated_luts(self) -> int:
        """Look-up tables by da4ml's own sum over its operations (six inputs each)."""
        return round(float(self.logic.cost))


def trace(program: Program, *, streaming: bool = True, depth: int = 2) -> Traced:
    """A program as additions, shifts and tables.

    Args:
        program: in fixed point: dyadic weights, quantisers.
        streaming: one row at a time with memory, or a whole window at once.
        depth: additions more than the fewest that sharing may put one after the other (da4ml's `hard_dc`); fewer is
            faster and larger, -1 is without a limit.

    Raises:
        UnsupportedOp: a step that additions and small tables cannot express, or a number without a format.
        MissingExtra: da4ml is not installed.
    """
    try:
        from da4ml.trace import comb_trace
    except ModuleNotFoundError as error:
        raise MissingExtra.of("da4ml", extra="fpga") from error
    tracer = _Tracer(program, streaming, depth)
    signal = tracer.value(program.output, 0)
    outputs = [*tracer.numbers(program[program.output], signal)]
    for kept in tracer.kept.values():
        outputs += [*tracer.numbers(program[kept.name], tracer.value(kept.name, 0))]
    cells = tuple(s for s in program.steps if isinstance(s, GatedCell) and s.name in tracer.states)
    for cell in cells:
        outputs += tracer.numbers(cell, tracer.value(cell.name, 0))
    ports = sorted(tracer.ports, key=lambda p: (p.lag, p.column, p.fixed.bits, p.fixed.fraction))
    inputs = [*(tracer.ports[p] for p in ports), *(v for kept in tracer.kept.values() for v in tracer.memories(kept))]
    inputs += [v for cell in cells for v in tracer.states[cell.name]]
    logic = comb_trace(inputs, outputs, keep_dead_inputs=True)
    after = frozenset(tracer.after.intersection(tracer.kept))
    return Traced(program, streaming, logic, tuple(ports), tuple(tracer.kept.values()), cells, after)


@dataclass(eq=False)
class _Raw:
    """Columns of the row before any quantiser; -1 is zero."""

    columns: tuple[int, ...]
    lag: int


@dataclass(eq=False)
class _Later:
    """A function that waits for the quantiser behind it, to become a table with it."""

    of: list[Any]
    name: str


@dataclass(eq=False)
class _Tracer:
    program: Program
    streaming: bool
    depth: int
    ports: dict[Port, Any] = field(default_factory=dict)
    kept: dict[str, Remembered] = field(default_factory=dict)
    states: dict[str, list[Any]] = field(default_factory=dict)
    after: set[str] = field(default_factory=set)
    _memory: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    _values: dict[tuple[str, int], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from da4ml.trace import HWConfig

        self.hardware = HWConfig(1, -1, -1)
        live = self.program.rows()
        wanted: dict[str, set[int]] = {}
        for step in self.program.steps:
            for name in step.reads if live[step.name] else ():
                lags = () if isinstance(step, GatedCell) else step.lags  # a cell keeps states, not rows
                wanted.setdefault(name, set()).update(lag for lag in lags if lag)
        for step in self.program.steps[1:]:
            if self.streaming and wanted.get(step.name):
                lags = tuple(sorted(wanted[step.name]))
                self.kept[step.name] = Remembered(step.name, lags, step.channels)
        for step in self.program.steps:
            if isinstance(step, GatedCell) or self.after.intersection(step.reads):
                self.after.add(step.name)

    def numbers(self, step: Step, value: Any) -> list[Any]:
        """A value's numbers, where it is one whose bits are known."""
        if isinstance(value, list):
            return value
        if isinstance(value, _Later) and value.name == "relu":
            return [v.relu() for v in value.of]
        if isinstance(value, _Later):
            raise _refused(
                step, f"{value.name} of unbounded precision", "a quantiser behind it, to make a table of both"
            )
        raise _refused(step, "the row as floating-point numbers", "a quantiser on the inputs")

    def value(self, name: str, lag: int) -> Any:
        """A value, so many rows before the current one."""
        step = self.program[name]
        if lag and self.streaming and not isinstance(step, Input):
            return self._remember(step, lag)
        if (name, lag) not in self._values:
            self._values[name, lag] = self._compute(step, lag)
        return self._values[name, lag]

    def _remember(self, step: Step, lag: int) -> Any:
        if (step.name, lag) not in self._memory:
            current = self.value(step.name, 0)
            if isinstance(current, _Raw):
                return _Raw(current.columns, lag)
            self._memory[step.name, lag] = [self._new(v.low, v.high, v.step) for v in self.numbers(step, current)]
        return self._memory[step.name, lag]

    def memories(self, kept: Remembered) -> list[Any]:
        return [v for lag in kept.lags for v in self._remember(self.program[kept.name], lag)]

    def _new(self, low: Any, high: Any, step: Any) -> Any:
        from da4ml.trace import FixedVariable

        return FixedVariable(low, high, step, hwconf=self.hardware)

    def _compute(self, step: Step, lag: int) -> Any:
        if isinstance(step, Input):
            return _Raw(tuple(range(step.channels)), lag)
        if isinstance(step, GatedCell):
            return self._cell(step, lag)
        read = [self.value(name, lag) for name in step.reads]
        if isinstance(step, Pick):
            return self._pick(step, read[0])
        if isinstance(step, Quantise):
            return self._quantise(step, read[0])
        if isinstance(step, Taps | Depthwise | Max):
            rows = [self.numbers(step, self.value(step.reads[0], lag + at)) for at in step.lags]
            return self._over_rows(step, rows)
        numbers = [self.numbers(step, value) for value in read]
        if isinstance(step, Pointwise):
            return _Later(numbers[0], step.function)
        if isinstance(step, Concat):
            return [v for part in numbers for v in part]
        if isinstance(step, Add):
            return [self._sum(list(parts)) for parts in zip(*numbers, strict=True)]
        if isinstance(step, Multiply):
            return [a * b for a, b in zip(*numbers, strict=True)]
        raise _refused(step, step.kind, NEAREST.get(step.kind, "convolutions, table activations, products, maxima"))

    def _pick(self, step: Pick, value: Any) -> Any:
        if isinstance(value, _Raw):
            return _Raw(tuple(value.columns[i] if i >= 0 else -1 for i in step.index), value.lag)
        numbers = self.numbers(step, value)
        zero = self._new(0, 0, 1)
        return [numbers[i] if i >= 0 else zero for i in step.index]

    def _quantise(self, step: Quantise, value: Any) -> Any:
        if isinstance(value, _Raw):
            ports = [Port(column, step.fixed, value.lag) for column in value.columns]
            for port in ports:
                if port.column >= 0 and port not in self.ports:
                    f = step.fixed
                    self.ports[port] = self._new(f.low, f.high, f.step)
            return [self.ports[p] if p.column >= 0 else self._new(0, 0, 1) for p in ports]
        if isinstance(value, _Later) and value.name == "relu":  # max(floor(x + 1/2), 0) = floor(max(x, 0) + 1/2)
            return [saturate(v, step.fixed).relu() for v in value.of]
        if isinstance(value, _Later):
            return [self._table(step, v, value.name, step.fixed) for v in value.of]
        return [saturate(v, step.fixed) for v in self.numbers(step, value)]

    def _table(self, step: Step, v: Any, function: str, f: Fixed) -> Any:
        bits = sum(v.kif)
        if bits > WIDEST_TABLE:
            raise _refused(
                step, f"{function} of a number of {bits} bits", f"a quantiser before it, to {WIDEST_TABLE} or less"
            )
        if v.low == v.high:
            return saturate(v.from_const(float(FUNCTIONS[function](np.array([float(v.low)]))[0]), hwconf=v.hwconf), f)
        at = np.linspace(float(v.low), float(v.high), round(float((v.high - v.low) / v.step)) + 1)
        table = np.clip(np.floor(FUNCTIONS[function](at) * 2.0**f.fraction + 0.5) * f.step, f.low, f.high)
        return v.from_const(float(table[0]), hwconf=v.hwconf) if np.all(table == table[0]) else v.lookup(table)

    def _cell(self, step: GatedCell, lag: int) -> list[Any]:
        def following(back: int, hidden: list[Any]) -> list[Any]:
            x = self.numbers(step, self.value(step.reads[0], lag + back))
            return next_state(step, x, hidden, partial(self._matrix, step), partial(self._table, step))

        if not self.streaming:
            hidden = [self._new(0, 0, 1)] * step.channels
            for back in range(step.rows - 1, -1, -1):
                hidden = following(back, hidden)
            return hidden
        rows = {self.program[name].lags for name in self.states} | {step.lags}
        if self.after.intersection(step.reads) or len(rows) > 1:
            raise _refused(step, "a second gated cell above the first, or of other rows, in a stream", "a window core")
        f = step.state
        self.states[step.name] = [self._new(f.low, f.high, f.step) for _ in range(step.channels)]
        return following(0, self.states[step.name])

    def _sum(self, parts: list[Any]) -> Any:
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _over_rows(self, step: Step, rows: list[list[Any]]) -> list[Any]:
        if isinstance(step, Max):
            best = rows[0]
            for row in rows[1:]:
                best = [a.max_of(b) for a, b in zip(best, row, strict=True)]
            return best
        return self._taps(step, rows) if isinstance(step, Taps) else self._depthwise(step, rows)

    def _taps(self, step: Any, rows: list[list[Any]]) -> list[Any]:
        weight = step.weight.transpose(0, 2, 1).reshape(step.channels, -1)  # (C, taps * inputs), as `rows` are joined
        return self._matrix(step, weight, [v for row in rows for v in row], step.bias)

    def _depthwise(self, step: Any, rows: list[list[Any]]) -> list[Any]:
        return [
            self._matrix(step, step.weight[c : c + 1], [row[c] for row in rows], step.bias[c : c + 1])[0]
            for c in range(step.channels)
        ]

    def _matrix(self, step: Step, weight: Any, numbers: list[Any], bias: Any) -> list[Any]:
        """Bias + weight @ numbers; columns without weight and numbers that are 0 do not reach the solver."""
        from da4ml.trace import FixedVariableArray

        bits = [fraction_bits(float(w)) for w in [*weight.ravel(), *bias]]
        if None in bits:
            raise _refused(
                step, f"{step.kind} with weights of full precision", "weights in fixed point (quant/weights)"
            )
        keep = [i for i, v in enumerate(numbers) if weight[:, i].any() and (v.low, v.high) != (0, 0)]
        if not keep:
            zero = self._new(0, 0, 1)
            return [zero + float(b) if b else zero for b in bias]
        vector = FixedVariableArray(np.array([numbers[i] for i in keep], dtype=object), {"hard_dc": self.depth})
        product = (vector @ np.ascontiguousarray(weight[:, keep].T))._vars
        return [v + float(b) for v, b in zip(product, bias, strict=True)]


#: What to use instead of a step that has no place in additions and small tables.
NEAREST = {
    "layer norm": "batch norm (it folds into the weights) or no norm",
    "attention": "a convolution over the same rows",
    "recurrent cell": "a gated cell in fixed point (`GatedCell`)",
}


def _refused(step: Step, what: str, nearest: str) -> UnsupportedOp:
    return UnsupportedOp(f"step {step.name!r}", got=what, expected="what the format verilog can express",
                         fix=f"the nearest that it can: {nearest}")  # fmt: skip
