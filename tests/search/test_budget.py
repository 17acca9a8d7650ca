"""Limits in a search: nothing beyond them is scored, alphas give way, rewards turn the right way, Deb's rule ranks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.worlds import Told, one_shot, random_search, space, task
from tradenas.cost import COSTS, Budget, Exponent, PriceList, nearest
from tradenas.errors import BudgetError, ConfigError
from tradenas.search.base import METHODS, Candidate, run_search
from tradenas.search.methods import DARTS, PDARTS, ZeroCost
from tradenas.search.parts.affordable import TRIES, Affordable, affordable, kept, refuse_unless_met, with_one_that_fits
from tradenas.search.parts.aging import Aging
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.find import History, find
from tradenas.search.parts.front import hypervolume, pareto
from tradenas.search.parts.nsga2 import NSGA2
from tradenas.search.parts.reward import log_objective, objective, scale_of, worth
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.space import Choice, SearchSpace

DIGITS = SearchSpace([Choice(name=name, options=tuple(range(10))) for name in "abcdef"])


class Digits:
    """The sum of the digits, as a cost."""

    def exact(self, architecture) -> float:
        return float(sum(architecture.values()))


def limited(share: float, *, told: Told | None = None, **changes):
    """A task whose limit on parameters a share of 200 draws meets, and its price list."""
    one = task(told)
    prices = one.price_list()
    rng = rng_for(1, "draws")
    sizes = sorted(prices.one("parameters", one.space.sample(rng)) for _ in range(200))
    prices = replace(prices.limited(parameters=sizes[round(share * 199)]), **changes)
    return replace(one, prices=prices), prices


def small_darts(**changes) -> DARTS:
    return one_shot("darts", **{"find": Uniform(population=6), "num_ranked": 6, "eigenvalue_every": 0, **changes})


METHODS_TRIED = {
    "spos": lambda: one_shot("spos"),
    "sandwich": lambda: one_shot("sandwich"),
    "enas": lambda: one_shot("enas", controller=replace(METHODS["enas"]().controller, steps=2, samples=4)),
    "progressive": lambda: one_shot("progressive", stages=2, paths=2),
    "darts": small_darts,
    "pdarts": lambda: one_shot("pdarts", keep=(1.0, 0.5), skip_dropout=(0.0, 0.0), find=Uniform(population=6),
                               num_ranked=6, eigenvalue_every=0),
    "random": random_search,
    "zero_cost": lambda: ZeroCost(training=random_search().training, num_trained=3, num_screened=8),
}  # fmt: skip


SLOW = ("sandwich", "zero_cost", "progressive")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in METHODS_TRIED])
def test_nothing_beyond_a_limit_is_ever_scored(name, tmp_path):
    told, seen = Told(), []
    one, prices = limited(0.3)
    one = replace(
        one, scorer=replace(one.scorer, on_trial=lambda a, *rest, **more: (seen.append(a), told(a, *rest, **more)))
    )
    found = run_search(METHODS_TRIED[name](), one, tmp_path)
    assert len(found) > 2
    assert seen
    assert all(prices.fits(a) for a in seen)
    free = [one.space.sample(rng_for(2, "x", i)) for i in range(50)]
    assert not all(prices.fits(a) for a in free)


@pytest.mark.parametrize("method", [one_shot("spos"), random_search(), one_shot("enas"), small_darts()])
def test_a_budget_that_nobody_meets_is_refused_before_training_and_names_the_cheapest(method):
    one = task()
    smallest = min(one.price_list().one("macs", a) for a in [one.space.smallest()])
    one = replace(one, prices=one.price_list().limited(macs=smallest - 1))
    least = one.space.smallest().digest
    with pytest.raises(BudgetError, match=rf"budget\.macs: .*, expected at least .*, what {least}"):
        method.init(one)


@pytest.mark.parametrize("train", ["fitting", "all"])
@pytest.mark.parametrize("kind", ["spos", "sandwich"])
def test_single_paths_are_drawn_from_what_fits(kind, train):
    one = task()
    least = one.price_list().one("parameters", one.space.restrict({"depth": [2]}).smallest())
    one = replace(one, prices=replace(one.price_list().limited(parameters=least), train=train))
    method = one_shot(kind)
    state = method.init(one)
    method.epoch(one, state, 0)
    steps = sum(state.updates["depth"])
    widest = state.updates["layer0/width"][1]
    largest = steps // 4 if kind == "sandwich" else 0  # the largest of four paths has a part in every step
    assert (widest == largest) if train == "fitting" else (widest > largest + 2)


def test_the_last_stage_of_pdarts_must_fit():
    one = task(choices=space(ops=("dense", "conv3", "gated")))
    prices = one.price_list()
    deep = prices.one("macs", one.space.restrict({"depth": [2]}).smallest())
    assert prices.one("macs", one.space.smallest()) < deep
    method = METHODS_TRIED["pdarts"]()
    with pytest.raises(BudgetError):
        method.init(replace(one, prices=prices.limited(macs=deep - 1)))
    method.init(replace(one, prices=prices.limited(macs=deep)))


def test_limits_that_are_met_change_no_bit(tmp_path):
    one = task()
    free = run_search(one_shot("spos"), one, tmp_path / "a")
    wide = run_search(one_shot("spos"), replace(one, prices=one.price_list().limited(macs=1e12)), tmp_path / "b")
    assert free == wide


def test_a_search_under_a_budget_resumes_to_the_bit(tmp_path):
    one, _ = limited(0.3)
    method = small_darts(supernets=2)
    whole = run_search(method, one, tmp_path / "whole")
    state = method.init(one)
    for epoch in range(5):
        method.epoch(one, state, epoch)
    other = method.init(one)
    other.restore(state.tensors(), state.meta())
    for epoch in range(5, method.num_epochs()):
        method.epoch(one, other, epoch)
    assert method.finish(one, other) == whole


def test_what_alphas_choose_gives_way_to_the_nearest_that_fits(tmp_path):
    one = task()
    free = small_darts()
    state = free.init(one)
    for epoch in range(free.training.epochs):
        free.epoch(one, state, epoch)
    own = free.stands_for(state.space, state.learners[0])
    prices = one.price_list().limited(macs=one.price_list().one("macs", own) - 1)
    found = run_search(free, replace(one, prices=prices), tmp_path)
    stood = [c for c in found if c.instead_of is not None]
    assert [c.instead_of for c in stood] == [own]
    assert prices.fits(stood[0].architecture)
    changed = [n for n in own if own[n] != stood[0].architecture.get(n)]
    assert 1 <= len(changed) <= 4
    assert candidates_from(candidates_to(found)) == found


FINDERS = [
    Uniform(population=10),
    Evolution(population=10),
    Aging(population=10, tournament=3, children=5),
    NSGA2(population=10, objectives=("merit", "macs")),
]


@pytest.mark.parametrize("finder", FINDERS)
def test_limits_that_only_rank_lead_to_what_fits(finder):
    """Deb's rule in a table: scores beyond the limit are higher, what fits comes first all the same."""

    def score(wanted):
        return [{"sum": float(sum(a.values())), "macs": float(a["a"])} for a in wanted]

    def violation(a):
        return max(0.0, sum(a.values()) / 20.0 - 1.0)

    found = find(finder, DIGITS, score, num=120, merit=lambda values: values["sum"], violation=violation)
    best = found.best_first(finder.fronts(found))
    fits = [violation(a) == 0.0 for a in best]
    assert fits == sorted(fits, reverse=True)
    assert any(fits)
    beyond = [violation(a) for a in best if violation(a) > 0]
    assert beyond == sorted(beyond)
    hard = find(finder, DIGITS, score, num=60, merit=lambda values: values["sum"], allowed=lambda a: violation(a) == 0)
    assert all(violation(a) == 0 for a in hard.architectures)


