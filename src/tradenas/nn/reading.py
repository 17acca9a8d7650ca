"""What a cell makes of the output blocks of earlier ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn.elastic import Count, ElasticLinear, Width
from tradenas.nn.norms import per_row
from tradenas.nn.precision import Precision

__all__ = ["Blocks", "Reading"]

Blocks = dict[str, Tensor]


class Reading(nn.Module):
    """A dense map of blocks of channels side by side, as the sum of one map for each block.

    A block that is not there (a node that nothing reaches) reads as zeros.
    """

    def __init__(self, blocks: Sequence[str], c_in: int, c_out: int, *, gain: float = 1.0, bias: bool = False) -> None:
        super().__init__()
        gain /= max(1, len(blocks)) ** 0.5
        self.parts = nn.ModuleDict({name: ElasticLinear(c_in, c_out, gain=gain, bias=False) for name in blocks})
        self.bias = nn.Parameter(torch.empty(c_out)) if bias else None

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self, blocks: Blocks, width: Width, *, joined: bool = False, precision: Precision | None = None
    ) -> Tensor | None:
        """The sum over the blocks that are there; only a bias may be left, and nothing at all is None.

        Args:
            joined: one product over all blocks, which is faster and rounds otherwise.
            precision: of weights and bias; the sum itself is not rounded.
        """
        there = [name for name in self.parts if name in blocks]
        if joined and isinstance(width, int) and self.bias is None and len(there) > 1 and blocks[there[0]].ndim == 3:
            x_BTX = torch.cat([blocks[name] for name in there], -1)
            weight = torch.cat([self._part(name).weight[:width, : blocks[name].shape[-1]] for name in there], -1)
            return F.linear(x_BTX, weight)
        bias = self.bias if self.bias is None or precision is None else precision.bias(self.bias)
        total: Tensor | None = None if bias is None else per_row(bias)
        for name, part in self.parts.items():
            if name in blocks:
                y_BTC = part(blocks[name], width, precision)
                total = y_BTC if total is None else total + y_BTC
        return total

    def _part(self, name: str) -> ElasticLinear:
        part = self.parts[name]
        assert isinstance(part, ElasticLinear)
        return part

    def count(self, blocks: int, c_in: int, width: int) -> Count:
        """Of a map that reads so many blocks."""
        own = 0 if self.bias is None else width
        return Count(parameters=blocks * c_in * width + own, macs=blocks * c_in * width, biases=own)
