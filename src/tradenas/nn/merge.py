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

Where there is a C compiler, `tradenas.nn.native` runs all cells of such a network in one call, from the same kernels.
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


class _Bank:
    """The taps of some filters, and the kernels made of them for so many channels."""

    def __init__(self, taps: Sequence[Tensor]) -> None:
        self.taps = taps
        self.made: dict[tuple[int, torch.dtype, torch.device], list[tuple[Tensor, Tensor]]] = {}

    def kernels(self, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each filter two: over the rows before, and over the rows after."""
        key = like.shape[-1], like.dtype, like.device
        if key not in self.made:
            wide = [taps_L.to(like).expand(like.shape[-1], 1, 1, -1) for taps_L in self.taps]
            form = torch.channels_last
            self.made[key] = [
                (k.flip(-1).contiguous(memory_format=form), k.contiguous(memory_format=form)) for k in wide
            ]
        return self.made[key]


def _depthwise(x_BTC: Tensor, kernel: Tensor) -> Tensor:
    """Every channel by itself, without padding."""
    y_BC1T = F.conv2d(x_BTC.transpose(1, 2).unsqueeze(2), kernel, groups=len(kernel))
    return y_BC1T.squeeze(2).transpose(1, 2)


class _Filters(torch.autograd.Function):
    """(B, T, S * C) to (F * S, B, R, C): of the last R rows one output for each row of taps and each source."""

    @staticmethod
    def forward(ctx: Any, x_BTX: Tensor, rows: int, sources: int, bank: _Bank) -> Tensor:
        ctx.bank, ctx.given, ctx.sources = bank, x_BTX.shape[1], sources
        first, found = x_BTX.shape[1] - rows, list[Tensor]()
        for behind, _ in bank.kernels(x_BTX):
            lead = first - behind.shape[-1] + 1
            part = x_BTX[:, lead:] if lead >= 0 else F.pad(x_BTX, (0, 0, -lead, 0))
            found += _depthwise(part, behind).chunk(sources, -1)
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        return _Unfilter.apply(g[0], ctx.given, ctx.sources, ctx.bank), None, None, None  # type: ignore[no-untyped-call]


class _Unfilter(torch.autograd.Function):
    """The transpose: the filters run backwards in time, and what comes out is added up."""

    @staticmethod
    def forward(ctx: Any, g_FBRC: Tensor, given: int, sources: int, bank: _Bank) -> Tensor:
        ctx.bank, ctx.rows, ctx.sources = bank, g_FBRC.shape[2], sources
        first = given - ctx.rows
        parts = g_FBRC.unbind()
        x_BTX = g_FBRC.new_zeros(g_FBRC.shape[1], given, sources * g_FBRC.shape[3])
        for f, (_, ahead) in enumerate(bank.kernels(x_BTX)):
            reach = ahead.shape[-1] - 1
            g_BRX = torch.cat(parts[f * sources : (f + 1) * sources], -1)
            y_BRX = _depthwise(F.pad(g_BRX, (0, 0, reach, reach)), ahead)
            late = max(0, reach - first)
            x_BTX[:, first + late - reach :] += y_BRX[:, late:]
        return x_BTX

    @staticmethod
    def backward(ctx: Any, *x: Tensor) -> tuple[Tensor | None, ...]:
        return _Filters.apply(x[0], ctx.rows, ctx.sources, ctx.bank), None, None, None  # type: ignore[no-untyped-call]


@dataclass(frozen=True, eq=False)
class Kernels:
    """Of edges that run together, source by source.

    Attributes:
        sources: nodes that the edges leave, each of them to the same nodes.
        kernel_YX: merged kernels, (nodes * C, lags * sources * C); none where no op mixes channels.
        bias_Y: merged biases.
        share_NF: what each node takes of the filters, and of the other ops without weights, of each source.
        free: those ops.
        rest: the ops of each edge that run by themselves, with their weights.
    """

    sources: int
    kernel_YX: Tensor | None
    bias_Y: Tensor | None
    share_NF: Tensor | None
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
        self.moved: dict[tuple[str, int, torch.dtype, torch.device], Tensor] = {}
        self.mixing = [name for name, op in ops.items() if op.lags]
        self.lags = tuple(sorted({lag for name in self.mixing for lag in ops[name].lags}))
        carrying = {name: taps for name, op in ops.items() if (taps := op.carrying_taps()) is not None}
        self.inside = [n for n, taps in carrying.items() if set(taps.nonzero().flatten().tolist()) <= set(self.lags)]
        self.filters = [name for name in carrying if name not in self.inside]
        self.bank = _Bank([carrying[name] for name in self.filters])
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

    def _beside(self, like: Tensor, name: str, channels: int = 0) -> Tensor:
        """A constant as `like` is: moved once, as a copy to a GPU holds it up."""
        key = name, channels, like.dtype, like.device
        if key not in self.moved:
            with torch.inference_mode(mode=False):  # a later pass may have gradients
                self.moved[key] = (torch.eye(channels) if channels else getattr(self, name)).to(like)
        return self.moved[key]

    @property
    def worthwhile(self) -> bool:
        """Whether at least two of the ops become one."""
        return len(self.mixing) + len(self.inside) + len(self.filters) > 1

    def kernels(
        self, edges: Sequence[Mapping[str, Op]], weight_EO: Tensor, channels: int, groups: Sequence[tuple[int, int]]
    ) -> list[Kernels]:
        """The merged kernels of edges under the weights of their ops; differentiable in both.

        Args:
            edges: the ops of each edge, those of a group next to each other, and in there source by source.
            groups: of those that run together, the number of nodes that they leave, and that they enter.
        """
        own, biases = [], []
        for name in self.mixing:
            stacked = {key: torch.stack([get(ops[name]) for ops in edges]) for key, get in self.parameters[name]}
            weight_ECIK, bias_EC = edges[0][name].as_kernel(stacked, channels)
            share_E = weight_EO[:, self.at[name]]
            own.append(weight_ECIK * share_E[:, None, None, None])
            if bias_EC is not None:
                biases.append(bias_EC * share_E[:, None])
        sizes = [sources * nodes for sources, nodes in groups]
        none: Sequence[None] = [None] * len(groups)
        kernels: Sequence[Tensor | None] = none
        bias: Sequence[Tensor | None] = none
        shares: Sequence[Tensor | None] = none
        if own:
            kernel_ECIL = torch.cat(own, -1) @ self._beside(weight_EO, "place_KL")
            if self.inside:
                taps_EL = weight_EO @ self._beside(weight_EO, "inside_OL")
                eye_CI1 = self._beside(weight_EO, "eye", channels)[:, :, None]
                kernel_ECIL = torch.addcmul(kernel_ECIL, eye_CI1, taps_EL[:, None, None])
            kernels = [
                part_ECIL.unflatten(0, group).permute(1, 2, 4, 0, 3).flatten(2).flatten(0, 1)  # type: ignore[no-untyped-call]
                for part_ECIL, group in zip(torch.split(kernel_ECIL, sizes), groups, strict=True)
            ]
        if biases:
            bias = [
                part_EC.unflatten(0, group).sum(0).flatten()  # type: ignore[no-untyped-call]
                for part_EC, group in zip(torch.split(torch.stack(biases).sum(0), sizes), groups, strict=True)
            ]
        if self.filters or self.free:
            shares = [
                part_EF.unflatten(0, group).permute(1, 2, 0).flatten(1)  # type: ignore[no-untyped-call]
                for part_EF, group in zip(
                    torch.split(weight_EO @ self._beside(weight_EO, "once_OF"), sizes), groups, strict=True
                )
            ]
        rest = [
            [(weight_O[self.at[n]], ops[n]) for n in self.rest] for ops, weight_O in zip(edges, weight_EO, strict=True)
        ]
        free, ends = [edges[0][name] for name in self.free], list(itertools.accumulate(sizes))
        return [
            Kernels(group[0], k, b, s, free, rest[end - size : end])
            for group, k, b, s, end, size in zip(groups, kernels, bias, shares, ends, sizes, strict=True)
        ]

    def run(self, x_BTX: Tensor, made: Kernels, width: Width, rows: int) -> list[Tensor]:
        """What reaches each node, in its last rows, of sources whose channels stand side by side."""
        nodes: list[Tensor] = []
        channels = x_BTX.shape[-1] // made.sources
        if made.kernel_YX is not None:
            lagged = _Lags.apply(x_BTX, self.lags, rows)  # type: ignore[no-untyped-call]
            y_BTX = F.linear(lagged, made.kernel_YX, made.bias_Y)
            nodes = list(y_BTX.unflatten(-1, (-1, channels)).unbind(-2))  # type: ignore[no-untyped-call]
        each = x_BTX.chunk(made.sources, -1) if made.free or self.rest else ()
        if made.share_NF is not None:
            once = [_Filters.apply(x_BTX, rows, made.sources, self.bank)] if self.filters else []  # type: ignore[no-untyped-call]
            if made.free:
                once.append(torch.stack([op(x_BTC, channels)[:, -rows:] for op in made.free for x_BTC in each]))
            z_FBTC = torch.cat(once) if len(once) > 1 else once[0]
            y_NBTC = (made.share_NF @ z_FBTC.flatten(1)).view(-1, *z_FBTC.shape[1:])
            nodes = [a + b for a, b in zip(nodes, y_NBTC.unbind(), strict=True)] if nodes else list(y_NBTC.unbind())
        nodes = [gate(y_BTC, width) for y_BTC in nodes]
        for e, rest in enumerate(made.rest):
            source, node = divmod(e, len(nodes))
            for weight, op in rest:
                nodes[node] = nodes[node] + weight * op(each[source], width)[:, -rows:]
        return nodes
