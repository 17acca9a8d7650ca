"""Operations with nothing to learn, channel by channel: averages, differences, extremes."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.elastic import Count, Width, gate
from tradenas.nn.ops.base import OPS, Op
from tradenas.nn.precision import Precision

__all__ = ["EMA4", "EMA12", "EMA26", "Difference", "Difference5", "Max5", "Mean5", "ema_taps"]


def ema_taps(span: int) -> Tensor:
    """The latest 2 * span weights of an exponential average, alpha = 2 / (span + 1), scaled to sum to 1.

    They hold 98 % of the whole average's mass, and leave it with a finite reach: row t means the same in a window, in a
    segment and in a stream, wherever the series began.

    >>> taps = ema_taps(4)
    >>> len(taps), round(float(taps.sum()), 6), round(float(taps[1] / taps[0]), 6)
    (8, 1.0, 0.6)
    """
    taps_L = (1.0 - 2.0 / (span + 1)) ** torch.arange(2 * span, dtype=torch.float64)
    return taps_L / taps_L.sum()


class _Filter(Op):
    """Each channel by itself; output channel c is made of input channel c."""

    carries = True

    def forward(self, x_BTC: Tensor, width: Width, precision: Precision | None = None) -> Tensor:  # noqa: ARG002
        channels = width if isinstance(width, int) else len(width)
        return gate(self.filtered(self.carried(x_BTC, channels)), width)

    @abc.abstractmethod
    def filtered(self, x_BTC: Tensor) -> Tensor:
        """The channels after the filter; rows before the first are zeros."""

    def count(self, c_in: int, width: int) -> Count:  # noqa: ARG002
        return Count()


class _Taps(_Filter):
    """One fixed kernel for all channels."""

    taps_L: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("taps_L", self.taps().float(), persistent=False)
        self.reach = len(self.taps_L) - 1

    @abc.abstractmethod
    def taps(self) -> Tensor:
        """Weight of the row `lag` rows before."""

    def carrying_taps(self) -> Tensor | None:
        return self.taps_L if self.places is None else None

    def filtered(self, x_BTC: Tensor) -> Tensor:
        channels, lead = x_BTC.shape[-1], x_BTC.shape[:-2]
        kernel = self.taps_L.to(x_BTC.dtype).flip(0).expand(channels, 1, 1, -1)
        x_RC1T = F.pad(x_BTC.flatten(0, -3), (0, 0, self.reach, 0)).transpose(1, 2).unsqueeze(2)
        y_RC1T = F.conv2d(x_RC1T, kernel.contiguous(memory_format=torch.channels_last), groups=channels)
        return y_RC1T.squeeze(2).transpose(1, 2).reshape(*lead, *x_BTC.shape[-2:])

    def count(self, c_in: int, width: int) -> Count:  # noqa: ARG002
        return Count(macs=(self.reach + 1) * width)


class _EMA(_Taps):
    span: int

    def taps(self) -> Tensor:
        return ema_taps(self.span)


@OPS.register("ema4")
class EMA4(_EMA):
    """An exponential average with a span of 4 rows, cut after 8."""

    span = 4


@OPS.register("ema12")
class EMA12(_EMA):
    """An exponential average with a span of 12 rows, cut after 24."""

    span = 12


@OPS.register("ema26")
class EMA26(_EMA):
    """An exponential average with a span of 26 rows, cut after 52."""

    span = 26


@OPS.register("mean5")
class Mean5(_Taps):
    """The mean of 5 rows: average pooling that looks back only."""

    def taps(self) -> Tensor:
        return torch.full((5,), 0.2)


@OPS.register("max5")
class Max5(_Filter):
    """The largest of 5 rows: max pooling that looks back only."""

    reach = 4
    rounds = True
    sums = False

    def filtered(self, x_BTC: Tensor) -> Tensor:
        return F.pad(x_BTC, (0, 0, self.reach, 0)).unfold(-2, self.reach + 1, 1).amax(-1)


class _Difference(_Filter):
    rounds = True
    sums = False

    def carrying_taps(self) -> Tensor | None:
        if self.places is not None:
            return None
        return torch.cat([torch.ones(1), torch.zeros(self.reach - 1), -torch.ones(1)])

    def filtered(self, x_BTC: Tensor) -> Tensor:
        return x_BTC - F.pad(x_BTC, (0, 0, self.reach, 0))[..., : x_BTC.shape[-2], :]


@OPS.register("difference")
class Difference(_Difference):
    """x[t] - x[t - 1]."""

    reach = 1


@OPS.register("difference5")
class Difference5(_Difference):
    """x[t] - x[t - 5]."""

    reach = 5
