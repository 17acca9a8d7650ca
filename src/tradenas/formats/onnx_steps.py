"""Each kind of step as ONNX nodes, for the window and for the streaming graph alike.

Values lie as (batch, channels, rows), or (batch, channels) where one row is all that is needed.  Every step is computed
on exactly `rows` latest rows, without padding; what a step reads is cut to the rows that it needs.  A streaming graph
is the same with one row of each step, and remembered rows put before what a step reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tradenas.formats.base import refuse
from tradenas.formats.program import (
    Add,
    Attend,
    Concat,
    Depthwise,
    LayerNorm,
    Max,
    Multiply,
    Pick,
    Pointwise,
    Quantise,
    Recurrent,
    Step,
    Taps,
)  # fmt: skip

__all__ = ["Graph", "emit"]

#: Far below any score: a key that does not take part has exactly weight 0.
NEVER = -1e30

FUNCTIONS = {"relu": "Relu", "gelu": "Gelu", "tanh": "Tanh", "sigmoid": "Sigmoid", "leaky_relu": "LeakyRelu"}


class Graph:
    """Nodes and numbers of one graph while it grows.

    Attributes:
        channels: of each value of the program.
        nodes: `onnx.NodeProto`, in order.
        numbers: `onnx.TensorProto`, inline.
    """

    def __init__(self, channels: dict[str, int]) -> None:
        self.channels = channels
        self.nodes: list[Any] = []
        self.numbers: list[Any] = []
        self._held: dict[str, tuple[str, int, str]] = {}
        self._known: dict[tuple[Any, ...], str] = {}

    def add(self, op: str, reads: Sequence[str], *, name: str = "", outputs: int = 1, **how: Any) -> str:
        """One node; the name of its last output.  A node without a name that is there already is not made twice."""
        from onnx import helper

        key = (op, *reads, outputs, repr(how))
        if not name and key in self._known:
            return self._known[key]
        name = self._known[key] = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(reads), [""] * (outputs - 1) + [name], name=f"{op}/{name}", **how))
        return name

    def number(self, value: Any, kind: type = np.float32) -> str:
        """A constant; the same numbers are kept once."""
        from onnx import numpy_helper

        array: np.ndarray[Any, Any] = np.array(value, dtype=kind, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self.numbers)}"
            self.numbers.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def keep(self, value: str, tensor: str, rows: int, *, now: str = "") -> None:
        """Where a value of the program lies: so many rows of it, flat if 1; `now` is the latest of them, flat."""
        self._held[value] = (tensor, rows, now)

    def last(self, value: str, rows: int, *, flat: bool = False) -> str:
        """The latest rows of a value: (batch, channels, rows), or (batch, channels) if `flat`, which asks for one."""
        key = (value, rows, flat)
        if key not in self._known:
            self._known[key] = self._cut(value, rows, flat=flat)
        return self._known[key]

    def _cut(self, value: str, rows: int, *, flat: bool) -> str:
        tensor, held, now = self._held[value]
        if held == 1:
            return tensor if flat else self.add("Unsqueeze", [tensor, self.number([2], np.int64)])
        if flat:
            return now or self.add("Gather", [tensor, self.number(held - 1, np.int64)], axis=2)
        return tensor if rows == held else self.slice(tensor, held - rows, held, axis=2)

    def slice(self, tensor: str, start: int, stop: int, *, axis: int, name: str = "") -> str:
        """`tensor[start:stop]` along an axis."""
        return self.add("Slice", [tensor, *(self.number([n], np.int64) for n in (start, stop, axis))], name=name)

    def ladder(self, rows: int, columns: int, first: int = 0, sign: int = 1) -> str:
        """Whole numbers first + sign * row + column; made when the model is loaded, so that the file stays small."""
        down = first + sign * np.arange(rows)[:, None]
        return self.add("Add", [self.number(down, np.int64), self.number(np.arange(columns), np.int64)])

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        return self.add("Reshape", [value, self.number(shape, np.int64)])


Emit = Callable[[Graph, Any, int], str]


def emit(graph: Graph, step: Step, rows: int) -> str:
    """Adds a step computed on so many rows; returns the name of a tensor, flat if `rows` is 1."""
    if type(step) not in EMITTERS:
        refuse(step, "onnx", "a causal convolution")
    return EMITTERS[type(step)](graph, step, rows)


def _one(graph: Graph, step: Step, rows: int) -> list[str]:
    """What a step without lags reads."""
    return [graph.last(name, rows, flat=rows == 1) for name in step.reads]


def _kernel(weight: np.ndarray[Any, Any], at: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], int]:
    """Taps (..., k) as a kernel, oldest row first, and its dilation; lags that are no even ladder are filled with 0."""
    span = max(at)
    dilation = math.gcd(*at) or 1
    kernel = np.zeros((*weight.shape[:-1], span // dilation + 1), dtype=np.float32)
    for k, lag in enumerate(at):
        kernel[..., (span - lag) // dilation] += weight[..., k]
    return kernel, dilation


def _taps(graph: Graph, step: Taps, rows: int) -> str:
    kernel, dilation = _kernel(step.weight, step.at)
    bias = graph.number(step.bias)
    read = step.reads[0]
    if rows == 1 and dilation == 1:
        wide = kernel.shape[-1]
        x = graph.last(read, wide, flat=wide == 1)
        if wide > 1:
            x = graph.add("Flatten", [x], axis=1)
        return graph.add("Gemm", [x, graph.number(kernel.reshape(len(kernel), -1)), bias], transB=1)
    return _conv(graph, read, kernel, bias, dilation, 1, rows, max(step.at))


def _depthwise(graph: Graph, step: Depthwise, rows: int) -> str:
    kernel, dilation = _kernel(step.weight, step.at)
    read = step.reads[0]
    if step.at == (0,) and rows == 1:
        scaled = graph.add("Mul", [graph.last(read, 1, flat=True), graph.number(kernel[:, 0])])
        return graph.add("Add", [scaled, graph.number(step.bias)]) if step.bias.any() else scaled
    bias = graph.number(step.bias)
    return _conv(graph, read, kernel[:, None, :], bias, dilation, step.channels, rows, max(step.at))


def _conv(
    graph: Graph, read: str, kernel: Any, bias: str, dilation: int, group: int, rows: int, back: int
) -> str:  # fmt: skip
    x = graph.last(read, rows + back)
    y = graph.add(
        "Conv", [x, graph.number(kernel), bias], group=group, dilations=[dilation], kernel_shape=[kernel.shape[-1]]
    )
    return graph.add("Flatten", [y], axis=1) if rows == 1 else y


def _pointwise(graph: Graph, step: Pointwise, rows: int) -> str:
    how: dict[str, Any] = {"alpha": 0.01} if step.function == "leaky_relu" else {}
    return graph.add(FUNCTIONS[step.function], _one(graph, step, rows), **how)


def _quantise(graph: Graph, step: Quantise, rows: int) -> str:
    (x,), fixed = _one(graph, step, rows), step.fixed
    if fixed.fraction:
        x = graph.add("Mul", [x, graph.number(1.0 / fixed.step)])
    x = graph.add("Floor", [graph.add("Add", [x, graph.number(0.5)])])
    x = graph.add("Clip", [x, graph.number(fixed.low / fixed.step), graph.number(fixed.high / fixed.step)])
    return graph.add("Mul", [x, graph.number(fixed.step)]) if fixed.fraction else x


def _layer_norm(graph: Graph, step: LayerNorm, rows: int) -> str:
    (x,) = _one(graph, step, rows)
    if rows > 1:
        x = graph.add("Transpose", [x], perm=[0, 2, 1])
    gain, shift = graph.number(step.gain), graph.number(step.shift)
    x = graph.add("LayerNormalization", [x, gain, shift], axis=-1, epsilon=float(step.epsilon))
    return graph.add("Transpose", [x], perm=[0, 2, 1]) if rows > 1 else x


def _add(graph: Graph, step: Add, rows: int) -> str:
    read = _one(graph, step, rows)
    return graph.add("Add" if len(read) == 2 else "Sum", read)


def _multiply(graph: Graph, step: Multiply, rows: int) -> str:
    return graph.add("Mul", _one(graph, step, rows))


def _concat(graph: Graph, step: Concat, rows: int) -> str:
    return graph.add("Concat", _one(graph, step, rows), axis=1)


def _pick(graph: Graph, step: Pick, rows: int) -> str:
    (x,), index = _one(graph, step, rows), step.index
    if index == tuple(range(index[0], index[0] + len(index))) and index[0] >= 0:
        return graph.slice(x, index[0], index[-1] + 1, axis=1)
    x = graph.add("Gather", [x, graph.number(np.maximum(index, 0), np.int64)], axis=1)
    if -1 not in index:
        return x
    kept = np.array(index) >= 0
    return graph.add("Mul", [x, graph.number(kept if rows == 1 else kept[:, None])])


def _max(graph: Graph, step: Max, rows: int) -> str:
    if step.rows == 1:
        return _one(graph, step, rows)[0]
    x = graph.last(step.reads[0], rows + step.rows - 1)
    if rows == 1:
        return graph.add("ReduceMax", [x, graph.number([2], np.int64)], keepdims=0)
    return graph.add("MaxPool", [x], kernel_shape=[step.rows])


def _gates(weight: Any, order: Sequence[int], size: int) -> Any:
    """Torch's gates in ONNX's order, with the axis of directions."""
    return np.concatenate([weight[i * size : (i + 1) * size] for i in order])[None]


def _recurrent(graph: Graph, step: Recurrent, rows: int) -> str:
    c_in, c = graph.channels[step.reads[0]], step.channels
    x = graph.last(step.reads[0], rows + step.rows - 1)
    if rows > 1:  # each row has a run of its own: side by side in the batch
        x = graph.add("Gather", [x, graph.ladder(rows, step.rows)], axis=2)  # (batch, channels, rows, steps)
        x = graph.add("Transpose", [x], perm=[3, 0, 2, 1])
        x = graph.reshape(x, [step.rows, -1, c_in])
    else:
        x = graph.add("Transpose", [x], perm=[2, 0, 1])
    # ONNX: update, reset, new; input, output, forget, cell
    order, kind = ([1, 0, 2], "GRU") if step.cell == "gru" else ([0, 3, 1, 2], "LSTM")
    how: dict[str, Any] = {"linear_before_reset": 1} if step.cell == "gru" else {}
    bias = np.concatenate([_gates(step.bias_input, order, c), _gates(step.bias_hidden, order, c)], axis=1)
    weights = [_gates(step.weight_input, order, c), _gates(step.weight_hidden, order, c), bias]
    h = graph.add(kind, [x, *(graph.number(w) for w in weights)], outputs=2, hidden_size=c, **how)
    if rows == 1:
        return graph.reshape(h, [-1, c])
    return graph.add("Transpose", [graph.reshape(h, [-1, rows, c])], perm=[0, 2, 1])


def _attend(graph: Graph, step: Attend, rows: int) -> str:
    query, key, value = step.reads
    back = len(step.bias) - 1
    q_BRC = graph.add("Transpose", [graph.last(query, rows)], perm=[0, 2, 1])
    if step.scale != 1.0:
        q_BRC = graph.add("Mul", [q_BRC, graph.number(step.scale)])
    bias = step.bias[None, ::-1]  # the oldest key is the first
    if rows == 1:
        band_RK = graph.number(bias)
    else:  # of row r, keys r .. r + back
        ends = [graph.number(n, np.int64) for n in (0, back + 2)]
        at_RK = graph.add("Clip", [graph.ladder(rows, rows + back, first=1, sign=-1), *ends])
        band_RK = graph.add("Gather", [graph.number([NEVER, *bias[0], NEVER]), at_RK])
    score = graph.add("Add", [graph.add("MatMul", [q_BRC, graph.last(key, rows + back)]), band_RK])
    share_BRK = graph.add("Softmax", [score], axis=-1)
    value_BKC = graph.add("Transpose", [graph.last(value, rows + back)], perm=[0, 2, 1])
    read_BRC = graph.add("MatMul", [share_BRK, value_BKC])
    if rows == 1:
        return graph.add("Flatten", [read_BRC], axis=1)
    return graph.add("Transpose", [read_BRC], perm=[0, 2, 1])


EMITTERS: dict[type[Step], Emit] = {
    Taps: _taps, Depthwise: _depthwise, Pointwise: _pointwise, Quantise: _quantise, LayerNorm: _layer_norm, Add: _add,
    Multiply: _multiply, Concat: _concat, Pick: _pick, Max: _max, Recurrent: _recurrent, Attend: _attend,
}  # fmt: skip
