"""Counts of whole networks as additive tables: against `Network.count`, and against the modules as they run."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cost.networks import cell, chain, chance, mixed
from tradenas.cost.count import flops, macs, parameters, weight_bytes, window_macs
from tradenas.errors import SpaceError
from tradenas.nn import Network
from tradenas.nn.ops import OPS
from tradenas.seeds import rng_for

torch.set_num_threads(1)

SMALL = {
    "chain": lambda: chain(),
    "switches": lambda: chain(depths=(1,), features=("a", "c"), ops=("dense", "separable3")),
    "columns": lambda: chain(depths=(1,), column_ops=("raw", "rank", "drop"), ops=("dense",), norms=("layer",)),
    "groups": lambda: chain(depths=(2,), groups=("h",), features=("a",), lookbacks=(3,), norms=("none",)),
    "each": lambda: cell(),
    "sum": lambda: cell(follow="sum", cells=(2,)),
    "two": lambda: cell(nodes=2, take=2, cells=(3,), ops=("zero", "skip", "conv3"), widths=(2,), norms=("layer",)),
    "last": lambda: cell(inputs=1, nodes=3, take=0, output="last", ops=("zero", "dense"), cells=(2, 3)),
    "one": lambda: cell(
        inputs=2, nodes=2, take=1, output="last", ops=("zero", "skip", "dense"), cells=(3, 4), widths=(2,)
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_costs_what_the_network_counts(name: str) -> None:
    network = SMALL[name]()
    price = {"parameters": parameters(network), "macs": macs(network)}
    for architecture in network.space:
        counted = network.count(architecture)
        assert price["parameters"].exact(architecture) == counted.parameters, architecture
        assert price["macs"].exact(architecture) == counted.macs, architecture


@pytest.mark.parametrize("name", SMALL)
def test_expected_cost_is_the_mean_over_all_architectures(name: str) -> None:
    network = SMALL[name]()
    space, cost, mixture = network.space, macs(network), mixed(network.space, 1)
    everything = list(space)
    weights = [chance(space, a, mixture) for a in everything]
    if not space.not_all:
        assert sum(weights) == pytest.approx(1.0, abs=1e-12)
    mean = sum(w * network.count(a).macs for w, a in zip(weights, everything, strict=True)) / sum(weights)
    assert float(cost.expected(mixture)) == pytest.approx(mean, rel=1e-10)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    network = SMALL[name]()
    cost, mixture = macs(network), mixed(network.space, 2)
    names = [n for n, w in mixture.items() if len(w) > 1]
    alphas = [mixture[n].log().clone().requires_grad_() for n in names]

    def expected(*alphas: torch.Tensor) -> torch.Tensor:
        return cost.expected({**mixture, **{n: a.softmax(0) for n, a in zip(names, alphas, strict=True)}}) / 100

    assert torch.autograd.gradcheck(expected, alphas, fast_mode=True)


def rows_of(network: Network) -> int:
    return network.reach() + 2


WIDE = {
    "chain": lambda: chain(depths=(1, 2), ops=tuple(o for o in OPS if o not in {
        "market", "relative", "correlation", "cross_attention", "leader"}), lookbacks=(3, 7), features=("b",)),
    "each": lambda: cell(nodes=3, ops=("zero", "conv3", "separable5", "residual")),
    "sum": lambda: cell(nodes=3, ops=("skip", "dilated3", "dense", "ema4"), follow="sum", cells=(2,)),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_counts_are_those_of_the_modules_as_they_run(name: str) -> None:
    """`torch`'s counter sees no products element by element: those of `gated`, one per channel, are added by hand."""
    network = WIDE[name]()
    space, rows = network.space, rows_of(network)
    price = parameters(network), macs(network), window_macs(network, rows)
    for k in range(4):
        architecture = space.sample(rng_for(k, name))
        alone = network.standalone(architecture, seed=0)
        assert sum(p.numel() for p in alone.parameters()) == price[0].exact(architecture), architecture
        gates = sum(
            int(str(architecture[f"{place.removesuffix('/op')}/width"]))
            for place, op in architecture.items()
            if op == "gated"
        )
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            alone.to("meta")(torch.empty(1, rows, alone.inputs.table, device="meta"))
        run = counter.get_total_flops() // 2 + gates * rows
        assert run == price[2].exact(architecture) == rows * price[1].exact(architecture), architecture


@pytest.mark.parametrize("op", ["conv3", "separable3", "dense", "attention", "lstm", "ema4"])
def test_a_wrong_count_of_an_op_is_noticed(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradenas.nn import Count

    kind = OPS[op]
    right = kind.count
    monkeypatch.setattr(kind, "count", lambda self, c_in, width: right(self, c_in, width) + Count(macs=1))
    monkeypatch.setitem(WIDE, "wrong", lambda: chain(depths=(1, 2), ops=(op, "gated"), widths=(4,)))
    with pytest.raises(AssertionError):
        test_counts_are_those_of_the_modules_as_they_run("wrong")


def test_units() -> None:
    network = chain()
    largest = network.space.largest()
    count = network.count(largest)
    assert flops(network).exact(largest) == 2 * count.macs
    sizes = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, 6: 0.75, 1: 0.125}
    for precision, size in sizes.items():
        assert weight_bytes(network, precision).exact(largest) == size * count.parameters
    assert window_macs(network).exact(largest) == network.reach() * count.macs
    for wrong in ("int9", 0, 65):
        with pytest.raises(SpaceError):
            weight_bytes(network, wrong)
    with pytest.raises(SpaceError):
        window_macs(network, 0)
