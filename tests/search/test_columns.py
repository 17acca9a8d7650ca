"""An op for each column in searches: found by alphas and by paths, one column always on, only `drop` is simpler."""

from __future__ import annotations

import pytest
import torch

from search.worlds import market, one_shot, task
from tradenas.nn import Layout, Network, hard
from tradenas.search.base import METHODS
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.marginal import contrasts
from tradenas.search.parts.merits import worst
from tradenas.search.parts.parsimony import simpler, simplicity
from tradenas.search.parts.relaxation import discretise
from tradenas.search.parts.sizes import is_op, is_size
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked

torch.set_num_threads(1)
OPS = ("rank", "raw", "drop", "zscore")
CHAIN = Chain(
    depths=(1,), ops=("dense",), widths=(8,), activations=("tanh",), norms=("none",), dropouts=(0.0,), lookbacks=(3,),
    column_ops=OPS,
)  # fmt: skip
#: The next return hangs on the first column of the first block, `raw`; the other blocks are noise of their own.
DATA = market(features=3, transforms=("raw", "zscore", "rank"))
SPACE = CHAIN.space(DATA.indicators)
COLUMNS = [f"input/column/{name}" for name in DATA.names]


@pytest.mark.parametrize("kind", ["darts", "gdas", "fairdarts", "spos"])
def test_the_planted_op_is_found_and_the_wrong_one_is_not_worth_it(kind):
    made = one_shot(kind, training={"epochs": 10}, num_ranked=12, find=Evolution(population=6, parents=4))
    one = task(data=DATA, choices=SPACE)
    state = made.init(one)
    for epoch in range(made.num_epochs()):
        made.epoch(one, state, epoch)
    ranked = made.finish(one, state)
    assert ranked[0].architecture["input/column/indicator0"] == "raw"
    assert ranked[0].scores["ic"] > 0.4
    if kind != "spos":
        alphas = state.learners[0].now()
        assert set(COLUMNS) <= set(alphas)
        assert made.chosen(SPACE, alphas)["input/column/indicator0"] == "raw"


def test_alphas_of_a_column_learn_from_its_own_blocks():
    """The gradient of a loss with respect to them, against finite differences."""
    network = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms, names=DATA.names), seed=2).double()
    with torch.no_grad():
        network.inputs.taps.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(1))
    x_BTF = torch.randn(2, 12, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alphas = {c.name: torch.randn(len(c.options), generator=torch.Generator().manual_seed(i), dtype=torch.float64)
              for i, c in enumerate(SPACE.choices) if c.name in COLUMNS}  # fmt: skip

    def loss(*values):
        mixture = {name: torch.softmax(v, 0) for name, v in zip(alphas, values, strict=True)}
        return network(x_BTF, mixture).square().mean()

    values = tuple(a.requires_grad_() for a in alphas.values())
    assert torch.autograd.gradcheck(loss, values)


def test_a_column_is_neither_an_op_of_a_layer_nor_a_size():
    """So `raw` is no skip to DARTS+, and no gate to FairDARTS."""
    for name in COLUMNS:
        assert not is_op(SPACE[name])
        assert not is_size(SPACE[name])
    alphas = {name: torch.zeros(4) for name in COLUMNS} | {"layer0/op": torch.zeros(2)}
    gates = METHODS["fairdarts"]().strengths(alphas)
    assert [float(gates[name].sum()) for name in COLUMNS] == [1.0] * 3
    assert gates["layer0/op"].tolist() == [0.5, 0.5]


def test_where_all_would_be_dropped_the_one_that_wants_it_least_stays():
    weights = {
        COLUMNS[0]: torch.tensor([0.1, 0.1, 0.7, 0.1]),
        COLUMNS[1]: torch.tensor([0.1, 0.2, 0.4, 0.3]),
        COLUMNS[2]: torch.tensor([0.2, 0.1, 0.6, 0.1]),
    }
    fixed = {c.name: c.options[0] for c in SPACE.choices if c.name not in weights}
    found = discretise(SPACE, weights, fixed=fixed)
    assert [found[name] for name in COLUMNS] == ["drop", "zscore", "drop"]
    kept = discretise(SPACE, {**weights, COLUMNS[0]: torch.tensor([0.1, 0.8, 0.0, 0.1])}, fixed=fixed)
    assert [kept[name] for name in COLUMNS] == ["raw", "drop", "drop"]
    held = discretise(SPACE, {n: weights[n] for n in COLUMNS[1:]}, fixed={**fixed, COLUMNS[0]: "raw"})
    assert [held[name] for name in COLUMNS] == ["raw", "drop", "drop"]
    shut = discretise(SPACE, {n: weights[n] for n in COLUMNS[1:]}, fixed={**fixed, COLUMNS[0]: "drop"})
    assert [shut[name] for name in COLUMNS] == ["drop", "zscore", "drop"]


def test_simpler_is_one_column_less_and_no_other_op():
    network = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms, names=DATA.names))
    architecture = SPACE.check({**SPACE.smallest(), COLUMNS[0]: "drop", COLUMNS[1]: "raw"})
    found = simpler(SPACE, architecture)
    assert [{n: a[n] for n in a if a[n] != architecture[n]} for a in found] == [{n: "drop"} for n in COLUMNS[1:]]
    assert all(simplicity(network, a) < simplicity(network, architecture) for a in found)
    assert simplicity(network, architecture)[0] == 2
    last = SPACE.check({**architecture, COLUMNS[1]: "drop"})
    assert simpler(SPACE, last) == []


