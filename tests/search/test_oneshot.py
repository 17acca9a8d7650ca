"""What one-shot methods share: several supernets and their one order, counts of updates, limits, finders."""

from __future__ import annotations

import json
import math

import pytest

from search.worlds import Told, space, spos, task
from tradenas.errors import BudgetError, ConfigError
from tradenas.events import Events
from tradenas.search.base import Candidate, run_search
from tradenas.search.parts.aggregate import merits_of
from tradenas.search.parts.evolution import Evolution, sample_distinct
from tradenas.search.parts.find import History, find
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.search.parts.travel import travels
from tradenas.search.parts.uniform import Exhaustive, Uniform
from tradenas.space import Architecture
from tradenas.train.evaluate import merit


def named(name, *ics):
    each = tuple({"ic": ic} if math.isfinite(ic) else {} for ic in ics)
    return Candidate(Architecture({"name": name}), {"ic": sum(ics) / len(ics)}, each)


def test_ranks_of_several_supernets_are_put_together():
    """c is first by the mean of the scores, by one loud supernet; by ranks b is."""
    some = [named("a", 0.1, 0.1, 0.1), named("b", 0.3, 0.2, 0.2), named("c", 0.0, 0.0, 9.0)]
    assert merits_of(some, "ic", "mean_score") == pytest.approx((0.1, 0.7 / 3, 3.0))
    assert merits_of(some, "ic", "mean_rank") == pytest.approx((-7 / 3, -4 / 3, -7 / 3))
    assert merits_of(some, "ic", "borda") == pytest.approx((2.0, 5.0, 2.0))


def test_less_is_better_for_a_loss_and_a_failure_is_last():
    some = [Candidate(Architecture({"n": n}), {}, each) for n, each in (
        ("a", ({"loss": 1.0}, {"loss": 2.0})), ("b", ({"loss": 0.5}, {"loss": 1.0})), ("c", ({"loss": 0.1}, {})),
    )]  # fmt: skip
    for how in ("mean_rank", "borda"):
        worth = merits_of(some, "loss", how)
        assert worth[1] > worth[0] > worth[2] == -math.inf
    assert merits_of([], "ic", "mean_rank") == ()


def test_one_supernet_is_ordered_by_its_score_whatever_the_rule():
    some = [Candidate(Architecture({"n": i}), {"ic": v}) for i, v in enumerate((0.3, 0.1, 0.2))]
    assert merits_of(some, "ic", "borda") == (0.3, 0.1, 0.2)


def test_several_supernets_differ_are_one_trial_each_and_order_by_rank(tmp_path):
    told = Told()
    one, method = task(told), spos(supernets=3, training={"epochs": 2})
    assert method.num_epochs() == 3 * 2 + 4
    candidates = run_search(method, one, tmp_path)
    assert len(candidates) == len(told.trials) == 18
    for c in candidates:
        assert len(c.each) == 3
        assert c.scores["ic"] == pytest.approx(sum(s["ic"] for s in c.each) / 3)
        assert len({s["ic"] for s in c.each}) > 1
    worth = merits_of(candidates, "ic", "mean_rank")
    assert list(worth) == sorted(worth, reverse=True)
    assert candidates_from(json.loads(json.dumps(candidates_to(candidates)))) == candidates


def test_the_first_of_several_supernets_is_the_one_there_would_be_alone():
    alone, several = spos(training={"epochs": 2}), spos(supernets=2, training={"epochs": 2})
    states = []
    for method in (alone, several):
        one = task()
        state = method.init(one)
        for epoch in range(2):
            method.epoch(one, state, epoch)
        states.append(state)
    first, second = (dict(n.named_parameters()) for n in states[1].networks)
    assert all(bool((p == first[n]).all()) for n, p in states[0].network.named_parameters())
    assert any(bool((p != second[n]).any()) for n, p in first.items())


