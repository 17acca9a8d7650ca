"""Spaces and networks that shrink: options dropped by their merit, and Once-for-All from the largest downwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from search.worlds import Told, bits, market, one_shot, space, task
from tradenas.errors import ConfigError
from tradenas.nn import hard
from tradenas.search.base import Candidate, run_search
from tradenas.search.methods import once_for_all as module
from tradenas.search.parts.merits import covering, option_merits, with_option, worst
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Chain, Choice, SearchSpace
from tradenas.train import loop

# --- options by their merit


def test_every_option_is_in_as_many_paths_as_asked():
    choices = space(depths=(1, 2, 3))
    paths = covering(choices, rng_for(0, "x"), times=5)
    assert len(set(paths)) == len(paths)
    seen = Counter(pair for a in paths for pair in a.items())
    for choice in choices.choices:
        for option in choice.options:
            assert seen[choice.name, option] >= 5, (choice.name, option)
    for a in paths:
        choices.check(a)
    assert len(paths) < 60
    assert covering(choices, rng_for(0, "x"), times=5) == paths


def test_a_space_with_fewer_paths_is_listed_whole():
    few = space(depths=(1,), widths=(4, 8), ops=("dense", "conv3"), activations=("relu",), norms=("none",),
                dropouts=(0.0,), lookbacks=(5,))  # fmt: skip
    assert set(covering(few, rng_for(0, "x"), times=9)) == set(few)


def test_a_path_is_drawn_for_an_option_deep_down():
    choices, ops = space(depths=(1, 2, 3)), set()
    for seed in range(20):
        a = with_option(choices, choices["layer2/activation"], "tanh", rng_for(seed, "x"))
        assert (a["depth"], a["layer2/activation"]) == (3, "tanh")
        ops.add(a["layer2/op"])
    assert ops == {"dense", "conv3"}
    chained = SearchSpace(
        [
            Choice(name="a", options=(1, 2, 3)),
            Choice(name="b", options=("x", "y"), when={"a": (2, 3)}),
            Choice(name="c", options=("on", "off"), when={"b": ("y",)}),
        ]
    )
    some = [with_option(chained, chained["c"], "off", rng_for(seed, "x")) for seed in range(20)]
    assert {tuple(a.values()) for a in some} == {(2, "y", "off"), (3, "y", "off")}


def test_switches_of_which_one_must_be_on_are_covered():
    layout = {"a": "g", "b": "g"}
    choices = Chain(depths=(1,), ops=("dense",), widths=(4,), lookbacks=(5, 10), features=("a", "b")).space(layout)
    seen = Counter(pair for a in covering(choices, rng_for(0, "x"), times=4) for pair in a.items())
    assert all(seen[f"input/feature/{n}", o] >= 4 for n in "ab" for o in ("on", "off"))
    merits = {f"input/feature/{n}": {"on": 0.0, "off": 1.0} for n in "ab"}
    assert worst(choices, merits, share=1.0) == []  # 'on' stays on offer whatever it is worth


def scored(*pairs):
    return [Candidate(Architecture(a), {"ic": ic} if ic is not None else {}) for a, ic in pairs]


def test_merits_are_means_and_failures_count_as_the_worst():
    some = scored(
        ({"op": "a", "w": 4}, 0.4), ({"op": "a", "w": 8}, 0.2), ({"op": "b", "w": 8}, -0.1), ({"op": "b", "w": 4}, None)
    )
    merits = option_merits(some, "ic")
    assert merits["op"] == pytest.approx({"a": 0.3, "b": -0.1})
    assert merits["w"] == pytest.approx({4: 0.15, 8: 0.05})


def test_the_worst_of_the_whole_space_go_and_the_best_of_a_choice_never():
    choices = space()
    merits = {
        "depth": {1: 0.1, 2: 0.1}, "layer0/op": {"dense": 0.5, "conv3": 0.1, "gated": 0.3},
        "layer0/width": {4: 0.2, 8: 0.25}, "input/lookback": {5: -0.9, 10: -0.9},
    }  # fmt: skip
    behind = worst(choices, merits, share=1.0)
    assert [(name, option) for name, option, _ in behind] == [
        ("layer0/op", "conv3"), ("layer0/op", "gated"), ("layer0/width", 4),
    ]  # fmt: skip
    assert [round(by, 6) for *_, by in behind] == [0.4, 0.2, 0.05]
    assert worst(choices, merits, share=0.67) == behind[:2]
    assert worst(choices, merits, share=0.01) == behind[:1]


def progressive(**changes):
    return one_shot("progressive", **{"stages": 2, "paths": 3, "training": {"epochs": 4}, **changes})


@pytest.mark.parametrize("supernets", [1, 2])
def test_options_go_between_stages_and_what_was_looked_at_is_counted(supernets, monkeypatch):
    told, drawn, trained = Told(), [], []
    one, method = task(told), progressive(supernets=supernets)
    state = method.init(one)
    real = loop.train_epoch

    def noted(network, *args, plan, **kwargs):
        trained.append(state.networks.index(network))
        drawn.append([dict(p.mixture) for step in range(20) for p in plan(step)])
        return real(network, *args, plan=plan, **kwargs)

    monkeypatch.setattr("tradenas.search.parts.oneshot.train_epoch", noted)
    logs = [method.epoch(one, state, epoch) for epoch in range(method.num_epochs())]
    assert trained == [0, 1] * 4 if supernets == 2 else [0] * 4
    at = 2 * supernets - 1
    dropped = [key.removeprefix("dropped/") for key in logs[at] if key.startswith("dropped/")]
    assert dropped
    assert not any(key.startswith("dropped") for i, log in enumerate(logs) if i != at for key in log)
    assert all(logs[at][f"dropped/{name}"] > 0 for name in dropped)
    gone = {(c.name, str(o)) for c in one.space.choices for o in c.options
            if c.name in state.space and o not in state.space[c.name].options}  # fmt: skip
    assert gone == {tuple(n.rsplit("/", 1)) for n in dropped if n.rsplit("/", 1)[0] in state.space}
    for mixtures in drawn[2 * supernets :]:
        for mixture in mixtures:
            assert not any((n, str(one.space[n].options[i])) in gone for n, i in mixture.items())
    looks = [d for d, _, _ in told.trials if "/" in d]
    assert len(looks) == len(set(looks)) == logs[at]["shrunk_by"]
    assert len(told.trials) - len(looks) == len(state.scored)  # one trial a path, however many supernets
    for candidate in method.finish(one, state):
        state.space.check(candidate.architecture)
        assert len(candidate.each) == (supernets if supernets > 1 else 0)


def test_what_is_left_comes_back_with_the_state():
    one, method = task(), progressive()
    state = method.init(one)
    for epoch in range(3):
        method.epoch(one, state, epoch)
    other = method.init(one)
    other.restore({k: v.clone() for k, v in state.tensors().items()}, state.meta())
    assert [c.options for c in other.space.choices] == [c.options for c in state.space.choices]
    assert other.space.size() < one.space.size()


def test_the_planted_feature_survives():
    """An input switched off takes the signal with it: 'off' is the worst option there is."""
    layout = {f"f{i}": "g" for i in range(3)}
    choices = Chain(
        depths=(1,), ops=("dense", "gated"), widths=(4,), activations=("tanh",), norms=("none",), dropouts=(0.0,),
        lookbacks=(5,), transforms=("raw",), features=("f0", "f1"),
    ).space(layout)  # fmt: skip
    data = replace(market(), names=tuple(layout))
    one = task(choices=choices, data=data)
    method = progressive(training={"epochs": 8, "batch": 64, "lr": 1e-2}, drop=0.1)
    state = method.init(one)
    for epoch in range(8):
        method.epoch(one, state, epoch)
    assert state.space["input/feature/f0"].options == ("on",)


# --- Once-for-All


def once(**changes):
    return one_shot("once_for_all", **{"training": {"epochs": 8}, **changes})


def sizes(**changes):
    return space(depths=(1, 2, 3), widths=(4, 8, 16), lookbacks=(5, 10, 20), ops=("skip", "dense", "gated"), **changes)


def test_stages_open_sizes_from_the_largest_downwards():
    method, choices = once(training={"epochs": 16}), sizes()
    stages = method.stages(choices)
    assert [(s.kind, s.first, s.stop) for s in stages] == [
        ("full", 0, 4), ("kernel", 4, 8), ("depth", 8, 12), ("width", 12, 16),
    ]  # fmt: skip

    def opened(epoch):
        now = method.opened(choices, epoch)
        return now["input/lookback"].options, now["depth"].options, now["layer1/width"].options

    assert opened(3) == ((20,), (3,), (16,))
    assert opened(4) == opened(5) == ((10, 20), (3,), (16,))
    assert opened(6) == opened(7) == ((5, 10, 20), (3,), (16,))
    assert opened(8) == ((5, 10, 20), (2, 3), (16,))
    assert opened(11) == ((5, 10, 20), (1, 2, 3), (16,))
    assert opened(12) == ((5, 10, 20), (1, 2, 3), (8, 16))
    assert opened(15) == ((5, 10, 20), (1, 2, 3), (4, 8, 16))
    assert method.opened(choices, 0)["layer0/op"].options == choices["layer0/op"].options


def test_a_stage_with_nothing_to_open_is_left_out():
    method = once(training={"epochs": 4}, shares=(1, 9, 1, 2))
    assert [(s.kind, s.first, s.stop) for s in method.stages(sizes())] == [
        ("full", 0, 1), ("kernel", 1, 2), ("depth", 2, 3), ("width", 3, 4),
    ]  # fmt: skip
    flat = space(depths=(2,), widths=(4, 8), lookbacks=(5,))
    assert [(s.kind, s.first, s.stop) for s in method.stages(flat)] == [("full", 0, 1), ("width", 1, 4)]
    nothing = space(depths=(2,), widths=(4,), lookbacks=(5,))
    assert [s.kind for s in method.stages(nothing)] == ["full"]
    state = method.init(task(choices=nothing))
    method.train(task(choices=nothing), state, 0)
    method.train(task(choices=nothing), state, 1)
    assert state.teacher is None
    with pytest.raises(ConfigError, match=r"search\.training\.epochs: got 3, expected 4 or more, one for each of"):
        once(training={"epochs": 3}).init(task(choices=sizes()))


def test_subnets_of_a_step_learn_from_the_full_network_with_their_ops():
    one, method = task(choices=sizes()), once(training={"epochs": 16}, distil=0.5)
    state = method.init(one)
    for epoch, num in ((0, 1), (5, 1), (9, 2), (13, 4)):
        if epoch:
            method.before_epoch(one, state, state.network, epoch=4)
        plan = method.plan(one, state, state.network, epoch=epoch, seed=0)
        for step in range(10):
            passes = plan(step)
            assert len(passes) == num
            for p in passes:
                assert (p.labels, p.teacher) == (1.0, 0.5 if epoch else 0.0)
                if not epoch:
                    assert p.taught is None
                    continue
                assert state.teacher is not None
                for name, index in p.mixture.items():
                    mine, its = one.space[name], state.teacher.space[name]
                    picked = its.options[p.taught[name]]
                    if len(its.options) == 1 and len(mine.options) > 1:
                        assert picked == max(mine.options, key=float)
                    else:
                        assert picked == mine.options[index]
    assert {p.mixture["depth"] for step in range(30) for p in plan(step)} == {0, 1, 2}


def test_the_teacher_is_the_full_network_as_it_was_and_stays_so():
    one, method = task(choices=sizes(norms=("none",))), once()
    state = method.init(one)
    for epoch in range(2):
        method.train(one, state, epoch)
    a, rows = method.opened(one.space, 0).sample(rng_for(0, "a")), torch.randn(1, 60, 3)
    want = state.network(rows, hard(one.space, a))
    for epoch in range(2, 8):
        method.train(one, state, epoch)
        assert state.teacher is not None
        assert torch.equal(state.teacher(rows, hard(state.teacher.space, a)), want)
    assert not torch.allclose(state.network(rows, hard(one.space, a)), want)


def test_channels_are_sorted_once_before_widths_open(monkeypatch):
    calls = []
    real = module.sort_channels
    monkeypatch.setattr(module, "sort_channels", lambda *a: calls.append(epoch) or real(*a))
    one, method = task(choices=sizes(norms=("none",))), once()
    state = method.init(one)
    for epoch in range(8):
        method.train(one, state, epoch)
    assert calls == [6]
    assert state.updates["layer0/width"][:2] != [0, 0]


def test_several_supernets_have_a_teacher_each(tmp_path):
    one, method = task(choices=sizes()), once(supernets=2, num_ranked=4, training={"epochs": 4})
    state = method.init(one)
    teachers = []
    for epoch in range(8):
        method.epoch(one, state, epoch)
        teachers.append(None if state.teacher is None else bits(state.teacher.state_dict()))
    assert teachers[0] is None
    assert teachers[4] is None
    assert teachers[1] == teachers[3] != teachers[5] == teachers[7]
    assert len(run_search(method, one, tmp_path)) == 4


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("progressive", {"stages": 1}),
        ("progressive", {"stages": 5}),
        ("progressive", {"drop": 0.0}),
        ("progressive", {"paths": 0}),
        ("once_for_all", {"shares": (1.0, 1.0, 1.0)}),
        ("once_for_all", {"shares": (1.0, 0.0, 1.0, 1.0)}),
        ("once_for_all", {"distil": -1.0}),
    ],
)
def test_faulty_settings_are_named(kind, change):
    with pytest.raises(ConfigError, match=rf"search\.{next(iter(change))}"):
        one_shot(kind, **change)


def test_shrinking_ends_with_the_simplest_of_the_best_where_that_is_asked_for():
    method, one = one_shot("progressive", parsimony=1.0, stages=2, paths=1, num_ranked=5), task()
    state = method.init(one)
    for epoch in range(method.num_epochs()):
        method.epoch(one, state, epoch)
    assert len(state.scored) >= 5