def test_shrinking_leaves_every_column_a_way_to_be_read():
    merits = {name: {"drop": 1.0, "raw": 0.5, "rank": 0.2, "zscore": 0.1} for name in COLUMNS}
    dropped = {(name, option) for name, option, _ in worst(SPACE, merits, share=1.0)}
    assert dropped == {(name, option) for name in COLUMNS for option in ("rank", "zscore")}


def test_contrasts_are_of_the_op_with_all_else_as_it_was():
    drawn = contrasts(SPACE, 30, seed=0)
    for name in COLUMNS:
        assert len(drawn[name]) > 20
        for contrast in drawn[name]:
            assert [contrast[o][name] for o in contrast] == list(contrast) == list(OPS)
            first, *others = contrast.values()
            assert all({n for n in first if first[n] != a[n]} == {name} for a in others)


def test_a_path_trains_no_filter_of_a_column_that_is_dropped():
    network = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms, names=DATA.names), seed=1)
    architecture = SPACE.check({**SPACE.smallest(), COLUMNS[1]: "drop"})
    network(torch.randn(1, 20, 9), hard(SPACE, architecture)).square().sum().backward()
    assert (network.inputs.taps.grad.abs().sum(1) > 0).tolist() == [True, False, True]


def test_the_digest_of_a_candidate_holds_its_columns():
    one = SPACE.sample(rng_for(0))
    other = SPACE.check({**one, COLUMNS[0]: next(o for o in ("rank", "raw") if o != one[COLUMNS[0]])})
    assert one.digest != other.digest


def test_networks_trained_as_a_stack_read_their_own_columns():
    layout = Layout(groups=DATA.groups, transforms=DATA.transforms, names=DATA.names)
    template, training = Network(SPACE, layout), Training(epochs=2, segment=16, batch=128, lr=1e-2)
    architecture = SPACE.check({**SPACE.smallest(), COLUMNS[0]: "raw", COLUMNS[2]: "drop"})
    jobs = [Job(data=DATA, train=Span(0, 500), seed=seed) for seed in (0, 1)]
    for job, stacked in zip(jobs, fit_stacked(template, architecture, jobs, training=training), strict=True):
        alone = fit(template, architecture, DATA, job.train, training=training, seed=job.seed)
        for name, tensor in alone.network.state_dict().items():
            torch.testing.assert_close(stacked.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
        assert alone.network.inputs.features == 2
