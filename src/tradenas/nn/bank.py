"""A bank of long causal filters as products of matrices.

A depthwise convolution of 50 taps runs at a few per cent of what a core can do; products of small matrices do not.
Each filter of L taps is written as a band (Toeplitz) matrix that turns a block of L - 1 + S rows into S outputs: twice
the multiplications at S = L, and still 1.5 to 2 times as fast, forward and backward, for 20 taps and more
(`benchmarks/stacked.py` measures it).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["LONG", "filter_bank"]

#: Rows of a block for short and for long filters, and the taps from which on a filter is long.
SHORT_BLOCK, LONG_BLOCK, LONG = 16, 32, 50


def filter_bank(x_BTF: Tensor, taps_FL: Tensor, rows: int = 0) -> Tensor:
    """Row t of feature f becomes `sum_j taps[f, j] * x[t - j, f]`; rows before the first are zeros.

    Args:
        x_BTF: (B, T, F), or (N, B, T, F) for N banks.
        taps_FL: (F, L), or (N, F, L).
        rows: only the last so many are wanted, with those before them as history; 0 is all.

    >>> import torch
    >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1)
    >>> filter_bank(x, torch.tensor([[1.0, 10.0]])).flatten().tolist()
    [1.0, 12.0, 23.0]
    """
    lags, rows = taps_FL.shape[-1], rows or x_BTF.shape[-2]
    x_BTF = x_BTF[..., -(rows + lags - 1) :, :]
    batch, missing = x_BTF.shape[-3], rows + lags - 1 - x_BTF.shape[-2]
    blocks = -(-rows // (LONG_BLOCK if lags >= LONG else SHORT_BLOCK))
    size = -(-rows // blocks)
    padded_FBT = F.pad(x_BTF.movedim(-1, -3), (missing, blocks * size - rows))
    windows_FBMI = padded_FBT.unfold(-1, size + lags - 1, size)
    y_FRS = windows_FBMI.flatten(-3, -2) @ band(taps_FL, size).transpose(-1, -2)
    return y_FRS.view(*y_FRS.shape[:-2], batch, blocks * size)[..., :rows].movedim(-3, -1)


def band(taps_FL: Tensor, size: int) -> Tensor:
    """(F, S, S + L - 1): row s holds the taps, latest lag first, from column s on.

    Rows of length S + L cut again at S + L - 1 slip by one column each.
    """
    lags = taps_FL.shape[-1]
    row_FP = F.pad(taps_FL.flip(-1), (0, size))
    lead = row_FP.shape[:-1]
    flat = row_FP.unsqueeze(-2).expand(*lead, size, lags + size).flatten(-2)
    return flat[..., : size * (lags + size - 1)].view(*lead, size, lags + size - 1)