def test_bred_generations_come_nearer_to_the_limits():
    """Where nothing that fits is drawn at first, Deb's rule gets there and blind draws do not."""

    def violation(a):
        return float(sum(a.values())) / 3.0 - 1.0 if sum(a.values()) > 3 else 0.0

    def least(finder):
        found = find(finder, DIGITS, lambda w: [{"m": float(a["a"])} for a in w], num=300, merit=lambda v: v["m"],
                     violation=violation)  # fmt: skip
        return min(violation(a) for a in found.architectures)

    assert least(Evolution(population=20, parents=5)) == 0.0
    assert least(Uniform(population=20)) > 0.5


def test_scores_beyond_a_limit_are_trials_and_no_candidates(tmp_path):
    told = Told()
    one, prices = limited(0.3, rule="dominance")
    one = replace(one, scorer=replace(one.scorer, on_trial=told))
    found = run_search(one_shot("spos"), one, tmp_path)
    assert len(told.trials) == 18
    assert 0 < len(found) < 18
    assert all(prices.fits(c.architecture) for c in found)
    none = replace(prices, budget=Budget(macs=1.0))
    with pytest.raises(BudgetError, match="none of"):
        kept(found, none)


def test_exponents_rank_and_need_a_target_and_scores(tmp_path):
    one = task()
    prices = one.price_list()
    with pytest.raises(ConfigError, match=r"budget\.exponents\.target"):
        replace(prices, exponents=(Exponent(cost="macs"),))
    with pytest.raises(ConfigError, match="latency_us"):
        replace(prices, exponents=(Exponent(cost="latency_us", target=1.0),))
    with pytest.raises(ConfigError, match=r"search\.find\.objectives.*budget\.table"):
        one_shot("spos", find=NSGA2(population=4, objectives=("merit", "latency_us"))).init(one)
    heavy = replace(prices, exponents=(Exponent(cost="macs", target=100.0, below=-1e4, above=-1e4),))
    one = replace(one, prices=heavy)
    found = run_search(one_shot("spos"), one, tmp_path)
    macs = [heavy.one("macs", c.architecture) for c in found]
    assert macs == sorted(macs)
    with pytest.raises(ConfigError, match=r"search\.aggregate"):
        one_shot("spos", supernets=2).init(one)
    one_shot("spos", supernets=2, aggregate="mean_score").init(one)