def test_updates_of_every_option_are_counted():
    one, method = task(), spos(training={"epochs": 3})
    state = method.init(one)
    for epoch in range(3):
        method.epoch(one, state, epoch)
    steps = sum(state.updates["depth"])
    assert steps > 15
    assert sum(state.updates["layer0/op"]) == steps
    assert sum(state.updates["layer1/op"]) == state.updates["depth"][1]
    assert all(0 < n < steps for n in state.updates["layer0/op"])


def test_a_limit_on_parameters_holds_for_every_candidate(tmp_path):
    free = run_search(spos(num_ranked=20), task(), tmp_path / "free")
    network = task().network()
    sizes = sorted(network.count(c.architecture).parameters for c in free)
    limit = sizes[len(sizes) // 2]
    assert sizes[-1] > limit
    for i, finder in enumerate((Evolution(population=5), Uniform(population=5))):
        kept = run_search(spos(num_ranked=20, max_params=limit, find=finder), task(), tmp_path / str(i))
        assert len(kept) > 5
        assert all(network.count(c.architecture).parameters <= limit for c in kept)


def test_a_limit_that_nobody_meets_names_the_cheapest_before_any_training():
    with pytest.raises(BudgetError, match=r"parameters: got 3, expected at least (\d+), .*search\.max_params"):
        spos(max_params=3).init(task())


def test_the_whole_of_a_small_space_and_no_large_one(tmp_path):
    few = space(depths=(1,), widths=(4, 8), activations=("relu",), norms=("none",), dropouts=(0.0,))
    wide = spos(find=Exhaustive(population=5), num_ranked=few.size())
    candidates = run_search(wide, task(choices=few), tmp_path)
    assert {c.architecture for c in candidates} == set(few)
    with pytest.raises(ConfigError, match=r"search\.find\.kind: got exhaustive, with \d+ architectures"):
        spos(find=Exhaustive(), num_ranked=few.size() - 1).init(task(choices=few))


def test_finding_in_a_table():
    """Any score will do: the best of a space by a made-up number, evolution sooner than chance."""
    choices = space()

    def score(wanted):
        return [{"worth": float(sum(len(str(v)) for v in a.values()))} for a in wanted]

    def best(finder, seed):
        history = find(finder, choices, score, num=60, merit=lambda v: v["worth"], seed=seed)
        assert len(set(history.architectures)) == len(history) == 60
        assert history.merits == tuple(history.values["worth"])
        return max(history.merits)

    seeds = range(8)
    evolved = [best(Evolution(population=10, parents=5), s) for s in seeds]
    drawn = [best(Uniform(population=10), s) for s in seeds]
    assert sum(evolved) > sum(drawn)


def test_history_orders_by_merit_then_by_digest():
    some = sample_distinct(space(), 6, seed=0, stream="h")
    history = History(architectures=tuple(some), merits=(1.0, 3.0, 3.0, -math.inf, 2.0, 0.0))
    order = history.best_first()
    assert set(order[:2]) == {some[1], some[2]}
    assert [a.digest for a in order[:2]] == sorted(a.digest for a in order[:2])
    assert order[-1] == some[3]


def test_candidates_come_in_the_order_of_the_merit(tmp_path):
    told = run_search(spos(), task(), tmp_path)
    merits = [merit(c.scores, "ic") for c in told]
    assert merits == sorted(merits, reverse=True)


def test_a_learning_rate_that_moves_nothing_is_warned_of_and_a_sound_one_is_not(tmp_path):
    for lr, warned in ((1e-6, True), (1e-1, False)):
        events = Events(tmp_path / f"{lr}.jsonl")
        run_search(spos(num_ranked=5, training={"lr": lr, "epochs": 8}), task(), tmp_path / str(lr), events=events)
        said = [e["message"] for e in events.read() if e["kind"] == "warning"]
        assert bool(said) == warned, said


def test_more_paths_a_step_take_weights_farther():
    one = task()
    network, training = one.network(), spos().training
    single, sixfold = ({t.part: t.reach for t in travels(one.space, network, training, 100, passes=p)} for p in (1, 6))
    assert all(sixfold[part] > single[part] for part in single if "op" in part)
    most = max(sixfold.values())
    assert all(reach <= most for reach in sixfold.values())  # no farther than in every step
