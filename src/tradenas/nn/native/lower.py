"""From a network and a mixture to a plan, or to None where a part of the path has no compiled form.

What has one: chains of dense layers, convolutions (dilated, separable), gates, residual blocks, averages, differences,
maxima and skips; their activations, channel dropout and layer norm; filters of the inputs.  What has none runs in
PyTorch: mixtures by weights, cells, recurrent layers, attention, ops that mix assets, batch norms, fixed-point
arithmetic, and ops of others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tradenas.nn.mixture import Mixture
from tradenas.nn.native.plan import Draw, Outside, Plan, Value, padded
from tradenas.nn.ops import Op
from tradenas.nn.ops.conv import Conv3, Conv5, Dilated3, Separable3, Separable5
from tradenas.nn.ops.dense import Dense, Gated, Residual
from tradenas.nn.ops.filters import EMA4, EMA12, EMA26, Difference, Difference5, Max5, Mean5
from tradenas.nn.ops.free import Skip
from tradenas.space import Choice

if TYPE_CHECKING:
    from tradenas.nn.network import Network
    from tradenas.nn.slot import Layer

__all__ = ["Reader", "lower"]

ACTIVATIONS = {"relu": 0, "gelu": 1, "tanh": 2, "sigmoid": 3, "leaky_relu": 4, "none": 5}

#: Floats of a value of one block: what a step reads and writes, and their gradients, stay in the second-level cache.
BLOCK = 24_576
#: Channels that compiled steps have room for.
WIDEST = 4096

Key = tuple[int, ...]


class Reader:
    """Which path of a chain a mixture is, as the indices that it is made of."""

    def __init__(self, network: Network) -> None:
        self.depths = [int(str(d)) for d in network.depth.options]
        self.depth, self.lookback = _asked(network.depth), _asked(network.inputs.lookback)
        self.layers = []
        for i in range(max(self.depths)):
            layer = network.layer(i)
            after = [
                (*_asked(choice), [layer.has(what, str(op)) for op in layer.op.options])
                for what, choice in layer.after.items()
            ]
            self.layers.append((_asked(layer.op), _asked(layer.width), after))

    def key(self, mixture: Mixture) -> Key | None:
        """None where something is no index, or none that there is: what then happens is the network's matter."""
        depth, lookback = _index(*self.depth, mixture), _index(*self.lookback, mixture)
        if depth < 0 or lookback < 0:
            return None
        key = [depth, lookback]
        for op, width, after in self.layers[: self.depths[depth]]:
            picked = _index(*op, mixture)
            key += (picked, _index(*width, mixture))
            if picked < 0 or key[-1] < 0:
                return None
            for name, options, follows in after:
                key.append(_index(name, options, mixture) if follows[picked] else 0)
                if key[-1] < 0:
                    return None
        return tuple(key)


def _asked(choice: Choice) -> tuple[str, int]:
    return choice.name, len(choice.options) if choice.take == 1 else 0


def _index(name: str, options: int, mixture: Mixture) -> int:
    found = mixture.get(name)
    if type(found) is int:
        return found if 0 <= found < options else -1
    return 0 if found is None and options == 1 else -1


