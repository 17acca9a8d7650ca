"""Rounding to fixed point with gradients: weights, biases, activations, tables.

What goes forward is exactly what a circuit computes; backwards the rounding is taken for the identity (the straight-
through estimator: Bengio et al. 2013, arXiv:1308.3432; Hubara et al. 2018, arXiv:1609.07061):

    activations  q = floor(x 2^f + 1/2) / 2^f, cut to the format; gradient 1 inside its range and 0 outside
    weights      of b bits: the same with the least power-of-two range that holds max |w| of the tensor; gradient 1
    ternary      {-a, 0, a}, 0 where |w| <= 0.7 mean |w|, a = mean |w| of the others (Li & Liu 2016, arXiv:1605.04711,
                 eq. 5 and 6)
    binary       {-a, a}, a = mean |w| (XNOR-Net: Rastegari et al. 2016, arXiv:1603.05279, eq. 6)
    sparsity     all but the largest |w| are 0 as the weights stand now; the gradient reaches all, so that a weight
                 that was cut may come back (DPF: Lin et al. 2020, arXiv:2006.07253)

Departures: `a` is the nearest power of two, so that every weight is a shift; nothing is scheduled (Zhu & Gupta 2017,
arXiv:1710.01878, raise the sparsity step by step), since a supernet cuts the same weights to several shares at once.

Every value is a whole number of steps of a power of two, and sums of them are exact in float32 as long as they stay
below 2^24 steps: a signal then has the same bits in a window, in a stream, in a batch and in a circuit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tradenas.nn.activations import ACTIVATIONS
from tradenas.space.fixed import BINARY, EXACT, TERNARY, Fixed, activation_format, table_format

__all__ = ["FINEST", "fixed_point", "quantised_weight", "through", "tabled"]

#: The largest weight of a tensor is taken for 2^FINEST at least: steps do not get smaller than sums can hold.
FINEST = -4
#: TWN eq. 6.
THRESHOLD = 0.7


class _Through(torch.autograd.Function):
    """`exact` forwards, the gradient of `x` backwards where it is `inside`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, exact: Tensor, inside: Tensor | None) -> Tensor:  # noqa: ARG004
        ctx.inside = inside
        return exact.view_as(exact)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor, None, None]:
        return (g[0] if ctx.inside is None else g[0] * ctx.inside), None, None


def through(x: Tensor, exact: Tensor, inside: Tensor | None = None) -> Tensor:
    """`exact`, with the gradient of `x` where it is `inside`."""
    return _Through.apply(x, exact, inside)  # type: ignore[no-untyped-call]


def rounded(scaled: Tensor) -> Tensor:
    """floor(x + 1/2) without the rounding of that sum: 0.49999997 is 0."""
    below = torch.floor(scaled)
    return below + (scaled - below >= 0.5).to(scaled.dtype)


def fixed_point(x: Tensor, fixed: Fixed) -> Tensor:
    """To the nearest number of a format, halves up, cut to its range.

    >>> fixed_point(torch.tensor([-0.3, 0.125, 0.3, 9.0]), Fixed(0, 2, 2)).tolist()
    [0.0, 0.25, 0.25, 3.75]
    """
    with torch.no_grad():
        exact = (rounded(x * 2.0**fixed.fraction) * fixed.step).clamp(fixed.low, fixed.high)
        inside = (x >= fixed.low) & (x <= fixed.high)
    return through(x, exact, inside)


def tabled(x: Tensor, function: str, bits: int) -> Tensor:
    """A function as a table: rounded before it and after it, so that it has finitely many values.

    The entries are worked out in float64, and are the same on every machine that rounds as IEEE 754 asks.
    """
    source = fixed_point(x, table_format(bits))
    with torch.no_grad():
        at = ((source - table_format(bits).low) / table_format(bits).step).long()
        exact = _table(function, bits).to(x)[at]
    return through(ACTIVATIONS[function](source), exact)


@lru_cache(maxsize=64)
def _table(function: str, bits: int) -> Tensor:
    source = table_format(bits)
    x = source.low + source.step * torch.arange(2**source.bits, dtype=torch.float64)
    return fixed_point(ACTIVATIONS[function](x), activation_format(bits, function))


