"""Normalisation that honours a width, and batch norm without hidden state."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.errors import MixtureError
from tradenas.nn.elastic import Count, Width
from tradenas.nn.mode import Mode
from tradenas.registry import Registry

__all__ = ["NORMS", "BatchNorm", "LayerNorm", "NoNorm", "Norm"]

EPSILON = 1e-5


class Norm(nn.Module, abc.ABC):
    """(B, T, C) to (B, T, C), with a gain and a shift per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        nn.init.ones_(self.gain)
        nn.init.zeros_(self.shift)

    @abc.abstractmethod
    def forward(self, x_BTC: Tensor, width: Width, mode: Mode, name: str) -> Tensor:
        """The normalised input; `name` is the norm's own in `Moments`."""

    def count(self, width: int) -> Count:
        return Count(parameters=2 * width)


def per_row(values_C: Tensor) -> Tensor:
    """One value a channel, or (N, C) of stacked networks, so that it meets (B, T, C) or (N, B, T, C)."""
    return values_C if values_C.ndim == 1 else values_C[:, None, None, :]


class NoNorm(Norm):
    """The input as it is."""

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        nn.Module.__init__(self)

    def reset(self, generator: torch.Generator) -> None:
        """Nothing to draw."""

    def forward(self, x_BTC: Tensor, width: Width, mode: Mode, name: str) -> Tensor:  # noqa: ARG002
        return x_BTC

    def count(self, width: int) -> Count:  # noqa: ARG002
        return Count()


class LayerNorm(Norm):
    """Over the channels of one row (Ba et al. 2016, arXiv:1607.06450): no row sees another, so it streams as it is.

    Under a mask, mean and variance are weighted by it, so that closed channels do not dilute them.
    """

    def forward(self, x_BTC: Tensor, width: Width, mode: Mode, name: str) -> Tensor:  # noqa: ARG002
        if isinstance(width, int) and self.gain.ndim == 1:
            return F.layer_norm(x_BTC, (width,), self.gain[:width], self.shift[:width], EPSILON)
        if isinstance(width, int):
            y_NBTC = F.layer_norm(x_BTC, (width,), None, None, EPSILON)
            return torch.addcmul(self.shift[:, None, None, :width], y_NBTC, self.gain[:, None, None, :width])
        share = width / width.sum()
        mean = (x_BTC * share).sum(-1, keepdim=True)
        variance = ((x_BTC - mean).square() * share).sum(-1, keepdim=True)
        return ((x_BTC - mean) * torch.rsqrt(variance + EPSILON) * per_row(self.gain) + per_row(self.shift)) * width


class BatchNorm(Norm):
    """Over rows (Ioffe & Szegedy 2015, arXiv:1502.03167), with no running averages inside.

    Training uses the moments of the batch's scored rows.  Otherwise the moments come from `mode.moments`, which the
    caller measured on training rows for exactly this subnet: pooled over one long pass, hence exact, where the usual
    running averages keep a quarter of the variance of a drifting series (METHODS, finding 3).
    """

    def forward(self, x_BTC: Tensor, width: Width, mode: Mode, name: str) -> Tensor:
        channels = x_BTC.shape[-1]
        if mode.training or mode.measured is not None:
            rows = x_BTC[..., -mode.scored :, :] if mode.scored else x_BTC
            mean, variance = self.moments(rows, mode)
            if mode.measured is not None:
                mode.measured[name] = (mean.detach(), variance.detach())
        elif mode.moments is not None and name in mode.moments:
            mean, variance = mode.moments[name]
        else:
            raise MixtureError(
                f"batch norm {name}",
                got="no moments",
                expected="moments measured on training rows",
                fix="call network.measure(x, mixture) first and pass Mode(moments=...)",
            )
        scale = per_row(torch.rsqrt(variance + EPSILON)) * per_row(self.gain[..., :channels])
        y = (x_BTC - per_row(mean)) * scale + per_row(self.shift[..., :channels])
        return y if isinstance(width, int) else y * width

    def moments(self, rows_BTC: Tensor, mode: Mode) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel; of stacked networks, over the segments that are real."""
        if not mode.present:
            return rows_BTC.mean((-3, -2)), rows_BTC.var((-3, -2), unbiased=False)
        each = [rows_BTC[n, : max(1, segments)] for n, segments in enumerate(mode.present)]
        mean = torch.stack([rows.mean((0, 1)) for rows in each])
        return mean, torch.stack([rows.var((0, 1), unbiased=False) for rows in each])


NORMS: Registry[type[Norm]] = Registry("norm")
NORMS.register("none")(NoNorm)
NORMS.register("layer")(LayerNorm)
NORMS.register("batch")(BatchNorm)
