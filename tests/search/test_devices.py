"""One supernet, several devices: the weights are trained once, and each device gets the best that it can hold."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from search.test_resume import Plug, Stopped
from search.worlds import Told, bits, one_shot, task
from search.worlds import space as chain
from tradenas.cost import Budget
from tradenas.errors import BudgetError, ConfigError
from tradenas.search.base import run_search
from tradenas.search.checkpoint import load
from tradenas.search.parts.devices import Target
from tradenas.study.config import read_config

SPACE = chain(widths=(4, 8, 16), lookbacks=(5, 10, 20))
NETWORK = task(choices=SPACE).network()
ENDS = [NETWORK.count(a).macs for a in (SPACE.smallest(), SPACE.largest())]
DEVICES = (
    Target(name="small", macs=ENDS[0] * 1.5),
    Target(name="middle", macs=(ENDS[0] * ENDS[1]) ** 0.5),
    Target(name="large", macs=ENDS[1]),
)


def method(**changes):
    return one_shot("once_for_all", **{"training": {"epochs": 4, "batch": 256}, "devices": DEVICES, "num_ranked": 10,
                                       **changes})  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("ofa"), Told()
    candidates = run_search(method(), task(told, choices=SPACE), folder, owner="me")
    return candidates, told, json.loads((folder / "devices.json").read_text()), folder


def test_each_device_has_a_best_of_its_own_within_its_budget(searched):
    candidates, _, record, _ = searched
    best = {d["name"]: d["best"] for d in record["devices"]}
    assert best["small"]["digest"] != best["large"]["digest"]
    assert all(best[t.name]["costs"]["macs"] <= t.macs for t in DEVICES)
    scores = [best[t.name]["scores"]["ic"] for t in DEVICES]
    assert scores == sorted(scores)  # more room never holds a worse best: what fits the small one fits the others
    for target in DEVICES:  # and each is the best of all that was scored, whomever it was scored for
        fits = [c for c in candidates if NETWORK.count(c.architecture).macs <= target.macs]
        assert max(fits, key=lambda c: c.scores["ic"]).architecture.digest == best[target.name]["digest"]


def test_every_look_is_a_trial_and_nobody_looks_twice(searched):
    candidates, told, record, _ = searched
    assert len(told.trials) == len({t[0] for t in told.trials}) == len(candidates) == record["looks"]
    assert len(candidates) == 3 * 10


def test_the_best_of_each_come_first(searched):
    candidates, _, record, _ = searched
    best = {d["best"]["digest"] for d in record["devices"]}
    assert {c.architecture.digest for c in candidates[: len(best)]} == best
    rest = [c.scores["ic"] for c in candidates[len(best) :]]
    assert rest == sorted(rest, reverse=True)


def test_devices_change_no_weight_of_the_supernet(searched, tmp_path):
    """And none at all is the method as it was."""
    *_, folder = searched
    without = run_search(method(devices=()), task(choices=SPACE), tmp_path, owner="me")
    weights = [load(f, owner="me")[0] for f in (folder, tmp_path)]
    assert bits(weights[0]) == bits(weights[1])
    assert len(without) == 10
    assert not (tmp_path / "devices.json").exists()


def test_a_kill_between_devices_changes_nothing(searched, tmp_path):
    *_, folder = searched
    made = method()
    with pytest.raises(Stopped):
        run_search(
            made, task(choices=SPACE), tmp_path, owner="me", save_every_s=0.0, events=Plug(made.num_epochs() - 2)
        )
    run_search(made, task(choices=SPACE), tmp_path, owner="me", save_every_s=0.0)
    assert load(tmp_path, owner="me")[1] == load(folder, owner="me")[1]
    assert (tmp_path / "devices.json").read_bytes() == (folder / "devices.json").read_bytes()


def test_a_profile_brings_its_precision_and_what_nothing_prices_is_said(tmp_path):
    one = task(choices=SPACE)
    phone, chip = Target(name="phone", profile="mobile-10mb"), Target(name="chip", profile="fpga-ice40", macs=500.0)
    priced = {t.name: t.priced(one) for t in (phone, chip)}
    a = SPACE.largest()
    assert priced["phone"].one("weight_bytes", a) == 4 * priced["chip"].one("weight_bytes", a)  # float32 and int8
    assert priced["phone"].limits["weight_bytes"] == 1e7
    assert priced["chip"].limits == {"macs": 500.0}
    assert set(chip.not_held(priced["chip"])) >= {"luts", "cycles", "latency_us"}
    made = method(devices=(chip,))
    assert any("chip allows" in words and "luts" in words for words in made.warnings(one, made.init(one)))


def test_a_device_that_holds_nothing_is_refused_before_training():
    one = task(choices=SPACE)
    with pytest.raises(BudgetError, match=r"search\.devices 'none'\.macs: got 1"):
        method(devices=(*DEVICES, Target(name="none", macs=1.0))).init(one)
    with pytest.raises(BudgetError, match=r"'app' \(mobile-10mb, costs of a whole window\)\.macs"):
        method(devices=(Target(name="app", profile="mobile-10mb", macs=1.0),)).init(one)
    limited = replace(one.price_list(), budget=Budget(macs=ENDS[1]))
    with pytest.raises(ConfigError, match="each device"):
        method().init(replace(one, prices=limited))
    for changes, match in (
        ({"devices": (DEVICES[0], DEVICES[0])}, "once"),
        ({"parsimony": 1.0}, "parsimony"),
        ({"max_params": 100}, "max_params"),
    ):
        with pytest.raises(ConfigError, match=match):
            method(**changes)
    with pytest.raises(ConfigError, match="neither limits nor a profile"):
        Target(name="empty")


def test_devices_are_sections_of_a_study():
    section = {"kind": "once_for_all", "devices": [{"name": "a", "macs": 500}, {"name": "b", "profile": "cpu-1core"}]}
    config = read_config({"search": section})
    assert config.search.devices == (Target(name="a", macs=500.0), Target(name="b", profile="cpu-1core"))
    assert config.digest != read_config({"search": {"kind": "once_for_all"}}).digest
    with pytest.raises(ConfigError, match="cpu-1core"):
        read_config({"search": {"kind": "once_for_all", "devices": [{"name": "b", "profile": "cpu-1cor"}]}})
