"""Signals of a network over a stretch of rows, in one pass: each candle is computed once."""

from __future__ import annotations

import numpy as np
import torch

from tradenas.nn import EVAL, Mixture, Mode, Moments, Network
from tradenas.splits import Span
from tradenas.typing import Float32Array

__all__ = ["CHUNK", "measure", "stream"]

#: Rows of one pass; long series are cut so that activations stay in cache, each cut reading its history again.
CHUNK = 4096


def stream(
    network: Network,
    x_TF: torch.Tensor,
    mixture: Mixture,
    span: Span,
    *,
    reach: int,
    moments: Moments | None = None,
    chunk: int = CHUNK,
) -> Float32Array:
    """Signals for the rows of `span`, shape (len(span),).

    Equal to running every window of `reach` rows by itself, at 1/reach of the price, because the network is causal,
    reads no further back than `reach`, and treats every row alike.  Rows with less history than that in front of them
    hold what the network makes of zeros; mask them with `Dataset.usable(reach)`.
    """
    signal_T = np.empty(span.stop - span.start, np.float32)
    mode = Mode(moments=moments) if moments else EVAL
    with torch.inference_mode():
        for first in range(span.start, span.stop, chunk):
            stop, back = min(first + chunk, span.stop), max(0, first - reach + 1)
            out_T = network(x_TF[None, back:stop], mixture, mode)[0, first - back :]
            signal_T[first - span.start : stop - span.start] = out_T.float().cpu().numpy()
    return signal_T


def measure(network: Network, x_TF: torch.Tensor, mixture: Mixture, span: Span, *, reach: int) -> Moments:
    """Batch-norm moments of one subnet over the rows of `span` (training rows), pooled in one pass."""
    back = max(0, span.start - reach + 1)
    return network.measure(x_TF[None, back : span.stop], mixture, scored=span.stop - span.start)
