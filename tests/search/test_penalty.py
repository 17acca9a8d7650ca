"""What alphas pay: the form, its gradient, its order, and what it decides where two ops are worth the same."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cost.latency.test_mean import latency
from search.worlds import QUICK, Told, bits, market, task
from search.worlds import space as chain
from tradenas.cost import PriceList, macs, prices
from tradenas.errors import ConfigError
from tradenas.nn import Layout, Network
from tradenas.search.base import METHODS, run_search
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.penalty import Charge, Penalty, even
from tradenas.search.parts.relaxation import alphas_for, gumbel, sigmoid, softmax
from tradenas.space import Cell, Chain

torch.set_num_threads(1)
FORMS = ("add", "ratio", "log")
PLAIN = ("macs", "parameters", "weight_bytes", "state_bytes")
#: The label hangs on this row alone: gated does all that dense does at twice the price.
TWO = Chain(
    depths=(1,), ops=("dense", "gated"), widths=(8,), lookbacks=(5,), transforms=("raw",), norms=("none",),
    activations=("relu",), dropouts=(0.0,),
)  # fmt: skip
CELL = Cell(
    nodes=2, ops=("zero", "skip", "dense", "conv3"), cells=(1, 2), widths=(4, 8), lookbacks=(5,), transforms=("raw",)
)


def network_of(space):
    blocks = ("raw",) if "input/transform" not in space else tuple(map(str, space["input/transform"].options))
    return Network(space, Layout(groups=("a", "a", "a"), transforms=blocks), seed=1)


def charge(**settings):
    return Charge(penalty=Penalty(cost="macs", **settings), cost=None, target=100.0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", [0.02, 0.98, 3.0])
def test_a_dearer_mixture_pays_more_also_far_below_one_unit(form, loss):
    shares = torch.tensor([1e-6, 1e-3, 0.1, 0.5, 0.999, 1.0, 1.001, 2.0, 50.0], dtype=torch.float64)
    one = charge(form=form, weight=0.6)
    paid = torch.stack([one.paid(torch.tensor(loss, dtype=torch.float64), s) for s in shares])
    assert bool((paid.diff() > 0).all())
    assert bool(torch.isfinite(paid).all())
    assert float(paid[5]) == pytest.approx(loss, abs=1e-12)  # at its target it is what it was


def test_the_papers_form_fails_where_ours_does_not():
    """log of less than one unit: a loss of another sign, or no number."""
    assert torch.isnan(torch.tensor(0.5).log() ** 0.6)
    assert float(charge(form="log", weight=0.6).paid(torch.tensor(1.0), torch.tensor(0.5))) > 0


@pytest.mark.parametrize(
    ("form", "want"),
    [("add", 0.9 + 0.2 * 1.5), ("ratio", 0.9 * 2.5**0.2), ("log", 0.9 * (math.log(3.5) / math.log(2.0)) ** 0.2)],
)
def test_forms_are_those_of_their_papers(form, want):
    one = charge(form=form, weight=0.2)
    assert float(one.paid(torch.tensor(0.9, dtype=torch.float64), torch.tensor(2.5))) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_below_the_target_nothing_is_earned_where_only_what_is_above_is_paid_for(form):
    one = charge(form=form, weight=0.2, above=True)
    share = torch.tensor(0.4, requires_grad=True)
    paid = one.paid(torch.tensor(0.9), share)
    paid.backward()
    assert (float(paid.detach()), float(share.grad)) == (pytest.approx(0.9), 0.0)
    assert float(one.paid(torch.tensor(0.9), torch.tensor(2.0))) > 0.9


@pytest.mark.parametrize(("cost", "form"), [("peak_bytes", "log"), *((c, f) for c in PLAIN for f in FORMS)])
def test_its_gradient_is_that_of_the_formula(cost, form):
    network = network_of(chain(ops=("dense", "conv3")))
    one = Penalty(cost=cost, form=form, weight=0.3).of(network, lambda: PriceList.of_network(network))
    made = alphas_for([c for c in network.space.choices if c.take == 1], seed=3, scale=0.5, dtype=torch.float64)
    names = list(made)

    def paid(*alphas):
        mixture = softmax(dict(zip(names, alphas, strict=True)))
        return one.paid(torch.tensor(0.9, dtype=torch.float64), one.share(mixture))

    assert torch.autograd.gradcheck(paid, tuple(a.requires_grad_() for a in made.values()))


def test_a_draw_pays_what_its_architecture_costs():
    space = chain()
    network = network_of(space)
    one = Penalty(cost="macs").of(network, lambda: PriceList.of_network(network))
    for seed in range(5):
        drawn = gumbel(alphas_for(space.choices, seed=seed, scale=1.0), temperature=1.0, seed=seed)
        a = space.walk(lambda c, drawn=drawn: c.options[int(drawn[c.name].argmax())])
        assert float(one.share(drawn)) * one.target == pytest.approx(network.count(a).macs, rel=1e-6)


def test_the_peak_of_cells_can_be_paid_for():
    network = network_of(CELL.space())
    one = Penalty(cost="peak_bytes").of(network, lambda: PriceList.of_network(network))
    share = even(network.space)
    wide = share["cell/width"].requires_grad_()
    paid = one.paid(torch.tensor(0.9), one.share(share))
    (gradient,) = torch.autograd.grad(paid, wide)
    assert float(paid.detach()) == pytest.approx(0.9)  # an even mixture is the target
    assert gradient[0] < gradient[1]


def test_in_cells_nodes_hear_every_way_alike():
    """Weights of 1 for every way, as the forward has them, are the even chances of what is kept."""
    network = network_of(CELL.space())
    one = Penalty(cost="macs").of(network, lambda: PriceList.of_network(network))
    ones = {c.name: torch.ones(len(c.options)) for c in network.space.choices if c.take > 1}
    assert float(one.share({**even(network.space), **ones})) == pytest.approx(1.0, rel=1e-6)


def test_gates_are_divided_by_their_sum():
    network = network_of(TWO.space())
    one = Penalty(cost="macs").of(network, lambda: PriceList.of_network(network))
    alphas = {c.name: torch.tensor([1.0, -1.0]) for c in network.space.choices if len(c.options) == 2}
    gates = sigmoid(alphas)
    rest = {n: w for n, w in even(network.space).items() if n not in gates}
    same = {n: w / w.sum() for n, w in gates.items()}
    assert torch.equal(one.share({**rest, **gates}), one.share({**rest, **same}))


def run(kind, folder, told=None, *, choices=None, seed=0, **changes):
    training = replace(QUICK, epochs=6, segment=64, batch=128)
    method = METHODS[kind](training=training, num_ranked=1, eigenvalue_every=0, **changes)
    one = task(told, data=market(rows=1200), choices=choices or TWO.space(), seed=seed)
    return method, run_search(method, one, folder, save_every_s=1e9)


def test_stages_of_a_shrinking_space_pay_as_well(tmp_path):
    """The depth is settled in the first stage, and ops are gone in the second."""
    penalty, training = Penalty(cost="macs", weight=0.1), replace(QUICK, epochs=3, batch=256)
    method = METHODS["pdarts"](training=training, num_ranked=2, eigenvalue_every=0, penalty=penalty)
    for number, prices_of in enumerate((None, lambda one: one.price_list())):
        one = task(choices=CELL.space())
        one = one if prices_of is None else replace(one, prices=prices_of(one))
        assert run_search(method, one, tmp_path / f"{number}")


@pytest.mark.parametrize("kind", ["darts", "fbnet"])
def test_without_a_penalty_nothing_changes(kind, tmp_path):
    """A weight of 0, and no cost at all, are the same bits; a weight is not."""
    learnt = []
    for number, penalty in enumerate([Penalty(), Penalty(cost="macs", weight=0.0), Penalty(cost="macs", weight=0.5)]):
        one = task(data=market(rows=1200), choices=chain(depths=(1,)))
        method = METHODS[kind](
            training=replace(QUICK, epochs=2, batch=256), eigenvalue_every=0, num_ranked=1, penalty=penalty
        )
        state = method.init(one)
        log = [method.epoch(one, state, e) for e in range(2)]
        learnt.append(bits(state.tensors()))
        assert ("macs" in log[-1]) == (number == 2)
    assert learnt[0] == learnt[1] != learnt[2]


def taken(kind, seed, folder, penalty):
    """The op of the architecture that the alphas choose, and its width."""
    alphas = Alphas(lr=5e-2, **({"scale": 0.0, "beta1": 0.9} if kind == "fairdarts" else {}))
    choices = replace(TWO, widths=(4, 16)).space()
    (best,) = run(kind, folder, seed=seed, alphas=alphas, penalty=penalty, choices=choices)[1]
    return best.architecture["layer0/op"], best.architecture["layer0/width"]


@pytest.mark.parametrize("kind", ["darts", "fbnet", "gdas", "fairdarts"])
def test_of_two_ops_that_are_worth_the_same_the_cheap_one_is_taken(kind, tmp_path):
    penalty = Penalty(cost="macs", form="log" if kind == "fbnet" else "add", weight=0.5)
    assert [taken(kind, seed, tmp_path / f"{seed}", penalty) for seed in (1, 2)] == [("dense", 4)] * 2


def test_without_a_penalty_the_dear_one_is_taken_as_often_as_not(tmp_path):
    """The same runs as above; one of width is always the larger, as it fits the label better."""
    found = [taken("darts", seed, tmp_path / f"{seed}", Penalty()) for seed in (0, 1, 2, 3)]
    assert {op for op, _ in found} == {"dense", "gated"}
    assert {width for _, width in found} == {16}


def test_the_log_says_what_the_mixture_costs(tmp_path):
    method = METHODS["darts"](
        training=replace(QUICK, epochs=1), num_ranked=1, penalty=Penalty(cost="parameters", weight=0.1)
    )
    one = task(choices=TWO.space())
    log = method.epoch(one, method.init(one), 0)
    network = one.network()
    ends = [network.count(a).parameters for a in one.space]
    assert min(ends) < log["parameters"] < max(ends)


def test_of_a_space_that_shrank_the_whole_one_knows_the_price():
    """P-DARTS drops options: what is left pays what it pays among all, and a study's own prices stand."""
    whole = network_of(chain(depths=(1, 2)))
    part = network_of(whole.space.restrict({"layer0/op": ["conv3", "gated"], "depth": [2]}))
    own = PriceList.of_network(part)
    listed = PriceList.of_network(whole)
    mixture = softmax(alphas_for(part.space.choices, seed=1, scale=1.0))
    mixture["layer0/op"] = torch.tensor([0.25, 0.75], requires_grad=True)
    paid = [Penalty(cost="macs").of(part, lambda p=prices: p).share(mixture) for prices in (own, listed)]
    assert paid[0].item() == pytest.approx(paid[1].item(), rel=1e-9)
    gradients = [torch.autograd.grad(p, mixture["layer0/op"])[0] for p in paid]
    torch.testing.assert_close(gradients[0], gradients[1])
    window = replace(listed, costs=prices(whole, mode="window"))
    dear = Penalty(cost="macs", target=1.0)
    assert dear.of(part, lambda: window).share(mixture).item() > 2 * dear.of(part, lambda: listed).share(mixture).item()


