"""The minimal gated recurrent unit over the last rows, whose gates read the row alone.

Feng et al. (2024, arXiv:2410.01201), section 3.1:

    z_t = sigmoid(V x_t + c)        h~_t = W x_t + b        h_t = (1 - z_t) h_{t-1} + z_t h~_t

No gate reads the state, so both dense layers run once a row; what is left of the recurrence is one product and one sum
a channel.  As everywhere here the state begins at zero `rows - 1` rows before, so that a row means the same in a
window, in a segment and in a stream:

    u_1[t] = z_t h~_t        u_k[t] = (1 - z_t) u_{k-1}[t-1] + u_1[t]        h = u_rows

Row by row each u_k is made of the row before's u_{k-1}: `rows - 1` products a channel for a candle, none of a matrix.

Departure: under a precision the state is rounded in every row, with two bits more than activations have, because
errors of it add up; the log-space form of the paper has no fixed-point counterpart and is not used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.ops.recurrent import WINDOW
from tradenas.nn.precision import Precision

__all__ = ["STATE_BITS", "MinGRU", "MinGRU4", "MinGRU8"]

#: Bits of a state beyond those of activations.
STATE_BITS = 2


class _MinGRU(Op):
    rows: int
    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.new = ElasticLinear(c_in, c_out, gain=1.0)
        self.gate = ElasticLinear(c_in, c_out, gain=1.0)
        self.reach = self.rows - 1
        self.products = self.rows

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        new_BTC, z_BTC = self.new(x_BTC, width, precision), self.gate(x_BTC, width, precision)
        if precision is None:
            z_BTC = torch.sigmoid(z_BTC)
        else:
            new_BTC, z_BTC = precision.activation(new_BTC), precision.activation(z_BTC, "sigmoid")
        first_BTC = z_BTC * new_BTC
        kept_BTC, state_BTC = 1.0 - z_BTC, self._state(first_BTC, precision)
        for _ in range(self.rows - 1):
            before_BTC = F.pad(state_BTC, (0, 0, 1, 0))[..., : x_BTC.shape[-2], :]
            state_BTC = self._state(kept_BTC * before_BTC + first_BTC, precision)
        return state_BTC

    @staticmethod
    def _state(x_BTC: Tensor, precision: Precision | None) -> Tensor:
        return x_BTC if precision is None else precision.activation(x_BTC, more=STATE_BITS)

    def count(self, c_in: int, width: int) -> Count:
        return self.new.count(c_in, width) + self.gate.count(c_in, width) + Count(macs=self.rows * width)


@OPS.register("mingru")
class MinGRU(_MinGRU):
    """A minimal gated recurrent unit over the last 16 rows, as many as `gru` and `lstm` read."""

    rows = WINDOW


@OPS.register("mingru8")
class MinGRU8(_MinGRU):
    """A minimal gated recurrent unit over the last 8 rows."""

    rows = 8


@OPS.register("mingru4")
class MinGRU4(_MinGRU):
    """A minimal gated recurrent unit over the last 4 rows: small enough to be unrolled in a circuit."""

    rows = 4
