"""A network of a chain as everyone writes it in PyTorch: `nn.Module`, (B, C, T), `nn.Conv1d`, one window a target.

The same function as our own standalone network, with its weights, so that both must say the same; only the layout,
the layers and the way of evaluating are the textbook's.  This is the slow way that ratios are taken against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn import Network
from tradenas.space import Architecture

__all__ = ["Plain", "on_windows", "windows_of"]

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid}


class Causal(nn.Module):
    """A convolution that is padded in front."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        out, c_in, kernel = weight.shape
        self.pad = (kernel - 1) * dilation
        self.conv = nn.Conv1d(c_in * groups, out, kernel, dilation=dilation, groups=groups, bias=bias is not None)
        with torch.no_grad():
            self.conv.weight.copy_(weight)
            if bias is not None:
                self.conv.bias.copy_(bias)

    def forward(self, x_BCT: Tensor) -> Tensor:
        return self.conv(F.pad(x_BCT, (self.pad, 0)) if self.pad else x_BCT)


class Gated(nn.Module):
    def __init__(self, value: Causal, gate: Causal) -> None:
        super().__init__()
        self.value, self.gate = value, gate

    def forward(self, x_BCT: Tensor) -> Tensor:
        return self.value(x_BCT) * torch.sigmoid(self.gate(x_BCT))


class Residual(nn.Module):
    def __init__(self, inner: Causal, outer: Causal, width: int) -> None:
        super().__init__()
        self.inner, self.outer, self.width = inner, outer, width

    def forward(self, x_BCT: Tensor) -> Tensor:
        short = x_BCT[:, : self.width]
        short = F.pad(short, (0, 0, 0, self.width - short.shape[1]))
        return short + self.outer(F.relu(self.inner(x_BCT)))


class Skip(nn.Module):
    """The input, cropped or padded to so many channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x_BCT: Tensor) -> Tensor:
        return F.pad(x_BCT[:, : self.width], (0, 0, 0, max(0, self.width - x_BCT.shape[1])))


class Norm(nn.LayerNorm):
    """Over the channels of (B, C, T)."""

    def forward(self, x_BCT: Tensor) -> Tensor:
        return super().forward(x_BCT.transpose(1, 2)).transpose(1, 2)


class Plain(nn.Module):
    """A standalone network's function and weights.

    Args:
        alone: of a chain over `skip`, `dense`, `conv3`, `conv5`, `dilated3`, `separable3`, `residual`, `gated`, without
            norms or with layer norms.
        architecture: which one it is.  Its dropout is drawn for every value, as `nn.Dropout` does; the columns that it
            closes are for the caller to set to 0.
    """

    def __init__(self, alone: Network, architecture: Architecture) -> None:
        super().__init__()
        taps_FL = alone.inputs.taps.detach()
        self.bank = Causal(taps_FL.flip(1)[:, None], None, groups=len(taps_FL))
        layers: list[nn.Module] = []
        for i in range(int(architecture["depth"])):
            op, width = architecture[f"layer{i}/op"], int(architecture[f"layer{i}/width"])
            one = alone.layers[i]
            layers.append(self._op(op, one.ops[op], width))
            if architecture.get(f"layer{i}/norm") == "layer":
                norm = Norm(width)
                norm.load_state_dict({"weight": one.norms["layer"].gain, "bias": one.norms["layer"].shift})
                layers.append(norm)
            if (kind := architecture.get(f"layer{i}/activation")) is not None:
                layers.append(ACTIVATIONS[kind]())
            if rate := float(architecture.get(f"layer{i}/dropout", 0.0)):
                layers.append(nn.Dropout(rate))
        self.layers = nn.Sequential(*layers)
        head = alone.heads[str(architecture["depth"])]
        self.head = Causal(head.weight.detach()[:, :, None], head.bias.detach())

    @staticmethod
    def _op(op: str, ours: nn.Module, width: int) -> nn.Module:
        def linear(layer: nn.Module) -> Causal:
            return Causal(layer.weight.detach()[:, :, None], layer.bias.detach())

        if op == "skip":
            return Skip(width)
        if op == "dense":
            return linear(ours.linear)
        if op == "gated":
            return Gated(linear(ours.value), linear(ours.gate))
        if op == "residual":
            return Residual(linear(ours.inner), linear(ours.outer), width)
        if op.startswith("separable"):
            deep = ours.depthwise.weight.detach().squeeze(2)
            return nn.Sequential(Causal(deep, None, groups=len(deep)), linear(ours.pointwise))
        weight = ours.conv.weight.detach().squeeze(2)
        return Causal(weight, ours.conv.bias.detach(), dilation=ours.conv.dilation)

    def rows(self, x_BCT: Tensor) -> Tensor:
        """The signal of every row, (B, T)."""
        bank_BCT = self.bank(x_BCT)
        return self.head(self.layers(torch.cat([x_BCT, bank_BCT], 1)))[:, 0] + bank_BCT.sum(1)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """The signal of the last row of each window."""
        return self.rows(x_BCT)[:, -1]


def windows_of(x_TF: Tensor, length: int) -> Tensor:
    """(windows, F, length): a view, one window ending at each row from the first that has so many before it."""
    return x_TF.unfold(0, length, 1)


def on_windows(network: nn.Module, windows_WFL: Tensor, *, batch: int = 256) -> Tensor:
    """What a network says of every window, a batch at a time, as a `DataLoader` would hand them over."""
    with torch.no_grad():
        return torch.cat([network(part.contiguous()) for part in windows_WFL.split(batch)])
