"""A controller that is rewarded with quality and cost: what it trains, what it learns, and what comes first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from search.worlds import QUICK, Told, market, task
from search.worlds import space as chain
from tradenas.cost import Budget, Exponent
from tradenas.errors import ConfigError
from tradenas.search.base import METHODS, Candidate, run_search
from tradenas.search.parts.controller import Policy
from tradenas.search.parts.reward import objective, worth
from tradenas.search.parts.standalone import Standalone
from tradenas.seeds import rng_for

POLICY = Policy(size=32, lr=3e-3, steps=3, samples=6, decay=0.9, entropy_weight=0.05, tanh_constant=2.5)
SPACE = chain(
    ops=("dense", "conv3", "gated", "residual"), widths=(4, 8, 16), lookbacks=(5, 10, 20), norms=("none",),
    activations=("relu",), dropouts=(0.0,),
)  # fmt: skip


def method(**changes):
    training = replace(QUICK, epochs=1)
    return METHODS["mnasnet"](**{"training": training, "num_trained": 12, "controller": POLICY, **changes})


@pytest.fixture
def table(monkeypatch):
    """Scores from a rule instead of trainings: a wide first layer is worth something, its op nothing at all."""

    def tried(self, task, state, architecture):
        found = Candidate(architecture, {"ic": -0.05 + 0.001 * architecture["layer0/width"]})
        task.scorer.on_trial(architecture, found.scores, None)
        state.scored.append(found)
        return {}

    monkeypatch.setattr(Standalone, "tried", tried)


def searched(folder, told=None, *, seed=0, prices=None, **changes):
    one = task(told, choices=SPACE, seed=seed)
    return run_search(method(**changes), replace(one, prices=prices) if prices else one, folder, save_every_s=1e9)


def test_each_architecture_is_trained_once_and_counted(tmp_path, table):
    told = Told()
    candidates = searched(tmp_path, told, num_trained=20)
    assert len(told.trials) == len({t[0] for t in told.trials}) == len(candidates) == 20


def test_the_controller_is_paid_for_cost_as_well(tmp_path, table):
    """Negative quality throughout: the product as it stands would pay for what is dear."""
    free = [c.architecture for c in searched(tmp_path / "free", num_trained=40, exponents=())]
    paid = searched(tmp_path / "paid", num_trained=40, exponents=(Exponent(cost="macs", below=-1.0, above=-1.0),))
    network = task(choices=SPACE).network()

    def mean(architectures):
        return sum(network.count(a).macs for a in architectures) / len(architectures)

    assert mean([c.architecture for c in paid]) < 0.8 * mean(free)
    assert free[0]["layer0/width"] == 16  # without a price the best is the widest


def test_it_draws_better_ones_as_it_learns(table):
    """A dozen batches of ten; six other seeds ended at 82 to 98 %."""
    one, made = task(choices=SPACE, seed=1), method(exponents=(), controller=replace(POLICY, samples=10, steps=4))
    state = made.init(one)
    for epoch in range(120):
        made.epoch(one, state, epoch)
    drawn = state.learner.controller.draw(200, rng_for(1, "after"))
    assert sum(a["layer0/width"] == 16 for a in drawn) / 200 > 0.6  # of three widths, alike at the start


@pytest.mark.parametrize(("soft", "want"), [(True, -0.07 * math.log(2.0)), (False, -math.log(2.0))])
def test_soft_and_hard_exponents_are_the_papers(soft, want):
    """Twice the target: soft takes what 5 % more accuracy makes good, hard halves the reward; half is worth nothing."""
    e = Exponent(cost="macs", target=100.0) if soft else Exponent(cost="macs", target=100.0, below=0.0, above=-1.0)
    assert e.log_factor(200.0, 100.0) == pytest.approx(want)
    assert e.log_factor(50.0, 100.0) == pytest.approx(0.07 * math.log(2.0) if soft else 0.0)
    if soft:
        assert objective(math.log(1.05), want, scale=1.0) == pytest.approx(1.0, abs=1e-3)


def test_a_target_is_what_is_named_or_the_limit_or_the_median():
    one = task(choices=SPACE)

    def target(prices=None, **named):
        exponents = (Exponent(cost="macs", **named),)
        return method(exponents=exponents).prices(replace(one, prices=prices)).exponents[0].target

    prices = one.price_list()
    assert target(target=123.0) == 123.0
    assert target(replace(prices, budget=Budget(macs=456.0))) == 456.0
    drawn = sorted(prices.one("macs", a) for a in (SPACE.smallest(), SPACE.largest()))
    assert drawn[0] < target() < drawn[1]
    own = replace(prices, exponents=(Exponent(cost="parameters", target=9.0),))
    assert method().prices(replace(one, prices=own)).exponents == own.exponents  # the study's own stand


def test_what_is_beyond_a_budget_is_never_trained(tmp_path, table):
    prices = task(choices=SPACE).price_list()
    limit = prices.one("macs", SPACE.smallest()) * 2
    tight = replace(prices, budget=Budget(macs=limit))
    candidates = searched(tmp_path, prices=tight, num_trained=10)
    assert len(candidates) >= 5
    assert all(prices.one("macs", c.architecture) <= limit for c in candidates)


def test_a_small_space_ends_the_search(tmp_path, table):
    small = chain(depths=(1,), ops=("dense",), widths=(4, 8), lookbacks=(5,), norms=("none",), activations=("relu",),
                  dropouts=(0.0,))  # fmt: skip
    one = task(choices=small)
    candidates = run_search(method(num_trained=12), one, tmp_path)
    assert len(candidates) == small.size()


def test_first_comes_the_best_reward_not_the_best_score(tmp_path, table):
    exponents = (Exponent(cost="macs", below=-2.0, above=-2.0),)
    candidates = searched(tmp_path, num_trained=30, exponents=exponents)
    made = method(exponents=exponents)
    one = task(choices=SPACE)
    rewards = [worth(replace(one, prices=made.prices(one)), c.architecture, c.scores) for c in candidates]
    assert rewards == sorted(rewards, reverse=True)
    ics = [c.scores["ic"] for c in candidates]
    assert ics != sorted(ics, reverse=True)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="clip"):
        method(clip=0.0)
    one = task(choices=SPACE, data=market())
    with pytest.raises(ConfigError, match="latency_us"):
        method(exponents=(Exponent(cost="latency_us"),)).init(one)
