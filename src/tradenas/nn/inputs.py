"""From a feature table to channels: which transform, which feature groups, how far back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.errors import SpaceError
from tradenas.nn.elastic import Count
from tradenas.nn.mixture import Mixture, weighting
from tradenas.space import Picked, SearchSpace

__all__ = ["Inputs", "Layout"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the columns of a feature table stand: one block of the same indicators per transform.

    Attributes:
        groups: group of each indicator; their number is the number of features F.
        transforms: the blocks, in order.
    """

    groups: tuple[str, ...]
    transforms: tuple[str, ...]


class Inputs(nn.Module):
    """(B, T, blocks * F) to (B, T, 2 * F): the chosen block, and the same features through a filter bank.

    The bank has one causal filter per feature with `lookback` taps (tap j reads row t - j), the longest lookback's
    taps being a prefix-slice away from the shortest's.  It is the network's long memory at the price of one multiply
    per tap: what a convolution of a few rows cannot reach (a lag of 37, a slow average) is one weight here.
    """

    def __init__(self, space: SearchSpace, layout: Layout) -> None:
        super().__init__()
        self.transform, self.lookback = space["input/transform"], space["input/lookback"]
        self.blocks = []
        for option in self.transform.options:
            if option not in layout.transforms:
                raise SpaceError(
                    "input/transform", got=repr(option), expected=f"one of the table's {list(layout.transforms)}"
                )
            self.blocks.append(layout.transforms.index(str(option)))
        self.features = len(layout.groups)
        self.switches = [c for c in space.choices if c.name.startswith("input/group/")]
        for choice in self.switches:
            group = choice.name.removeprefix("input/group/")
            if group not in layout.groups:
                raise SpaceError(choice.name, got="no such group", expected=f"one of {sorted(set(layout.groups))}")
            member_F = torch.tensor([float(g == group) for g in layout.groups])
            self.register_buffer(f"member_{group}", member_F, persistent=False)
        self.taps = nn.Parameter(torch.empty(self.features, max(int(n) for n in self.lookback.options)))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Closed taps: the filters say nothing until the data open them, or they would be so much noise."""
        nn.init.zeros_(self.taps)

    def shrink(self, amount: float) -> None:
        """Moves the taps that the last step reached towards 0 by `amount`, not past it.

        The proximal step of the lasso (Tibshirani 1996; ISTA, Daubechies et al. 2004): of some thousand taps a market
        uses a few, and the rest would be fitted to noise.  Taps outside the step's lookback are left alone.
        """
        if amount == 0.0 or self.taps.grad is None:
            return
        with torch.no_grad():
            shrunk = torch.sign(self.taps) * (self.taps.abs() - amount).clamp_min(0.0)
            self.taps.copy_(torch.where(self.taps.grad != 0, shrunk, self.taps))

    def forward(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        x_BTF = self.switched(self.block(x_BTF, mixture), mixture)
        return torch.cat([x_BTF, self.filtered(x_BTF, mixture)], dim=-1)

    def block(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        """The columns of the chosen transform."""
        which, width = weighting(self.transform, mixture), self.features
        if isinstance(which, Tensor):
            parts = [w * x_BTF[..., b * width : (b + 1) * width] for w, b in zip(which, self.blocks, strict=True)]
            return torch.stack(parts).sum(0)
        at = self.blocks[which if isinstance(which, int) else which[0]]
        return x_BTF[..., at * width : (at + 1) * width]

    def switched(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        """Columns of groups that are off become zeros."""
        for choice in self.switches:
            which = weighting(choice, mixture)
            off = choice.options.index("off") if "off" in choice.options else None
            if off is None or (isinstance(which, int) and which != off):
                continue
            member_F = self.get_buffer(f"member_{choice.name.removeprefix('input/group/')}")
            share_off = which[off] if isinstance(which, Tensor) else 1.0
            x_BTF = x_BTF * (1.0 - share_off * member_F)
        return x_BTF

    def filtered(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        """Each feature through its filter of `lookback` taps."""
        which = weighting(self.lookback, mixture)
        lengths = [int(n) for n in self.lookback.options]
        if isinstance(which, Tensor):
            lags = torch.arange(self.taps.shape[1], device=which.device)
            open_L = which @ torch.stack([lags < n for n in lengths]).to(which.dtype)
            taps_FL = self.taps * open_L
        else:
            taps_FL = self.taps[:, : lengths[which if isinstance(which, int) else which[0]]]
        length = taps_FL.shape[1]
        x_BF1T = F.pad(x_BTF, (0, 0, length - 1, 0)).transpose(1, 2).unsqueeze(2)
        kernel = taps_FL.flip(1)[:, None, None, :].contiguous(memory_format=torch.channels_last)
        return F.conv2d(x_BF1T, kernel, groups=self.features).squeeze(2).transpose(1, 2)

    def count(self, architecture: Mapping[str, Picked]) -> Count:
        """One weight and one multiply per feature and tap."""
        taps = self.features * int(str(architecture["input/lookback"]))
        return Count(parameters=taps, macs=taps)
