"""Does anything in the space fit the limits?  Asked before the first weight is trained.

Shares are chances: that of an architecture from `SearchSpace.sample`, which random search and supernets draw from, to
fit.  A small space is listed, each architecture with its chance, so the share is exact; of a large one some are drawn,
and the share comes with Wilson's interval (1927, J. Am. Stat. Assoc. 22, 209-212).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tradenas.cost.additive import AdditiveCost
from tradenas.cost.budget import Budget
from tradenas.cost.extremes import cheapest, dearest
from tradenas.cost.nearest import nearest
from tradenas.cost.pricelist import PriceList
from tradenas.cost.probabilities import values_of
from tradenas.errors import BudgetError, ConfigError
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace

__all__ = ["Satisfiability", "Spread", "satisfiability"]

#: 97.5 % quantile of the normal distribution.
Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One cost over a space.

    Attributes:
        smallest: of any architecture looked at.
        median: half of what is drawn costs no more.
        largest: of any architecture looked at.
        cheapest: an architecture with the smallest.
        proved: whether smallest and largest are those of the whole space.
        fits: chance that a drawn architecture meets the limit on this cost.
    """

    smallest: float
    median: float
    largest: float
    cheapest: Architecture
    proved: bool
    fits: float

    def least(self) -> str:
        """The smallest in words."""
        known = "at least" if self.proved else "at least (of those looked at)"
        return f"{known} {_number(self.smallest)}, what {self.cheapest.digest} ({self.cheapest.describe()}) needs"


@dataclass(frozen=True, kw_only=True)
class Satisfiability:
    """What of a space fits a budget.

    Attributes:
        budget: the limits.
        size: architectures in the space.
        looked_at: architectures that were counted for shares and medians.
        share: chance that a drawn architecture fits all limits.
        low: 95 % interval of the share; the share itself where the space was listed.
        high: upper end of it.
        spreads: of each cost.
        example: an architecture that fits; None where none was found.
    """

    budget: Budget
    size: int
    looked_at: int
    share: float
    low: float
    high: float
    spreads: dict[str, Spread]
    example: Architecture | None

    @property
    def listed(self) -> bool:
        """Whether every architecture was looked at."""
        return self.looked_at == self.size

    def require(self, place: str = "budget") -> Architecture:
        """An architecture that fits.

        Args:
            place: where the limits are, for the error.

        Raises:
            BudgetError: none was found; with the smallest that each limit could be, and whose it is.
        """
        if self.example is not None:
            return self.example
        names = list(self.budget.limits())
        alone = [n for n in names if self.spreads[n].smallest > self.budget.limits()[n]]
        told = alone or names
        seen = "the whole space" if self.listed else f"{self.looked_at:,} of {self.size:,} architectures"
        raise BudgetError(
            ", ".join(f"{place}.{n}" for n in told),
            got=" and ".join(_number(self.budget.limits()[n]) for n in told),
            expected=" and ".join(self.spreads[n].least() for n in told)
            if alone
            else f"limits that one architecture meets together: each alone can be met, all together by none of {seen}",
            fix="raise it (search.max_params is the same limit as budget.parameters), or offer smaller widths, depths "
            "and lookbacks"
            if "parameters" in told
            else "raise it, or offer smaller widths, depths and lookbacks",
        )

    def lines(self) -> list[str]:
        """The report as lines of text, a header first."""
        rows: list[tuple[str, ...]] = [("", "limit", "smallest", "median", "largest", "fits")]
        for name, spread in self.spreads.items():
            limit = self.budget.limits().get(name)
            numbers = [spread.smallest, spread.median, spread.largest]
            shown = "none" if limit is None else _number(limit)
            rows.append((name, shown, *(_number(n) for n in numbers), f"{spread.fits:.1%}"))
        wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        table = ["  ".join(cell.rjust(w) for cell, w in zip(row, wide, strict=True)) for row in rows]
        how = f"all {self.size:,} listed" if self.listed else f"{self.looked_at:,} drawn of {self.size:,}"
        interval = "" if self.listed else f" (95 % {self.low:.1%} to {self.high:.1%})"
        return [*table, f"all limits: {self.share:.1%} fit{interval}, {how}"]