def test_latency_needs_something_that_predicts_it():
    """And is paid for like any other cost where something does."""
    network = network_of(chain())
    with pytest.raises(ConfigError, match="latency"):
        Penalty(cost="latency_us").of(network, lambda: PriceList.of_network(network))
    listed = PriceList(costs=prices(network, latency=macs(network).scaled(1e-3)))
    one, other = (
        Penalty(cost=c, target=t).of(network, lambda: listed) for c, t in (("latency_us", 1.0), ("macs", 1e3))
    )
    assert float(one.share(even(network.space))) == pytest.approx(float(other.share(even(network.space))))


def test_measured_microseconds_are_paid_for(tmp_path):
    """A table of parts, as `tradenas measure` makes it, of a clock that is made up."""
    choices = chain(depths=(1, 2), ops=("dense", "conv3"), norms=("none",), dropouts=(0.0,))
    one = task(choices=choices)
    listed = PriceList(costs=prices(one.network(), latency=latency(one.network())))
    method = METHODS["fbnet"](
        training=replace(QUICK, epochs=2, batch=256), num_ranked=1, eigenvalue_every=0,
        penalty=Penalty(cost="latency_us", form="log", weight=0.3),
    )  # fmt: skip
    state = method.init(priced := replace(one, prices=listed))
    logs = [method.epoch(priced, state, e) for e in range(2)]
    ends = sorted(listed.one("latency_us", a) for a in (choices.smallest(), choices.largest()))
    assert ends[0] < logs[-1]["latency_us"] < ends[1]
    free = method.init(replace(one, prices=listed))
    without = replace(method, penalty=Penalty())
    for epoch in range(2):
        without.epoch(priced, free, epoch)
    now = [s.learners[0].now() for s in (state, free)]
    assert any(not torch.equal(now[0][name], now[1][name]) for name in now[0])


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="macs"):
        Penalty(cost="mcas")
    with pytest.raises(ConfigError, match=r"penalty\.weight"):
        Penalty(cost="macs", weight=-1.0)
    with pytest.raises(ConfigError, match=r"perturbation"):
        METHODS["darts"](penalty=Penalty(cost="macs"), select="perturbation")


def test_what_is_paid_is_cited(tmp_path):
    assert "FBNet" in METHODS["fbnet"]().citation
    assert len(METHODS["fbnet"]().citations()) == 1
    assert any("ProxylessNAS" in c for c in METHODS["darts"](penalty=Penalty(cost="macs")).citations())
    assert len(METHODS["darts"]().citations()) == 1
    assert Told().trials == []
