"""Runs a program in NumPy, plainly: what every format is measured against, and bit for bit what fixed point means.

In double precision by default.  A program of fixed-point numbers (every value behind a `Quantise`, dyadic weights)
has one exact answer, and this is it; of others it is the answer that single precision rounds to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tradenas.errors import SpaceError
from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
    Fixed,
    GatedCell,
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
)
from tradenas.typing import FloatArray

__all__ = ["gated", "quantised", "run_series", "run_windows", "values_of"]

#: Of a value, its rows `lag` rows before: (.., rows, channels).
Earlier = Callable[[int], FloatArray]


def run_windows(program: Program, x_NRF: FloatArray) -> FloatArray:
    """The signal of each window (N,); each step is run on the rows that are read of it, and nothing is padded.

    Args:
        program: to run.
        x_NRF: the program's columns of the latest rows, `program.reach` or more of them.

    Raises:
        SpaceError: too few rows or other columns.

    >>> from tradenas.formats.program import Input
    >>> x = Input(name="x", channels=1)
    >>> change = Taps(name="y", reads=("x",), channels=1, weight=np.array([[[1.0, -1.0]]]), bias=np.zeros(1), at=(0, 1))
    >>> program = Program(steps=(x, change), output="y", columns=(0,))
    >>> run_windows(program, np.array([[[1.0], [4.0]]])), run_series(program, np.array([[1.0], [4.0], [9.0]]))
    (array([3.]), array([1., 3., 5.]))
    """
    x_NRF = np.asarray(x_NRF, dtype=np.float64)
    if x_NRF.ndim != 3 or x_NRF.shape[1] < program.reach or x_NRF.shape[2] != len(program.columns):
        raise SpaceError(
            "run_windows", got=f"rows of shape {x_NRF.shape}",
            expected=f"(windows, {program.reach} rows or more, {len(program.columns)} columns)",
        )  # fmt: skip
    rows = program.rows()
    values: dict[str, FloatArray] = {program.steps[0].name: x_NRF}
    for step in program.steps[1:]:
        if rows[step.name]:
            values[step.name] = apply(step, {name: _window(values[name], rows[step.name]) for name in step.reads})
    signal_N: FloatArray = values[program.output][:, -1, 0]
    return signal_N


def run_series(program: Program, x_TF: FloatArray) -> FloatArray:
    """The signal of every row (T,) as a stream gives it; before `reach` rows were seen it means nothing.

    Args:
        program: to run.
        x_TF: the program's columns, row after row.
    """
    signal_T: FloatArray = values_of(program, np.asarray(x_TF, dtype=np.float64))[program.output][:, 0]
    return signal_T


def values_of(program: Program, x_TF: FloatArray) -> dict[str, FloatArray]:
    """Every value at every row (T, channels), by its name, as a stream has them."""
    values: dict[str, FloatArray] = {program.steps[0].name: x_TF}
    for step in program.steps[1:]:
        values[step.name] = apply(step, {name: _series(values[name]) for name in step.reads})
    return values


def _window(value_NRC: FloatArray, rows: int) -> Earlier:
    have = value_NRC.shape[1]
    return lambda lag: value_NRC[:, have - rows - lag : have - lag]


def _series(value_TC: FloatArray) -> Earlier:
    def earlier(lag: int) -> FloatArray:
        shifted = np.zeros_like(value_TC)
        shifted[lag:] = value_TC[: max(0, len(value_TC) - lag)]
        return shifted

    return earlier


def apply(step: Step, earlier: Mapping[str, Earlier]) -> FloatArray:
    """What a step makes of the rows of its inputs."""
    now = [earlier[name](0) for name in step.reads]
    first = earlier[step.reads[0]]
    match step:
        case Taps():
            taps = (first(lag) @ step.weight[:, :, k].T for k, lag in enumerate(step.at))
            return _sum(taps) + step.bias
        case Depthwise():
            return _sum(first(lag) * step.weight[:, k] for k, lag in enumerate(step.at)) + step.bias
        case Pointwise():
            made: FloatArray = FUNCTIONS[step.function](now[0])
            return made
        case Quantise():
            return quantised(now[0], step.fixed)
        case LayerNorm():
            centred = now[0] - now[0].mean(-1, keepdims=True)
            spread = np.sqrt(np.square(centred).mean(-1, keepdims=True) + step.epsilon)
            normal: FloatArray = centred / spread * step.gain + step.shift
            return normal
        case Add():
            return _sum(iter(now))
        case Multiply():
            return now[0] * now[1]
        case Concat():
            return np.concatenate(now, axis=-1)
        case Pick():
            index = np.array(step.index)
            return np.where(index >= 0, now[0][..., np.maximum(index, 0)], 0.0)
        case Max():
            return np.asarray(np.stack([first(lag) for lag in range(step.rows)]).max(0))
        case Recurrent():
            return _recurrent(step, first)
        case GatedCell():
            return _gated(step, first)
        case Attend():
            return _attend(step, *(earlier[name] for name in step.reads))
        case Input() | _:
            raise SpaceError(step.name, got=f"a step of kind {step.kind!r}", expected="one that can be run")


def quantised(x: FloatArray, fixed: Fixed) -> FloatArray:
    """The nearest numbers of a format, halves up, the ends for what lies beyond."""
    return np.clip(np.floor(x / fixed.step + 0.5) * fixed.step, fixed.low, fixed.high)


def _sum(parts: object) -> FloatArray:
    total: FloatArray | None = None
    for part in parts:  # type: ignore[attr-defined]
        total = part if total is None else total + part
    assert total is not None
    return total


def _sigmoid(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _gelu(x: FloatArray) -> FloatArray:
    from scipy.special import erf

    normal: FloatArray = 0.5 * (1.0 + erf(x / np.sqrt(2.0)))
    return x * normal


FUNCTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "relu": lambda x: np.maximum(x, 0.0), "gelu": _gelu, "tanh": np.tanh, "sigmoid": _sigmoid,
    "leaky_relu": lambda x: np.where(x < 0.0, 0.01 * x, x),
}  # fmt: skip


def _recurrent(step: Recurrent, earlier: Earlier) -> FloatArray:
    """Cells as torch has them: reset, update, new; input, forget, cell, output."""
    hidden = np.zeros((*earlier(0).shape[:-1], step.channels))
    memory = hidden
    for lag in range(step.rows - 1, -1, -1):
        x = earlier(lag) @ step.weight_input.T + step.bias_input
        h = hidden @ step.weight_hidden.T + step.bias_hidden
        if step.cell == "gru":
            (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, -1), np.split(h, 3, -1)
            reset, update = _sigmoid(xr + hr), _sigmoid(xz + hz)
            hidden = (1.0 - update) * np.tanh(xn + reset * hn) + update * hidden
        else:
            i, f, g, o = np.split(x + h, 4, -1)
            memory = _sigmoid(f) * memory + _sigmoid(i) * np.tanh(g)
            hidden = _sigmoid(o) * np.tanh(memory)
    return hidden


def _gated(step: GatedCell, earlier: Earlier) -> FloatArray:
    hidden = np.zeros((*earlier(0).shape[:-1], step.channels))
    for lag in range(step.rows - 1, -1, -1):
        hidden = gated(step, earlier(lag), hidden)
    return hidden


def gated(step: GatedCell, x: FloatArray, hidden: FloatArray) -> FloatArray:
    """The next state of a cell in fixed point."""

    def gate(sums: FloatArray) -> FloatArray:
        return quantised(_sigmoid(quantised(sums, step.source)), step.gate)

    def new(sums: FloatArray) -> FloatArray:
        return quantised(np.tanh(quantised(sums, step.source)), step.state)

    read = np.split(x @ step.weight_input.T + step.bias_input, 2 if step.cell == "mingru" else 3, -1)
    if step.cell == "mingru":
        update, candidate = gate(read[0]), new(read[1])
        return quantised(hidden + update * (candidate - hidden), step.state)
    kept = np.split(hidden @ step.weight_hidden.T + step.bias_hidden, 3, -1)
    reset, update = gate(read[0] + kept[0]), gate(read[1] + kept[1])
    candidate = new(read[2] + reset * quantised(kept[2], step.source))
    return quantised(candidate + update * (hidden - candidate), step.state)


def _attend(step: Attend, query: Earlier, key: Earlier, value: Earlier) -> FloatArray:
    logits = np.stack([(query(0) * key(j)).sum(-1) * step.scale + step.bias[j] for j in range(len(step.bias))])
    weights = np.exp(logits - logits.max(0))
    weights = weights / weights.sum(0)
    return _sum(weights[j][..., None] * value(j) for j in range(len(step.bias)))