def satisfiability(
    space: SearchSpace, prices: PriceList, *, limit: int = 2000, draws: int = 1000, seed: int = 0
) -> Satisfiability:
    """Smallest, median and largest of each cost, and the share of the space that fits; nothing is trained.

    Args:
        space: that is searched.
        prices: of its architectures, with the limits.
        limit: architectures up to which the space is listed.
        draws: architectures to draw otherwise.
        seed: of the draws.

    Raises:
        ConfigError: fewer than one draw.
    """
    if draws < 1:
        raise ConfigError("draws", got=draws, expected="1 or more")
    budget, costs, size = prices.budget, prices.costs, space.size()
    listed = size <= limit
    if listed:
        drawn = list(space)
        weights = [_chance(space, a) for a in drawn]
    else:
        rng = rng_for(seed, "satisfiability")
        drawn = [space.sample(rng) for _ in range(draws)]
        weights = [1.0] * draws
    weights = [w / math.fsum(weights) for w in weights]
    counted = [prices.of(a) for a in drawn]
    ends: dict[str, list[Architecture]] = {name: [] for name in costs}
    for name, cost in costs.items():
        if not listed and isinstance(cost, AdditiveCost) and _tables_of(cost, space):
            ends[name] = [cheapest(cost), dearest(cost)]
    extra = dict.fromkeys([space.smallest(), *(a for pair in ends.values() for a in pair[:1])])
    fits = [not budget.over(each) for each in counted]
    share = math.fsum(w for w, good in zip(weights, fits, strict=True) if good)
    good = [a for a, yes in zip(drawn, fits, strict=True) if yes] + [a for a in extra if prices.fits(a)]
    if not good and not listed:  # limits that each alone is met by another architecture: on from these, step by step
        good = [a for start in extra if (a := nearest(space, start, prices.violation)) is not None]
    low, high = (share, share) if listed else wilson(sum(fits), len(drawn))
    spreads = {}
    for name in counted[0]:
        values = [each[name] for each in counted]
        whole = [(a, prices.one(name, a)) for a in (*extra, *ends[name])] + list(zip(drawn, values, strict=True))
        least = min(whole, key=lambda pair: pair[1])
        allowed = budget.limits().get(name, math.inf)
        spreads[name] = Spread(
            smallest=least[1],
            median=_median(values, weights),
            largest=max(value for _, value in whole),
            cheapest=least[0],
            proved=listed or bool(ends[name]),
            fits=math.fsum(w for w, v in zip(weights, values, strict=True) if v <= allowed),
        )
    return Satisfiability(
        budget=budget, size=size, looked_at=len(drawn), share=min(1.0, share), low=low, high=high, spreads=spreads,
        example=good[0] if good else None,
    )  # fmt: skip


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """95 % interval of a share of draws.

    >>> low, high = wilson(0, 1000)
    >>> low, round(high, 4)
    (0.0, 0.0038)
    """
    p = hits / draws
    middle, spread = p + Z * Z / (2 * draws), Z * math.sqrt(p * (1 - p) / draws + Z * Z / (4 * draws * draws))
    scale = 1 + Z * Z / draws
    low, high = (middle - spread) / scale, (middle + spread) / scale
    return (low if hits else 0.0), (high if hits < draws else 1.0)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.6g}"


def _tables_of(cost: AdditiveCost, space: SearchSpace) -> bool:
    """Whether its tables are over this very space, so that its extremes can be had without listing."""
    return cost.multiplicities is None and cost.space.choices == space.choices


def _chance(space: SearchSpace, architecture: Architecture) -> float:
    """Of drawing an architecture, but for what all share."""
    return math.prod(1.0 / len(values_of(space[name])) for name in architecture)


def _median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The smallest value below or at which half of the weight lies."""
    total, half = 0.0, math.fsum(weights) / 2
    for value, weight in sorted(zip(values, weights, strict=True)):
        total += weight
        if total >= half - 1e-12:
            return value
    return max(values)
