"""Causal convolutions over time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tradenas.nn.elastic import Count, ElasticConv, ElasticLinear, Width
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.precision import Precision

__all__ = ["Conv3", "Conv5", "Dilated3", "Separable3", "Separable5"]


class _Conv(Op):
    kernel: int
    dilation: int = 1
    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.conv = ElasticConv(c_in, c_out, self.kernel, dilation=self.dilation)
        self.reach = self.conv.reach
        self.lags = tuple(range(self.reach, -1, -self.dilation))

    def as_kernel(self, weights: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor | None]:
        kernel_OIL = weights["conv.weight"][..., :channels, :channels, 0, :]
        return kernel_OIL, weights["conv.bias"][..., :channels]

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        return self.conv(x_BTC, width, precision)

    def count(self, c_in: int, width: int) -> Count:
        return self.conv.count(c_in, width)


@OPS.register("conv3")
class Conv3(_Conv):
    """A convolution over 3 candles."""

    kernel = 3


@OPS.register("conv5")
class Conv5(_Conv):
    """A convolution over 5 candles."""

    kernel = 5


@OPS.register("dilated3")
class Dilated3(_Conv):
    """A convolution over 3 candles, 4 apart: 9 candles back for the price of 3 (WaveNet, arXiv:1609.03499)."""

    kernel = 3
    dilation = 4


class _Separable(Op):
    kernel: int
    rounds = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.depthwise = ElasticConv(c_in, c_in, self.kernel, depthwise=True, gain=1.0)
        self.pointwise = ElasticLinear(c_in, c_out)
        self.reach = self.depthwise.reach
        self.lags = tuple(range(self.reach, -1, -1))

    def as_kernel(self, weights: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor | None]:
        taps_IL = weights["depthwise.weight"][..., :channels, 0, 0, :]
        mix_OI = weights["pointwise.weight"][..., :channels, :channels]
        return mix_OI.unsqueeze(-1) * taps_IL.unsqueeze(-3), weights["pointwise.bias"][..., :channels]

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:
        y_BTC = self.depthwise(x_BTC, x_BTC.shape[-1], precision)
        return self.pointwise(y_BTC if precision is None else precision.activation(y_BTC), width, precision)

    def count(self, c_in: int, width: int) -> Count:
        return self.depthwise.count(c_in, c_in) + self.pointwise.count(c_in, width)


@OPS.register("separable3")
class Separable3(_Separable):
    """A depthwise convolution over 3 candles, then a dense mix of the channels (MobileNet, arXiv:1704.04861)."""

    kernel = 3


@OPS.register("separable5")
class Separable5(_Separable):
    """A depthwise convolution over 5 candles, then a dense mix of the channels."""

    kernel = 5
