"""GDAS: searching for a robust architecture in four GPU hours (Dong & Yang, CVPR 2019, arXiv:1910.04465).

    draw       h = onehot(argmax (log softmax(alpha) + g)),  g Gumbel noise, one draw a step    eq. 3
    forward    the op that was drawn, alone                                                     sec. 3.2, acceleration
    backward   through softmax((log p + g) / tau); tau falls linearly from 10 to 0.1            eq. 4
    end        the likeliest op of every edge                                                   sec. 3.1

With `draw = "soft"` it is SNAS (Xie et al., ICLR 2019, arXiv:1812.09926): the softmax itself weighs the ops, all of
which run, and sharpens to one op as tau falls (eq. 4).

Departures: the gradient of a drawn op reaches all alphas of its choice through the softmax; ops that did not run give
none, where the authors' code adds their weights (which are 0) to the output; first order, as there.  Of SNAS: alphas
learn from later rows, not from the training loss, and no penalty on resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn.elastic import Width
from tradenas.nn.mixture import Weighting
from tradenas.nn.slot import Branch, Mix, weighted_sum
from tradenas.search.base import METHODS
from tradenas.search.parts.bilevel import Tensors
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.relaxation import Temperature, gumbel, softmax
from tradenas.space import SearchSpace

__all__ = ["GDAS", "drawn_alone"]


def drawn_alone(branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
    """Of weights of 0 and 1 only the op with the 1 runs, times its weight, which carries the gradient."""
    if not isinstance(which, Tensor):
        return weighted_sum(branch, x_BTC, which, width)
    drawn = int(which.detach().argmax())
    return which[drawn] * branch(drawn, x_BTC, width)


SNAS = (
    "@inproceedings{xie2019snas, title={{SNAS}: Stochastic Neural Architecture Search},\n"
    "  author={Xie, Sirui and Zheng, Hehui and Liu, Chunxiao and Lin, Liang}, booktitle={ICLR}, year={2019}}"
)


@METHODS.register("gdas")
@dataclass(frozen=True, kw_only=True)
class GDAS(Differentiable):
    """One architecture a step, drawn by the alphas, with a gradient through the draw.

    Attributes:
        draw: `one` op alone runs (GDAS), or all by `soft` weights that are near to one op (SNAS).
        alphas: with a temperature that sharpens the gradient, not the draw.
    """

    citation: ClassVar[str] = (
        "@inproceedings{dong2019searching, title={Searching for a Robust Neural Architecture in Four GPU Hours},\n"
        "  author={Dong, Xuanyi and Yang, Yi}, booktitle={CVPR}, year={2019}}"
    )

    kind: Literal["gdas"] = "gdas"
    alphas: Alphas = field(default_factory=lambda: Alphas(temperature=Temperature(first=10.0, last=0.1, fall="linear")))
    draw: Literal["one", "soft"] = "one"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.select == "perturbation" and self.draw == "one":
            raise ConfigError(
                "search.select",
                got='perturbation with search.draw = "one"',
                expected="a supernet that runs several ops at once: of one op there is nothing to take away",
                fix='search.draw = "soft", or search.select = "magnitude"',
            )

    def citations(self) -> list[str]:
        return super().citations() + ([SNAS] if self.draw == "soft" else [])

    def relax(self, alphas: Tensors, *, epoch: int, seed: int | None) -> Mapping[str, Tensor]:
        temperature = self.alphas.temperature.at(epoch, self.training.epochs)
        if self.draw == "soft" and seed is None:
            return softmax(alphas)  # what the draws are on the average
        return gumbel(alphas, temperature=temperature, seed=seed, soft=self.draw == "soft")

    def passes(self, space: SearchSpace) -> float:
        return 1.0 if self.draw == "one" else super().passes(space)

    def mix(self) -> Mix:
        return drawn_alone if self.draw == "one" else super().mix()
