"""Among near-equals the simplest: differences on the same rows, inputs taken away one by one, every look counted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from search.worlds import Told, market, spos, task
from tradenas.errors import ConfigError
from tradenas.search.base import Candidate
from tradenas.search.parts.marginal import contrasts, effects
from tradenas.search.parts.parsimony import (
    PARTS,
    part_merits,
    shortfalls,
    simpler,
    simplest_first,
    simplicity,
    simplify,
)
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.evaluate import merit

TABLE = {f"indicator{j}": "test" for j in range(4)}
CHAIN = Chain(
    depths=(1,), ops=("dense", "gated"), widths=(4, 8), activations=("relu",), norms=("none", "batch"), dropouts=(0.0,),
    lookbacks=(5, 10, 20), transforms=("raw",), features=tuple(TABLE),
)  # fmt: skip
SPACE = CHAIN.space(TABLE)


@pytest.fixture(scope="module")
def searched():
    """A supernet trained on a market whose next return hangs on indicator0 alone."""
    told = Told()
    one = task(told, data=market(features=4, strength=0.4), choices=SPACE)
    method = spos(num_ranked=20, training={"epochs": 6})
    state = method.init(one)
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    return one, state, method.finish(one, state), told


def test_shortfalls_are_of_the_difference_not_of_the_scores():
    rng = rng_for(0, "shortfalls")
    rows_K = rng.standard_normal(PARTS)  # good and bad times for everybody
    best_K = rows_K + 0.1 + 0.02 * rng.standard_normal(PARTS)
    equal_K, worse_K = best_K - 0.001 * rng.standard_normal(PARTS), best_K - 0.05 + 0.01 * rng.standard_normal(PARTS)
    equal, worse, failed, same = shortfalls(best_K, np.array([equal_K, worse_K, best_K * np.nan, best_K]))
    assert abs(equal) < 3
    assert worse > 10
    assert failed == np.inf
    assert same == 0.0
    assert shortfalls(best_K, best_K[None] - 0.1)[0] > 1e6  # worse by the same everywhere: no doubt at all


def test_parts_of_the_rows_make_up_the_whole(searched):
    one, state, ranked, _ = searched
    wanted = [c.architecture for c in ranked[:6]]
    evaluator = one.scorer.evaluator
    losses_NK = part_merits(
        type(one.scorer)(evaluator=evaluator, metric="loss", on_trial=one.scorer.on_trial), state.networks, wanted
    )
    want = [merit(scores, "loss") for scores in evaluator.score_paths(state.network, wanted)]
    assert losses_NK.shape == (6, PARTS)
    np.testing.assert_allclose(losses_NK.mean(axis=1), want, rtol=0.02)  # parts are as long as rounding allows
    assert losses_NK.std(axis=1).min() > 0
    signal_T, scale, usable_T = evaluator.signals(state.network, wanted[0])
    edges = np.linspace(0, len(signal_T), PARTS + 1).round().astype(int)
    return_T = evaluator.data.bar_return_T[evaluator.valid.slice]
    ics = []
    for low, high in pairwise(edges):
        rows = np.flatnonzero(usable_T[low:high]) + low
        ics.append(np.corrcoef(signal_T[rows], return_T[rows])[0, 1])
    np.testing.assert_allclose(part_merits(one.scorer, state.networks, wanted[:1])[0], ics, rtol=1e-9)
    halves = [evaluator.part_merits(state.network, wanted[:1], metric, parts=2)[0] for metric in ("ic", "sharpe")]
    half = replace(evaluator, valid=Span(evaluator.valid.start, evaluator.valid.start + edges[-1] // 2))
    traded = half.trade(signal_T[: edges[-1] // 2], scale, usable_T[: edges[-1] // 2])
    assert [h[0] for h in halves] == pytest.approx([traded["ic"], traded["sharpe"]])
    assert np.isnan(evaluator.part_merits(state.network, wanted[:1], "sharpe", parts=PARTS)).any()  # under two days


def test_simpler_is_one_input_less_or_a_shorter_lookback():
    architecture = SPACE.check({**SPACE.largest(), "input/feature/indicator2": "off"})
    found = simpler(SPACE, architecture)
    changed = [{n for n in architecture if a[n] != architecture[n]} for a in found]
    assert sorted(map(sorted, changed)) == sorted(
        [["input/lookback"]] * 2 + [[f"input/feature/indicator{j}"] for j in (0, 1, 3)]
    )
    assert simpler(SPACE, SPACE.smallest()) == []  # the last input stays on


def test_inputs_that_say_nothing_are_taken_away(searched):
    one, state, ranked, told = searched
    before = len(told.trials)
    start = one.scorer.paths(state.networks, [SPACE.largest()])[0]
    more = simplify(SPACE, one.scorer, state.networks, start, errors=1.0, seen=[*ranked, start])
    assert len(told.trials) - before == 1 + len(more)  # every look is counted, none twice
    assert len({c.architecture for c in [*ranked, start, *more]}) == len(
        {c.architecture for c in [*ranked, start]}
    ) + len(more)
    best = simplest_first(one.scorer, state.networks, one.scorer.best_first([*ranked, start, *more]), errors=1.0)
    first = best[0].architecture
    assert first["input/feature/indicator0"] == "on"
    assert [first[f"input/feature/indicator{j}"] for j in (1, 2, 3)].count("off") >= 2
    without = [c for c in more if c.architecture["input/feature/indicator0"] == "off"]
    assert without  # it was tried
    assert all(merit(c.scores, "ic") < merit(start.scores, "ic") - 0.1 for c in without)


def test_it_stops_where_something_would_be_lost(monkeypatch):
    """Three indicators are needed, and a lookback of 10: no candidate that lacks two of these is ever looked at."""
    needed = {"input/feature/indicator0": "on", "input/feature/indicator1": "on", "input/feature/indicator2": "on"}

    def lost(architecture):
        return sum(architecture[n] != o for n, o in needed.items()) + (architecture["input/lookback"] < 10)

    def merits(scorer, networks, architectures):
        rng = rng_for(0, "stops")
        return np.array([0.01 * rng.standard_normal(PARTS) - 0.1 * lost(a) for a in architectures])

    class Counts:
        def paths(self, networks, architectures):
            return [Candidate(a, {"ic": -0.1 * lost(a)}) for a in architectures]

    monkeypatch.setattr("tradenas.search.parts.parsimony.part_merits", merits)
    looked = simplify(SPACE, Counts(), [], Candidate(SPACE.largest(), {"ic": 0.0}), errors=2.0)
    kept = [c.architecture for c in looked if not lost(c.architecture)]
    assert any(a["input/feature/indicator3"] == "off" and a["input/lookback"] == 10 for a in kept)
    assert max(lost(c.architecture) for c in looked) == 1


def test_the_planted_indicator_is_worth_something_and_no_other(searched):
    one, state, _, _ = searched
    drawn = contrasts(SPACE, 24, seed=1)
    wanted = list({a for each in drawn.values() for contrast in each for a in contrast.values()})
    merits = dict(zip(wanted, part_merits(one.scorer, state.networks, wanted), strict=True))
    worth = {e.choice: e for e in effects(drawn, merits, seed=1) if e.option == "on"}
    planted, *others = (worth[f"input/feature/{name}"] for name in TABLE)
    assert planted.low > 0.1
    assert all(abs(e.effect) < planted.effect / 3 for e in others)


def test_no_candidate_is_lost_and_none_far_behind_is_taken(searched):
    one, state, ranked, _ = searched
    for errors in (0.5, 2.0):
        found = simplest_first(one.scorer, state.networks, ranked, errors=errors)
        assert sorted(c.architecture.digest for c in found) == sorted(c.architecture.digest for c in ranked)
        assert [c for c in found if c is not found[0]] == [c for c in ranked if c is not found[0]]
        merits_NK = part_merits(one.scorer, state.networks, [ranked[0].architecture, found[0].architecture])
        assert shortfalls(merits_NK[0], merits_NK[1:])[0] <= errors
        keys = [simplicity(state.network, c.architecture) for c in (found[0], ranked[0])]
        assert keys[0] <= keys[1]


def test_the_setting_changes_the_first_place_only_by_what_it_adds():
    plain, told = Told(), Told()
    data = market(features=4, strength=0.4)
    without, one = task(plain, data=data, choices=SPACE), task(told, data=data, choices=SPACE)
    method = spos(num_ranked=10, parsimony=1.0)
    states = []
    for each, search in ((without, spos(num_ranked=10)), (one, method)):
        state = search.init(each)
        for epoch in range(search.num_epochs()):
            search.epoch(each, state, epoch)
        states.append((state, search.finish(each, state)))
    assert told.trials[:10] == plain.trials  # the search before it is the same
    assert [t[0] for t in told.trials] == [c.architecture.digest for c in states[1][0].scored]
    again = method.init(one)
    again.restore(states[1][0].tensors(), states[1][0].meta())
    assert [c.architecture for c in method.finish(one, again)] == [c.architecture for c in states[1][1]]
    with pytest.raises(ConfigError, match="parsimony"):
        spos(parsimony=-1.0)