QUALITY = st.floats(-50, 50)


@given(
    QUALITY,
    QUALITY,
    st.floats(0.01, 100),
    st.floats(0.01, 100),
    st.floats(-1, 0),
    st.floats(-1, 0),
    st.floats(0.01, 10),
)
def test_the_objective_rises_in_quality_and_falls_in_cost_whatever_their_signs(a, b, cost, more, below, above, scale):
    exponent = Exponent(cost="macs", below=below, above=above)
    own, other = exponent.log_factor(cost, 1.0), exponent.log_factor(cost + more, 1.0)
    low, high = min(a, b), max(a, b)
    assert log_objective(low, own, scale=scale) <= log_objective(high, own, scale=scale)
    assert log_objective(a, other, scale=scale) <= log_objective(a, own, scale=scale) + 1e-9
    assert objective(a, own, scale=scale) >= 0.0
    if cost > 1.0 and above < -0.05 and more > 0.1:
        assert log_objective(a, other, scale=scale) < log_objective(a, own, scale=scale)


def test_the_naive_product_would_reverse_a_negative_quality_and_ours_does_not():
    exponent = Exponent(cost="macs", below=-0.07, above=-0.07)
    cheap, dear = (exponent.log_factor(c, 1.0) for c in (1.0, 4.0))
    assert -1.0 * math.exp(dear) > -1.0 * math.exp(cheap)
    assert objective(-1.0, dear, scale=1.0) < objective(-1.0, cheap, scale=1.0)
    assert objective(float("nan"), 0.0, scale=1.0) == 0.0
    assert objective(1e9, 0.0, scale=1e-3) < math.inf
    assert scale_of("ic/calm") == scale_of("ic") == 0.02
    assert scale_of("ic", 0.5) == 0.5


def test_worth_is_merit_where_nothing_is_weighed():
    one = task(metric="loss")
    a = one.space.smallest()
    assert worth(one, a, {"loss": 0.7}) == -0.7
    assert worth(one, a, {}) == -math.inf


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 10), st.sampled_from([0.0, 0.0, 0.5, 1.0])), min_size=1, max_size=25
    )
)
def test_fronts_are_those_of_constrained_domination(points):
    costs, over = np.array([p[:2] for p in points]), [p[2] for p in points]
    fronts, apart = pareto(costs, over)

    def dominates(i, j):
        if over[i] != over[j] and (over[i] > 0 or over[j] > 0):
            return over[i] < over[j]
        return over[i] == 0 and bool((costs[i] <= costs[j]).all() and (costs[i] < costs[j]).any())

    for j in range(len(points)):
        above = [fronts[i] for i in range(len(points)) if dominates(i, j)]
        assert fronts[j] == (max(above) + 1 if above else 0)
    assert len(apart) == len(points)


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=0, max_size=12))
def test_hypervolume_is_the_number_of_dominated_boxes(points):
    costs = np.array(points, dtype=float).reshape(-1, 3)
    covered = {(i, j, k) for p in points for i in range(p[0], 4) for j in range(p[1], 4) for k in range(p[2], 4)}
    assert hypervolume(costs, [4.0] * 3) == pytest.approx(len(covered))


