"""The mean under a mixture: that of the architectures it draws, with the gradient of that."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cost.latency.fake import DEVICE, LAYOUT, QUICK, Clock, FakeRuntime, cells, chain, network
from tradenas.cost.latency import Latency, measure
from tradenas.nn import Layout, Network
from tradenas.nn.mixture import hard
from tradenas.space import Chain, SearchSpace


def latency(net: Network, *, stream: bool = False) -> Latency:
    clock = Clock()
    runtime = FakeRuntime(clock, stream=stream)
    found = measure(net, DEVICE, effort=QUICK, runtime=runtime, clock=clock, draws=20)
    return Latency(net, found.table, runtime=runtime)


def weights(space: SearchSpace, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {c.name: torch.rand(len(c.options), generator=generator, dtype=torch.float64) for c in space.choices}
    return {c.name: drawn[c.name] / drawn[c.name].sum() for c in space.choices if len(c.options) > c.take}


def mean(found: Latency, mixture: dict[str, Tensor]) -> float:
    """Over all architectures, one by one."""
    space, total = found.network.space, 0.0
    for a in space:
        chances = [float(mixture[n][space[n].options.index(v)]) for n, v in a.items() if n in mixture]  # type: ignore[arg-type]
        total += math.prod(chances) * found.exact(a)
    return total


SPACES = {
    "chain": chain(depths=(1, 2, 3), ops=("dense", "conv3"), widths=(4, 8), activations=("relu",), norms=("none",)),
    "follow": chain(ops=("conv3", "gated"), widths=(8,)),
}


@pytest.mark.parametrize("name", SPACES)
def test_of_a_chain_it_is_the_mean_over_architectures(name: str) -> None:
    found = latency(network(SPACES[name]))
    mixture = weights(SPACES[name])
    assert float(found.expected(mixture)) == pytest.approx(mean(found, mixture), rel=1e-9)


@pytest.mark.parametrize("stream", [False, True])
def test_under_indices_it_is_exact(stream: bool) -> None:
    net = network(SPACES["chain"])
    found = latency(net, stream=stream)
    for a in list(net.space)[::17]:
        assert float(found.expected(hard(net.space, a))) == pytest.approx(found.exact(a), rel=1e-9)


def test_its_gradient_is_that_of_the_mean() -> None:
    space = SPACES["chain"]
    found = latency(network(space))
    start = weights(space)
    names = ["depth", "layer0/op", "layer1/op", "layer0/width", "input/lookback"]

    def value(*logits: Tensor) -> Tensor:
        return found.expected({**start, **{n: torch.softmax(z, 0) for n, z in zip(names, logits, strict=True)}})

    logits = [torch.log(start[n]).requires_grad_() for n in names]
    assert torch.autograd.gradcheck(value, logits)
    value(*logits).backward()  # type: ignore[no-untyped-call]
    # A convolution over three rows makes the layers before it run on more rows.
    assert float(logits[2].grad[1]) > 0.0  # type: ignore[index]


def test_switched_inputs_are_counted() -> None:
    layout = Layout(groups=("p", "p", "v", "w"), transforms=("zscore",), names=("a", "b", "c", "d"))
    space = Chain(
        depths=(1, 2), ops=("dense", "conv3"), widths=(4,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(3, 5), groups=("v",), features=("a", "d"),
    ).space({"a": "p", "b": "p", "c": "v", "d": "w"})  # fmt: skip
    found = latency(Network(space, layout))
    for a in list(space)[::7]:
        assert float(found.expected(hard(space, a))) == pytest.approx(found.exact(a), rel=1e-9)
    assert float(found.expected(weights(space))) == pytest.approx(mean(found, weights(space)), rel=1e-3)


def test_rounding_is_a_choice_like_any_other() -> None:
    given = {"ops": ("dense", "conv3"), "norms": ("none",), "activations": ("relu",), "widths": (4,)}
    space = chain(**given, lookbacks=(3,), weight_bits=("float", "4"), activation_bits=("float", "8", "5"))
    found = latency(network(space))
    a, b = (space.fix(next(a for a in space if a["quant/activations"] == bits)).smallest() for bits in ("float", "8"))
    assert found.exact(b) > found.exact(a)
    mixture = weights(space)
    assert float(found.expected(mixture)) == pytest.approx(mean(found, mixture), rel=1e-9)


def test_of_cells_it_is_a_fitted_sum_that_says_how_far_off_it_is() -> None:
    space = cells(take=0, inputs=1, ops=("zero", "conv3", "dense"), cells=(1, 2), norms=("none",))
    found = latency(Network(space, LAYOUT), stream=True)
    mixture = weights(space)
    assert float(found.expected(mixture)) == pytest.approx(mean(found, mixture), rel=0.02)
    told = found._mean
    assert told is not None
    assert 0.0 <= told.gap < 0.05  # type: ignore[union-attr]
    pair = {n: w.clone().requires_grad_() for n, w in mixture.items()}
    found.expected({n: w / w.sum() for n, w in pair.items()}).backward()  # type: ignore[no-untyped-call]
    conv, zero = (float(pair["cell/edge0-1/op"].grad[k]) for k in (1, 0))  # type: ignore[index]
    assert conv > zero


def test_a_chain_that_crops_is_near() -> None:
    """What the table of a layer cannot see: that a crop goes into the weights of the layer after it."""
    given = {"ops": ("dense", "skip"), "widths": (4, 16), "norms": ("none",), "activations": ("relu",)}
    net = network(chain(depths=(1, 2, 3), **given))
    found = latency(net)
    gaps = [abs(float(found.expected(hard(net.space, a))) / found.exact(a) - 1) for a in list(net.space)[::9]]
    assert max(gaps) < 0.15
    assert sum(gaps) / len(gaps) < 0.02
