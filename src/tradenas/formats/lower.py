"""A standalone network as a program: what each module does, written as steps, with its weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.formats.ops import LOWERED, Builder, array
from tradenas.formats.program import Depthwise, Input, LayerNorm, Program
from tradenas.nn import Network
from tradenas.nn import norms as nn_norms
from tradenas.nn.cells import CellStack
from tradenas.nn.elastic import ElasticLinear
from tradenas.nn.mixture import weighting
from tradenas.nn.mode import Moments
from tradenas.nn.norms import EPSILON
from tradenas.nn.ops import Op
from tradenas.nn.precision import Precision
from tradenas.nn.reading import Reading
from tradenas.nn.slot import After, Layer
from tradenas.space import closed
from tradenas.space.fixed import FILTERED, INPUT

__all__ = ["lower"]


def lower(network: Network, moments: Moments | None = None) -> Program:
    """The program that a standalone network is: its output on rows with history, up to rounding.

    Args:
        network: over a space of one architecture (`Network.standalone`, or `inherit(space.fix(architecture))`).
        moments: of its batch norms, which become a factor and a shift each.

    Raises:
        ArchitectureError: the network still has choices.
        SpaceError: an op that no program has steps for (those that mix assets), or a batch norm without moments.

    >>> from tradenas.nn import Layout
    >>> from tradenas.space import Chain
    >>> space = Chain(depths=(1,), widths=(8,), lookbacks=(5,), ops=("conv3",), norms=("none",)).space()
    >>> network = Network(space, Layout(groups=("returns",) * 3, transforms=("zscore",)))
    >>> program = lower(network.standalone(space.smallest(), seed=0))
    >>> program.reach, program.macs() - len(program.columns) == network.count(space.smallest()).macs
    (7, True)
    """
    free_choices = [c.name for c in network.space.choices if len(c.options) > c.take]
    if free_choices:
        raise ArchitectureError(
            "lower", got=f"a network that may still choose {', '.join(free_choices[:3])}",
            expected="a network of one architecture", fix="network.inherit(network.space.fix(architecture))",
        )  # fmt: skip
    return _Lowering(network, {} if moments is None else moments).program()


class _Lowering:
    """One network on its way."""

    def __init__(self, network: Network, moments: Moments) -> None:
        self.network, self.moments, self.to = network, moments, Builder()
        self.precision = Precision.of(network.space, {})

    def program(self) -> Program:
        network, to = self.network, self.to
        columns, names, x, spoken = self._inputs()
        if network.stack is not None:
            read = self._cells(network.stack, x)
        else:
            for i in range(int(network.depth.options[0])):
                layer = network.layers[i]
                assert isinstance(layer, Layer)
                x = self._layer(layer, x)
                self._read_all()
            head = network.heads[str(network.depth.options[0])]
            assert isinstance(head, ElasticLinear)
            self._edge()
            read = to.dense("head", x, *to.linear(head, to.channels(x), 1))
        signal = to.total("signal", [spoken, read])
        return Program(steps=tuple(to.steps), output=signal, columns=columns, names=names)

    def _inputs(self) -> tuple[tuple[int, ...], tuple[str, ...], str, str]:
        """Columns of the table, their names, the channels of the body, and the signal of the filters."""
        inputs, to, layout = self.network.inputs, self.to, self.network.layout
        taken = {c.name: str(c.options[0]) for c in self.network.space.choices if c.take == 1}
        off = {j for c, members in inputs.closing if closed(c.name, taken) for j in members}
        if inputs.own is not None:
            blocks = [b[0] for b in inputs.own.blocks]
            transforms = [str(c.options[0]) for c in inputs.own.choices]
        else:
            blocks = [inputs.blocks[0]] * len(inputs.columns)
            transforms = [str(taken["input/transform"])] * len(inputs.columns)
        open_ = [f for f, j in enumerate(inputs.columns) if j not in off and blocks[f] is not None]
        columns = tuple(inputs.columns[f] + (blocks[f] or 0) * inputs.table for f in open_)
        named = layout.names
        names = tuple(f"{transforms[f]}({named[inputs.columns[f]]})" for f in open_) if named else ()
        lookback = int(inputs.lookback.options[0])
        x = to.add(Input(name="rows", channels=len(open_)))
        taps_FL = inputs.taps[:, :lookback]
        if self.precision is not None:
            taps_FL = self.precision.at_edge().weight(taps_FL, rows=inputs.open({}))
        if rounds := self.precision is not None and self.precision.bits is not None:
            x = to.quantise("rows/rounded", x, INPUT)
        filtered = to.depthwise("filters", x, array(taps_FL)[open_], range(lookback))
        spoken = to.dense("linear", filtered, np.ones((1, len(open_))), None)
        if rounds:
            filtered = to.quantise("filters/rounded", filtered, FILTERED)
        both = to.beside("inputs", [x, filtered])
        place = {f: k for k, f in enumerate(open_)}
        index = [place.get(f, -1) for f in range(inputs.features)]
        index += [k + len(open_) if k >= 0 else -1 for k in index]
        if self.precision is not None:
            open_F = inputs.open({})
            to.precision = self.precision.reading(None if open_F is None else torch.cat([open_F, open_F]))
        return columns, names, to.pick("channels", both, index), spoken

    def _read_all(self) -> None:
        """What follows reads all channels of a layer, of which none is closed."""
        if self.to.precision is not None:
            self.to.precision = self.to.precision.reading(None)

    def _edge(self) -> None:
        """What follows is a head."""
        if self.to.precision is not None:
            self.to.precision = self.to.precision.at_edge()

    def _layer(self, layer: Layer, x: str) -> str:
        """One op, or the mean of several, each with what follows it."""
        label, width, to = layer.label, int(layer.width.options[0]), self.to
        which = weighting(layer.op, {})
        assert not isinstance(which, Tensor)
        each = []
        for o in (which,) if isinstance(which, int) else which:
            name = str(layer.op.options[o])
            y = self._op(f"{label}/{name}", layer.ops[name], x, width)
            if layer.ops[name].sums and not layer.has("activation", name):
                y = to.activation(f"{label}/{name}/rounded", y)
            each.append(self._finish(layer, name, y))
        if len(each) == 1:
            return each[0]
        return to.depthwise(f"{label}/mean", to.total(f"{label}/sum", each), np.full((1, 1), 1.0 / len(each)), (0,))

    def _op(self, name: str, op: Op, x: str, width: int) -> str:
        for kind, lowered in LOWERED.items():
            if isinstance(op, kind):
                return lowered(self.to, name, op, x, width)
        raise SpaceError(
            name, got=f"the op {type(op).__name__}", expected="one that a program has steps for",
            fix="ops that mix assets cannot leave the study yet; search without them",
        )  # fmt: skip

    def _finish(self, after: After, op: str, x: str) -> str:
        to = self.to
        for what, choice in after.after.items():
            option = str(choice.options[0])
            if what == "dropout" or not after.has(what, op) or option == "none":
                continue
            name = f"{after.label}/{op}/{what}"
            x = self._norm(name, after, option, op, x) if what == "norm" else to.activation(name, x, option)
        return x

    def _norm(self, name: str, after: After, option: str, op: str, x: str) -> str:
        norm, channels, to = after.norms[option], self.to.channels(x), self.to
        gain, shift = array(norm.gain)[:channels], array(norm.shift)[:channels]
        if isinstance(norm, nn_norms.LayerNorm):
            return to.add(
                LayerNorm(name=name, reads=(x,), channels=channels, gain=gain, shift=shift, epsilon=EPSILON)
            )  # fmt: skip
        key = f"{after.label}/{op}/{option}"
        if key not in self.moments:
            raise SpaceError(
                name, got="a batch norm without moments", expected="moments measured on training rows",
                fix="lower(network, network.measure(x)), or the moments of a fitted network",
            )  # fmt: skip
        mean, variance = (array(part) for part in self.moments[key])
        scale = gain / np.sqrt(variance + EPSILON)
        return to.add(
            Depthwise(
                name=name, reads=(x,), channels=channels, weight=scale[:, None], bias=shift - mean * scale, at=(0,)
            )
        )

    def _cells(self, stack: CellStack, x: str) -> str:
        """Stem, the cells that are heard, and the head."""
        to, width = self.to, int(stack.width.options[0])
        cells, live = int(stack.cells.options[0]), list(stack.live({}))
        done: dict[int, dict[str, str]] = {}
        heard = stack.heard(live, (cells,))
        if heard and stack.stem is not None:
            done[-1] = {"stem": to.dense("stem", x, *to.linear(stack.stem, to.channels(x), width))}
            done[-1] = {"stem": to.activation("stem/rounded", done[-1]["stem"])}
        self._read_all()
        for k in heard:
            body = stack.cell(k)
            states = {
                i: to.activation(
                    f"cell{k}/read{i}/rounded",
                    self._read(f"cell{k}/read{i}", body.reads[str(i)], done[body.before(i)], width),
                )
                for i in sorted({i for i, _ in live if i < stack.graph.inputs})
            }
            for j in sorted({j for _, j in live}):
                each = [self._layer(body.layer((i, t)), states[i]) for i, t in live if t == j]
                states[j] = to.total(f"cell{k}/node{j}", each)
                if str(j) in body.nodes:
                    after = body.nodes[str(j)]
                    assert isinstance(after, After)
                    states[j] = self._finish(after, "sum", states[j])
            done[k] = {str(j): states[j] for j in stack.graph.outputs if j in states}
        head = self.network.heads[str(cells)]
        self._edge()
        return self._read("head", head, done.get(cells - 1, {}), 1, constant=x)

    def _read(self, name: str, module: object, blocks: dict[str, str], width: int, *, constant: str = "") -> str:
        """A dense map of blocks side by side; of none, only its bias."""
        assert isinstance(module, Reading)
        to, there = self.to, [part for part in module.parts if part in blocks]
        bias = None
        if module.bias is not None:
            bias = array(module.bias if to.precision is None else to.precision.bias(module.bias))[:width]
        if not there:
            return to.dense(name, constant, np.zeros((width, to.channels(constant))), bias)
        weights = []
        for part in there:
            each = module.parts[part]
            assert isinstance(each, ElasticLinear)
            weights.append(to.linear(each, to.channels(blocks[part]), width)[0])
        x = to.beside(f"{name}/blocks", [blocks[part] for part in there])
        return to.dense(name, x, np.concatenate(weights, axis=1), bias)