def test_hypervolume_leaves_out_what_is_unknown_and_wants_a_number_for_each():
    costs = np.array([[1.0, np.nan], [0.5, 0.5]])
    assert hypervolume(costs, [1.0, 1.0]) == 0.25
    with pytest.raises(ConfigError, match="one for each objective"):
        hypervolume(costs, [1.0])


def test_draws_are_those_of_rejection_until_nothing_fits_and_are_mended_then():
    half = Affordable(DIGITS, lambda a: max(0.0, sum(a.values()) - 27.0))
    rng, other = rng_for(0, "a"), rng_for(0, "a")
    for _ in range(20):
        drawn = half.sample(rng)
        while sum((expected := DIGITS.sample(other)).values()) > 27:
            pass
        assert drawn == expected
    calls = []
    few = Affordable(DIGITS, lambda a: (calls.append(a), max(0.0, sum(a.values()) - 2.0))[1])
    found = {few.sample(rng) for _ in range(20)}
    assert all(sum(a.values()) <= 2 for a in found)
    assert len(found) > 5
    assert len(calls) > TRIES
    assert affordable(DIGITS, None) is DIGITS


def test_a_space_where_next_to_nothing_fits_can_still_be_searched(tmp_path):
    one, prices = limited(0.0)
    tight = prices.limited(parameters=1.02 * prices.one("parameters", one.space.smallest()))
    one = replace(one, prices=tight)
    found = run_search(one_shot("spos"), one, tmp_path)
    assert len(found) > 2
    assert all(tight.fits(c.architecture) for c in found)


@given(st.integers(0, 54), st.integers(0, 2**20))
def test_the_nearest_fits_and_keeps_what_it_can(limit, seed):
    start = DIGITS.sample(rng_for(seed, "start"))
    found = nearest(DIGITS, start, lambda a: max(0.0, sum(a.values()) - limit))
    assert found is not None
    assert sum(found.values()) <= limit
    if sum(start.values()) <= limit:
        assert found == start


def test_what_is_left_of_a_space_keeps_something_that_fits():
    prices = PriceList(costs={"macs": Digits()}, budget=Budget(macs=5.0))
    left = {c.name: [9, 8] if c.name != "a" else list(range(10)) for c in DIGITS.choices}
    more = with_one_that_fits(DIGITS, left, prices)
    refuse_unless_met(DIGITS.restrict(more), prices)
    assert all(set(options) <= set(more[name]) for name, options in left.items())
    assert with_one_that_fits(DIGITS, more, prices) == more
    free = PriceList(costs={"macs": Digits()})
    assert with_one_that_fits(DIGITS, left, free) == left


def test_price_lists_limit_by_the_lower_and_price_what_leaves():
    prices = PriceList(costs={"macs": Digits()}, resized=lambda a: type(a)({**a, "a": 9}), fixed={"a": 0})
    start = DIGITS.smallest()
    assert prices.of(start) == {"macs": 9.0}
    assert not prices.limited(macs=8.0).fits(start)
    assert prices.limited(macs=8.0).limited(macs=20.0).limits == {"macs": 8.0}
    assert prices.limited() is prices
    with pytest.raises(ConfigError, match="latency_us"):
        prices.limited(latency_us=1.0)
    assert set(COSTS) >= {"macs", "latency_us"}


def test_histories_without_violations_are_as_they_were():
    some = tuple(DIGITS.sample(rng_for(i, "h")) for i in range(3))
    plain = History(architectures=some, merits=(1.0, 3.0, 2.0))
    assert plain.best_first() == [some[1], some[2], some[0]]
    ranked = replace(plain, violations=(0.0, 2.0, 1.0))
    assert ranked.best_first() == [some[0], some[2], some[1]]


def test_candidates_stand_in_for_something_only_where_they_do():
    a = DIGITS.smallest()
    assert candidates_to([Candidate(a, {"ic": 0.1})]) == [{"architecture": dict(a), "scores": {"ic": 0.1}}]


def test_space_of_the_tests_is_large_enough():
    assert space().size() > 1000
    assert PDARTS().final(space()) is not None
