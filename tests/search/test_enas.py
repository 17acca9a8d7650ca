"""ENAS: weights and controller learn in turns, what the controller looks at is counted, and a stop changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search.test_resume import outcome
from search.worlds import Told, bits, one_shot, space, task
from tradenas.errors import BudgetError
from tradenas.nn import hard
from tradenas.search.base import METHODS, run_search
from tradenas.search.methods import ENAS
from tradenas.search.methods import enas as module
from tradenas.search.parts import oneshot
from tradenas.search.parts.controller import Controller, Policy
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.study.config import read_config

FEW = Policy(steps=2, samples=4, lr=1e-2)


def enas(**changes):
    """Two epochs and two generations."""
    training = {"epochs": 2, "segment": 64, "batch": 256, **changes.pop("training", {})}
    settings = {"training": training, "find": Uniform(population=4), "num_ranked": 7, "controller": FEW, **changes}
    return one_shot("enas", **settings)


def started(method, one):
    state = method.init(one)
    return state, lambda: {"weights": bits(dict(state.network.named_parameters())),
                           "controller": bits(dict(state.learners[0].controller.named_parameters()))}  # fmt: skip


def test_weights_and_controller_learn_in_turns():
    method, one = enas(), task()
    state, now = started(method, one)
    first = now()
    oneshot.OneShot.train(method, one, state, 0)
    second = now()
    assert second["controller"] == first["controller"]
    assert second["weights"] != first["weights"]
    log = method.learn(one, state, 0)
    third = now()
    assert third["controller"] != second["controller"]
    assert third["weights"] == second["weights"]
    assert {"reward", "baseline", "entropy", "looks"} <= set(log)


def test_paths_and_candidates_are_the_controllers(monkeypatch):
    """What it draws is what is trained, what is looked at and what is ranked."""
    one, method = task(), enas()
    pair = [one.space.smallest(), one.space.largest()]
    monkeypatch.setattr(Controller, "draw", lambda self, count, rng: (pair * count)[:count])
    paths, told = [], []
    real = oneshot.train_epoch

    def watching(*args, plan, **kwargs):
        return real(*args, plan=lambda step: (paths.extend(p := plan(step)), p)[1], **kwargs)

    monkeypatch.setattr(oneshot, "train_epoch", watching)
    told = Told()
    one = task(told)
    state = method.init(one)
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    wanted = [hard(one.space, a) for a in pair]
    assert len(paths) > 4
    assert [dict(p.mixture) for p in paths[:4]] == wanted * 2
    assert all(dict(p.mixture) in wanted for p in paths)
    assert {c.architecture for c in state.scored} == set(pair)
    assert {digest.partition("/")[0] for digest, _, _ in told.trials} == {a.digest for a in pair}


def test_paths_follow_the_controller_not_chance(monkeypatch):
    """Its favourite of one choice is trained as often as it says."""
    one, method = task(), enas(controller=Policy(tanh_constant=2.0))
    state = method.init(one)
    controller = state.learners[0].controller
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(12.0)
    plan = method.plan(one, state, state.network, epoch=0, seed=0)
    picked = np.array([plan(step)[0].mixture["layer0/op"] for step in range(600)])
    drawn = controller.draw(600, rng_for(9, "other"))
    options = one.space["layer0/op"].options
    expected = np.array([[a["layer0/op"] == o for o in options] for a in drawn]).mean(axis=0)
    assert expected.max() > 0.4
    assert np.bincount(picked, minlength=len(options)) / 600 == pytest.approx(expected, abs=0.08)


def test_every_look_is_a_trial_once(tmp_path):
    told = Told()
    one, method = task(told), enas()
    state = method.init(one)
    log = [method.epoch(one, state, epoch) for epoch in range(method.num_epochs())]
    keys = [key for key, _, _ in told.trials]
    assert len(keys) == len(set(keys))
    ranked = [key for key in keys if "/" not in key]
    assert len(ranked) == len(state.scored) == 7
    for epoch in range(2):
        looks = [key for key in keys if key.endswith(f"supernet 0, epoch {epoch}")]
        assert 2 < len(looks) == log[epoch]["looks"] <= FEW.steps * FEW.samples
    assert len(keys) == 7 + sum(row.get("looks", 0.0) for row in log)
    scores = {key: s for key, s, _ in told.trials}
    assert all(c.scores == scores[c.architecture.digest] for c in state.scored)


def test_an_architecture_drawn_twice_in_an_epoch_is_one_look(monkeypatch):
    told = Told()
    one, method = task(told), enas()
    state = method.init(one)
    same = one.space.sample(rng_for(0, "same"))
    monkeypatch.setattr(Controller, "draw", lambda self, count, rng: [same] * count)
    assert method.learn(one, state, 0)["looks"] == len(told.trials) == 1
    method.learn(one, state, 1)
    assert len(told.trials) == 2


def test_the_controller_learns_what_was_planted():
    """Under the weights as they are at the end, what it draws is better than what chance draws."""
    one = task()
    method = enas(training={"epochs": 4, "batch": 64}, controller=Policy(steps=8, samples=6, lr=1e-2))
    state = method.init(one)
    for epoch in range(4):
        method.train(one, state, epoch)

    def mean(some):
        return float(np.mean([s["ic"] for s in one.scorer.evaluator.score_paths(state.network, some)]))

    rng = rng_for(0, "chance")
    drawn = mean(state.learners[0].controller.draw(40, rng))
    chance = mean([one.space.sample(rng) for _ in range(40)])
    assert drawn > chance + 0.03


def test_a_metric_of_which_less_is_better_and_is_always_negative(tmp_path):
    one = task(metric="loss")
    method = enas()
    state = method.init(one)
    log = method.train(one, state, 0)
    assert log["reward"] < 0
    assert run_search(method, one, tmp_path)[0].scores["loss"] > 0


def test_a_limit_on_parameters_holds_for_looks_and_candidates():
    seen = []
    one = task(lambda architecture, *_: seen.append(architecture))
    network = one.network()
    limit = sorted(network.count(one.space.sample(rng_for(i, "s"))).parameters for i in range(50))[20]
    method = enas(max_params=limit)
    state = method.init(one)
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    assert len(seen) > len(state.scored) == 7
    assert all(network.count(a).parameters <= limit for a in seen)
    with pytest.raises(BudgetError):
        enas(max_params=3).init(task())


def test_several_supernets_have_a_controller_each_and_take_turns():
    one, method = task(), enas(supernets=2)
    state = method.init(one)
    assert len(state.learners) == 2
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    first, second = (bits(dict(r.controller.named_parameters())) for r in state.learners)
    assert first != second
    assert all(len(c.each) == 2 for c in state.scored)
    waiting = method.candidates_from(one, state)
    rng = rng_for(0, "turns")
    drawn = [waiting.sample(rng) for _ in range(4)]
    rng = rng_for(0, "turns")
    blocks = [r.controller.draw(module.BLOCK, rng) for r in state.learners]
    assert drawn == [blocks[0][0], blocks[1][0], blocks[0][1], blocks[1][1]]


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    return outcome(enas(), tmp_path_factory.mktemp("alone"), Told())


@pytest.mark.parametrize("stops", [[0], [1], [2], [3], [1, 2, 2]], ids=str)
def test_stopped_after_any_epoch_it_ends_with_the_same_bits(left_alone, tmp_path, stops):
    assert outcome(enas(), tmp_path, Told(), stops=stops) == left_alone
    assert any(name.startswith("controller/0/") for name in left_alone[1])
    assert any(name.startswith("policy/0/") for name in left_alone[1])


@pytest.mark.parametrize("part", ["controller", "moments", "baseline"])
def test_a_part_that_is_not_restored_shows(left_alone, tmp_path, monkeypatch, part):
    real = module.EnasState.restore

    def forgetful(self, tensors, meta):
        if part == "controller":
            fresh = self.learners[0].controller.state_dict()
            tensors = tensors | {f"controller/0/{n}": t.clone() for n, t in fresh.items()}
        if part == "moments":
            tensors = {n: t for n, t in tensors.items() if not n.startswith("policy/")}
        if part == "baseline":
            meta = meta | {"baselines": [None]}
        real(self, tensors, meta)

    monkeypatch.setattr(module.EnasState, "restore", forgetful)
    assert outcome(enas(), tmp_path, Told(), stops=[1]) != left_alone


def test_other_finders_begin_where_the_controller_points(monkeypatch):
    one, method = task(), enas(find=Evolution(population=4, parents=2))
    state = method.init(one)
    known = state.learners[0].controller.draw(module.BLOCK, rng_for(one.seed, "population/0"))
    method.generation(one, state, 0)
    assert [c.architecture for c in state.scored] == list(dict.fromkeys(known))[:4]
    method.generation(one, state, 1)
    assert len(state.scored) == 7


def test_a_space_with_one_architecture_ends(tmp_path):
    one = space(depths=(1,), widths=(4,), ops=("dense",), activations=("relu",), norms=("none",), dropouts=(0.0,),
                lookbacks=(5,))  # fmt: skip
    assert len(run_search(enas(), task(choices=one), tmp_path)) == 1


def test_it_is_registered_cites_its_paper_and_is_configured():
    assert METHODS["enas"] is ENAS
    assert "Parameter Sharing" in ENAS.citation
    study = read_config({"search": {"kind": "enas", "controller": {"steps": 3}}})
    assert study.search.controller == Policy(steps=3)
    assert study.search.find == Uniform()
    assert read_config({"search": {"kind": "enas", "find": {"population": 9}}}).search.find == Uniform(population=9)
