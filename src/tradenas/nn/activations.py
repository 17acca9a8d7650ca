"""What follows a linear op."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.nn.mode import Mode
from tradenas.registry import Registry

__all__ = ["ACTIVATIONS", "channel_draws", "channel_dropout"]

ACTIVATIONS: Registry[Callable[[Tensor], Tensor]] = Registry("activation")
ACTIVATIONS.register("relu")(F.relu)
ACTIVATIONS.register("gelu")(F.gelu)
ACTIVATIONS.register("tanh")(torch.tanh)
ACTIVATIONS.register("sigmoid")(torch.sigmoid)
ACTIVATIONS.register("leaky_relu")(F.leaky_relu)


def channel_dropout(x_BTC: Tensor, rate: float | Tensor, mode: Mode) -> Tensor:
    """Drop whole channels of a segment (Tompson et al. 2015, arXiv:1411.4280): one draw per channel, not per value.

    5x cheaper than a mask over every value (SPEED 2.1), and rows of a segment are nearly copies of each other anyway.
    """
    if not mode.draws or (isinstance(rate, float) and rate == 0.0):
        return x_BTC
    draw = channel_draws(x_BTC.shape[:-2], x_BTC.shape[-1], mode, x_BTC)
    return x_BTC * ((draw >= rate).to(x_BTC.dtype) / (1.0 - rate))


def channel_draws(lead: Sequence[int], channels: int, mode: Mode, like: Tensor) -> Tensor:
    """Numbers between 0 and 1, (B, 1, C) or (N, B, 1, C) of stacked networks: below the rate a channel is dropped.

    Args:
        lead: (B,) or (N, B).
        mode: one that draws.
        like: whose type and device they have.
    """

    def drawn(generator: torch.Generator | None, batch: int) -> Tensor:
        return torch.rand(batch, 1, channels, generator=generator, dtype=like.dtype, device=like.device)

    if len(lead) == 1:
        return drawn(mode.generator, lead[0])
    batch = lead[-1]  # stacked networks, each with its own stream, which padding must not use up
    present = mode.present or (batch,) * len(mode.generators)
    draws = [drawn(g, n) for g, n in zip(mode.generators, present, strict=True)]
    return torch.stack([F.pad(d, (0, 0, 0, 0, 0, batch - len(d))) for d in draws])
