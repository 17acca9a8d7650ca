"""Operations without weights."""

from __future__ import annotations

import torch
from torch import Tensor

from tradenas.nn.elastic import Count, Width
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.precision import Precision

__all__ = ["Skip", "Zero"]


@OPS.register("skip")
class Skip(Op):
    """The input as it is, cropped or zero-padded to the width."""

    carries = True
    rounds = True
    sums = False

    def carrying_taps(self) -> Tensor | None:
        return torch.ones(1) if self.places is None else None

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:  # noqa: ARG002
        return self.carried(x_BTC, width)

    def count(self, c_in: int, width: int) -> Count:  # noqa: ARG002
        return Count()


@OPS.register("zero")
class Zero(Op):
    """Nothing: an edge of a cell that is not there."""

    silent = True
    rounds = True
    sums = False

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:  # noqa: ARG002
        channels = width if isinstance(width, int) else len(width)
        return x_BTC.new_zeros(*x_BTC.shape[:-1], channels)

    def count(self, c_in: int, width: int) -> Count:  # noqa: ARG002
        return Count()
