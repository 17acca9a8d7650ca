"""Operations on one row at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.elastic import Count, ElasticLinear, Width, opened
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.precision import Precision

__all__ = ["Dense", "Gated", "Residual"]


@OPS.register("dense")
class Dense(Op):
    """W x + b."""

    lags = (0,)
    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.linear = ElasticLinear(c_in, c_out)

    def as_kernel(self, weights: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor | None]:
        kernel_OI1 = weights["linear.weight"][..., :channels, :channels].unsqueeze(-1)
        return kernel_OI1, weights["linear.bias"][..., :channels]

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        return self.linear(x_BTC, width, precision)

    def count(self, c_in: int, width: int) -> Count:
        return self.linear.count(c_in, width)


@OPS.register("gated")
class Gated(Op):
    """(W x + b) * sigmoid(V x + c): the gated linear unit of Dauphin et al. (2017, arXiv:1612.08083)."""

    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.value = ElasticLinear(c_in, c_out)
        self.gate = ElasticLinear(c_in, c_out, gain=1.0)

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        if precision is None:
            return self.value(x_BTC, width) * torch.sigmoid(self.gate(x_BTC, width))
        value_BTC = precision.activation(self.value(x_BTC, width, precision))
        return value_BTC * precision.activation(self.gate(x_BTC, width, precision), "sigmoid")

    def count(self, c_in: int, width: int) -> Count:
        return self.value.count(c_in, width) + self.gate.count(c_in, width) + Count(macs=width)


@OPS.register("residual")
class Residual(Op):
    """x + V relu(W x + b) + c: the two-layer block of He et al. (2016, arXiv:1512.03385), on rows."""

    carries = True
    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.inner = ElasticLinear(c_in, c_out)
        self.outer = ElasticLinear(c_out, c_out, gain=0.5)

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        if precision is None:
            return self.carried(x_BTC, width) + self.outer(F.relu(self.inner(x_BTC, width)), width)
        inner_BTC = precision.activation(self.inner(x_BTC, width, precision), "relu")
        return self.carried(x_BTC, width) + self.outer(inner_BTC, width, precision.reading(opened(width)))

    def count(self, c_in: int, width: int) -> Count:
        return self.inner.count(c_in, width) + self.outer.count(width, width)
