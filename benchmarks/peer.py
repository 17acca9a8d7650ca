"""The authors' formulation of a DARTS search step (quark0/darts, arXiv:1806.09055), in plain PyTorch.

(B, C, T) layout with `conv1d`, every op of a mixture by itself in the order ReLU, convolution, batch norm without gain,
pooling and averages followed by a batch norm, a batch norm after the stem and after what a cell reads; alphas learn by
the authors' unrolled step with finite differences, in which the weights are copied, moved, and put back.  The ops are
those of a tradenas cell, causal and of constant length; everything else is left out that would cost time here
(dropout, filters over the lookback, bookkeeping).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn.ops.filters import ema_taps

KERNELS = {"dense": (1, 1), "conv3": (3, 1), "conv5": (5, 1), "dilated3": (3, 4)}
AVERAGES = {"mean5": 5, "ema4": 4, "ema12": 12, "ema26": 26}


class Conv(nn.Module):
    """ReLU, a causal convolution (or a depthwise and a pointwise one), batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, dilation: int = 1, *, separable: bool = False) -> None:
        super().__init__()
        self.pad = (kernel - 1) * dilation
        layers: list[nn.Module] = [nn.Conv1d(c_in, c_out, kernel, dilation=dilation, bias=False)]
        if separable:
            layers = [nn.Conv1d(c_in, c_in, kernel, groups=c_in, bias=False), nn.Conv1d(c_in, c_out, 1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.BatchNorm1d(c_out, affine=False))

    def forward(self, x_BCT: Tensor) -> Tensor:
        return self.layers(F.pad(F.relu(x_BCT), (self.pad, 0)))


class Filter(nn.Module):
    """Zero, skip, differences, averages and maxima."""

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.kind, self.channels = kind, channels
        if kind.startswith("ema"):
            self.register_buffer("taps", ema_taps(AVERAGES[kind]).float().flip(0).repeat(channels, 1, 1))
        if kind in AVERAGES or kind == "max5":
            self.norm = nn.BatchNorm1d(channels, affine=False)

    def forward(self, x_BCT: Tensor) -> Tensor:
        if self.kind == "zero":
            return x_BCT.mul(0.0)
        if self.kind == "skip":
            return x_BCT
        if self.kind == "difference":
            return x_BCT - F.pad(x_BCT, (1, 0))[..., :-1]
        if self.kind == "mean5":
            return self.norm(F.avg_pool1d(F.pad(x_BCT, (4, 0)), 5, 1))
        if self.kind == "max5":
            return self.norm(F.max_pool1d(F.pad(x_BCT, (4, 0)), 5, 1))
        padded = F.pad(x_BCT, (self.taps.shape[-1] - 1, 0))
        return self.norm(F.conv1d(padded, self.taps, groups=self.channels))


def op(kind: str, channels: int) -> nn.Module:
    if kind.startswith("separable"):
        return Conv(channels, channels, int(kind[-1]), separable=True)
    return Conv(channels, channels, *KERNELS[kind]) if kind in KERNELS else Filter(kind, channels)


class Peer(nn.Module):
    """Stem, cells with two inputs, a head on every row."""

    def __init__(self, ops: tuple[str, ...], *, features: int, width: int, nodes: int, cells: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(features, width, 1, bias=False), nn.BatchNorm1d(width))
        before, last, self.nodes = width, width, nodes
        self.reads, self.edges = nn.ModuleList(), nn.ModuleList()
        for _ in range(cells):
            self.reads.append(nn.ModuleList([Conv(before, width, 1), Conv(last, width, 1)]))
            edges = sum(2 + j for j in range(nodes))
            self.edges.append(nn.ModuleList([nn.ModuleList([op(o, width) for o in ops]) for _ in range(edges)]))
            before, last = last, nodes * width
        self.head = nn.Conv1d(nodes * width, 1, 1)
        edges = sum(2 + j for j in range(nodes))
        self.alphas = (1e-3 * torch.randn(edges, len(ops))).requires_grad_()

    def forward(self, x_BCT: Tensor) -> Tensor:
        weights = torch.softmax(self.alphas, -1)
        first = second = self.stem(x_BCT)
        for reads, edges in zip(self.reads, self.edges, strict=True):
            states, at = [reads[0](first), reads[1](second)], 0
            for _ in range(self.nodes):
                total = 0
                for state in states:
                    total = total + sum(w * o(state) for w, o in zip(weights[at], edges[at], strict=True))
                    at += 1
                states.append(total)
            first, second = second, torch.cat(states[2:], 1)
        return self.head(second).squeeze(1)


class Search:
    """One search step at a time, on given batches (x_BCT, y_BS)."""

    def __init__(self, network: Peer, *, lr: float = 0.025, momentum: float = 0.9, decay: float = 3e-4) -> None:
        self.network, self.lr, self.momentum, self.decay = network, lr, momentum, decay
        self.optimizer = torch.optim.SGD(network.parameters(), lr, momentum=momentum, weight_decay=decay)
        self.alpha_optimizer = torch.optim.Adam([network.alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    @staticmethod
    def loss(network: Peer, batch: tuple[Tensor, Tensor]) -> Tensor:
        x_BCT, y_BS = batch
        return F.mse_loss(network(x_BCT)[:, -y_BS.shape[1] :], y_BS)

    def weight_step(self, train: tuple[Tensor, Tensor]) -> None:
        self.optimizer.zero_grad()
        self.loss(self.network, train).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()

    def alpha_step(self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], *, order: int) -> None:
        self.alpha_optimizer.zero_grad()
        if order == 1:
            self.loss(self.network, valid).backward()
        else:
            self.network.alphas.grad = self.unrolled(train, valid)
        self.alpha_optimizer.step()

    def unrolled(self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor]) -> Tensor:
        """architect.py: a moved copy, the gradient there, and finite differences around the weights."""
        weights = list(self.network.parameters())
        found = torch.autograd.grad(self.loss(self.network, train), weights)
        moved = copy.deepcopy(self.network)
        with torch.no_grad():
            for new, weight, gradient in zip(moved.parameters(), weights, found, strict=True):
                buffer = self.optimizer.state[weight].get("momentum_buffer")
                past = 0.0 if buffer is None else self.momentum * buffer
                new.copy_(weight - self.lr * (past + gradient + self.decay * weight))
        moved.alphas = self.network.alphas.detach().requires_grad_()
        direct, *v = torch.autograd.grad(self.loss(moved, valid), [moved.alphas, *moved.parameters()])
        radius = 0.01 / torch.cat([x.flatten() for x in v]).norm()
        sides = []
        for move in (radius, -2.0 * radius):
            with torch.no_grad():
                for weight, x in zip(weights, v, strict=True):
                    weight.add_(move * x)
            sides.append(torch.autograd.grad(self.loss(self.network, train), self.network.alphas)[0])
        with torch.no_grad():
            for weight, x in zip(weights, v, strict=True):
                weight.add_(radius * x)
        return direct - self.lr * (sides[0] - sides[1]) / (2.0 * radius)
