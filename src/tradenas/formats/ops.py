"""What each op does, as steps: the place where a new op says how it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Quantise,
    Recurrent,
    Step,
    Taps,
)  # fmt: skip
from tradenas.nn.elastic import ElasticConv, ElasticLinear
from tradenas.nn.ops import Op, attention, conv, dense, filters, free, mingru, recurrent
from tradenas.nn.precision import Precision
from tradenas.space.fixed import Fixed, activation_format, table_format
from tradenas.typing import FloatArray

__all__ = ["LOWERED", "Builder", "array"]


class Builder:
    """Steps one after the other; values go by their names.

    Attributes:
        precision: of the layer that is written; None where nothing is rounded.
    """

    def __init__(self) -> None:
        self.precision: Precision | None = None
        self.steps: list[Step] = []
        self._channels: dict[str, int] = {}

    def add(self, step: Step) -> str:
        """One more step; the name of its value."""
        self.steps.append(step)
        self._channels[step.name] = step.channels
        return step.name

    def channels(self, value: str) -> int:
        return self._channels[value]

    def taps(self, name: str, x: str, weight_OIK: FloatArray, bias: FloatArray | None, at: Sequence[int]) -> str:
        out = weight_OIK.shape[0]
        bias = np.zeros(out) if bias is None else bias
        return self.add(Taps(name=name, reads=(x,), channels=out, weight=weight_OIK, bias=bias, at=tuple(at)))

    def dense(self, name: str, x: str, weight_OI: FloatArray, bias: FloatArray | None) -> str:
        return self.taps(name, x, weight_OI[:, :, None], bias, (0,))

    def depthwise(self, name: str, x: str, weight_CK: FloatArray, at: Sequence[int]) -> str:
        channels = self.channels(x)
        weight = np.broadcast_to(weight_CK, (channels, len(at))).copy()
        return self.add(
            Depthwise(name=name, reads=(x,), channels=channels, weight=weight, bias=np.zeros(channels), at=tuple(at))
        )

    def point(self, name: str, x: str, function: str) -> str:
        return self.add(Pointwise(name=name, reads=(x,), channels=self.channels(x), function=function))  # type: ignore[arg-type]

    def quantise(self, name: str, x: str, fixed: Fixed) -> str:
        return self.add(Quantise(name=name, reads=(x,), channels=self.channels(x), fixed=fixed))

    def activation(self, name: str, x: str, function: str = "", *, more: int = 0) -> str:
        """A function and what rounds before and after it; without one what rounds a sum, if anything does."""
        bits = None if self.precision is None or self.precision.bits is None else self.precision.bits + more
        if bits is None:
            return self.point(name, x, function) if function else x
        if function not in ("", "relu"):
            x = self.quantise(f"{name}/in", x, table_format(bits))
        if function:
            x = self.point(f"{name}/{function}", x, function)
        return self.quantise(name, x, activation_format(bits, function))

    def linear(self, layer: ElasticLinear, c_in: int, width: int) -> tuple[FloatArray, FloatArray | None]:
        """Weights (C_out, C_in) and bias of a dense layer between so many channels."""
        weight, bias = layer.weight[:width, :c_in], None if layer.bias is None else layer.bias[:width]
        if self.precision is not None:
            weight, bias = self.precision.weight(weight), None if bias is None else self.precision.bias(bias)
        return array(weight), None if bias is None else array(bias)

    def conv(self, layer: ElasticConv, c_in: int, width: int) -> tuple[FloatArray, FloatArray | None, tuple[int, ...]]:
        """Weights (C_out, C_in or 1, taps), bias, and the lag of each tap: the last one is the current row."""
        at = tuple(range(layer.reach, -1, -layer.dilation))
        weight = layer.weight[:c_in] if layer.depthwise else layer.weight[:width, :c_in]
        bias = None if layer.bias is None else layer.bias[:width]
        if self.precision is not None:
            weight = self.precision.weight(weight, depthwise=layer.depthwise)
            bias = None if bias is None else self.precision.bias(bias)
        return array(weight)[:, :, 0], None if bias is None else array(bias), at

    def total(self, name: str, values: Sequence[str]) -> str:
        if len(values) == 1:
            return values[0]
        return self.add(Add(name=name, reads=tuple(values), channels=self.channels(values[0])))

    def beside(self, name: str, values: Sequence[str]) -> str:
        if len(values) == 1:
            return values[0]
        return self.add(Concat(name=name, reads=tuple(values), channels=sum(map(self.channels, values))))

    def pick(self, name: str, x: str, index: Sequence[int]) -> str:
        if list(index) == list(range(self.channels(x))):
            return x
        return self.add(Pick(name=name, reads=(x,), channels=len(index), index=tuple(index)))

    def carried(self, name: str, x: str, op: Op, width: int) -> str:
        """The input itself, cropped or padded with zeros; see `Op.carried`."""
        where = range(self.channels(x)) if op.places is None else op.places
        at = {place: channel for channel, place in enumerate(where)}
        return self.pick(name, x, [at.get(c, -1) for c in range(width)])


def array(tensor: Tensor) -> FloatArray:
    """A weight in double precision."""
    out: FloatArray = tensor.detach().cpu().double().numpy()
    return out


#: Builder, name, op, input, width: the value that is the output.
Lowered = Callable[[Builder, str, Op, str, int], str]


def _convolution(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, conv._Conv)
    return to.taps(name, x, *to.conv(op.conv, to.channels(x), width))


def _separable(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, conv._Separable)
    channels = to.channels(x)
    weight_C1K, _, at = to.conv(op.depthwise, channels, channels)
    mixed = to.depthwise(f"{name}/depthwise", x, weight_C1K[:, 0], at)
    mixed = to.activation(f"{name}/mixed", mixed)
    return to.dense(name, mixed, *to.linear(op.pointwise, channels, width))


def _dense(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, dense.Dense)
    return to.dense(name, x, *to.linear(op.linear, to.channels(x), width))


def _gated(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, dense.Gated)
    value = to.dense(f"{name}/value", x, *to.linear(op.value, to.channels(x), width))
    gate = to.dense(f"{name}/gate", x, *to.linear(op.gate, to.channels(x), width))
    value, gate = to.activation(f"{name}/value/rounded", value), to.activation(f"{name}/open", gate, "sigmoid")
    return to.add(Multiply(name=name, reads=(value, gate), channels=width))


def _residual(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, dense.Residual)
    inner = to.dense(f"{name}/inner", x, *to.linear(op.inner, to.channels(x), width))
    reads, to.precision = to.precision, None if to.precision is None else to.precision.reading(None)
    inner = to.activation(f"{name}/relu", inner, "relu")
    outer = to.dense(f"{name}/outer", inner, *to.linear(op.outer, width, width))
    to.precision = reads
    return to.total(name, [to.carried(f"{name}/carried", x, op, width), outer])


def _skip(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    return to.carried(name, x, op, width)


def _zero(to: Builder, name: str, op: Op, x: str, width: int) -> str:  # noqa: ARG001
    return to.pick(name, x, [-1] * width)


def _fixed_taps(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, filters._Taps)
    taps = array(op.taps_L)
    return to.depthwise(name, to.carried(f"{name}/carried", x, op, width), taps[None], range(len(taps)))


def _difference(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    carried = to.carried(f"{name}/carried", x, op, width)
    return to.depthwise(name, carried, np.array([[1.0, -1.0]]), (0, op.reach))


def _max(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    carried = to.carried(f"{name}/carried", x, op, width)
    return to.add(Max(name=name, reads=(carried,), channels=width, rows=op.reach + 1))


def _recurrent(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, recurrent._Recurrent)
    weights = [array(part) for part in op.weights(to.channels(x), width)]
    return to.add(
        Recurrent(
            name=name,
            reads=(x,),
            channels=width,
            cell="lstm" if isinstance(op, recurrent.LSTM) else "gru",
            rows=op.reach + 1,
            weight_input=weights[0],
            weight_hidden=weights[1],
            bias_input=weights[2],
            bias_hidden=weights[3],
        )
    )


def _attention(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    assert isinstance(op, attention.Attention)
    parts = tuple(
        to.dense(f"{name}/{what}", x, *to.linear(part, to.channels(x), width))
        for what, part in (("query", op.query), ("key", op.key), ("value", op.value))
    )
    return to.add(Attend(name=name, reads=parts, channels=width, bias=array(op.lag_bias), scale=width**-0.5))


def _mingru(to: Builder, name: str, op: Op, x: str, width: int) -> str:
    """The states u_k of `tradenas.nn.ops.mingru`, each a value that reads the row before's u_{k-1}."""
    assert isinstance(op, mingru._MinGRU)
    new = to.dense(f"{name}/new", x, *to.linear(op.new, to.channels(x), width))
    gate = to.dense(f"{name}/gate", x, *to.linear(op.gate, to.channels(x), width))
    new, gate = to.activation(f"{name}/new/rounded", new), to.activation(f"{name}/update", gate, "sigmoid")
    first = to.add(Multiply(name=f"{name}/first", reads=(new, gate), channels=width))
    kept = to.add(
        Depthwise(name=f"{name}/kept", reads=(gate,), channels=width, weight=-np.ones((width, 1)), bias=np.ones(width),
                  at=(0,))
    )  # fmt: skip
    state = to.activation(f"{name}/state1", first, more=mingru.STATE_BITS)
    for k in range(2, op.rows + 1):
        before = to.depthwise(f"{name}/before{k}", state, np.ones((1, 1)), (1,))
        left = to.add(Multiply(name=f"{name}/left{k}", reads=(kept, before), channels=width))
        state = to.activation(f"{name}/state{k}", to.total(f"{name}/sum{k}", [left, first]), more=mingru.STATE_BITS)
    return state


#: Kind of op to its steps; the first that fits.
LOWERED: dict[type, Lowered] = {
    conv._Conv: _convolution, conv._Separable: _separable, dense.Dense: _dense, dense.Gated: _gated,
    dense.Residual: _residual, free.Skip: _skip, free.Zero: _zero, filters._Taps: _fixed_taps,
    filters._Difference: _difference, filters.Max5: _max, recurrent.LSTM: _recurrent, recurrent.GRU: _recurrent,
    attention.Attention: _attention, mingru._MinGRU: _mingru,
}  # fmt: skip
