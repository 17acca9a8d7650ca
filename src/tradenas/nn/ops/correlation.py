"""A learnt matrix between assets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.ops.base import OPS
from tradenas.nn.ops.cross_asset import CrossAsset, per_network

__all__ = ["Correlation"]


@OPS.register("correlation")
class Correlation(CrossAsset):
    """A dense layer, whose outputs are then mixed over the assets of the same row by a learnt matrix.

        y[a, t] = z[a, t] + sum_b M[a, b] z[b, t],   z = W x + b

    M (A, A) starts at zero: the op begins as `dense`, each asset by itself.  Its rows are not normalised and its
    entries have either sign, as those of a regression on the other assets do: a hedge is a negative one.  Weight decay
    draws M back to zero, not to an average.
    """

    def __init__(self, c_in: int, c_out: int, assets: int) -> None:
        super().__init__(c_in, c_out, assets)
        self.linear = ElasticLinear(c_in, c_out)
        self.mixing = nn.Parameter(torch.empty(assets, assets))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        nn.init.zeros_(self.mixing)

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        z_BATC = self.apart(self.linear(x_BTC, width))
        mixed_BAR = per_network(self.mixing, 2) @ z_BATC.flatten(-2)
        return self.together(z_BATC + mixed_BAR.view_as(z_BATC))

    def count(self, c_in: int, width: int) -> Count:
        return self.linear.count(c_in, width) + Count(parameters=self.assets**2, macs=self.assets * width)
