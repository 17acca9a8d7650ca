"""Operations on one row at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.ops.base import OPS, Op

__all__ = ["Dense", "Gated", "Residual"]


@OPS.register("dense")
class Dense(Op):
    """W x + b."""

    lags = (0,)

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.linear = ElasticLinear(c_in, c_out)

    def as_kernel(self, weights: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor | None]:
        kernel_OI1 = weights["linear.weight"][..., :channels, :channels].unsqueeze(-1)
        return kernel_OI1, weights["linear.bias"][..., :channels]

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        return self.linear(x_BTC, width)

    def count(self, c_in: int, width: int) -> Count:
        return self.linear.count(c_in, width)


@OPS.register("gated")
class Gated(Op):
    """(W x + b) * sigmoid(V x + c): the gated linear unit of Dauphin et al. (2017, arXiv:1612.08083)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.value = ElasticLinear(c_in, c_out)
        self.gate = ElasticLinear(c_in, c_out, gain=1.0)

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        return self.value(x_BTC, width) * torch.sigmoid(self.gate(x_BTC, width))

    def count(self, c_in: int, width: int) -> Count:
        return self.value.count(c_in, width) + self.gate.count(c_in, width) + Count(macs=width)


@OPS.register("residual")
class Residual(Op):
    """x + V relu(W x + b) + c: the two-layer block of He et al. (2016, arXiv:1512.03385), on rows."""

    carries = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.inner = ElasticLinear(c_in, c_out)
        self.outer = ElasticLinear(c_out, c_out, gain=0.5)

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        return self.carried(x_BTC, width) + self.outer(F.relu(self.inner(x_BTC, width)), width)

    def count(self, c_in: int, width: int) -> Count:
        return self.inner.count(c_in, width) + self.outer.count(width, width)
