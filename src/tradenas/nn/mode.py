"""How a forward pass is meant: training or not, where its randomness comes from, which rows count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # which rounds after activations, and those know modes
    from tradenas.nn.precision import Precision

__all__ = ["EVAL", "Kept", "Mode", "Moments"]

#: Mean and variance of each batch norm of one subnet, measured on training rows: name -> (mean_C, var_C).
Moments = dict[str, tuple[Tensor, Tensor]]

#: What the lookback filters made of certain rows.
Kept = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """The circumstances of one forward pass.  A network keeps no such state of its own.

    Attributes:
        training: dropout is drawn and batch norms use the moments of this batch.
        generator: source of dropout masks; without one nothing is dropped.
        scored: how many last rows of a segment count; batch norms measure over these only. 0 means all.
        moments: batch-norm moments to use when not training.
        measured: where batch norms write the moments they used, to be passed as `moments` later.
        generators: the same as `generator`, one for each of N stacked networks.
        present: of N stacked networks' batches, padded to one size, the number of segments that are real; all of them
            where it is empty.
        kept: what the filters made of these very rows, with the same transform, taps and lookback: written by the first
            pass that is given it, read by those after it.
        open: whether every edge of a cell under weights is taken to be open, whatever they are: none of them is then
            looked at, which would hold up a GPU and which a CUDA graph forbids.
        precision: how weights and values are rounded, which a network fills in from its mixture; None does not.
    """

    training: bool = False
    generator: torch.Generator | None = None
    scored: int = 0
    moments: Moments | None = None
    measured: Moments | None = field(default=None, compare=False)
    generators: tuple[torch.Generator, ...] = ()
    present: tuple[int, ...] = ()
    kept: Kept | None = field(default=None, compare=False)
    open: bool = False
    precision: Precision | None = None

    @property
    def draws(self) -> bool:
        """Whether anything is dropped."""
        return self.training and (self.generator is not None or bool(self.generators))


EVAL = Mode()
