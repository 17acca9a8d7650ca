"""Signals of a network over a stretch of rows, in one pass: each candle is computed once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from tradenas.nn import Kept, Mixture, Mode, Moments, Network
from tradenas.splits import Span
from tradenas.typing import Float32Array

__all__ = ["CHUNK", "Memo", "measure", "stream"]

#: Rows of one pass; long series are cut so that activations stay in cache, each cut reading its history again.
CHUNK = 4096

#: What the lookback filters made of each cut of a series.
Memo = dict[int, Kept]


def stream(
    network: Network,
    x: torch.Tensor,
    mixture: Mixture,
    span: Span,
    *,
    reach: int,
    moments: Moments | None = None,
    chunk: int = CHUNK,
    memo: Memo | None = None,
) -> Float32Array:
    """Signals for the rows of `span`: (rows,) of one market (T, F), (A, rows) of a panel (A, T, F) in one pass.

    Equal to running every window of `reach` rows by itself, at 1/reach of the price, because the network is causal,
    reads no further back than `reach`, and treats every row alike.  Rows with less history than that in front of them
    hold what the network makes of zeros; mask them with `Dataset.usable(reach)`.

    Args:
        reach: rows that one signal reads, or more.
        chunk: about how many rows a pass puts out.
        memo: filled by the first path over these rows, and read by others of the same network with the same `reach`,
            transform and lookback, whose filters have then been run already.
    """
    x_ATF = x[None] if x.ndim == 2 else x
    signal_AT = np.empty((len(x_ATF), span.stop - span.start), np.float32)
    cuts = np.linspace(span.start, span.stop, max(1, round(len(span) / chunk)) + 1).astype(int).tolist()
    with torch.inference_mode():
        for first, stop in pairwise(cuts):
            back = max(0, first - reach + 1)
            kept = None if memo is None else memo.setdefault(first, {})
            mode = Mode(moments=moments or None, kept=kept, scored=stop - first)
            out_AT = network(x_ATF[:, back:stop], mixture, mode)[:, first - stop :]
            signal_AT[:, first - span.start : stop - span.start] = out_AT.float().cpu().numpy()
    return signal_AT[0] if x.ndim == 2 else signal_AT


def measure(network: Network, x: torch.Tensor, mixture: Mixture, span: Span, *, reach: int) -> Moments:
    """Batch-norm moments of one subnet over the rows of `span` (training rows) of all markets, pooled in one pass."""
    back = max(0, span.start - reach + 1)
    x_ATF = x[None] if x.ndim == 2 else x
    return network.measure(x_ATF[:, back : span.stop], mixture, scored=span.stop - span.start)
