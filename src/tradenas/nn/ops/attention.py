"""Causal attention over a trailing window: a finite reach, like any other op."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.ops.base import OPS, Op

__all__ = ["Attention"]

#: Rows that one row attends to, itself included.
WINDOW = 16


@OPS.register("attention")
class Attention(Op):
    """One head over the last 16 rows (Vaswani et al. 2017, arXiv:1706.03762), with a learnt bias for each lag.

        y[t] = sum_j softmax_j(q[t] k[t - j] / sqrt(width) + b[j]) v[t - j],   j = 0 .. 15

    The bias stands for positions (T5, Raffel et al. 2020, arXiv:1910.10683).  Each row's query, key and value are
    computed once, however many rows attend to it.
    """

    reach = WINDOW - 1
    stackable = False

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.query = ElasticLinear(c_in, c_out, gain=1.0)
        self.key = ElasticLinear(c_in, c_out, gain=1.0, bias=False)  # the softmax would not feel it
        self.value = ElasticLinear(c_in, c_out)
        self.lag_bias = nn.Parameter(torch.empty(WINDOW))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        nn.init.zeros_(self.lag_bias)

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        channels = width if isinstance(width, int) else self.c_out
        size = channels if isinstance(width, int) else width.sum().clamp_min(torch.finfo(x_BTC.dtype).tiny)
        q_BT1C = self.query(x_BTC, channels).unsqueeze(-2) / size**0.5
        k_BTCW, v_BTCW = (self._windows(part(x_BTC, width)) for part in (self.key, self.value))
        share_BT1W = torch.softmax(q_BT1C @ k_BTCW + self.lag_bias, dim=-1)
        y_BTC: Tensor = (share_BT1W @ v_BTCW.transpose(-1, -2)).squeeze(-2)
        return y_BTC

    @staticmethod
    def _windows(x_BTC: Tensor) -> Tensor:
        """(B, T, C, W): the last W rows of each row, the latest first."""
        return F.pad(x_BTC, (0, 0, WINDOW - 1, 0)).unfold(1, WINDOW, 1).flip(-1)

    def count(self, c_in: int, width: int) -> Count:
        rows = self.query.count(c_in, width) + self.key.count(c_in, width) + self.value.count(c_in, width)
        return rows + Count(parameters=WINDOW, macs=2 * WINDOW * width)
