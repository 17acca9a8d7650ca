"""GDAS: searching for a robust architecture in four GPU hours (Dong & Yang, CVPR 2019, arXiv:1910.04465).

    draw       h = onehot(argmax (log softmax(alpha) + g)),  g Gumbel noise, one draw a step    eq. 3
    forward    the op that was drawn, alone                                                     sec. 3.2, acceleration
    backward   through softmax((log p + g) / tau); tau falls linearly from 10 to 0.1            eq. 4
    end        the likeliest op of every edge                                                   sec. 3.1

Departures: the gradient of a drawn op reaches all alphas of its choice through the softmax; ops that did not run give
none, where the authors' code adds their weights (which are 0) to the output; first order, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from tradenas.nn.elastic import Width
from tradenas.nn.mixture import Weighting
from tradenas.nn.slot import Branch, Mix, weighted_sum
from tradenas.search.base import METHODS
from tradenas.search.parts.bilevel import Tensors
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.relaxation import Temperature, gumbel
from tradenas.space import SearchSpace

__all__ = ["GDAS", "drawn_alone"]


def drawn_alone(branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
    """Of weights of 0 and 1 only the op with the 1 runs, times its weight, which carries the gradient."""
    if not isinstance(which, Tensor):
        return weighted_sum(branch, x_BTC, which, width)
    drawn = int(which.detach().argmax())
    return which[drawn] * branch(drawn, x_BTC, width)


@METHODS.register("gdas")
@dataclass(frozen=True, kw_only=True)
class GDAS(Differentiable):
    """One architecture a step, drawn by the alphas, with a gradient through the draw.

    Attributes:
        alphas: with a temperature that sharpens the gradient, not the draw.
    """

    citation: ClassVar[str] = (
        "@inproceedings{dong2019searching, title={Searching for a Robust Neural Architecture in Four GPU Hours},\n"
        "  author={Dong, Xuanyi and Yang, Yi}, booktitle={CVPR}, year={2019}}"
    )

    kind: Literal["gdas"] = "gdas"
    alphas: Alphas = field(default_factory=lambda: Alphas(temperature=Temperature(first=10.0, last=0.1, fall="linear")))

    def relax(self, alphas: Tensors, *, epoch: int, seed: int) -> Mapping[str, Tensor]:
        return gumbel(alphas, temperature=self.alphas.temperature.at(epoch, self.training.epochs), seed=seed)

    def passes(self, space: SearchSpace) -> float:  # noqa: ARG002
        return 1.0

    def mix(self) -> Mix:
        return drawn_alone
