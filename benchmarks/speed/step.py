"""A supernet's training step against its matrix products alone.

The step is the training loop's own: filters, path, loss, backward pass, clipping, AdamW, shrinking of taps.  *Alone*
are the same matrix products (forward, gradient of the input, gradient of the weights; a convolution of k rows as one
product over k times the channels) of the same paths, replayed into tensors that are there.  8 random paths of 4
layers, 12 columns, dropout 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor
from turns import turns

from speed.figure import Figure
from speed.world import LAYOUT
from tradenas.nn import Mode, Network, elastic, hard, native
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Chain
from tradenas.train.loop import Optimisation, Pass, accumulate, optimizer_for
from tradenas.train.loss import Objective
from tradenas.train.moves import clipped, forget
from tradenas.train.segments import Batch

#: S, segments in a batch.
BATCHES = {"1,024 targets in segments of 64": (64, 16), "4,096 in segments of 128": (128, 32)}


def network_of(width: int) -> Network:
    space = Chain(
        depths=(4,), ops=("dense", "conv3", "conv5", "separable3", "residual", "gated"), widths=(width,),
        activations=("relu", "gelu", "tanh"), norms=("none",), dropouts=(0.1,), lookbacks=(20,),
    ).space()  # fmt: skip
    return Network(space, LAYOUT)


class Step:
    """A training step on given rows."""

    def __init__(self, network: Network, *, length: int, segments: int, device: str = "cpu") -> None:
        self.network, self.length, self.segments, self.device = network.to(device), length, segments, device
        self.training = Optimisation(segment=length, batch=length * segments)
        self.optimizer = optimizer_for(network, self.training)
        self.weights = list(network.parameters())
        self.objective, self.generator = Objective(kind="regression"), torch.Generator(device=device)

    def rows(self, architecture: Architecture) -> Tensor:
        rows = self.network.reach(architecture) - 1 + self.length
        return torch.randn(self.segments, rows, len(LAYOUT.groups), device=self.device)

    def of(self, architecture: Architecture) -> Callable[[], None]:
        x_BTF = self.rows(architecture)
        y_BS = torch.randn(self.segments, self.length, device=self.device)
        batch = Batch(x_BTF, y_BS, torch.ones_like(y_BS))
        reach = self.network.reach(architecture)
        passes = [Pass(mixture=hard(self.network.space, architecture), reach=reach)]
        of = SimpleNamespace(length=self.length, reach=reach, assets=1)

        def run() -> None:
            self.generator.manual_seed(0)
            forget(self.weights)
            accumulate(self.network, batch, passes, of, self.objective, self.generator, None)
            clipped(self.weights, self.training.clip)
            self.optimizer.step()
            self.network.inputs.shrink(1e-6)

        return run

    def products(self, architecture: Architecture) -> Callable[[], None]:
        """The matrix products of that step alone."""
        linear, conv = elastic.ElasticLinear.forward, elastic.ElasticConv.forward
        shapes: list[tuple[int, int, int]] = []

        def of_linear(
            layer: elastic.ElasticLinear, x_BTC: Tensor, width: int, *more: object, **named: object
        ) -> Tensor:
            shapes.append((x_BTC.shape[0] * x_BTC.shape[1], x_BTC.shape[2], width))
            return linear(layer, x_BTC, width, *more, **named)

        def of_conv(layer: elastic.ElasticConv, x_BTC: Tensor, width: int, *more: object, **named: object) -> Tensor:
            if not layer.depthwise:
                shapes.append((x_BTC.shape[0] * x_BTC.shape[1], x_BTC.shape[2] * layer.kernel, width))
            return conv(layer, x_BTC, width, *more, **named)

        with (
            mock.patch.object(elastic.ElasticLinear, "forward", of_linear),
            mock.patch.object(elastic.ElasticConv, "forward", of_conv),
            torch.no_grad(),
            native.off(),
        ):
            mode = Mode(training=True, scored=self.length)
            self.network(self.rows(architecture), hard(self.network.space, architecture), mode)
        made = [[torch.randn(*of, device=self.device) for of in ((m, k), (k, n), (m, n))] for m, k, n in shapes]
        outs = [tuple(torch.empty_like(t) for t in each) for each in made]

        def run() -> None:
            for (x, w, g), (dx, dw, y) in zip(made, outs, strict=True):
                torch.mm(x, w, out=y)
                torch.mm(x.t(), g, out=dw)
                torch.mm(g, w.t(), out=dx)  # of the first layer too: the filters' taps learn

        return run


def all_of(runs: list[Callable[[], None]]) -> Callable[[], None]:
    def run() -> None:
        for one in runs:
            one()

    return run


def figures(full: bool) -> Iterator[Figure]:
    rng = rng_for(1, "subnets")
    for what, (length, segments) in BATCHES.items():
        for width in (16, 32, 64):
            network = network_of(width)
            step = Step(network, length=length, segments=segments)
            paths = [network.space.sample(rng) for _ in range(8)]
            took = turns(
                {"step": all_of([step.of(a) for a in paths]), "products": all_of([step.products(a) for a in paths])},
                15 if full else 7,
            )
            yield Figure.of(
                f"supernet step / its products alone, width {width}, {what}", took.ratios("step", "products"),
                bar=1.5 if width >= 64 else 2.0, at_least=False, note=f"{took.best('step') / 8:.2f} ms a step",
            )  # fmt: skip
