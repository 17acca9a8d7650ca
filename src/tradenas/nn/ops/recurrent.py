"""Recurrent operations, windowed: row t is the last state of a cell that began at zero `WINDOW - 1` rows before t.

That makes a recurrent layer an operation with a finite reach like any other: every row means the same thing in a
window, in a segment and in a stream, and layers below it are still computed once per candle.  The price is WINDOW
cell steps per row.  A cell that carries its state over the whole series would be cheaper live, but what it computes
would depend on where the series began.
"""

from __future__ import annotations

import abc
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn.elastic import Count, Width, uniform
from tradenas.nn.ops.base import OPS, Op

__all__ = ["GRU", "LSTM", "WINDOW"]

#: Rows that a recurrent op reads, the current one included.
WINDOW = 16


class _Recurrent(Op):
    """Weights are stored (gates, C, C), so that a narrower cell is a prefix slice."""

    gates: int
    reach = WINDOW - 1
    stackable = False

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.weight_input = nn.Parameter(torch.empty(self.gates, c_out, c_in))
        self.weight_hidden = nn.Parameter(torch.empty(self.gates, c_out, c_out))
        self.bias_input = nn.Parameter(torch.empty(self.gates, c_out))
        self.bias_hidden = nn.Parameter(torch.empty(self.gates, c_out))

    def reset(self, generator: torch.Generator) -> None:
        uniform(self.weight_input, self.c_in, generator)
        uniform(self.weight_hidden, self.c_out, generator, gain=1.0 / math.sqrt(3.0))
        nn.init.zeros_(self.bias_input)
        nn.init.zeros_(self.bias_hidden)

    def weights(self, c_in: int, width: Width) -> list[Tensor]:
        """The cell's four tensors in torch's flat layout; a mask closes the columns that read inactive units."""
        out = width if isinstance(width, int) else self.c_out
        hidden = self.weight_hidden[:, :out, :out]
        if isinstance(width, Tensor):
            hidden = hidden * width
        return [
            self.weight_input[:, :out, :c_in].reshape(-1, c_in),
            hidden.reshape(-1, out),
            self.bias_input[:, :out].reshape(-1),
            self.bias_hidden[:, :out].reshape(-1),
        ]

    @abc.abstractmethod
    def cell(self, windows_RNC: Tensor, start_1NC: Tensor, weights: list[Tensor]) -> Tensor:
        """The last hidden state (N, C) of windows (R, N, C)."""

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        batch, rows, c_in = x_BTC.shape
        out = width if isinstance(width, int) else self.c_out
        history_BTC = F.pad(x_BTC, (0, 0, self.reach, 0))
        windows_RNC = history_BTC.unfold(1, WINDOW, 1).permute(3, 0, 1, 2).reshape(WINDOW, batch * rows, c_in)
        start = windows_RNC.new_zeros(1, batch * rows, out)
        last_NC = self.cell(windows_RNC, start, self.weights(c_in, width))
        y_BTC = last_NC.view(batch, rows, out)
        return y_BTC if isinstance(width, int) else y_BTC * width

    def count(self, c_in: int, width: int) -> Count:
        weights = self.gates * (c_in * width + width * width)
        return Count(parameters=weights + 2 * self.gates * width, macs=WINDOW * weights)


@OPS.register("lstm")
class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) over the last 16 rows."""

    gates = 4

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        with torch.no_grad():
            self.bias_hidden[1].fill_(1.0)  # the forget gate starts open

    def cell(self, windows_RNC: Tensor, start_1NC: Tensor, weights: list[Tensor]) -> Tensor:
        _, h_1NC, _ = torch.lstm(windows_RNC, [start_1NC, start_1NC], weights, True, 1, 0.0, False, False, False)
        return h_1NC[0]


@OPS.register("gru")
class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078) over the last 16 rows."""

    gates = 3

    def cell(self, windows_RNC: Tensor, start_1NC: Tensor, weights: list[Tensor]) -> Tensor:
        _, h_1NC = torch.gru(windows_RNC, start_1NC, weights, True, 1, 0.0, False, False, False)
        return h_1NC[0]
