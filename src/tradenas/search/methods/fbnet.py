"""FBNet: hardware-aware design by differentiable search (Wu et al., CVPR 2019, arXiv:1812.03443).

    mixture    o(x) = sum_o m_o o(x),  m = softmax((log softmax(theta) + g) / tau)     eq. 3-4, g Gumbel noise
    tau        5 in the first epoch, times exp(-0.045) in each that follows            sec. 4.1
    latency    LAT = sum_layers sum_o m_o LAT(o): a table, differentiable by m         eq. 5-6
    loss       CE * alpha log(LAT)^beta                                                eq. 2, `parts/penalty.py`
    steps      weights, then theta, on other rows; theta rests in the first epochs     sec. 3.3, 4.1
    end        architectures drawn from the distribution that theta is, and scored     sec. 3.3

Without a penalty, and with alphas from the training rows, it would be SNAS (`gdas`, `draw = "soft"`).

Departures: any cost with an expectation stands in the place of latency, and log(1 + LAT / T) in that of log LAT, which
is negative below a millisecond; `weight` (beta) is 0.01 where the paper has 0.6, as its loss is another
(`parts/penalty.py`); the likeliest architecture is scored first, the others are drawn; AdamW and halves of the training
rows that follow each other in time; every choice is relaxed, inputs and widths too, and the temperature falls by the
same factor each epoch to what 90 epochs of the paper make of it, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from tradenas.search.base import METHODS
from tradenas.search.parts.bilevel import Tensors
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.penalty import CITATIONS, Penalty
from tradenas.search.parts.relaxation import Temperature, gumbel, softmax

__all__ = ["FBNet"]


@METHODS.register("fbnet")
@dataclass(frozen=True, kw_only=True)
class FBNet(Differentiable):
    """Gumbel weights that sharpen, and a loss that is multiplied by what their mixture costs.

    Attributes:
        alphas: after a tenth of the epochs, with the paper's temperature.
        penalty: `macs` unless another cost is named; the target is what an even mixture costs.
    """

    citation: ClassVar[str] = CITATIONS["log"]

    kind: Literal["fbnet"] = "fbnet"
    alphas: Alphas = field(
        default_factory=lambda: Alphas(
            lr=1e-2, beta1=0.9, weight_decay=5e-4, warm_up=0.1, temperature=Temperature(first=5.0, last=0.087)
        )
    )
    penalty: Penalty = field(default_factory=lambda: Penalty(cost="macs", form="log"))

    def citations(self) -> list[str]:
        return list(dict.fromkeys(super().citations()))  # its penalty is its own

    def relax(self, alphas: Tensors, *, epoch: int, seed: int | None) -> Mapping[str, Tensor]:
        if seed is None:
            return softmax(alphas)  # what the draws are on the average
        return gumbel(alphas, temperature=self.alphas.temperature.at(epoch, self.training.epochs), seed=seed, soft=True)
