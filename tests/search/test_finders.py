"""Finders: regularised evolution forgets the oldest, NSGA-II finds the front, and none of them needs a memory."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from search.worlds import spos, task
from tradenas.errors import ConfigError, MissingExtra, SpaceError
from tradenas.search.base import run_search
from tradenas.search.parts import aging
from tradenas.search.parts.aging import Aging
from tradenas.search.parts.evolution import Evolution, sample_distinct
from tradenas.search.parts.find import FINDERS, History, find
from tradenas.search.parts.front import pareto
from tradenas.search.parts.nsga2 import NSGA2, objective_columns
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.search.parts.uniform import Exhaustive, Uniform
from tradenas.seeds import rng_for
from tradenas.space import Choice, SearchSpace

GRID = SearchSpace([Choice(name=f"c{i}", options=tuple(range(4))) for i in range(5)])
CONDITIONAL = SearchSpace([
    Choice(name="depth", options=(1, 2)),
    *(Choice(name=f"layer{i}/op", options=("a", "b", "c", "d", "e", "f"), when={"depth": (2,)} if i else {})
      for i in range(2)),
])  # fmt: skip


def worth(a):
    """More is better; best at all 3s but one."""
    return float(sum(a.values()) - 4 * (a["c0"] == 3 and a["c1"] == 3))


def score(wanted):
    """What more of each choice brings, and what it costs."""
    return [{"worth": worth(a), "params": float(sum(v * v for v in a.values()))} for a in wanted]


def search(finder, space=GRID, num=80, seed=0, **changes):
    return find(finder, space, changes.pop("score", score), num=num, merit=lambda v: v["worth"], seed=seed, **changes)


FEW = {
    "random": Uniform(population=10), "evolution": Evolution(population=10, parents=4),
    "aging": Aging(population=10, tournament=3, children=2), "nsga2": NSGA2(population=10),
}  # fmt: skip


@pytest.mark.parametrize("name", FEW)
def test_every_finder_is_new_lawful_and_a_pure_function_of_the_history(name):
    finder = FEW[name]
    assert FINDERS[name] is type(finder)
    history = search(finder)
    assert len(history) == len(set(history.architectures)) == sum(finder.sizes(80)) == 80
    assert search(finder) == history
    assert search(finder, seed=1) != history
    for a in history.architectures:
        GRID.check(a)
    ahead = finder.propose(GRID, history, 7, generation=3, seed=5)
    assert len(set(ahead)) == 7
    assert not set(ahead) & set(history.architectures)
    assert finder.propose(GRID, history, 7, generation=3, seed=5) == ahead
    assert finder.propose(GRID, history, 7, generation=4, seed=5) != ahead


@pytest.mark.parametrize("name", FEW)
def test_limits_hold_and_a_space_that_is_used_up_ends(name):
    even = search(FEW[name], allowed=lambda a: sum(a.values()) % 2 == 0)
    assert all(sum(a.values()) % 2 == 0 for a in even.architectures)
    constant = [{"worth": 1.0, "params": 1.0}]
    every = search(FEW[name], CONDITIONAL, num=60, score=lambda wanted: constant * len(wanted))
    assert set(every.architectures) == set(CONDITIONAL)
    assert len(every) == CONDITIONAL.size() == 42


@pytest.mark.parametrize("name", [n for n in FEW if n != "random"])
def test_what_learns_is_better_than_chance(name):
    def best(finder):
        return [max(search(finder, seed=s).merits) for s in range(10)]

    assert sum(best(FEW[name])) > sum(best(FEW["random"]))


def test_a_failure_never_breeds_and_never_stops_the_search():
    def failing(wanted):
        return [{"worth": -math.inf if a["c0"] == 0 else worth(a), "params": 1.0 * a["c1"]} for a in wanted]

    for finder in FEW.values():
        history = search(finder, score=failing)
        assert len(history) == 80
        assert history.best_first(finder.fronts(history))[-1]["c0"] == 0


def test_the_parent_is_the_best_of_a_sample_of_those_alive(monkeypatch):
    parents = []
    real = aging.mutate
    monkeypatch.setattr(aging, "mutate", lambda s, a, *r, **k: (parents.append(a), real(s, a, *r, **k))[1])
    some = sample_distinct(GRID, 30, seed=0, stream="x")
    merits = tuple([100.0] * 20 + [float(i) for i in range(10)])  # the oldest are the best, and dead
    history = History(architectures=tuple(some), merits=merits)
    finder = Aging(population=10, tournament=10, children=1)
    for generation in range(300):
        finder.propose(GRID, history, 1, generation=generation, seed=0)
    assert set(parents) <= set(some[20:])
    chance = sum(p == some[29] for p in parents) / len(parents)
    assert chance == pytest.approx(1 - 0.9**10, abs=0.09)  # ten draws with replacement out of ten
    parents.clear()
    for generation in range(300):
        Aging(population=10, tournament=1, children=1).propose(GRID, history, 1, generation=generation, seed=0)
    counts = [parents.count(a) for a in some[20:]]
    assert min(counts) > 10  # without selection all breed


def test_a_child_differs_in_one_choice_and_what_hangs_on_it():
    history = search(FEW["aging"], num=10)
    children = FEW["aging"].propose(GRID, history, 10, generation=1, seed=0)
    for child in children:
        assert min(sum(child[k] != a[k] for k in a) for a in history.architectures) == 1


def test_sizes_of_generations():
    assert Aging(population=10, tournament=3, children=4).sizes(20) == [10, 4, 4, 2]
    assert Aging(population=10, tournament=3, children=4).sizes(7) == [7]
    assert Aging(population=3, tournament=1, children=1).sizes(5) == [3, 1, 1]
    assert NSGA2(population=8).sizes(20) == [8, 8, 4]


def fronts_by_hand(costs_NK):
    """Peels off what nothing else beats in every objective."""
    left, fronts, number = set(range(len(costs_NK))), [0] * len(costs_NK), 0

    def beats(i, j):
        return bool((costs_NK[i] <= costs_NK[j]).all() and (costs_NK[i] < costs_NK[j]).any())

    while left:
        front = {i for i in left if not any(beats(j, i) for j in left)}
        for i in front:
            fronts[i] = number
        left, number = left - front, number + 1
    return tuple(fronts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("objectives", [2, 3])
def test_fronts_against_brute_force(seed, objectives):
    costs_NK = rng_for(seed, "costs").integers(6, size=(40, objectives)).astype(float)  # with ties
    assert pareto(costs_NK)[0] == fronts_by_hand(costs_NK)


def test_crowding_by_hand():
    """Four points of one front: the ends are infinitely far, the others half the sides of their cuboids."""
    costs_NK = np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 5.0], [10.0, 0.0]])
    fronts, apart_N = pareto(costs_NK)
    assert fronts == (0, 0, 0, 0)
    assert apart_N[[0, 3]].tolist() == [math.inf, math.inf]
    assert apart_N[1:3] == pytest.approx([(0.4 + 0.5) / 2, (0.9 + 0.6) / 2])


def test_survivors_are_the_first_front_and_the_least_crowded_of_the_next():
    """One point that beats all; of the second front both ends and, of two between them, the one that is further off."""
    some = tuple(sample_distinct(GRID, 5, seed=0, stream="x"))
    merits, params = (20.0, 0.0, -1.0, -6.0, -10.0), (0.0, 10.0, 9.0, 5.0, 0.5)
    history = History(architectures=some, merits=merits, values={"params": params})
    assert NSGA2().fronts(history) == (0, 1, 1, 1, 1)
    assert set(NSGA2(population=4).survivors(history)) == {some[i] for i in (0, 1, 3, 4)}
    assert NSGA2(population=1).survivors(history) == [some[0]]


def test_each_objective_has_its_own_better_direction():
    some = tuple(sample_distinct(GRID, 3, seed=0, stream="x"))
    values = {"loss": (1.0, 2.0, 3.0), "ic": (0.1, math.nan, 0.3), "macs": (5.0, 6.0, 7.0), "ic/calm": (0.0, 0.1, 0.2)}
    history = History(architectures=some, merits=(3.0, -math.inf, 1.0), values=values)
    wanted = objective_columns(("merit", "loss", "ic", "macs", "ic/calm"), history)
    assert wanted.T.tolist() == [[-3.0, math.inf, -1.0], [1.0, 2.0, 3.0], [-0.1, math.inf, -0.3], [5.0, 6.0, 7.0],
                                 [0.0, -0.1, -0.2]]  # fmt: skip
    assert NSGA2(objectives=("loss", "macs")).fronts(history) == (0, 1, 2)
    assert NSGA2(objectives=("ic", "macs")).fronts(history) == (0, 1, 0)
    assert NSGA2(objectives=("ic", "macs")).fronts(History()) == ()


def test_candidates_come_front_by_front_and_by_merit_within():
    some = tuple(sample_distinct(GRID, 5, seed=0, stream="x"))
    history = History(
        architectures=some, merits=(1.0, 5.0, 4.0, 3.0, 2.0), values={"params": (1.0, 9.0, 10.0, 2.0, 3.0)}
    )
    fronts = NSGA2().fronts(history)
    assert fronts == (0, 0, 1, 0, 1)
    assert history.best_first(fronts) == [some[i] for i in (1, 3, 0, 2, 4)]
    assert Evolution().fronts(history) == ()


def test_nsga2_finds_most_of_the_true_front_of_a_small_table():
    """1,024 architectures, a quarter of them looked at, against the front of them all."""
    gain_CO = rng_for(0, "gain").random((5, 4)).cumsum(axis=1)
    price_CO = rng_for(0, "price").random((5, 4)).cumsum(axis=1)

    def score(wanted):
        rows = [[a[f"c{i}"] for i in range(5)] for a in wanted]
        return [{"worth": gain_CO[range(5), r].sum(), "params": price_CO[range(5), r].sum()} for r in rows]

    every = list(GRID)
    whole = find(Exhaustive(), GRID, score, num=1024, merit=lambda v: v["worth"])

    def front(history):
        fronts = NSGA2().fronts(history)
        return {a for a, f in zip(history.architectures, fronts, strict=True) if f == 0}

    true = front(whole)
    assert len(whole) == len(every)
    assert len(true) > 20
    costs_NK = objective_columns(NSGA2().objectives, whole)
    for a, row_K in zip(whole.architectures, costs_NK, strict=True):
        beaten = bool(((costs_NK <= row_K).all(axis=1) & (costs_NK < row_K).any(axis=1)).any())
        assert beaten == (a not in true)

    def share(finder, seed):
        return len(front(search(finder, num=250, seed=seed, score=score)) & true) / len(true)

    found = [share(NSGA2(population=25), s) for s in range(3)]
    drawn = [share(Uniform(population=25), s) for s in range(3)]
    assert sum(found) / 3 > 0.65
    assert sum(found) > 2 * sum(drawn)


def test_a_search_with_two_objectives_shows_its_front(tmp_path):
    method = spos(find=NSGA2(population=6, objectives=("ic", "params")), training={"epochs": 2})
    one = task()
    candidates = run_search(method, one, tmp_path)
    assert len(candidates) == 18
    network = one.network()
    costs_NK = np.array([[-c.scores["ic"], network.count(c.architecture).parameters] for c in candidates])
    fronts = [c.front for c in candidates]
    assert tuple(fronts) == fronts_by_hand(costs_NK)
    assert fronts == sorted(fronts)
    assert fronts[0] == 0 < fronts[-1]
    first = [c.scores["ic"] for c in candidates if c.front == 0]
    assert first == sorted(first, reverse=True)
    assert first[0] == max(c.scores["ic"] for c in candidates)
    assert candidates_from(candidates_to(candidates)) == candidates
    assert [c.front for c in run_search(spos(training={"epochs": 1}), task(), tmp_path / "one")] == [None] * 18


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Aging(population=5, tournament=6), r"search\.find\.tournament: got 6, expected 1 to .* = 5"),
        (lambda: Aging(tournament=0), r"search\.find\.tournament"),
        (lambda: Aging(population=5, tournament=2, children=6), r"search\.find\.children"),
        (lambda: Aging(population=0), r"search\.find\.population"),
        (lambda: NSGA2(objectives=("ic",)), r"search\.find\.objectives: got \['ic'\], expected two or more"),
        (lambda: NSGA2(objectives=("ic", "ic", "params")), r"search\.find\.objectives.*each once"),
        (lambda: NSGA2(objectives=("ic", "parms")), r"search\.find\.objectives: got 'parms'.*[Dd]id you mean 'params'"),
        (lambda: NSGA2(objectives=("ic/clam", "params")), r"search\.find\.objectives: got 'ic/clam'.*'calm'"),
        (lambda: NSGA2(crossover_rate=1.5), r"search\.find\.crossover_rate"),
        (lambda: NSGA2(mutation_rate=0.0), r"search\.find\.mutation_rate"),
        (lambda: search(NSGA2(objectives=("ic", "params"))), r"search\.find\.objectives: got 'ic', expected a score"),
    ],
)  # fmt: skip
def test_faulty_settings_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("name", FEW)
def test_an_empty_space_is_refused(name):
    with pytest.raises(SpaceError, match="SearchSpace: got no choices, expected at least one"):
        search(FEW[name], SearchSpace([]))


def test_without_pymoo_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.util.nds.non_dominated_sorting", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tradenas\[search\]'"):
        search(NSGA2(population=4), num=8)
