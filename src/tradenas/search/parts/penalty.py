"""What a dear mixture pays: a cost under weights, added to the loss of the alphas or multiplied with it.

    add     L + weight * (E / T - 1)                     ProxylessNAS (Cai et al. 2019, arXiv:1812.00332) eq. 6
    ratio   L * (E / T) ^ weight                         NNI 3.0, ProfilerPenalty(aggregate="mul")
    log     L * (log(1 + E / T) / log 2) ^ weight        FBNet (Wu et al. 2019, arXiv:1812.03443) eq. 2

with E the expected cost of the very weights that the loss was worked out with, and T a target; at E = T all three leave
the loss as it is.  With `above` only what is beyond the target is paid for (NNI's nonlinear="positive").

Departures.  FBNet's factor is alpha * (log LAT)^beta: below one unit the logarithm is negative, so that the loss
changes its sign or the power is no number, and networks for trading take less than a millisecond.  log(1 + E / T) has
no unit, is above 0 and grows with E everywhere; alpha, a constant factor that Adam cancels, is such that the factor is
1 at T.  ProxylessNAS's code divides its factor by log T, which is 0 for T = 1.  Its sum has the unit of the loss; ours
is in units of the target, as NNI's is.  Weights that do not sum to 1 (FairDARTS's gates) are divided by their sum.

How much is much: the papers' weights belong to a cross-entropy of which a better network takes a tenth or a third.
Here the loss is that of a flat signal, less the few percent that can be forecast, and a factor multiplies all of it:
with FBNet's 0.6, half the cost is worth more than everything there is to know.  Think of `weight` as the share of the
loss that a whole target is worth, and compare it with the square of the IC that is there: on planted worlds with an IC
of 0.15 an exponent of 0.01 lost nothing, 0.05 chose the cheapest network in each of three (docs/results.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from tradenas.cost import COSTS, CellFit, PeakBytes, PriceList, SmoothMax, peak_parts
from tradenas.errors import ConfigError
from tradenas.nn import Mixture, Network
from tradenas.registry import did_you_mean
from tradenas.search.parts.bilevel import Loss, Tensors
from tradenas.space import SearchSpace

__all__ = ["CITATIONS", "Charge", "Expected", "Listed", "Penalty", "even"]

#: Temperature of the smooth peak, as a share of what an even mixture holds.
SMOOTH = 0.02


CITATIONS = {
    "add": (
        "@inproceedings{cai2019proxylessnas, title={{ProxylessNAS}: Direct Neural Architecture Search on Target Task "
        "and Hardware},\n  author={Cai, Han and Zhu, Ligeng and Han, Song}, booktitle={ICLR}, year={2019}}"
    ),
    "ratio": "@software{microsoft2023nni, title={Neural Network Intelligence}, author={Microsoft}, year={2023}}",
    "log": (
        "@inproceedings{wu2019fbnet, title={{FBNet}: Hardware-Aware Efficient ConvNet Design via Differentiable "
        "Neural Architecture Search},\n  author={Wu, Bichen and Dai, Xiaoliang and Zhang, Peizhao and Wang, "
        "Yanghan and Sun, Fei and Wu, Yiming and Tian, Yuandong and Vajda, Peter and\n  Jia, Yangqing and Keutzer, "
        "Kurt}, booktitle={CVPR}, year={2019}}"
    ),
}


class Expected(Protocol):
    """A cost that is known of a mixture."""

    def expected(self, mixture: Mixture) -> Tensor:
        """What architectures drawn from it cost on average, differentiable by its weights."""


class Listed:
    """A cost of a price list, of mixtures over the space that is searched, or over what a method left of it.

    Args:
        prices: that know its mean.
        name: of the cost.
        space: of the mixtures.
    """

    def __init__(self, prices: PriceList, name: str, space: SearchSpace) -> None:
        prices.require([name], place="search.penalty.cost")
        self.prices, self.name = prices, name
        whole = getattr(prices.costs["macs"], "space", space)  # a sum over the choices of the networks that leave
        #: Where the options of a choice stand among those of the whole space, if that has more of them.
        self.at = {
            c.name: torch.tensor([whole[c.name].index(o) for o in c.options])
            for c in space.choices
            if c.name in whole and len(whole[c.name].options) > len(c.options) and c.take == 1
        }
        self.sizes = {name: len(whole[name].options) for name in self.at}

    def expected(self, mixture: Mixture) -> Tensor:
        """The mean, with no chance for options that are gone."""
        lifted = dict(mixture)
        for name, at_O in self.at.items():
            which = mixture.get(name)  # a choice with one option left has no weights
            if not isinstance(which, Tensor):
                lifted[name] = int(at_O[0 if which is None else which])
                continue
            lifted[name] = which.new_zeros(self.sizes[name]).index_copy(0, at_O.to(which.device), which)
        return self.prices.expected(self.name, lifted)


def _peak(network: Network) -> Expected:
    """Of a chain the smooth maximum over its steps; of cells, whose steps hang on the whole graph, a fit."""
    if network.stack is not None:
        return CellFit(network.space, PeakBytes(network).exact)
    parts = peak_parts(network)
    largest = max(float(part.cost.expected(even(network.space))) for part in parts)
    return SmoothMax(parts, temperature=SMOOTH * largest)


def even(space: SearchSpace) -> dict[str, Tensor]:
    """The mixture in which all options of a choice weigh alike."""
    return {c.name: torch.full((len(c.options),), c.take / len(c.options)) for c in space.choices}


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """What alphas pay for a cost of their mixture while they learn.

    Attributes:
        cost: one that a budget limits, so `macs`, `parameters`, `weight_bytes`, `state_bytes`, `bit_operations`,
            `latency_us` (which needs the budget's table), or (one candle at a time; of cells fitted to within some
            percent) `peak_bytes`; empty for nothing.
        form: `add` to the loss (ProxylessNAS), or multiply it by a `ratio` (NNI) or a `log` (FBNet).
        weight: of the sum, or the exponent of the factor.  Near to the target all three take about this share of the
            loss for a cost of one target more (`log`: 0.7 of it).  What is known is worth the square of the IC of it: a
            weight near that buys the cheapest network there is.
        target: cost at which nothing is paid, in the unit of the cost; 0 takes what an even mixture costs.
        above: whether less than the target earns nothing.
    """

    cost: str = ""
    form: Literal["add", "ratio", "log"] = "add"
    weight: float = 0.01
    target: float = 0.0
    above: bool = False

    def __post_init__(self) -> None:
        if self.cost and self.cost not in COSTS:
            raise ConfigError(
                "search.penalty.cost", got=repr(self.cost), expected="a cost", fix=did_you_mean(self.cost, list(COSTS))
            )
        for name in ("weight", "target"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"search.penalty.{name}", got=getattr(self, name), expected="0 or a number above")

    def citations(self) -> list[str]:
        """BibTeX of the form, where anything is paid."""
        return [CITATIONS[self.form]] if self.cost else []

    def of(self, network: Network, prices: Callable[[], PriceList]) -> Charge | None:
        """For the mixtures of one network; None where nothing is to be paid.

        Args:
            network: over the space that is searched, or what a method left of it.
            prices: gives what architectures cost; not asked where nothing is to be paid.

        Raises:
            ConfigError: nothing prices this cost.
        """
        if not self.cost or not self.weight:
            return None
        cost = _peak(network) if self.cost == "peak_bytes" else Listed(prices(), self.cost, network.space)
        target = self.target or float(cost.expected(even(network.space)))
        return Charge(penalty=self, cost=cost, target=target)


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A penalty on the mixtures of one network.

    Attributes:
        penalty: its form.
        cost: what is paid for.
        target: cost at which nothing is paid, above 0.
    """

    penalty: Penalty
    cost: Expected
    target: float

    def share(self, mixture: Mapping[str, Tensor]) -> Tensor:
        """E / T: float64, differentiable by the weights."""
        return self.cost.expected({name: _chances(which) for name, which in mixture.items()}) / self.target

    def paid(self, loss: Tensor, share: Tensor) -> Tensor:
        """The loss with what this share of the target costs.

        >>> half, one, two = (torch.tensor(s) for s in (0.5, 1.0, 2.0))
        >>> charge = Charge(penalty=Penalty(cost="macs", form="log", weight=1.0), cost=None, target=100.0)
        >>> [round(float(charge.paid(one, s)), 3) for s in (half, one, two)]
        [0.585, 1.0, 1.585]
        """
        if self.penalty.above:
            share = share.clamp(min=1.0)
        share, weight = share.to(loss.dtype), self.penalty.weight
        if self.penalty.form == "add":
            return loss + weight * (share - 1.0)
        return loss * (share if self.penalty.form == "ratio" else torch.log1p(share) / math.log(2.0)) ** weight

    def on(self, loss: Loss, relax: Callable[[Tensors], Mapping[str, Tensor]]) -> Loss:
        """A loss that pays: of given weights under given alphas.

        Args:
            loss: without the penalty.
            relax: alphas to the mixture that the loss is worked out with.
        """
        return lambda weights, alphas: self.paid(loss(weights, alphas), self.share(relax(alphas)))

    def told(self, mixture: Mapping[str, Tensor]) -> dict[str, float]:
        """What a mixture costs, for the log."""
        with torch.no_grad():
            return {self.penalty.cost: float(self.share(mixture)) * self.target}


def _chances(weights: Tensor) -> Tensor:
    """Weights of a choice as chances; those of a node that takes several ways may have any sum."""
    return weights / weights.sum()