def quantised_weight(
    w: Tensor, option: str, sparsity: float = 0.0, *, open_: Tensor | None = None, stacked: bool = False
) -> Tensor:
    """A tensor of weights as a circuit holds it.

    Args:
        w: of any shape; of N stacked networks with their axis in front, each rounded by itself.
        option: `float`, a number of bits, `ternary` or `binary`.
        sparsity: share of the weights that are 0, rounded down to whole weights.
        open_: which of them count, as booleans that broadcast to `w` (without the axis of stacked networks); those of
            closed channels have no say in scale and share.
        stacked: whether there is that axis.

    >>> w = torch.tensor([[0.9, -0.2, 0.05, 0.4]])
    >>> quantised_weight(w, "3").tolist(), quantised_weight(w, "ternary").tolist()
    ([[0.75, -0.25, 0.0, 0.5]], [[0.5, 0.0, 0.0, 0.5]])
    >>> quantised_weight(w, "binary", 0.5).tolist()
    [[0.5, 0.0, 0.0, 0.5]]
    """
    with torch.no_grad():
        flat_NP = w.detach().reshape(w.shape[0] if stacked else 1, -1)
        counts_P = None if open_ is None else open_.expand(w.shape[1:] if stacked else w.shape).reshape(-1)
        kept_NP = _kept(flat_NP.abs(), sparsity, counts_P)
        exact = _valued(flat_NP, option, kept_NP)
        if kept_NP is not None:
            exact = exact * kept_NP
    return through(w, (exact + 0.0).view(w.shape))  # no negative zeros


def _kept(size_NP: Tensor, sparsity: float, counts_P: Tensor | None) -> Tensor | None:
    """The weights that are not cut; None for all."""
    if counts_P is not None:
        size_NP = torch.where(counts_P, size_NP, -1.0)
    number = size_NP.shape[1] if counts_P is None else int(counts_P.sum())
    cut = int(sparsity * number)
    if not cut and counts_P is None:
        return None
    kept_NP = torch.zeros_like(size_NP, dtype=torch.bool)
    return kept_NP.scatter(1, size_NP.topk(number - cut, dim=1).indices, True)


def _valued(w_NP: Tensor, option: str, kept_NP: Tensor | None) -> Tensor:
    if option == EXACT:
        return w_NP
    size_NP = w_NP.abs() if kept_NP is None else w_NP.abs() * kept_NP
    if option == BINARY:
        return torch.where(w_NP >= 0, 1.0, -1.0).to(w_NP) * _power(_nearest(_mean(size_NP, kept_NP))).to(w_NP)
    if option == TERNARY:
        large_NP = size_NP > THRESHOLD * _mean(size_NP, kept_NP)
        return torch.sign(w_NP) * large_NP * _power(_nearest(_mean(size_NP * large_NP, large_NP))).to(w_NP)
    bits = int(option)
    exponent_N1 = _above(size_NP.amax(1, keepdim=True)).clamp(min=FINEST)
    step_N1, most = _power(exponent_N1 - (bits - 1)).to(w_NP), 2.0 ** (bits - 1)
    return rounded(w_NP / step_N1).clamp(-most, most - 1.0) * step_N1


def _mean(size_NP: Tensor, kept_NP: Tensor | None) -> Tensor:
    number = size_NP.shape[1] if kept_NP is None else kept_NP.sum(1, keepdim=True).clamp_min(1)
    return size_NP.double().sum(1, keepdim=True) / number


def _above(size_N1: Tensor) -> Tensor:
    """The least e with size <= 2^e."""
    mantissa, exponent = torch.frexp(size_N1)
    return exponent - (mantissa == 0.5).to(exponent.dtype)


def _nearest(size_N1: Tensor) -> Tensor:
    """The e whose power of two is nearest by ratio, of a size from 2^(FINEST - 4) on."""
    mantissa, exponent = torch.frexp(size_N1)
    return (exponent - (mantissa < 0.5**0.5).to(exponent.dtype)).clamp(min=FINEST - 4)


def _power(exponent: Tensor) -> Tensor:
    """2^e to the bit, which `exp2` does not promise."""
    return ((exponent.to(torch.int32) + 127) << 23).view(torch.float32)
