"""The convolutions of N stacked networks as products of shifted rows, without copying a row k times.

Rows of all segments stand below each other with the padding of each in front of it, (N, R, C); row r of the output is
the sum over taps j of row r + j times the weights of that tap, one batched product each.  Where a shift runs from one
segment into the next stand rows that nobody asked for; they are cut off, and get no gradient.  Against gathering the k
rows of each output side by side (`cat`, one product) this spares the copies there and back: 1.3 to 1.6 times as fast,
forward and backward, for 50 networks of 32 channels (docs/results/speed.md).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MANY", "shifted_products"]

#: Stacked networks from which on this is the faster way.
MANY = 8


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NBTC: Tensor, weight_NKCO: Tensor, bias_NO: Tensor, dilation: int) -> Tensor:
        batch, rows, reach = x_NBTC.shape[1], x_NBTC.shape[2], (weight_NKCO.shape[1] - 1) * dilation
        x_NRC = F.pad(x_NBTC, (0, 0, reach, 0)).flatten(1, 2)
        size = x_NRC.shape[1] - reach
        y_NRO = x_NRC.new_empty(len(x_NRC), batch * (rows + reach), weight_NKCO.shape[-1])
        head_NRO = y_NRO[:, :size]
        head_NRO.copy_(bias_NO[:, None].expand_as(head_NRO))
        for k in range(weight_NKCO.shape[1]):
            head_NRO.baddbmm_(x_NRC[:, k * dilation : k * dilation + size], weight_NKCO[:, k])
        ctx.save_for_backward(x_NRC, weight_NKCO)
        ctx.dilation, ctx.rows, ctx.reach = dilation, rows, reach
        return y_NRO.unflatten(1, (batch, rows + reach))[:, :, :rows].contiguous()  # type: ignore[no-untyped-call]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g_NBTO: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x_NRC, weight_NKCO = ctx.saved_tensors
        dilation, rows, reach = ctx.dilation, ctx.rows, ctx.reach
        size = x_NRC.shape[1] - reach
        g_NRO = F.pad(g_NBTO, (0, 0, 0, reach)).flatten(1, 2)[:, :size]
        weight_g = torch.empty_like(weight_NKCO)
        for k in range(weight_NKCO.shape[1]):
            part_NRC = x_NRC[:, k * dilation : k * dilation + size]
            torch.bmm(part_NRC.transpose(1, 2), g_NRO, out=weight_g[:, k])
        x_g = None
        if ctx.needs_input_grad[0]:
            sum_NRC = torch.zeros_like(x_NRC)
            for k in range(weight_NKCO.shape[1]):
                sum_NRC[:, k * dilation : k * dilation + size].baddbmm_(g_NRO, weight_NKCO[:, k].transpose(1, 2))
            x_g = sum_NRC.unflatten(1, (-1, rows + reach))[:, :, reach:]  # type: ignore[no-untyped-call]
        return x_g, weight_g, g_NRO.sum(1), None


def shifted_products(x_NBTC: Tensor, weight_NKCO: Tensor, bias_NO: Tensor, *, dilation: int = 1) -> Tensor:
    """Causal convolutions of N networks: (N, B, T, C) to (N, B, T, O); rows before the first of a segment are zeros.

    Args:
        weight_NKCO: tap k is for the row `(K - 1 - k) * dilation` before.

    >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)
    >>> shifted_products(x, torch.tensor([10.0, 1.0]).view(1, 2, 1, 1), torch.zeros(1, 1)).flatten().tolist()
    [1.0, 12.0, 23.0]
    """
    made: Tensor = _Shifted.apply(x_NBTC, weight_NKCO, bias_NO, dilation)  # type: ignore[no-untyped-call]
    return made
