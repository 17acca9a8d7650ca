"""Attention over the assets at each row."""

from __future__ import annotations

import torch
from torch import Tensor

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.ops.base import OPS
from tradenas.nn.ops.cross_asset import CrossAsset

__all__ = ["CrossAttention"]


@OPS.register("cross_attention")
class CrossAttention(CrossAsset):
    """One head over all assets at the same row (Vaswani et al. 2017, arXiv:1706.03762), oneself included.

        y[a, t] = sum_b softmax_b(q[a, t] k[b, t] / sqrt(width)) v[b, t],   b = 1 .. A

    Assets have no place in an order and no name here: who is listened to follows from what the rows hold (as in a set
    transformer, Lee et al. 2019, arXiv:1810.00825), so that the weights do not depend on A.  `leader` and
    `correlation` know the assets by name.
    """

    symmetric = True

    def __init__(self, c_in: int, c_out: int, assets: int) -> None:
        super().__init__(c_in, c_out, assets)
        self.query = ElasticLinear(c_in, c_out, gain=1.0)
        self.key = ElasticLinear(c_in, c_out, gain=1.0, bias=False)  # the softmax would not feel it
        self.value = ElasticLinear(c_in, c_out)

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        channels = width if isinstance(width, int) else self.c_out
        size = channels if isinstance(width, int) else width.sum().clamp_min(torch.finfo(x_BTC.dtype).tiny)
        q_BTAC = self._rows(self.query(x_BTC, channels)) / size**0.5
        k_BTAC, v_BTAC = (self._rows(part(x_BTC, width)) for part in (self.key, self.value))
        share_BTAA = torch.softmax(q_BTAC @ k_BTAC.transpose(-1, -2), dim=-1)
        return self.together((share_BTAA @ v_BTAC).transpose(-3, -2))

    def _rows(self, x_BTC: Tensor) -> Tensor:
        """(..., B, T, A, C): the assets of one row beside each other."""
        return self.apart(x_BTC).transpose(-3, -2)

    def count(self, c_in: int, width: int) -> Count:
        rows = self.query.count(c_in, width) + self.key.count(c_in, width) + self.value.count(c_in, width)
        return rows + Count(macs=2 * self.assets * width)
