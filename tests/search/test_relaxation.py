"""Alphas to mixtures and back: closed-form gradients, frequencies of draws, and what is taken in the end."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tradenas.errors import ConfigError, DivergedError, MixtureError
from tradenas.nn import Layout, Network
from tradenas.search.parts import relaxation
from tradenas.search.parts.relaxation import (
    Temperature,
    alphas_for,
    discretise,
    edge_strengths,
    gumbel,
    sigmoid,
    softmax,
    strongest,
    zero_one_loss,
)
from tradenas.space import Chain, Choice, SearchSpace
from tradenas.space.cell import Cell

ONE = {"edge0/op": torch.tensor([0.3, -1.0, 2.0, 0.0, 0.5], dtype=torch.float64)}
NUMBERS = st.lists(st.floats(-6, 6), min_size=2, max_size=6)
torch.set_num_threads(1)


def vector(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(NUMBERS, st.floats(0.2, 5))
def test_softmax_and_its_jacobian(numbers, temperature):
    """dp_i/da_j = p_i (1[i = j] - p_j) / T."""
    a = vector(numbers)
    p = softmax({"c": a}, temperature=temperature)["c"]
    assert abs(float(p.sum()) - 1) < 1e-12
    assert torch.equal(p.argsort(stable=True), a.argsort(stable=True)) or len(set(numbers)) < len(numbers)
    found = torch.autograd.functional.jacobian(lambda a: softmax({"c": a}, temperature=temperature)["c"], a)
    torch.testing.assert_close(found, (torch.diag(p) - torch.outer(p, p)) / temperature, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(softmax({"c": a + 7.0}, temperature=temperature)["c"], p)


def test_a_low_temperature_leaves_one_option():
    p = softmax(ONE, temperature=0.01)["edge0/op"]
    torch.testing.assert_close(p, vector([0, 0, 1, 0, 0]))
    torch.testing.assert_close(softmax(ONE, temperature=1e6)["edge0/op"], vector([0.2] * 5), atol=1e-5, rtol=0)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.floats(0.1, 20), st.floats(0.1, 20), st.integers(2, 40), st.sampled_from(["geometric", "linear"]))
def test_temperature_goes_from_the_first_to_the_last(first, last, epochs, fall):
    schedule = Temperature(first=first, last=last, fall=fall)
    found = [schedule.at(e, epochs) for e in range(epochs)]
    assert found[0] == pytest.approx(first)
    assert found[-1] == pytest.approx(last)
    steps = [b / a if fall == "geometric" else b - a for a, b in pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps), abs=1e-12)
    assert schedule.at(0, 1) == first


def test_temperature_of_fbnet():
    """5 exp(-0.045 e) over 90 epochs."""
    last = 5.0 * 2.718281828459045 ** (-0.045 * 89)
    assert Temperature(first=5.0, last=last).at(10, 90) == pytest.approx(5.0 * 0.637628, rel=1e-5)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_temperature_is_above_zero(which, wrong):
    with pytest.raises(ConfigError, match=which):
        Temperature(**{which: wrong})


def test_sigmoid_weights_stand_alone():
    p = sigmoid(ONE)["edge0/op"]
    torch.testing.assert_close(p, 1 / (1 + torch.exp(-ONE["edge0/op"])))
    raised = ONE["edge0/op"].clone()
    raised[2] += 3
    same = sigmoid({"edge0/op": raised})["edge0/op"]
    assert torch.equal(same[[0, 1, 3, 4]], p[[0, 1, 3, 4]])


@settings(max_examples=30, derandomize=True, deadline=None)
@given(NUMBERS, NUMBERS)
def test_zero_one_loss_and_its_gradient(some, others):
    """dL01/da = -(2/N) (p - 1/2) p (1 - p), N over all choices together."""
    alphas = {"x": vector(some).requires_grad_(), "y": vector(others).requires_grad_()}
    loss = zero_one_loss(alphas)
    assert -0.25 <= float(loss.detach()) <= 0
    found = torch.cat(torch.autograd.grad(loss, list(alphas.values())))
    p = torch.sigmoid(torch.cat([a.detach() for a in alphas.values()]))
    torch.testing.assert_close(found, -2 / len(p) * (p - 0.5) * p * (1 - p), rtol=1e-10, atol=1e-16)
    mirrored = {n: -a.detach() for n, a in alphas.items()}
    torch.testing.assert_close(zero_one_loss(mirrored), loss.detach())


def test_zero_one_loss_says_nothing_at_the_start():
    alphas = {n: a.requires_grad_() for n, a in alphas_for([Choice(name="c", options=(1, 2))], seed=0, scale=0).items()}
    loss = zero_one_loss(alphas)
    (slope,) = torch.autograd.grad(loss, list(alphas.values()))
    assert float(loss.detach()) == 0.0
    assert torch.equal(slope, torch.zeros(2))
    assert float(zero_one_loss({"c": torch.tensor([60.0, -60.0])})) == -0.25


DRAWS = 20_000


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_gumbel_draws_as_often_as_softmax_says(temperature):
    many = {"edge0/op": ONE["edge0/op"].expand(DRAWS, 5)}
    drawn = gumbel(many, temperature=temperature, seed=4)["edge0/op"]
    torch.testing.assert_close(drawn, drawn.round(), rtol=0, atol=1e-12)
    assert torch.equal(drawn.sum(-1).round(), torch.ones(DRAWS, dtype=torch.float64))
    counts = drawn.round().sum(0)
    expected = torch.softmax(ONE["edge0/op"], -1) * DRAWS
    assert chisquare(counts.numpy(), expected.numpy()).pvalue > 0.01
    flat = torch.softmax(ONE["edge0/op"] / 5, -1) * DRAWS
    assert chisquare(counts.numpy(), flat.numpy()).pvalue < 1e-6  # the test can tell


def test_gumbel_passes_the_gradient_of_the_noisy_softmax(monkeypatch):
    noise = vector([0.5, 3.0, -0.2, 0.1, 0.0])
    monkeypatch.setattr(relaxation, "_gumbel_noise", lambda like, generator: noise)
    a = ONE["edge0/op"].clone().requires_grad_()
    drawn = gumbel({"edge0/op": a}, temperature=0.7, seed=1)["edge0/op"]
    price = vector([1.0, -2.0, 0.3, 4.0, 0.0])
    assert int(drawn.argmax()) == int((torch.log_softmax(a, -1) + noise).argmax())
    (found,) = torch.autograd.grad(drawn @ price, a)
    p = torch.softmax((a.detach() + noise) / 0.7, -1)
    torch.testing.assert_close(found, (torch.diag(p) - torch.outer(p, p)) @ price / 0.7)


def test_gumbel_without_a_seed_is_the_likeliest_option():
    """Evaluation must not score another architecture each time."""
    for _ in range(3):
        torch.testing.assert_close(gumbel(ONE, temperature=0.5, seed=None)["edge0/op"], vector([0, 0, 1, 0, 0]))


def test_after_its_last_epoch_a_temperature_stays():
    for fall in ("linear", "geometric"):
        falling = Temperature(first=10.0, last=0.1, fall=fall)
        assert falling.at(25, 20) == pytest.approx(falling.at(19, 20)) == pytest.approx(0.1)


def test_soft_draws_are_the_noisy_softmax_itself(monkeypatch):
    """SNAS eq. 4: exp((log p + g) / T) over their sum; near 0 temperature the option that is drawn hard."""
    noise = torch.tensor([0.5, 2.0, -0.3, 0.1, 1.0], dtype=torch.float64)
    with monkeypatch.context() as patch:
        patch.setattr(relaxation, "_gumbel_noise", lambda like, generator: noise)
        soft = gumbel(ONE, temperature=0.7, seed=1, soft=True)["edge0/op"]
    unnormed = torch.exp((ONE["edge0/op"] - torch.logsumexp(ONE["edge0/op"], 0) + noise) / 0.7)
    torch.testing.assert_close(soft, unnormed / unnormed.sum())
    for seed in range(20):
        cold = gumbel(ONE, temperature=1e-5, seed=seed, soft=True)["edge0/op"]
        torch.testing.assert_close(cold, gumbel(ONE, temperature=1.0, seed=seed)["edge0/op"], atol=1e-3, rtol=0)


def test_gumbel_draws_by_seed_and_name():
    two = {**ONE, "edge1/op": ONE["edge0/op"]}
    draws = [[int(gumbel(two, temperature=1.0, seed=s)[n].argmax()) for s in range(60)] for n in two]
    again = [int(gumbel(ONE, temperature=1.0, seed=s)["edge0/op"].argmax()) for s in range(60)]
    assert draws[0] == again  # another choice changes nothing
    assert draws[0] != draws[1]
    assert len(set(draws[0])) > 2


def test_gumbel_draws_again_where_noise_is_not_finite(monkeypatch):
    honest, calls = relaxation._gumbel_noise, []

    def noise(like, generator):
        calls.append(1)
        drawn = honest(like, generator)
        return drawn if len(calls) > 2 else torch.full_like(drawn, float("inf"))

    monkeypatch.setattr(relaxation, "_gumbel_noise", noise)
    drawn = gumbel(ONE, temperature=1.0, seed=0)["edge0/op"]
    assert len(calls) == 3
    assert bool(torch.isfinite(drawn).all())
    with pytest.raises(DivergedError, match="edge0/op"):
        gumbel({"edge0/op": vector([0.0, float("nan")])}, temperature=1.0, seed=0)


def test_gumbel_runs_a_network():
    space = Chain(depths=(1,), widths=(4,), ops=("dense", "conv3"), activations=("relu",), norms=("none",),
                  dropouts=(0.0,), lookbacks=(2,)).space()  # fmt: skip
    network = Network(space, Layout(groups=("x",), transforms=("zscore",)))
    alphas = {n: a.requires_grad_() for n, a in alphas_for([space["layer0/op"]], seed=0).items()}
    mixture = gumbel(alphas, temperature=1.0, seed=0)
    with torch.no_grad():
        network.inputs.taps += 1.0
    x_BTF = torch.linspace(-1, 1, 12).view(1, 12, 1)
    index = {"layer0/op": int(mixture["layer0/op"].argmax())}
    torch.testing.assert_close(network(x_BTF, mixture), network(x_BTF, index))
    (slope,) = torch.autograd.grad(network(x_BTF, mixture).sum(), list(alphas.values()))
    assert slope.any()


def test_alphas_have_streams_of_their_own():
    choices = [Choice(name=f"edge{i}/op", options=tuple(range(4))) for i in range(200)]
    alphas = alphas_for(choices, seed=0)
    assert torch.equal(alphas_for(choices[7:8], seed=0)["edge7/op"], alphas["edge7/op"])
    assert not torch.equal(alphas["edge0/op"], alphas["edge1/op"])
    assert not torch.equal(alphas_for(choices, seed=1)["edge0/op"], alphas["edge0/op"])
    every = torch.cat(list(alphas.values()))
    assert every.dtype == torch.float32
    assert float(every.std()) == pytest.approx(1e-3, rel=0.1)


SPACE = SearchSpace([
    Choice(name="depth", options=(1, 2)),
    Choice(name="edge0/op", options=("zero", "dense", "conv3")),
    Choice(name="edge1/op", options=("zero", "dense", "conv3"), when={"depth": (2,)}),
    Choice(name="node2/from", options=(0, 1, 2, 3), take=2),
    Choice(name="width", options=(8,)),
])  # fmt: skip
WEIGHTS = {
    "depth": torch.tensor([0.1, 0.2]), "edge0/op": torch.tensor([0.9, 0.3, 0.4]),
    "edge1/op": torch.tensor([0.0, 0.5, 0.5]), "node2/from": torch.tensor([0.1, 0.7, 0.2, 0.6]),
}  # fmt: skip


def test_discretise_takes_the_strongest():
    found = discretise(SPACE, WEIGHTS)
    assert dict(found) == {"depth": 2, "edge0/op": "zero", "edge1/op": "dense", "node2/from": (1, 3), "width": 8}
    assert discretise(SPACE, WEIGHTS, leave_out=("zero",))["edge0/op"] == "conv3"
    shallow = discretise(SPACE, {**WEIGHTS, "depth": torch.tensor([2.0, 1.0])})
    assert "edge1/op" not in shallow
    by_softmax = discretise(SPACE, softmax({n: w.double() for n, w in WEIGHTS.items()}, temperature=0.3))
    assert by_softmax == found


def test_discretise_takes_what_is_fixed():
    some = {n: w for n, w in WEIGHTS.items() if n != "depth"}
    assert discretise(SPACE, some, fixed={"depth": 1})["depth"] == 1
    with pytest.raises(MixtureError, match="depth: got neither"):
        discretise(SPACE, some)
    with pytest.raises(MixtureError, match="edge0/op"):
        discretise(SPACE, {**WEIGHTS, "edge0/op": torch.ones(2)})
    with pytest.raises(DivergedError):
        discretise(SPACE, {**WEIGHTS, "edge0/op": torch.tensor([0.0, float("nan"), 1.0])})


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=7), st.integers(1, 3), st.sets(st.integers(0, 6), max_size=3))
def test_strongest_against_sorting(numbers, count, leave_out):
    order = sorted(range(len(numbers)), key=lambda i: (i in leave_out, -numbers[i], i))
    assert strongest(vector(numbers), count, leave_out=leave_out) == tuple(sorted(order[:count]))


def test_edges_are_as_strong_as_their_strongest_op():
    """DARTS keeps two ways into a node by their best op, and `none` is no op: its weight pushes an edge down."""
    space = Cell(nodes=2, take=2, ops=("zero", "skip", "dense"), cells=(1,)).space()
    alphas = {c.name: torch.zeros(3, dtype=torch.float64) for c in space.choices if c.name.endswith("/op")}
    alphas["cell/edge0-3/op"] = vector([9.0, 0.0, 2.0])  # the largest op alpha, but `zero` has nearly all the weight
    alphas["cell/edge1-3/op"] = vector([0.0, 1.0, 0.0])
    alphas["cell/edge2-3/op"] = vector([0.0, 0.0, 1.5])
    weights = softmax(alphas)
    strengths = edge_strengths(space, weights, leave_out=("zero",))
    assert set(strengths) == {"cell/node3/from"}  # node 2 takes all there is
    want = [weights["cell/edge0-3/op"][2], weights["cell/edge1-3/op"][1], weights["cell/edge2-3/op"][2]]
    assert torch.equal(strengths["cell/node3/from"], torch.stack(want))
    found = discretise(space, weights | strengths, leave_out=("zero",))
    assert found["cell/node3/from"] == (1, 2)
    assert (found["cell/edge1-3/op"], found["cell/edge2-3/op"]) == ("skip", "dense")
    assert edge_strengths(space, weights)["cell/node3/from"].argmax() == 0
    assert edge_strengths(space, weights | strengths) == {}
    with pytest.raises(MixtureError, match="node3/from, 1"):
        edge_strengths(space, {n: w for n, w in weights.items() if n != "cell/edge1-3/op"})
