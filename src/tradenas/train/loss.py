"""What a network minimises, and the units its signal is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.train.panel import Market, each
from tradenas.typing import FloatArray

__all__ = ["Objective"]

#: Labels are cut at this many standard deviations: one crash must not outweigh a year of candles.
CUT = 3.0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Binary cross-entropy on logits, or squared error on labels in comparable units.

    A return is learnt in units of the volatility known at its row, because calm and wild rows then count alike (the
    noise of a return grows with volatility, so plain squared error listens to the wild rows only); the signal is
    turned back into a return by the same unit.  A volatility is learnt less its mean.  Markets of a panel share the
    numbers here, each in units of its own volatility.

    Attributes:
        kind: `binary` or `regression`.
        centre: subtracted from a label; training mean where the data say `centre_labels`, else 0.
        scale: standard deviation of the training labels in those units.
        by_volatility: whether labels are divided by the row's volatility.
    """

    kind: Literal["binary", "regression"]
    centre: float = 0.0
    scale: float = 1.0
    by_volatility: bool = False

    @classmethod
    def fitted(cls, data: Market, train: Span) -> Objective:
        """The objective whose units come from the labels of `train`.

        Raises:
            ConfigError: no label there, or labels that never vary: there is nothing to learn.
        """
        y = np.ravel(each(data, lambda m: m.y_T[train.slice]))
        volatility = np.ravel(each(data, lambda m: m.volatility_T[train.slice]))
        known = np.isfinite(y)
        y_R = y[known].astype(float)
        if len(y_R) < 2 or not float(y_R.std()) > 0:
            raise ConfigError(
                "labels of the training rows", got=f"{len(y_R)} labels that do not vary", expected="labels that vary"
            )
        if data.kind == "binary":
            return cls(kind="binary")
        if data.centre_labels:
            return cls(kind="regression", centre=float(y_R.mean()), scale=float(y_R.std()))
        return cls(kind="regression", scale=float((y_R / volatility[known]).std()), by_volatility=True)

    def labels(self, data: Market, span: Span | None = None) -> FloatArray:
        """Labels of the rows of `span`, or of every row, in the network's units; NaN where there is none.

        (A, T) of a panel.
        """
        rows = slice(None) if span is None else span.slice

        def of(market: Dataset) -> FloatArray:
            y_T = market.y_T[rows].astype(float)
            if self.kind == "binary":
                return y_T
            unit_T = market.volatility_T[rows] if self.by_volatility else 1.0
            return np.clip((y_T - self.centre) / (unit_T * self.scale), -CUT, CUT)

        return each(data, of)  # type: ignore[no-any-return]

    def signal(self, output: FloatArray, data: Market, span: Span) -> FloatArray:
        """What the network said of the rows of `span`, as a signal: a logit, or a forecast in units of the label.

        A forecast return is `output * volatility * scale`, so that its size can be held against the cost of a trade.

        Args:
            output: (rows,), or (A, rows) of a panel.
        """
        if self.kind == "binary":
            return output
        if not self.by_volatility:
            return output * self.scale
        unit: FloatArray = each(data, lambda m: m.volatility_T[span.slice])
        return output * unit * self.scale

    def output(self, signal: FloatArray, data: Market, span: Span) -> FloatArray:
        """The inverse of `signal`: what a network must have said, so that its loss can be told from its signals."""
        if self.kind == "binary":
            return signal
        if not self.by_volatility:
            return signal / self.scale
        unit: FloatArray = each(data, lambda m: m.volatility_T[span.slice])
        return signal / (unit * self.scale)

    def loss(self, output: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Mean loss over the rows with weight; rows of weight 0 may hold anything finite.

        Shapes: (B, S) to one number; (N, B, S), of N stacked networks, to (N,).
        """
        if self.kind == "binary":
            each = F.binary_cross_entropy_with_logits(output, label, reduction="none")
        else:
            each = (output - label).square()
        tiny = torch.finfo(each.dtype).tiny
        if each.ndim == 3:
            return (each * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(tiny)
        return (each * weight).sum() / weight.sum().clamp_min(tiny)

    def gradient(self, output: Tensor, label: Tensor, weight: Tensor, scale: float = 1.0) -> tuple[float, Tensor]:
        """`scale` times the mean loss of (B, S), and its gradient in the output: what `backward` finds, at once."""
        share = weight * (scale / weight.sum().clamp_min(torch.finfo(output.dtype).tiny))
        return scale * float(self.loss(output, label, weight)), share * self._apart(output, label)

    def gradients(self, output: Tensor, label: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The same of N stacked networks: the mean loss of each, (N,), and its gradient, (N, B, S)."""
        share = weight * (1.0 / weight.sum((1, 2), keepdim=True).clamp_min(torch.finfo(output.dtype).tiny))
        return self.loss(output, label, weight), share * self._apart(output, label)

    def _apart(self, output: Tensor, label: Tensor) -> Tensor:
        """Derivative of a row's loss."""
        return torch.sigmoid(output) - label if self.kind == "binary" else (output - label).mul_(2.0)

    def taught(self, signal: Tensor) -> Tensor:
        """What a teacher's signal is to its student instead of labels (Hinton et al. 2015, arXiv:1503.02531).

        The signal, to be met by squared distance, or the teacher's probabilities, by cross-entropy; without gradient.
        """
        return torch.sigmoid(signal.detach()) if self.kind == "binary" else signal.detach()
