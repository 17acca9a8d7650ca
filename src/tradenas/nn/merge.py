"""Mixtures of linear ops as one convolution each: what a search step on cells spends its time on.

Convolutions, averages and differences of one input add up before they run,

    sum_o w_o (K_o * x + b_o) = (sum_o w_o K_o) * x + sum_o w_o b_o,

as long as nothing but the sum follows (`Cell.follow = "sum"`).  The edges that leave one node read the same rows, so
that their kernels stand side by side and one product of matrices serves them all:

    rows     x at the lags that any kernel has, side by side: (B, T, lags * C)              `_Lags`
    kernels  of each edge, zero where it has no weight: (C, lags * C), stacked over edges    `Merge.kernels`
    taps     one number a lag for all channels: on the diagonal of the kernel where the lags are there anyway, and
             otherwise (long averages) by themselves, once for all edges, which then weigh them     `_Filters`

Outputs and gradients are those of the ops one by one, in another order of rounding; second derivatives too, because
lags and filters are linear and the backward pass of each is its transpose.  An op that is not linear runs as it always
does, and its weighted output is added; without weights it is the same on every edge, and runs once for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.elastic import Width, gate
from tradenas.nn.ops import Op

__all__ = ["Kernels", "Merge"]


class _Lags(torch.autograd.Function):
    """(B, T, C) to (B, R, K * C): of the last R rows each with those `lags` before it; zeros before the first."""

    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, lags: tuple[int, ...], rows: int) -> Tensor:
        ctx.lags, ctx.given = lags, x_BTC.shape[1]
        first = x_BTC.shape[1] - rows
        short = max(0, max(lags) - first)
        padded = F.pad(x_BTC, (0, 0, short, 0)) if short else x_BTC
        return torch.cat([padded[:, first + short - lag : first + short - lag + rows] for lag in lags], -1)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor, None, None]:
        return _Unlag.apply(g[0], ctx.lags, ctx.given), None, None  # type: ignore[no-untyped-call]


class _Unlag(torch.autograd.Function):
    """The transpose: every row collects what was read of it."""

    @staticmethod
    def forward(ctx: Any, g_BRX: Tensor, lags: tuple[int, ...], given: int) -> Tensor:
        batch, rows, channels = g_BRX.shape[0], g_BRX.shape[1], g_BRX.shape[2] // len(lags)
        ctx.lags, ctx.rows = lags, rows
        x_BTC = g_BRX.new_zeros(batch, given, channels)
        first = given - rows
        for k, lag in enumerate(lags):
            late = max(0, lag - first)
            if late < rows:
                x_BTC[:, first + late - lag : given - lag] += g_BRX[:, late:, k * channels : (k + 1) * channels]
        return x_BTC

    @staticmethod
    def backward(ctx: Any, *x: Tensor) -> tuple[Tensor, None, None]:
        return _Lags.apply(x[0], ctx.lags, ctx.rows), None, None  # type: ignore[no-untyped-call]


def _depthwise(x_BTC: Tensor, taps_L: Tensor) -> Tensor:
    """The same taps for every channel, without padding; the first is that of the first row read."""
    x_BC1T, taps_L = x_BTC.transpose(1, 2).unsqueeze(2), taps_L.to(x_BTC.dtype)
    kernel = taps_L.expand(x_BTC.shape[-1], 1, 1, -1).contiguous(memory_format=torch.channels_last)
    return F.conv2d(x_BC1T, kernel, groups=x_BTC.shape[-1]).squeeze(2).transpose(1, 2)


class _Filters(torch.autograd.Function):
    """(B, T, C) to (F, B, R, C): of the last R rows one output for each row of taps."""

    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, rows: int, *taps: Tensor) -> Tensor:
        ctx.taps, ctx.given = taps, x_BTC.shape[1]
        first, found = x_BTC.shape[1] - rows, []
        for taps_L in taps:
            lead = first - len(taps_L) + 1
            part = x_BTC[:, lead:] if lead >= 0 else F.pad(x_BTC, (0, 0, -lead, 0))
            found.append(_depthwise(part, taps_L.flip(0)))
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        x_BTC = _Unfilter.apply(g[0], ctx.given, *ctx.taps)  # type: ignore[no-untyped-call]
        return x_BTC, None, *[None] * len(ctx.taps)


class _Unfilter(torch.autograd.Function):
    """The transpose: the filters run backwards in time, and what comes out is added up."""

    @staticmethod
    def forward(ctx: Any, g_FBRC: Tensor, given: int, *taps: Tensor) -> Tensor:
        ctx.taps, ctx.rows = taps, g_FBRC.shape[2]
        first = given - ctx.rows
        x_BTC = g_FBRC.new_zeros(g_FBRC.shape[1], given, g_FBRC.shape[3])
        for g_BRC, taps_L in zip(g_FBRC, taps, strict=True):
            reach = len(taps_L) - 1
            y_BRC = _depthwise(F.pad(g_BRC, (0, 0, reach, reach)), taps_L)
            late = max(0, reach - first)
            x_BTC[:, first + late - reach :] += y_BRC[:, late:]
        return x_BTC

    @staticmethod
    def backward(ctx: Any, *x: Tensor) -> tuple[Tensor | None, ...]:
        g_FBRC = _Filters.apply(x[0], ctx.rows, *ctx.taps)  # type: ignore[no-untyped-call]
        return g_FBRC, None, *[None] * len(ctx.taps)


@dataclass(frozen=True, eq=False)
class Kernels:
    """Of edges that leave one node, in their order.

    Attributes:
        kernel_ECX: merged kernels (C, K * C); none where no op mixes channels.
        bias_EC: merged biases.
        share_EF: what each edge takes of the filters, and of the other ops without weights.
        free: those ops.
        rest: the ops of each edge that run by themselves, with their weights.
    """

    kernel_ECX: Tensor | None
    bias_EC: Tensor | None
    share_EF: Tensor | None
    free: Sequence[Op]
    rest: Sequence[Sequence[tuple[Tensor, Op]]]


class Merge:
    """How the linear ones among some ops run together.

    Args:
        ops: by name, as any edge has them; it is their form that counts.
    """

    def __init__(self, ops: Mapping[str, Op]) -> None:
        names = list(ops)
        self.at = {name: i for i, name in enumerate(names)}
        self.mixing = [name for name, op in ops.items() if op.lags]
        self.lags = tuple(sorted({lag for name in self.mixing for lag in ops[name].lags}))
        carrying = {name: taps for name, op in ops.items() if (taps := op.carrying_taps()) is not None}
        self.inside = [n for n, taps in carrying.items() if set(taps.nonzero().flatten().tolist()) <= set(self.lags)]
        self.filters = [name for name in carrying if name not in self.inside]
        self.taps = [carrying[name] for name in self.filters]
        own = [lag for name in self.mixing for lag in ops[name].lags]
        self.place_KL = torch.tensor([[float(a == b) for b in self.lags] for a in own])
        self.inside_OL = torch.zeros(len(names), len(self.lags))
        for name in self.inside:
            known_L = carrying[name].tolist()
            own_L = [known_L[lag] if lag < len(known_L) else 0.0 for lag in self.lags]
            self.inside_OL[self.at[name]] = torch.tensor(own_L)
        known = {*self.mixing, *carrying, *(name for name, op in ops.items() if op.silent)}
        self.free = [n for n, op in ops.items() if n not in known and not any(True for _ in op.parameters())]
        self.rest = [name for name in names if name not in known and name not in self.free]
        once = [*self.filters, *self.free]
        self.once_OF = torch.zeros(len(names), len(once))
        for f, name in enumerate(once):
            self.once_OF[self.at[name], f] = 1.0
        self.parameters = {
            name: [(key, attrgetter(key)) for key, _ in ops[name].named_parameters()] for name in self.mixing
        }

    @property
    def worthwhile(self) -> bool:
        """Whether at least two of the ops become one."""
        return len(self.mixing) + len(self.inside) + len(self.filters) > 1

    def kernels(
        self, edges: Sequence[Mapping[str, Op]], weight_EO: Tensor, channels: int, groups: Sequence[int]
    ) -> list[Kernels]:
        """The merged kernels of edges under the weights of their ops; differentiable in both.

        Args:
            edges: the ops of each edge, those that leave one node next to each other.
            groups: how many leave each node.
        """
        own, biases = [], []
        for name in self.mixing:
            stacked = {key: torch.stack([get(ops[name]) for ops in edges]) for key, get in self.parameters[name]}
            weight_ECIK, bias_EC = edges[0][name].as_kernel(stacked, channels)
            share_E = weight_EO[:, self.at[name]]
            own.append(weight_ECIK * share_E[:, None, None, None])
            if bias_EC is not None:
                biases.append(bias_EC * share_E[:, None])
        none: Sequence[None] = [None] * len(groups)
        kernels: Sequence[Tensor | None] = none
        bias: Sequence[Tensor | None] = none
        shares: Sequence[Tensor | None] = none
        if own:
            kernel_ECIL = torch.cat(own, -1) @ self.place_KL.to(weight_EO)
            if self.inside:
                taps_EL = weight_EO @ self.inside_OL.to(weight_EO)
                kernel_ECIL = torch.addcmul(
                    kernel_ECIL, torch.eye(channels).to(weight_EO)[:, :, None], taps_EL[:, None, None]
                )
            kernels = torch.split(kernel_ECIL.transpose(-1, -2).flatten(2), list(groups))
        if biases:
            bias = torch.split(torch.stack(biases).sum(0), list(groups))
        if self.filters or self.free:
            shares = torch.split(weight_EO @ self.once_OF.to(weight_EO), list(groups))
        rest = [
            [(weight_O[self.at[n]], ops[n]) for n in self.rest] for ops, weight_O in zip(edges, weight_EO, strict=True)
        ]
        ends = list(itertools.accumulate(groups))
        return [
            Kernels(k, b, s, [edges[0][name] for name in self.free], rest[end - size : end])
            for k, b, s, end, size in zip(kernels, bias, shares, ends, groups, strict=True)
        ]

    def run(self, x_BTC: Tensor, made: Kernels, width: Width, rows: int) -> list[Tensor]:
        """What the ops of each edge make of the same input, in its last rows."""
        edges: list[Tensor] = []
        channels = x_BTC.shape[-1]
        if made.kernel_ECX is not None:
            lagged = _Lags.apply(x_BTC, self.lags, rows)  # type: ignore[no-untyped-call]
            bias = None if made.bias_EC is None else made.bias_EC.flatten()
            y_BTX = F.linear(lagged, made.kernel_ECX.flatten(0, 1), bias)
            edges = list(y_BTX.unflatten(-1, (-1, channels)).unbind(-2))  # type: ignore[no-untyped-call]
        if made.share_EF is not None:
            once = [torch.stack([op(x_BTC, channels)[:, -rows:] for op in made.free])] if made.free else []
            if self.taps:
                taps = [taps.to(x_BTC.device) for taps in self.taps]
                once.append(_Filters.apply(x_BTC, rows, *taps))  # type: ignore[no-untyped-call]
            z_FBTC = torch.cat(once[::-1]) if len(once) > 1 else once[0]
            y_EBTC = (made.share_EF @ z_FBTC.flatten(1)).view(-1, *z_FBTC.shape[1:])
            edges = [a + b for a, b in zip(edges, y_EBTC.unbind(), strict=True)] if edges else list(y_EBTC.unbind())
        edges = [gate(y_BTC, width) for y_BTC in edges]
        for e, rest in enumerate(made.rest):
            for weight, op in rest:
                edges[e] = edges[e] + weight * op(x_BTC, width)[:, -rows:]
        return edges