def lower(network: Network, key: Key, *, segments: int, scored: int, kept: bool, stacked: bool) -> Plan | None:
    """The plan of a path.

    Args:
        key: from `Reader.key`.
        segments: of the batch of one network; fewer where the block is smaller.
        scored: last rows that are put out.
        kept: whether the filters' output is given.
        stacked: whether parameters have an axis of networks in front.
    """
    told = list(key[2:])
    depth = int(network.depth.options[key[0]])
    lookback = int(str(network.inputs.lookback.options[key[1]]))
    layers: list[tuple[Layer, Op, int, dict[str, str]]] = []
    for i in range(depth):
        layer = network.layer(i)
        name, width = str(layer.op.options[told.pop(0)]), int(layer.width.options[told.pop(0)])
        op = layer.ops[name]
        if type(op) not in LOWER or (op.carries and op.places is not None) or width > WIDEST:
            return None
        after = {}
        for what, choice in layer.after.items():
            at = told.pop(0)
            if layer.has(what, name):
                after[what] = str(choice.options[at])
        if after.get("norm", "none") not in ("none", "layer") or after.get("activation", "none") not in ACTIVATIONS:
            return None
        layers.append((layer, op, width, after))
    rows = [scored]
    for _, op, _, _ in reversed(layers):
        rows.insert(0, rows[0] + op.reach)
    widest = max(padded(2 * network.inputs.features), *(padded(width) for _, _, width, _ in layers))
    plan = Plan(scored, min(segments, max(1, BLOCK // (rows[0] * widest))), stacked)
    x, filters = _inputs(plan, network, rows[0], lookback, kept=kept)
    for (layer, op, width, after), last in zip(layers, rows[1:], strict=True):
        x = LOWER[type(op)](plan, op, x, width, last)
        if after.get("norm", "none") == "layer":
            x = _layer_norm(plan, layer, x)
        activation, rate = after.get("activation", "none"), float(after.get("dropout", 0.0))
        if activation != "none" or rate:
            x = _bend(plan, activation, rate, x)
    head = network.heads[str(depth)]
    step = plan.add("head", x, None, rows=scored, wc=1)
    plan.reads(step, filters, scored)
    plan.weighs(step, "w", head, "weight")
    plan.weighs(step, "bias", head, "bias")
    plan.packs(step, 2 * x.stride + 16)
    plan.needs = rows[0] if kept else rows[0] + lookback - 1
    plan.table = np.array(plan.rows, np.int64)
    return plan


def _inputs(plan: Plan, network: Network, rows: int, lookback: int, *, kept: bool) -> tuple[Value, Value]:
    features = network.inputs.features
    raw = plan.value(rows if kept else rows + lookback - 1, features, data=features)
    plan.outside.append(Outside(plan.add("columns", None, raw, rows=raw.rows, channels=features), "block"))
    if kept:
        filtered = plan.value(rows, features)
        plan.outside.append(Outside(plan.add("columns", None, filtered, rows=rows, channels=features), "filtered"))
    else:
        longest = network.inputs.taps.shape[-1]
        filtered = plan.filtered(raw, network.inputs, "taps", rows, taps=lookback, stride=longest, back=True)
    both = plan.value(rows, 2 * features, data=features)
    plan.reads(plan.add("concat", raw, both, rows=rows), filtered, rows)
    return both, filtered


def _layer_norm(plan: Plan, layer: Layer, x: Value) -> Value:
    y = plan.value(x.rows, x.channels)
    step = plan.add("layer_norm", x, y, rows=x.rows)
    plan.weighs(step, "w", layer.norms["layer"], "gain")
    plan.weighs(step, "bias", layer.norms["layer"], "shift")
    plan.packs(step, 2 * x.stride)
    return y


def _bend(plan: Plan, activation: str, rate: float, x: Value) -> Value:
    in_place = activation in ("relu", "leaky_relu") or (activation in ("tanh", "sigmoid", "none") and not rate)
    y = x if in_place else plan.value(x.rows, x.channels)
    bits = int(np.float32(rate).view(np.int32))
    step = plan.add("bend", x, y, rows=x.rows, which=ACTIVATIONS[activation], rate=bits)
    if rate:
        plan.draws.append(Draw(step, x.channels))
    return y


# One function an op: from the value that it reads to the one it makes, of so many rows.


def _dense(plan: Plan, op: Dense, x: Value, width: int, rows: int) -> Value:
    return plan.product(x, op.linear, width, rows)


def _conv(plan: Plan, op: Conv3, x: Value, width: int, rows: int) -> Value:
    return plan.product(x, op.conv, width, rows, taps=op.conv.kernel, dilation=op.conv.dilation)


def _separable(plan: Plan, op: Separable3, x: Value, width: int, rows: int) -> Value:
    kernel = op.depthwise.kernel
    y = plan.filtered(x, op.depthwise, "weight", rows, taps=kernel, stride=kernel, back=False)
    return plan.product(y, op.pointwise, width, rows)


def _gated(plan: Plan, op: Gated, x: Value, width: int, rows: int) -> Value:
    value, opening = plan.product(x, op.value, width, rows), plan.product(x, op.gate, width, rows)
    y = plan.value(rows, width)
    plan.reads(plan.add("gate", value, y, rows=rows), opening, rows)
    return y


def _residual(plan: Plan, op: Residual, x: Value, width: int, rows: int) -> Value:
    inner = plan.product(x, op.inner, width, rows)
    y = plan.product(_bend(plan, "relu", 0.0, inner), op.outer, width, rows)
    plan.add("carry", x, y, rows=rows, which=1)
    return y


def _skip(plan: Plan, op: Op, x: Value, width: int, rows: int) -> Value:  # noqa: ARG001
    y = plan.value(rows, width)
    plan.add("carry", x, y, rows=rows)
    return y


def _fixed(plan: Plan, op: Op, x: Value, width: int, rows: int) -> Value:
    x = _skip(plan, op, x, width, rows + op.reach)
    y, taps_L = plan.value(rows, width), op.carrying_taps()
    assert taps_L is not None
    lags = taps_L.nonzero().flatten().tolist()
    if len(lags) == 2 and lags[0] == 0:  # a difference: two taps, far from each other
        taps_L, apart = taps_L[[0, -1]], lags[1]
    else:
        apart = 1
    # The same for every channel; kept with the op, whose address then stands for all of a plan's life.
    kernel = op.__dict__.setdefault("_oldest_first", taps_L.flip(0).float().contiguous())
    w = kernel.data_ptr()
    step = plan.add("taps", x, y, rows=rows, reach=op.reach, taps=len(kernel), step=apart, wc=0, wk=1, w=w)
    plan.packs(step, 2 * len(kernel) * x.stride)
    return y


def _max(plan: Plan, op: Op, x: Value, width: int, rows: int) -> Value:
    x = _skip(plan, op, x, width, rows + op.reach)
    y = plan.value(rows, width)
    plan.add("max", x, y, rows=rows, reach=op.reach, taps=op.reach + 1)
    return y


Lowering = Callable[[Plan, Any, Value, int, int], Value]
LOWER: dict[type[Op], Lowering] = {
    Dense: _dense,
    Gated: _gated,
    Residual: _residual,
    Skip: _skip,
    Max5: _max,
    **dict.fromkeys((Conv3, Conv5, Dilated3), _conv),
    **dict.fromkeys((Separable3, Separable5), _separable),
    **dict.fromkeys((EMA4, EMA12, EMA26, Mean5, Difference, Difference5), _fixed),
}
