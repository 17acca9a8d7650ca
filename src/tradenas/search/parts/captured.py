"""The two halves of a static search step as CUDA graphs: hundreds of small launches become one.

A pass over cells is the same for every batch of one shape as long as nobody looks at the mixture's values
(`Mode.open`).  On a GPU it is captured once it is warm and played back from then on: batches are copied into buffers,
alphas and weights are read where they lie, gradients come out where they did (PyTorch, "CUDA Graphs").  Elsewhere, for
batches of other shapes, and where a capture fails, the same function runs as it is.

Written without a GPU at hand: everything but the capture itself is tested, on the CPU and without data (`meta`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tradenas.nn import Mixture, Mode, Network, weighing
from tradenas.search.parts.bilevel import Hypergradient
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch

__all__ = ["Captured"]

LOG = logging.getLogger(__name__)
#: Passes before the capture, in which libraries choose their kernels.
WARM = 3


class Captured:
    """The loss of a network of cells under a mixture, and its gradients in the weights or in the alphas.

    Args:
        network: whose weights are read where they are, and have to stay there.
        objective: what is minimised.
        relax: from alphas to the mixture; draws nothing.
        alphas: read where they are.
        of: whose gradients.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        relax: Callable[[Mapping[str, Tensor]], Mixture],
        alphas: Mapping[str, Tensor],
        *,
        of: Literal["weights", "alphas"],
    ) -> None:
        self.network, self.objective, self.relax, self.alphas, self.of = network, objective, relax, alphas, of
        self.weights = dict(network.named_parameters())
        self.wanted = self.weights if of == "weights" else alphas
        self.buffers: Batch | None = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.found: Sequence[Tensor | None] = ()

    def differentiate(self, batch: Batch) -> Tensor:
        """The loss; gradients are set on the weights, or on the alphas."""
        loss, *gradients = self(batch)
        for tensor, gradient in zip(self.wanted.values(), gradients, strict=True):
            tensor.grad = gradient
        assert loss is not None
        return loss

    def hypergradient(self, batch: Batch) -> Hypergradient:
        """The gradient of the alphas that takes the weights as given (`bilevel.first_order`)."""
        loss, *gradients = self(batch)
        assert loss is not None
        like = self.alphas.items()
        direct = {n: torch.zeros_like(a) if g is None else g for (n, a), g in zip(like, gradients, strict=True)}
        return Hypergradient(direct=direct, implicit={n: torch.zeros_like(a) for n, a in like}, valid=float(loss))

    def __call__(self, batch: Batch) -> Sequence[Tensor | None]:
        """Loss and gradients; those of a graph hold until it is played again."""
        given = (batch.x_BTF, batch.y_BS, batch.weight_BS)
        if self.buffers is None:
            self.buffers = Batch(*(t.clone() for t in given))
            if batch.x_BTF.device.type == "cuda":
                self._capture(self.buffers)
        own = (self.buffers.x_BTF, self.buffers.y_BS, self.buffers.weight_BS)
        if [t.shape for t in own] != [t.shape for t in given]:
            return self.run(batch)
        for buffer, new in zip(own, given, strict=True):
            buffer.copy_(new)
        if self.graph is None:
            return self.run(self.buffers)
        self.graph.replay()
        return self.found

    def run(self, batch: Batch) -> Sequence[Tensor | None]:
        """One pass, without a look at any number."""
        scored = batch.y_BS.shape[1]
        still = self.weights if self.of == "alphas" else self.alphas
        apart = {name: tensor.detach() for name, tensor in still.items()}
        weights, alphas = (apart, self.alphas) if self.of == "alphas" else (self.weights, apart)
        with weighing(self.network, weights):
            mode = Mode(training=True, scored=scored, open=True)
            signal_BS = self.network(batch.x_BTF, self.relax(alphas), mode)[:, -scored:]
        loss = self.objective.loss(signal_BS, batch.y_BS, batch.weight_BS)
        found = torch.autograd.grad(loss, list(self.wanted.values()), allow_unused=True)
        return loss.detach(), *(None if g is None else g.contiguous() for g in found)  # as weights are

    def _capture(self, batch: Batch) -> None:
        try:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM):
                    self.run(batch)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.found = self.run(batch)
            self.graph = graph
        except RuntimeError as error:
            LOG.warning("this step of a search cannot be captured and runs call by call: %s", error)
