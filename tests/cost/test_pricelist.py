"""A price list: which costs there are, what fits, and that one more limit is never a looser one."""

from __future__ import annotations

import pytest
import torch

from cost.networks import cell, chain, mixed
from tradenas.cost import COSTS, Budget, Exponent, PriceList, macs, prices, state_bytes, window_macs
from tradenas.errors import ConfigError, SpaceError

torch.set_num_threads(1)
BITS = {"weight_bits": ("3", "4"), "activation_bits": ("5",), "norms": ("none",), "ops": ("dense", "conv3")}


def test_costs_are_those_that_the_space_has():
    plain = {"macs", "parameters", "weight_bytes", "peak_bytes", "state_bytes"}
    assert set(prices(chain())) == set(prices(cell())) == plain
    assert set(prices(chain(**BITS))) == plain | {"bit_operations", "luts"}
    floating = chain(**{**BITS, "weight_bits": ("float", "4")})
    assert set(prices(floating)) == plain | {"bit_operations"}
    assert set(COSTS) == plain | {"bit_operations", "luts", "latency_us"}


def test_a_window_costs_what_its_rows_cost():
    network = chain()
    stream, window = prices(network), prices(network, mode="window")
    for a in list(network.space)[::17]:
        assert window["macs"].exact(a) == window_macs(network).exact(a)
        assert stream["macs"].exact(a) == macs(network).exact(a) == network.count(a).macs
        assert window["peak_bytes"].exact(a) == stream["peak_bytes"].exact(a) * network.reach()
        assert window["state_bytes"].exact(a) == state_bytes(network).exact(a)


def test_precision_is_that_of_the_bytes():
    network = chain()
    a = network.space.smallest()
    full, small = prices(network), prices(network, precision="int8")
    for name in ("weight_bytes", "peak_bytes", "state_bytes"):
        assert full[name].exact(a) == 4 * small[name].exact(a)


def test_every_architecture_fits_or_says_by_how_much_it_does_not():
    network = chain()
    listed = PriceList(costs=prices(network), budget=Budget(parameters=60, state_bytes=60))
    for a in network.space:
        costs = listed.of(a)
        over = {n: costs[n] / limit - 1 for n, limit in listed.limits.items() if costs[n] > limit}
        assert listed.fits(a) == (not over)
        assert listed.violation(a) == pytest.approx(sum(over.values()))
        assert (listed.violation(a) == 0.0) == listed.fits(a)


@pytest.mark.parametrize("made", [chain, cell], ids=["chain", "cell"])
def test_means_are_those_of_the_costs_and_follow_what_is_settled(made):
    network = made()
    listed = PriceList(costs=prices(network), fixed={"cells": 1} if "cells" in network.space else {})
    mixture = mixed(network.space, 3)
    settled = {**mixture, **listed.fixed}
    assert float(listed.expected("macs", mixture)) == pytest.approx(float(macs(network).expected(settled)))
    with pytest.raises(SpaceError, match="no known mean"):
        listed.expected("peak_bytes", mixture)


def test_targets_are_given_or_limits():
    listed = PriceList(costs=prices(chain()), budget=Budget(macs=50.0))
    assert listed.target(Exponent(cost="macs")) == 50.0
    assert listed.target(Exponent(cost="macs", target=7.0)) == 7.0
    with pytest.raises(ConfigError, match="none for parameters"):
        listed.target(Exponent(cost="parameters"))
    a = chain().space.smallest()
    weighed = PriceList(costs=prices(chain()), exponents=(Exponent(cost="macs", target=listed.one("macs", a)),))
    assert weighed.log_factor(a) == 0.0
    with pytest.raises(ConfigError, match=r"nothing but bits"):
        PriceList(costs=prices(chain()), budget=Budget(luts=10.0))
