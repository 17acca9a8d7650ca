"""A standalone network as a list of causal steps: the one thing that every format, table and proof reads.

A `Program` has no choices, no torch and no batch: each step makes one value of some channels for each row, from earlier
values at the same row and at fixed lags before it.  It therefore is a function of the last `reach` rows, whether they
are given as a window or came one by one:

    window      (reach, columns) to a number: each step is run on as many rows as later steps read
    streaming   (columns,) to a number: each step keeps the rows of its inputs that it looks back to

Rows before the first are zeros for every step that looks back, as in `tradenas.nn`; a signal counts once `reach` rows
have been seen.  `tradenas.formats.lower` makes a program of a network, `tradenas.formats.reference` runs one in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from tradenas.errors import SpaceError
from tradenas.space.fixed import Fixed
from tradenas.typing import FloatArray

__all__ = [
    "Add", "Attend", "Concat", "Depthwise", "Fixed", "GatedCell", "Input", "LayerNorm", "Max", "Multiply", "Pick",
    "Pointwise", "Program", "Quantise", "Recurrent", "Step", "Taps",
]  # fmt: skip

Function = Literal["relu", "gelu", "tanh", "sigmoid", "leaky_relu"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One value.

    Attributes:
        name: of the value; unique, of letters, digits, `_` and `/`.
        reads: names of earlier values.
        channels: of the value.
    """

    #: What a format calls it in its errors.
    kind: ClassVar[str] = ""
    name: str
    reads: tuple[str, ...] = ()
    channels: int

    @property
    def lags(self) -> tuple[int, ...]:
        """Rows before the current one that it reads of each input, 0 included; the largest is how far it looks back."""
        return (0,)

    @property
    def parameters(self) -> int:
        """Numbers that were learnt or fixed, all of them."""
        held = (getattr(self, name) for name in self.__dataclass_fields__)
        return sum(int(v.size) for v in held if isinstance(v, np.ndarray))

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        """Multiply-accumulates for one row, as `tradenas.nn.Op.count` counts them."""
        return 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Step):
    """The row itself: the first step, and the only one without `reads`."""

    kind = "input"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Linear(Step):
    """A weighted sum of rows.

    Attributes:
        weight: its last axis are the taps.
        bias: (channels,).
        at: the lag of each tap.
    """

    weight: FloatArray
    bias: FloatArray
    at: tuple[int, ...]

    @property
    def lags(self) -> tuple[int, ...]:
        return self.at

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        return int(self.weight.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Taps(_Linear):
    """y[t] = bias + sum_k weight[:, :, k] x[t - at[k]]: dense layers (at = (0,)), causal and dilated convolutions.

    The weight is (channels, channels of the input, taps).
    """

    kind = "convolution"


@dataclass(frozen=True, kw_only=True, eq=False)
class Depthwise(_Linear):
    """y[t, c] = sum_k weight[c, k] x[t - at[k], c] + bias[c]: filter banks, averages, differences, depthwise layers.

    The weight is (channels, taps).
    """

    kind = "depthwise convolution"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pointwise(Step):
    """A function of each number; `leaky_relu` has a slope of 0.01 below 0, `gelu` is the exact one (erf)."""

    kind = "activation"
    function: Function


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantise(Step):
    """To the nearest fixed-point number, halves up, saturating: floor(x 2^f + 1/2) / 2^f within the format's range."""

    kind = "quantiser"
    fixed: Fixed


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerNorm(Step):
    """(x - mean) / sqrt(variance + epsilon) * gain + shift over the channels of one row."""

    kind = "layer norm"
    gain: FloatArray
    shift: FloatArray
    epsilon: float = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Step):
    """The sum of its inputs, all of the same channels."""

    kind = "sum"


@dataclass(frozen=True, kw_only=True, eq=False)
class Multiply(Step):
    """The product of two inputs, element by element."""

    kind = "product"

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        return self.channels


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Step):
    """Its inputs side by side."""

    kind = "concatenation"


