"""One network over a space: the supernet, the shrunk supernet and the standalone network are this class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.nn.cells import CellStack
from tradenas.nn.elastic import Count, ElasticConv, ElasticLinear, opened, width_of
from tradenas.nn.half import GAIN, HalfTable
from tradenas.nn.inputs import Inputs, Layout
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.mode import EVAL, Mode, Moments
from tradenas.nn.native import run_cells, run_path
from tradenas.nn.precision import Precision
from tradenas.nn.slot import Layer, Mix, weighted_sum
from tradenas.seeds import seed_for
from tradenas.space import Architecture, Choice, Picked, SearchSpace
from tradenas.space.fixed import EXACT
from tradenas.space.switches import COLUMN, QUANT

__all__ = ["Network"]


class Network(nn.Module):
    """A network under a mixture of the choices of its space.

    A search method never changes it: it passes a `Mixture`.  An index runs one op or slices to one width; weights
    mix ops and gate widths.  With one option left everywhere it is the standalone network, and needs no mixture.

    The body is a chain of layers or a stack of cells, whichever the space has choices for.

    The signal is the sum of two: what the body makes of the inputs, and the inputs' filters themselves, which are so
    the coefficients of a linear autoregression over the lookback (the highway of LSTNet, Lai et al. 2018,
    arXiv:1703.07015; wide and deep, Cheng et al. 2016, arXiv:1606.07792).  Without it the taps of a supernet learn
    nothing: every op would pull them its own way (measured: docs/results.md).

    Args:
        space: the choices, from `Chain(...).space()` or `Cell(...).space()`; a restricted one makes a smaller network.
        layout: how the columns of the feature table stand.
        seed: of the initial weights.  Each tensor has a stream named after it, so no tensor depends on another.
        mix: how a layer's ops come together under weights.

    Shapes:
        input `x_BTF`: batch, time, columns of the feature table.  Output `(B, T)`: one signal per row.  The first
        `reach - 1` rows of a segment lack history and must be left out by the caller; with `mode.scored` only the
        scored rows are put out, (B, scored), and no layer computes rows that they do not hang on.  Of several assets
        the batch holds the same rows of each, one below the other: (B * A, T, F), row `b * A + a` is asset a.

    Example:
        >>> from tradenas.nn.mixture import hard
        >>> from tradenas.space import Chain
        >>> space = Chain(depths=(1, 2), widths=(8, 16), lookbacks=(5,), ops=("dense", "conv3")).space()
        >>> network = Network(space, Layout(groups=("returns",) * 3, transforms=("zscore",)), seed=0)
        >>> architecture = space.smallest()
        >>> network(torch.zeros(2, 10, 3), hard(space, architecture)).shape
        torch.Size([2, 10])
        >>> alone = network.inherit(space.fix(architecture))
        >>> torch.equal(alone(torch.ones(1, 10, 3)), network(torch.ones(1, 10, 3), hard(space, architecture)))
        True
    """

    def __init__(self, space: SearchSpace, layout: Layout, *, seed: int = 0, mix: Mix = weighted_sum) -> None:
        super().__init__()
        self.space, self.layout, self.mix = space, layout, mix
        self.depth = space["cells" if "cells" in space else "depth"]
        self.inputs = Inputs(space, layout)
        quant = [c.options for c in space.choices if c.name.startswith(QUANT)]
        self.bf16 = False
        self.exact = all(options in ((EXACT,), ("0.0",), (0.0,)) for options in quant)
        channels = 2 * self.inputs.features
        self.layers = nn.ModuleList()
        self.stack: CellStack | None = None
        if "cells" in space:
            self.stack = CellStack(space, channels, mix=mix, assets=layout.assets)
            self.heads = nn.ModuleDict({str(d): self.stack.head() for d in self.depth.options})
        else:
            for i in range(max(int(d) for d in self.depth.options)):
                layer = Layer(f"layer{i}", space, channels, mix=mix, assets=layout.assets)
                self.layers.append(layer)
                channels = layer.c_out
            for op in self.layer(0).ops.values():
                op.places = self.inputs.places
            self.heads = nn.ModuleDict(
                {str(d): ElasticLinear(self.layer(int(d) - 1).c_out, 1, gain=0.1) for d in self.depth.options}
            )
        for name, module in self.named_modules():
            if reset := getattr(module, "reset", None):
                reset(torch.Generator().manual_seed(seed_for(seed, "weights", name)))

    def layer(self, i: int) -> Layer:
        """One layer of a chain."""
        layer = self.layers[i]
        assert isinstance(layer, Layer)
        return layer

    def forward(self, x_BTF: Tensor, mixture: Mixture | None = None, mode: Mode = EVAL) -> Tensor:
        mixture = mixture if mixture is not None else {}
        if x_BTF.shape[-3] % self.layout.assets:
            raise SpaceError(
                "Network.forward",
                got=f"a batch of {x_BTF.shape[-3]}",
                expected=f"a multiple of its {self.layout.assets} assets",
                fix="pass the same rows of every asset, row b * assets + a being asset a",
            )
        run = run_path if self.stack is None else run_cells
        compiled_BT = None if self.bf16 else run(self, x_BTF, mixture, mode)
        if compiled_BT is not None:
            return compiled_BT
        which = weighting(self.depth, mixture)
        depths = [int(d) for d in self.depth.options]
        if isinstance(which, Tensor):
            share = dict(zip(depths, which, strict=True))
        else:
            share = {depths[which if isinstance(which, int) else which[0]]: torch.ones(())}
        ahead = self._ahead(max(share), mixture)
        rows = mode.scored and mode.scored + ahead[0]
        precision = Precision.of(self.space, mixture)
        if precision is None:
            x_BTC = self.inputs(x_BTF, mixture, rows=rows, kept=mode.kept)
            signal_BT = self._scored(x_BTC, mode)[..., self.inputs.features :].sum(-1)
        else:
            x_BTC, signal_BT, open_C = self.inputs.rounded(x_BTF, mixture, precision, rows=rows)
            signal_BT = signal_BT[..., -mode.scored :]
            precision = precision.reading(open_C)
            mode = replace(mode, precision=precision)
        done = {} if self.stack is None else self.stack(x_BTC, share, mixture, mode)
        for i in range(max(share)):
            if self.stack is None:
                x_BTC = self.layer(i)(self._scored(x_BTC, mode, ahead[i]), mixture, mode)
            if precision is not None:
                precision = precision.reading(self._open(i, mixture))
                mode = replace(mode, precision=precision)
            if i + 1 in share:
                read = self._scored(x_BTC, mode) if self.stack is None else done.get(i, {})
                last = None if precision is None else precision.at_edge()
                read_BT = self.heads[str(i + 1)](read, 1, precision=last).squeeze(-1)
                if read_BT.ndim > 1 and read_BT.shape[-1] > signal_BT.shape[-1]:
                    read_BT = read_BT[..., -mode.scored :]
                signal_BT = signal_BT + (share[i + 1] * read_BT if isinstance(which, Tensor) else read_BT)
        return signal_BT

    def _open(self, i: int, mixture: Mixture) -> Tensor | None:
        """The channels that a mixture opens behind a layer, or in all cells; None for all."""
        if self.stack is None:
            return self.layer(i).open(mixture)
        return opened(width_of(self.stack.width, weighting(self.stack.width, mixture)))

    def _ahead(self, depth: int, mixture: Mixture) -> list[int]:
        """Rows before the scored ones that each layer has to be given, or the stack of cells."""
        if self.stack is not None:
            return [self.stack.reach()]
        rows = [0]
        for i in reversed(range(depth)):
            rows.insert(0, rows[0] + self.layer(i).farthest(mixture))
        return rows

    @staticmethod
    def _scored(x_BTC: Tensor, mode: Mode, ahead: int = 0) -> Tensor:
        """The rows that count and so many before them: what nothing scored hangs on is not computed."""
        rows = mode.scored + ahead
        return x_BTC[..., -rows:, :] if mode.scored and rows < x_BTC.shape[-2] else x_BTC

    def measure(self, x_BTF: Tensor, mixture: Mixture | None = None, *, scored: int = 0) -> Moments:
        """The batch-norm moments of one subnet over given rows: pass training rows, and the result as `moments`."""
        measured: Moments = {}
        with torch.inference_mode():
            self(x_BTF, mixture, Mode(measured=measured, scored=scored))
        return measured

    def inherit(self, space: SearchSpace) -> Network:
        """The same network over a smaller space, with a copy of the weights that it shares."""
        small = Network(space, self.layout, mix=self.mix)
        shared, kept = self.state_dict(), self._kept(small)
        own = {}
        for name, tensor in small.state_dict().items():
            if name not in shared or any(n > m for n, m in zip(tensor.shape, shared[name].shape, strict=True)):
                raise SpaceError("inherit", got=name, expected="a space that this network's space contains")
            part = shared[name]
            for axis, index in kept.get(name, {}).items():
                part = part.index_select(axis, index.to(part.device))
            own[name] = part[tuple(slice(0, n) for n in tensor.shape)].clone()
        small.load_state_dict(own)
        return small

    def halve(self, table: HalfTable | None, *, rows: int = 0) -> None:
        """Computes layers in bf16 from now on, where a table says that it is worth it; None: all in float32 again.

        Args:
            rows: that a layer computes at once.
        """
        layers = [m for m in self.modules() if isinstance(m, ElasticConv | ElasticLinear)]
        products = {m: m.product for m in layers if m.product is not None}
        self.bf16 = table is not None and self.exact and table.worth(list(products.values()), rows)
        for layer, product in products.items():
            layer.bf16 = self.bf16 and table is not None and table.gain(product, rows) >= GAIN

    def _kept(self, small: Network) -> dict[str, dict[int, Tensor]]:
        """For each tensor with an axis of inputs: which entries of it a network with fewer inputs keeps.

        What is an axis of inputs shows when there is one input more: it is the axis that then grows.
        """
        mine, its = self.inputs.columns, small.inputs.columns
        if its == mine:
            return {}
        if not set(its) <= set(mine):
            raise SpaceError("inherit", got="other inputs", expected="a space that this network's space contains")
        wider = replace(self.layout, groups=(*self.layout.groups, "/"), names=(*self.layout.names, "/"))
        space = small.space
        if small.inputs.own is not None:
            one = Choice(name=f"{COLUMN}/", options=self.layout.transforms[:1])
            space = SearchSpace([*space.choices, one], not_all=space.not_all)
        more = Network(space, wider, mix=self.mix).state_dict()
        index = torch.tensor([mine.index(j) for j in its])
        twice = torch.cat([index, len(mine) + index])
        return {
            name: {
                axis: twice if n - m == 2 else index
                for axis, (n, m) in enumerate(zip(more[name].shape, tensor.shape, strict=True))
                if n > m
            }
            for name, tensor in small.state_dict().items()
        }

    def reach(self, architecture: Mapping[str, Picked] | None = None) -> int:
        """Rows that one output reads, its own included; without an architecture, the most that any reads.

        Of a layer that runs several ops at once, the most that any of them reads.
        """
        if architecture is None:
            lookback = max(int(str(n)) for n in self.space["input/lookback"].options)
            if self.stack is not None:
                return lookback + self.stack.reach()
            layers = [self.layer(i) for i in range(len(self.layers))]
            return lookback + sum(max(layer.reach(str(o)) for o in layer.op.options) for layer in layers)
        rows = int(str(architecture["input/lookback"]))
        if self.stack is not None:
            return rows + self.stack.reach(architecture)
        for i in range(int(str(architecture["depth"]))):
            op = architecture[f"layer{i}/op"]
            rows += max(self.layer(i).reach(str(o)) for o in (op if isinstance(op, tuple) else (op,)))
        return rows

    def count(self, architecture: Architecture) -> Count:
        """Parameters of the standalone network, and its multiply-accumulates for one more candle."""
        self.space.check(architecture)
        features, total = self.inputs.count(architecture)
        channels = 2 * features
        if self.stack is not None:
            return total + self.stack.count(architecture, channels)
        for i in range(int(str(architecture["depth"]))):
            op, width = str(architecture[f"layer{i}/op"]), architecture[f"layer{i}/width"]
            if not isinstance(width, int):
                raise ArchitectureError(f"layer{i}/width", got=repr(width), expected="a whole number")
            norm = architecture.get(f"layer{i}/norm")
            total += self.layer(i).count(op, channels, width, None if norm is None else str(norm))
            channels = width
        return total + Count(parameters=channels + 1, macs=channels, biases=1).at_edge()

    def standalone(self, architecture: Architecture, *, seed: int) -> Network:
        """A fresh network of this one architecture: nothing is shared, nothing inherited."""
        return Network(self.space.fix(architecture), self.layout, seed=seed, mix=self.mix)
