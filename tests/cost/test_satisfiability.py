"""Extremes without listing, and what of a space fits a budget."""

from __future__ import annotations

import math
import re

import pytest
import torch

from cost.networks import cell, chain
from tradenas.cost import Budget, PriceList, Satisfiability, macs, parameters, prices
from tradenas.cost.extremes import cheapest, dearest
from tradenas.cost.satisfiability import satisfiability as of_space
from tradenas.cost.satisfiability import wilson
from tradenas.errors import BudgetError, ConfigError, SpaceError
from tradenas.nn import Network
from tradenas.space import option_shares

torch.set_num_threads(1)


def satisfiability(network: Network, budget: Budget, **settings: int) -> Satisfiability:
    return of_space(network.space, PriceList(costs=prices(network), budget=budget), **settings)


CHAINS = {
    "chain": lambda: chain(depths=(1, 2, 3), lookbacks=(2,), ops=("skip", "gated", "conv3"), norms=("none",)),
    "switches": lambda: chain(depths=(1,), features=("a", "b", "c"), ops=("dense", "separable3")),
    "columns": lambda: chain(depths=(1,), column_ops=("raw", "drop"), ops=("dense",), norms=("layer",)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_extremes_are_those_of_the_list(name: str) -> None:
    network = CHAINS[name]()
    for cost in (macs(network), parameters(network)):
        every = [cost.exact(a) for a in network.space]
        least, most = cheapest(cost), dearest(cost)
        assert network.space.check(least) == least
        assert network.space.check(most) == most
        assert (cost.exact(least), cost.exact(most)) == (min(every), max(every))
        mirrored = cost.scaled(-1.0)  # costs that fall with the width: nothing may hang on the order of options
        assert mirrored.exact(cheapest(mirrored)) == -max(every)


def test_extremes_of_a_space_that_cannot_be_listed() -> None:
    network = chain(
        depths=(1, 2, 3, 4), lookbacks=(5, 10, 20), ops=("skip", "gated", "lstm", "dense"), widths=(4, 8, 16)
    )
    assert network.space.size() > 500_000
    cost = parameters(network)
    assert cost.exact(dearest(cost)) == network.count(dearest(cost)).parameters
    drawn = satisfiability(network, Budget(), draws=50).spreads["parameters"]
    assert drawn.proved
    assert drawn.smallest <= drawn.median <= drawn.largest == cost.exact(dearest(cost))
    with pytest.raises(SpaceError, match="chain"):
        cheapest(parameters(cell()))


def listed(network: Network, budget: Budget) -> tuple[float, float]:
    """The share of what fits, by every architecture's chance; and how many fit."""
    space, costs = network.space, prices(network)
    shares, number, whole = 0.0, 0, 0.0
    for a in space:
        chance = math.prod(1 / len(space[name].options) for name in a)
        whole += chance
        if all(costs[n].exact(a) <= limit for n, limit in budget.limits().items()):
            shares, number = shares + chance, number + 1
    return shares / whole, number


def test_shares_of_a_listed_space() -> None:
    network = chain(depths=(1, 2), lookbacks=(2,), norms=("none",))
    budget = Budget(parameters=60, state_bytes=60)
    found = satisfiability(network, budget)
    share, number = listed(network, budget)
    assert 0 < number < network.space.size()
    assert found.share == pytest.approx(share, rel=1e-12)
    assert found.listed
    assert found.low == found.high == found.share
    assert not budget.over({n: c.exact(found.require()) for n, c in prices(network).items()})
    # Half of what is drawn is one layer deep, whatever there is of it: shares are chances, not numbers.
    assert option_shares(network.space)["depth"][1] == 0.5
    assert abs(number / network.space.size() - share) > 0.01


def test_drawn_shares_hold_the_true_one() -> None:
    network = chain(depths=(1, 2), lookbacks=(2,), norms=("none",))
    budget = Budget(parameters=60, state_bytes=60)
    share, _ = listed(network, budget)
    hits = 0
    for seed in range(10):
        found = satisfiability(network, budget, limit=10, draws=80, seed=seed)
        assert not found.listed
        assert found.low <= found.share <= found.high
        hits += found.low <= share <= found.high
    assert hits >= 8
    again = satisfiability(network, budget, limit=10, draws=80, seed=9)
    assert again == found


@pytest.mark.parametrize("limit", [10, 2000])
def test_a_limit_that_nothing_meets_names_the_cheapest(limit: int) -> None:
    network = chain(depths=(1, 2), lookbacks=(2,), norms=("none",))
    least = min(network.count(a).parameters for a in network.space)
    found = satisfiability(network, Budget(parameters=least - 1, macs=10_000), limit=limit, draws=20)
    assert (found.share, found.example) == (0.0, None)
    with pytest.raises(BudgetError, match=rf"budget.parameters: got {least - 1}, expected at least {least}") as told:
        found.require()
    assert "budget.macs" not in str(told.value)
    fits = satisfiability(network, Budget(parameters=least), limit=limit, draws=20)
    assert network.count(fits.require()).parameters == least  # found by the tables, though no draw may have met it


def test_limits_that_only_together_cannot_be_met() -> None:
    """An average has no weights but remembers; a dense layer has weights and remembers nothing."""
    network = chain(depths=(2,), ops=("dense", "ema4"), widths=(5,), lookbacks=(2,), norms=("none",))
    costs = prices(network)
    few = min(costs["parameters"].exact(a) for a in network.space)
    small = min(costs["state_bytes"].exact(a) for a in network.space)
    found = satisfiability(network, Budget(parameters=few, state_bytes=small))
    assert found.spreads["parameters"].fits == found.spreads["state_bytes"].fits == 0.5
    with pytest.raises(BudgetError, match=r"budget\.parameters, budget\.state_bytes.* together.* the whole space"):
        found.require()


def test_cells_are_drawn_and_said_to_be() -> None:
    network = cell(nodes=2, ops=("zero", "skip", "dense", "conv3"))
    found = satisfiability(network, Budget(peak_bytes=60), draws=60)
    assert not found.listed
    assert not found.spreads["parameters"].proved
    text = "\n".join(found.lines())
    assert re.search(r"peak_bytes +60 ", text)
    assert f"60 drawn of {network.space.size():,}" in text


def test_wrong_limits_and_intervals() -> None:
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match=r"budget\.macs"):
            Budget(macs=wrong)
    with pytest.raises(ConfigError, match="draws"):
        satisfiability(chain(), Budget(), draws=0)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(10, 10)[1] == 1.0