@dataclass(frozen=True, kw_only=True, eq=False)
class Pick(Step):
    """Channels of the input in another order: cropped, repeated, or zeros where the index is -1."""

    kind = "choice of channels"
    index: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Max(Step):
    """The largest of the last `rows` rows, channel by channel."""

    kind = "maximum"
    rows: int

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(range(self.rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class Recurrent(Step):
    """The last state of a cell that begins at zero `rows - 1` rows before and reads one row after the other.

    Attributes:
        cell: `gru` or `lstm`, with torch's order of gates (reset, update, new; input, forget, cell, output).
        rows: that it reads.
        weight_input: (gates * channels, channels of the input).
        weight_hidden: (gates * channels, channels).
        bias_input: (gates * channels,).
        bias_hidden: (gates * channels,).
    """

    kind = "recurrent cell"
    cell: Literal["gru", "lstm"]
    rows: int
    weight_input: FloatArray
    weight_hidden: FloatArray
    bias_input: FloatArray
    bias_hidden: FloatArray

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(range(self.rows))

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        return self.rows * int(self.weight_input.size + self.weight_hidden.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class GatedCell(Step):
    """The last state of a recurrent cell in fixed point that begins at zero `rows - 1` rows before.

    With S, G, H rounding to `source`, `gate` and `state`, and products of weights exact:

        gru       r, z = G(sigmoid(S(W x + b + U h + c)))      n = H(tanh(S(W x + b + r S(U h + c))))
                  h' = H(n + z (h - n))                        as torch's, gates in its order: reset, update, new
        mingru    z = G(sigmoid(S(W x + b)))  n = H(tanh(S(W x + b)))  h' = H(h + z (n - h))    update, new

    (GRU: Cho et al. 2014, arXiv:1406.1078; minGRU: Feng et al. 2024, arXiv:2410.01201, with the tanh that bounds n.)

    Attributes:
        cell: `gru` or `mingru`.
        rows: that it reads.
        weight_input: (gates * channels, channels of the input).
        weight_hidden: (gates * channels, channels); of `mingru` (0, channels).
        bias_input: (gates * channels,).
        bias_hidden: (gates * channels,); of `mingru` (0,).
        source: what the functions read.
        gate: of r and z, without a sign.
        state: of n and h, with one.
    """

    kind = "gated cell"
    cell: Literal["gru", "mingru"]
    rows: int
    weight_input: FloatArray
    weight_hidden: FloatArray
    bias_input: FloatArray
    bias_hidden: FloatArray
    source: Fixed
    gate: Fixed
    state: Fixed

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(range(self.rows))

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        return self.rows * int(self.weight_input.size + self.weight_hidden.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Attend(Step):
    """sum_j softmax_j(query[t] key[t - j] * scale + bias[j]) value[t - j], j = 0 .. len(bias) - 1.

    Reads query, key, value, in this order; keys and values of rows before the first are zeros and take part.
    """

    kind = "attention"
    bias: FloatArray
    scale: float

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(range(len(self.bias)))

    def macs(self, channels: Mapping[str, int]) -> int:  # noqa: ARG002
        return 2 * len(self.bias) * self.channels


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Steps in an order in which each reads only earlier ones.

    Attributes:
        steps: the first is the `Input`.
        output: name of the value that is the signal; it has one channel.
        columns: of the feature table (`Dataset.x_TF`) that the input row holds, in this order.
        names: of those columns; empty where nobody knows them.
    """

    steps: tuple[Step, ...]
    output: str
    columns: tuple[int, ...]
    names: tuple[str, ...] = ()
    _by_name: dict[str, Step] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known: dict[str, Step] = {}
        for i, step in enumerate(self.steps):
            missing = [name for name in step.reads if name not in known]
            if missing or step.name in known or (i == 0) != isinstance(step, Input):
                raise SpaceError(
                    f"Program step {i} ({step.name})", got=f"reads {missing or step.reads}",
                    expected="one Input first, new names, and reads of earlier values",
                )  # fmt: skip
            known[step.name] = step
        if self.output not in known or known[self.output].channels != 1 or len(self.columns) != self.steps[0].channels:
            raise SpaceError("Program", got=f"output {self.output!r}", expected="a value of one channel; a column each")
        object.__setattr__(self, "_by_name", known)

    def __getitem__(self, name: str) -> Step:
        return self._by_name[name]

    @property
    def channels(self) -> dict[str, int]:
        """Of every value."""
        return {step.name: step.channels for step in self.steps}

    def rows(self) -> dict[str, int]:
        """Of each value, how many of its latest rows one signal reads: at least 1, and `reach` of the input."""
        needed = {step.name: 0 for step in self.steps}
        needed[self.output] = 1
        for step in reversed(self.steps):
            for name in step.reads:
                needed[name] = max(needed[name], needed[step.name] + max(step.lags) if needed[step.name] else 0)
        return needed

    @property
    def reach(self) -> int:
        """Rows of the input that one signal reads, its own included."""
        return max(1, self.rows()[self.steps[0].name])

    def history(self) -> dict[str, int]:
        """Of each value, how many rows before the current one a streaming step must remember."""
        kept = {step.name: 0 for step in self.steps}
        for step in self.steps:
            for name in step.reads:
                kept[name] = max(kept[name], *step.lags)
        return kept

    @property
    def parameters(self) -> int:
        """Numbers in all steps."""
        return sum(step.parameters for step in self.steps)

    def macs(self) -> int:
        """Multiply-accumulates for one more row."""
        return sum(step.macs(self.channels) for step in self.steps)

    def window_macs(self) -> int:
        """Multiply-accumulates for one signal from a window, each step on the rows that are read of it."""
        rows = self.rows()
        return sum(step.macs(self.channels) * rows[step.name] for step in self.steps)

    def describe(self) -> list[dict[str, Any]]:
        """The steps as plain data, without their numbers: for cards and pages."""
        return [
            {"name": s.name, "kind": s.kind, "reads": list(s.reads), "channels": s.channels, "lags": max(s.lags)}
            for s in self.steps
        ]
