"""What a path of a chain computes, as the list of steps that `path.c` goes through.

Every value has only the rows that scored ones hang on; a step's place in memory, its sizes and the strides of its
weights are numbers in a row of a table.  Addresses are filled in for each call: weights may move, batches always do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from tradenas.typing import IntArray

__all__ = ["FIELDS", "KINDS", "Draw", "Outside", "Plan", "Value", "Weight", "padded"]

KINDS = {
    name: at
    for at, name in enumerate(
        ("columns", "taps", "conv", "bend", "gate", "carry", "layer_norm", "concat", "max", "head")
    )
}
FIELDS = {
    name: at
    for at, name in enumerate(
        ("kind", "which", "x", "xg", "xs", "channels", "y", "yg", "ys", "outputs", "rows", "taps", "step", "w", "wo",
         "wc", "wk", "wn", "bias", "bn", "z", "zg", "zs", "outside", "og", "os", "flows", "pack", "rate")
    )
}  # fmt: skip
VECTOR = 16


def padded(channels: int) -> int:
    """Channels as they stand in memory."""
    return -(-channels // VECTOR) * VECTOR


@dataclass(frozen=True)
class Value:
    """Rows of channels in the arena of one block: (segments, rows, channels), from `offset` floats on.

    Attributes:
        data: channels at the front that no weight has made, and whose gradient nobody wants.
    """

    offset: int
    rows: int
    channels: int
    data: int = 0

    @property
    def stride(self) -> int:
        return padded(self.channels)

    def latest(self, rows: int) -> int:
        """Where its last so many rows begin, in the first segment."""
        return self.offset + (self.rows - rows) * self.stride


@dataclass(frozen=True)
class Weight:
    """A parameter that a step reads: whose, and how many floats after its first the step begins."""

    step: int
    place: str
    owner: nn.Module
    name: str
    begins: int = 0

    def now(self) -> Tensor:
        """The parameter; a stacked network's is swapped when networks leave the stack."""
        found = self.owner._parameters[self.name]
        assert found is not None
        return found


@dataclass(frozen=True)
class Outside:
    """A table that a step reads: the block of the features, or what the filters made of it."""

    step: int
    what: str


@dataclass(frozen=True)
class Draw:
    """A dropout: which step, of how many channels."""

    step: int
    channels: int


@dataclass
class Plan:
    """The steps of one path for batches whose last `scored` rows count.

    Attributes:
        scored: rows that are put out.
        many: segments that go through all steps together.
        stacked: whether parameters have an axis of networks in front.
        table: (steps, fields).
        size: floats of all values of a block of segments.
        spare: floats of all packed weights, and of their gradients.
        needs: rows that a segment must have.
    """

    scored: int
    many: int = 1
    stacked: bool = False
    rows: list[list[int]] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    size: int = 0
    spare: int = 0
    needs: int = 0
    table: IntArray = field(default_factory=lambda: np.empty((0, len(FIELDS)), np.int64))

    def value(self, rows: int, channels: int, *, data: int = 0) -> Value:
        made = Value(self.size, rows, channels, data)
        self.size += self.many * rows * made.stride
        return made

    def add(self, kind: str, x: Value | None, y: Value | None, *, rows: int, reach: int = 0, **more: int) -> int:
        """Appends a step that writes the last `rows` rows of y; returns which it is."""
        row = [0] * len(FIELDS)
        row[FIELDS["kind"]], row[FIELDS["rows"]] = KINDS[kind], rows
        if x is not None:
            row[FIELDS["flows"]] = x.channels - x.data
            row[2:6] = [x.latest(rows + reach), x.rows * x.stride, x.stride, x.channels]
        if y is not None:
            row[6:10] = [y.latest(rows), y.rows * y.stride, y.stride, y.channels]
        for name, number in more.items():
            row[FIELDS[name]] = number
        self.rows.append(row)
        return len(self.rows) - 1

    def reads(self, step: int, z: Value, rows: int) -> None:
        """A second value of a step."""
        self.rows[step][20:23] = [z.latest(rows), z.rows * z.stride, z.stride]

    def weighs(self, step: int, place: str, owner: nn.Module, name: str, begins: int = 0) -> None:
        """A parameter of a step, with its strides from network to network."""
        self.weights.append(Weight(step, place, owner, name, begins))

    def packs(self, step: int, floats: int) -> None:
        """Room for the packed weights of a step and their gradients."""
        self.rows[step][FIELDS["pack"]] = self.spare
        self.spare += padded(floats)

    # The steps that have weights of their own.

    def product(self, x: Value, layer: nn.Module, width: int, rows: int, *, taps: int = 1, dilation: int = 1) -> Value:
        """A dense layer or a convolution: `layer.weight` is (O, C) or (O, C, 1, K), of which a corner is used."""
        y = self.value(rows, width)
        weight = layer._parameters["weight"]
        assert weight is not None
        channels = weight.shape[-3] if taps > 1 else weight.shape[-1]
        step = self.add(
            "conv", x, y, rows=rows, reach=(taps - 1) * dilation, taps=taps, step=dilation,
            wo=channels * taps, wc=taps, wk=1,
        )  # fmt: skip
        self.weighs(step, "w", layer, "weight")
        if layer._parameters["bias"] is not None:
            self.weighs(step, "bias", layer, "bias")
        self.packs(step, (taps * x.channels + 1) * y.stride + taps * width * x.stride)
        return y

    def filtered(
        self, x: Value, owner: nn.Module, name: str, rows: int, *, taps: int, stride: int, back: bool
    ) -> Value:
        """Each channel by itself; `owner.name` is (C, .., stride), its taps from the oldest row on, or `back`wards."""
        y = self.value(rows, x.channels)
        step = self.add("taps", x, y, rows=rows, reach=taps - 1, taps=taps, step=1, wc=stride, wk=-1 if back else 1)
        self.weighs(step, "w", owner, name, taps - 1 if back else 0)
        self.packs(step, 2 * taps * x.stride)
        return y
