"""Single path one-shot: which weights a step moves, which paths it draws, and what it tells of its candidates."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from search.worlds import Told, market, space, spos, task
from tradenas.errors import ConfigError, DivergedError
from tradenas.search.base import METHODS, run_search
from tradenas.search.methods import SPOS
from tradenas.search.parts import evolution
from tradenas.search.parts import oneshot as module
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.uniform import Uniform
from tradenas.train.evaluate import merit


def ran(method, one, tmp_path):
    state = method.init(one)
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    return state


def watched_paths(monkeypatch, method, one, epochs):
    """The mixtures that training asked for, and which weights had gradients under them."""
    paths, touched = [], []
    real = module.train_epoch

    def watching(network, optimizer, *args, plan, **kwargs):
        def noted(step):
            passes = plan(step)
            paths.extend(dict(one.mixture) for one in passes)
            return passes

        step = optimizer.step

        def counted():
            touched.append({n for n, p in network.named_parameters() if p.grad is not None})
            return step()

        optimizer.step = counted
        try:
            return real(network, optimizer, *args, plan=noted, **kwargs)
        finally:
            optimizer.step = step

    monkeypatch.setattr(module, "train_epoch", watching)
    state = method.init(one)
    for epoch in range(epochs):
        method.epoch(one, state, epoch)
    return paths, touched


def test_only_the_sampled_path_is_trained(monkeypatch):
    one = task()
    paths, touched = watched_paths(monkeypatch, spos(), one, 2)
    assert len(paths) == len(touched) > 10
    for mixture, names in zip(paths, touched, strict=True):
        depth = one.space["depth"].options[mixture["depth"]]
        for i in range(2):
            ops = {n.split(".")[3] for n in names if n.startswith(f"layers.{i}.ops.")}
            want = {one.space[f"layer{i}/op"].options[mixture[f"layer{i}/op"]]} if i < depth else set()
            assert ops == want - {"skip"}  # which has no weights
        assert {n.split(".")[1] for n in names if n.startswith("heads.")} == {str(depth)}


def test_paths_are_drawn_uniformly(monkeypatch):
    """Every option of every choice alike (where it is active), by a chi-square over 2,000 steps of a fixed seed."""
    paths = []

    def steps_only(*_, plan, **__):
        paths.extend(plan(step)[0].mixture for step in range(500))
        return {"loss": 0.0}

    monkeypatch.setattr(module, "train_epoch", steps_only)
    one, method = task(seed=4), spos()
    state = method.init(one)
    for epoch in range(4):
        method.epoch(one, state, epoch)
    assert len(paths) == 2000
    for choice in one.space.choices:
        counts = Counter(p[choice.name] for p in paths if choice.name in p)
        seen = [counts[i] for i in range(len(choice.options))]
        if len(seen) > 1:
            assert stats.chisquare(seen).pvalue > 1e-3, (choice.name, seen)


def test_no_two_epochs_draw_the_same_paths(monkeypatch):
    one = task()
    paths, _ = watched_paths(monkeypatch, spos(), one, 2)
    half = len(paths) // 2
    assert paths[:half] != paths[half : 2 * half]


def test_every_score_is_told_once_and_ranked(tmp_path):
    told = Told()
    one, method = task(told), spos()
    candidates = run_search(method, one, tmp_path)
    assert len(told.trials) == len(candidates) == 18
    assert len({digest for digest, _, _ in told.trials}) == 18
    assert {d: s for d, s, _ in told.trials} == {c.architecture.digest: c.scores for c in candidates}
    assert all(error is None for _, _, error in told.trials)
    merits = [merit(c.scores, "ic") for c in candidates]
    assert merits == sorted(merits, reverse=True)
    assert merits[0] > merits[-1]
    for c in candidates:
        one.space.check(c.architecture)


def test_evolution_breeds_from_the_best_and_random_ranking_does_not(monkeypatch, tmp_path):
    parents = []
    real = evolution.next_generation

    def noted(space, ranked, count, **settings):
        parents.append([a.digest for a in ranked])
        return real(space, ranked, count, **settings)

    monkeypatch.setattr(evolution, "next_generation", noted)
    told = Told()
    run_search(spos(), task(told), tmp_path / "a")
    assert [len(p) for p in parents] == [5, 10, 15]
    for count, seen in zip((5, 10, 15), parents, strict=True):
        assert seen == [t[0] for t in sorted(told.trials[:count], key=lambda t: (-t[1]["ic"], t[0]))]
    parents.clear()
    run_search(spos(find=Uniform(population=5)), task(), tmp_path / "b")
    assert parents == []


def test_the_same_seed_gives_the_same_candidates_and_another_others(tmp_path):
    runs = [run_search(spos(), task(seed=s), tmp_path / str(i)) for i, s in enumerate((1, 1, 2))]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_space_smaller_than_the_wish_is_scored_whole_and_ends(tmp_path):
    few = space(
        depths=(1,), widths=(4,), ops=("dense", "conv3"), activations=("relu",), norms=("none",), dropouts=(0.0,)
    )
    assert few.size() == 4
    told = Told()
    candidates = run_search(spos(), task(told, choices=few), tmp_path)
    assert len(candidates) == len(told.trials) == 4
    assert {c.architecture for c in candidates} == set(few)
    one = space(depths=(1,), widths=(4,), ops=("dense",), activations=("relu",), norms=("none",), dropouts=(0.0,),
                lookbacks=(5,))  # fmt: skip
    assert len(run_search(spos(), task(choices=one), tmp_path / "one")) == 1


def test_the_search_learns_what_was_planted(tmp_path):
    """Trained weights rank above chance, and the loss falls."""
    one = task()
    method = spos(training={"epochs": 15, "lr": 1e-2, "batch": 32})
    state = method.init(one)
    losses = [method.train(one, state, epoch)["loss"] for epoch in range(15)]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    method.generation(one, state, 0)
    assert np.median([c.scores["ic"] for c in state.scored]) > 0.3


def test_one_exploding_op_does_not_take_the_others_with_it(tmp_path):
    told = Told()
    one = task(told)
    method = spos(training={"epochs": 3})
    state = method.init(one)
    with torch.no_grad():
        for n, p in state.network.named_parameters():
            if ".ops.gated." in n:
                p.fill_(math.nan)
    log = method.train(one, state, 0)
    assert log["skipped"] > 0
    assert math.isfinite(log["loss"])
    method.generation(one, state, 0)
    broken = {c.architecture.digest for c in state.scored if not c.scores}
    assert all("gated" in c.architecture.values() for c in state.scored if not c.scores)
    assert len(broken) < len(state.scored)
    ranked = method.finish(one, state)
    assert {c.architecture.digest for c in ranked[len(ranked) - len(broken) :]} == broken


def test_a_search_without_one_finite_score_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tradenas.train.evaluate.Evaluator.score_paths", lambda self, net, some: [{} for _ in some])
    with pytest.raises(DivergedError, match="no candidate with a finite ic"):
        run_search(spos(training={"epochs": 1}), task(), tmp_path)


def test_selection_rows_are_not_in_the_task():
    """What a method may look at ends with the search zone; its own labels end with the training rows."""
    one = task()
    labels = market().y_T.copy()
    labels[one.train.stop :] = 7.0
    from dataclasses import replace

    other = task(data=replace(market(), y_T=labels))
    method = spos()
    logs = []
    for t in (one, other):
        state = method.init(t)
        logs.append([method.train(t, state, e) for e in range(2)])
    assert logs[0] == logs[1]


@pytest.mark.parametrize("change", [{"num_ranked": 0}, {"supernets": 0}, {"max_params": -1}])
def test_faulty_settings_are_named(change):
    with pytest.raises(ConfigError, match=rf"search\.{next(iter(change))}"):
        spos(**change)


@pytest.mark.parametrize("change", [{"population": 0}, {"parents": 0}, {"mutation_rate": 0.0}, {"mutation_rate": 1.5}])
def test_faulty_settings_of_the_evolution_are_named(change):
    with pytest.raises(ConfigError, match=rf"search\.find\.{next(iter(change))}"):
        Evolution(**change)


def test_it_is_registered_and_cites_its_paper():
    assert METHODS["spos"] is SPOS
    assert "Single Path One-Shot" in SPOS.citation
    assert spos().num_epochs() == 8
