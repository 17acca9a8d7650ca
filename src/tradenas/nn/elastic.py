"""Layers whose width is given at call time: an int slices the weights, a mask gates the outputs.

Shapes: B batch, T time, C channels.  A mask has one weight for each of the largest width's channels; under masks the
input carries its full channels with the inactive ones at zero, so both ways see the same weights (w_a = M_a * W).

Weights with one more axis in front are those of N stacked networks, input and output then being (N, B, T, C): every
network has its own rows and its own weights, and one batched product runs them all (`tradenas.train.stacked`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn import half
from tradenas.nn.half import Product
from tradenas.nn.precision import Precision
from tradenas.nn.shifted import MANY, shifted_products
from tradenas.space import Choice

__all__ = ["Count", "ElasticConv", "ElasticLinear", "Width", "fit", "gate", "opened", "width_of"]

Width = int | Tensor


@dataclass(frozen=True)
class Count:
    """Parameters, and multiply-accumulates for one more candle.

    Attributes:
        parameters: all numbers that are learnt.
        macs: products.
        biases: of the parameters, those in the format of biases where a network rounds.
        fine: of the parameters, weights that keep more bits there (`tradenas.nn.precision.EDGE_BITS`) and are not
            pruned: taps, heads, depthwise weights.  Each is one product.
    """

    parameters: int = 0
    macs: int = 0
    biases: int = 0
    fine: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.biases + other.biases,
            self.fine + other.fine,
        )

    def at_edge(self) -> Count:
        """The same of taps or a head, all of whose weights are fine."""
        return replace(self, fine=self.parameters - self.biases)


def width_of(choice: Choice, weights: int | tuple[int, ...] | Tensor) -> Width:
    """The width that a weighting asks for: an int, or a mask in which each option opens its prefix of channels."""
    sizes = [int(option) for option in choice.options]
    if isinstance(weights, Tensor):
        channels = torch.arange(max(sizes), device=weights.device)
        prefixes_OC = torch.stack([channels < size for size in sizes]).to(weights.dtype)
        return weights @ prefixes_OC
    return sizes[weights if isinstance(weights, int) else weights[0]]


def gate(y_BTC: Tensor, width: Width) -> Tensor:
    """The output under its mask; an int width is already a slice."""
    return y_BTC if isinstance(width, int) else y_BTC * width


def opened(width: Width) -> Tensor | None:
    """The channels that a width opens; None for all of a slice."""
    return None if isinstance(width, int) else width.detach() > 0


def fit(x_BTC: Tensor, width: Width) -> Tensor:
    """Crop or zero-pad the channels of something without weights to the asked width."""
    want = width if isinstance(width, int) else len(width)
    have = x_BTC.shape[-1]
    if have > want:
        x_BTC = x_BTC[..., :want]
    elif have < want:
        x_BTC = F.pad(x_BTC, (0, want - have))
    return gate(x_BTC, width)


def uniform(tensor: Tensor, fan_in: int, generator: torch.Generator, gain: float = 1.0) -> None:
    """He et al. (2015), uniform form: bound = gain * sqrt(3 / fan_in)."""
    bound = gain * math.sqrt(3.0 / fan_in)
    with torch.no_grad():
        tensor.uniform_(-bound, bound, generator=generator)


def batched(x_NBTC: Tensor, weight_NCO: Tensor, bias_NO: Tensor | None) -> Tensor:
    """The dense layers of N stacked networks, each on its own rows."""
    x_NRC = x_NBTC.flatten(1, 2)
    y_NRO = x_NRC @ weight_NCO if bias_NO is None else torch.baddbmm(bias_NO[:, None], x_NRC, weight_NCO)
    return y_NRO.view(*x_NBTC.shape[:3], weight_NCO.shape[-1])


class ElasticLinear(nn.Module):
    """A dense layer on each row."""

    def __init__(self, c_in: int, c_out: int, *, gain: float = math.sqrt(2.0), bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in))
        self.bias = nn.Parameter(torch.empty(c_out)) if bias else None
        self.gain = gain
        self.bf16 = False

    @property
    def product(self) -> Product:
        """Its shape."""
        return Product(self.weight.shape[-1], self.weight.shape[-2], 1)

    def reset(self, generator: torch.Generator) -> None:
        uniform(self.weight, self.weight.shape[1], generator, self.gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        c_in, stacked = x_BTC.shape[-1], self.weight.ndim == 3
        out = width if isinstance(width, int) else self.weight.shape[-2]
        weight = self.weight[..., :out, :c_in]
        bias = None if self.bias is None else self.bias[..., :out]
        if precision is not None:
            weight = precision.weight(weight, rows=opened(width), stacked=stacked)
            bias = None if bias is None else precision.bias(bias)
        if stacked:
            return gate(batched(x_BTC, weight.transpose(1, 2), bias), width)
        if self.bf16:
            return gate(half.linear(x_BTC, weight, bias), width)
        return gate(F.linear(x_BTC, weight, bias), width)

    def count(self, c_in: int, width: int) -> Count:
        biases = 0 if self.bias is None else width
        return Count(parameters=c_in * width + biases, macs=c_in * width, biases=biases)


class ElasticConv(nn.Module):
    """A causal convolution over time on (B, T, C): row t reads rows t - (k - 1) * dilation .. t.

    Rows before the first are zeros, so that the output is as long as the input; callers give real history in front
    and leave the first `reach` rows out.  Run as a channels-last conv2d, which is 1.5x conv1d on CPUs (SPEED 2.1).
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        *,
        dilation: int = 1,
        depthwise: bool = False,
        gain: float = math.sqrt(2.0),
    ) -> None:
        super().__init__()
        self.kernel, self.dilation, self.depthwise, self.gain = kernel, dilation, depthwise, gain
        self.weight = nn.Parameter(torch.empty(c_out, 1 if depthwise else c_in, 1, kernel))
        self.bias = None if depthwise else nn.Parameter(torch.empty(c_out))
        self.bf16 = False

    @property
    def product(self) -> Product | None:
        """Its shape; None for one that only scales."""
        return None if self.depthwise else Product(self.weight.shape[-3], self.weight.shape[-4], self.kernel)

    @property
    def reach(self) -> int:
        """Rows read before the current one."""
        return (self.kernel - 1) * self.dilation

    def reset(self, generator: torch.Generator) -> None:
        uniform(self.weight, self.weight.shape[1] * self.kernel, generator, self.gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        c_in, stacked = x_BTC.shape[-1], self.weight.ndim == 5
        out = width if isinstance(width, int) else self.weight.shape[-4]
        weight = self.weight[..., :c_in, :, :, :] if self.depthwise else self.weight[..., :out, :c_in, :, :]
        bias = None if self.bias is None else self.bias[..., :out]
        if precision is not None:
            rows = None if self.depthwise else opened(width)
            weight = precision.weight(weight, rows=rows, depthwise=self.depthwise, stacked=stacked)
            bias = None if bias is None else precision.bias(bias)
        if stacked:
            return self._stacked(x_BTC, width, weight, bias)
        if self.bf16:
            return gate(half.conv(x_BTC, weight, bias, dilation=self.dilation), width)
        x_BC1T = F.pad(x_BTC, (0, 0, self.reach, 0)).transpose(1, 2).unsqueeze(2)
        y_BC1T = F.conv2d(
            x_BC1T,
            weight.contiguous(memory_format=torch.channels_last),
            bias,
            dilation=(1, self.dilation),
            groups=c_in if self.depthwise else 1,
        )
        y_BTC = y_BC1T.squeeze(2).transpose(1, 2)
        return y_BTC if self.depthwise else gate(y_BTC, width)

    def _stacked(self, x_NBTC: Tensor, width: Width, weight: Tensor, bias_NO: Tensor | None) -> Tensor:
        """The convolutions of N networks: grouped convolutions are slow on CPUs, products of shifted rows are not."""
        rows = x_NBTC.shape[2]
        padded = F.pad(x_NBTC, (0, 0, self.reach, 0))
        shifted = [padded[:, :, at : at + rows] for at in range(0, self.reach + 1, self.dilation)]
        if self.depthwise:
            taps_NCK = weight[:, :, 0, 0]
            y_NBTC = shifted[0] * taps_NCK[:, None, None, :, 0]
            for k, part in enumerate(shifted[1:], start=1):
                y_NBTC = torch.addcmul(y_NBTC, part, taps_NCK[:, None, None, :, k])
            return y_NBTC
        assert bias_NO is not None
        weight_NKCO = weight[:, :, :, 0].permute(0, 3, 2, 1)
        if len(weight) >= MANY:
            return gate(shifted_products(x_NBTC, weight_NKCO, bias_NO, dilation=self.dilation), width)
        return gate(batched(torch.cat(shifted, -1), weight_NKCO.flatten(1, 2), bias_NO), width)

    def count(self, c_in: int, width: int) -> Count:
        if self.depthwise:
            return Count(parameters=c_in * self.kernel, macs=c_in * self.kernel).at_edge()
        products = c_in * width * self.kernel
        return Count(parameters=products + width, macs=products, biases=width)
