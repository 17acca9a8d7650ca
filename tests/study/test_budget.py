"""A study under a budget: said before training, held to the end, the same when resumed; refused where nobody fits."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
import torch

from study.test_full_size import CELL
from study.tiny import tiny
from tradenas.cost.devices import device
from tradenas.errors import BudgetError, ConfigError, FolderError
from tradenas.events import NullProgress
from tradenas.report.record import load_record
from tradenas.report.write import write_report
from tradenas.space import Architecture
from tradenas.study import Study
from tradenas.study.config import read_config

FILES = ("search/budget.json", "search/front.json", "search/candidates.json")


def study(**budget):
    few = {"coupling": 0, "random": 2, "seeds": 1, "top_k": 2, "baselines": ["hold"], "training": {"epochs": 1}}
    find = {"kind": "nsga2", "population": 5, "objectives": ["merit", "macs"]}
    return {**tiny(trials=few, search={"find": find}), "budget": budget}


class Heard(NullProgress):
    """What was said, and an end where asked for."""

    def __init__(self, stop: str = "") -> None:
        self.said: list[str] = []
        self.warned: list[str] = []
        self.stop = stop

    def say(self, stage, lines) -> None:
        self.said += [f"{stage}: {line}" for line in lines]

    def warn(self, stage, words) -> None:
        self.warned.append(f"{stage}: {words}")

    def advance(self, stage, done, note="") -> None:
        if stage == self.stop and done == 5:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    heard = Heard()
    result = Study.of(study(parameters=120, device="mobile-10mb")).run(tmp_path_factory.mktemp("a"), progress=heard)
    return result.folder, heard


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_what_fits_is_said_and_written_before_training(done):
    folder, heard = done
    told = read(folder, "search/budget.json")
    assert any("all limits:" in line for line in heard.said)
    assert any("parameters" in line and "120" in line for line in heard.said)
    assert told["limits"] == {"parameters": 120.0, "weight_bytes": 10e6, "peak_bytes": 4e6}
    assert told["not_held"] == {"latency_us": 10000.0}
    assert any("latency_us" in words and "table" in words for words in heard.warned)
    assert 0.0 < told["share"] < 1.0
    spread = told["costs"]["parameters"]
    assert spread["smallest"] <= spread["median"] <= spread["largest"]
    assert spread["fits"] == pytest.approx(told["share"])
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kinds = [e["kind"] for e in events]
    assert kinds.index("said") < next(i for i, e in enumerate(events) if e["kind"] == "epoch")


def test_every_network_of_the_study_fits(done):
    folder, _ = done
    found = read(folder, "search/candidates.json")["candidates"]
    assert len(found) == 10
    assert all(c["costs"]["parameters"] == c["params"] <= 120 for c in found)
    rows = [r for r in read(folder, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert {r["kind"] for r in rows} == {"finalist", "random"}
    assert all(r["costs"]["parameters"] == r["params"] <= 120 for r in rows)


def test_what_a_limit_refuses_is_no_trial(done):
    folder, _ = done
    with sqlite3.connect(folder / "ledger.db") as ledger:
        (count,) = ledger.execute("select count(*) from trials where stage = 'search'").fetchone()
    assert count == len(read(folder, "search/candidates.json")["candidates"]) == 10


def test_the_front_names_the_chosen_and_holds_every_candidate(done):
    folder, _ = done
    front = read(folder, "search/front.json")
    found = read(folder, "search/candidates.json")["candidates"]
    assert front["objectives"] == ["merit", "macs", "parameters", "peak_bytes"]
    assert [p["digest"] for p in front["points"]] == [c["digest"] for c in found]
    assert [p["chosen"] for p in front["points"]] == [True] + [False] * 9
    assert front["points"][0]["front"] == 0
    assert 0.0 < front["hypervolume"] <= 1.0
    assert "every limit" in front["rule"]
    record = load_record(folder)
    page = write_report(folder).read_text()
    assert 'id="budget"' in page
    assert record.champion is not None
    assert record.champion.costs is not None


def test_killed_and_resumed_it_ends_where_it_would_have(done, tmp_path):
    folder, _ = done
    run = Study.of(study(parameters=120, device="mobile-10mb"))
    with pytest.raises(KeyboardInterrupt):
        run.run(tmp_path, progress=Heard(stop="search"))
    other = next(tmp_path.iterdir())
    assert (other / "search" / "budget.json").exists()
    assert not (other / "search" / "candidates.json").exists()
    run.run(tmp_path)
    for name in FILES:
        one, two = read(folder, name), read(other, name)
        one.pop("seconds", None)
        two.pop("seconds", None)
        assert one == two, name


def test_a_budget_that_nobody_meets_names_the_cheapest_and_trains_nothing(tmp_path):
    with pytest.raises(BudgetError, match=r"budget\.parameters: got 10, expected at least 35, what \w+ \(.*\) needs"):
        Study.of(study(parameters=10)).run(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert read(folder, "search/budget.json")["share"] == 0.0
    assert not (folder / "search" / "candidates.json").exists()
    with sqlite3.connect(folder / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from trials").fetchone() == (0,)


def test_the_old_limit_on_parameters_is_the_same_limit(tmp_path):
    plain = study()
    plain["search"]["max_params"] = 120
    config = read_config(plain)
    folder = Study(config=config).run(tmp_path).folder
    assert read(folder, "search/budget.json")["limits"] == {"parameters": 120.0}
    rows = [r for r in read(folder, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert all(r["params"] <= 120 for r in rows)


def test_what_was_scored_beyond_a_limit_is_counted_and_is_no_candidate(tmp_path):
    folder = Study.of(study(parameters=120, rule="dominance")).run(tmp_path).folder
    told = read(folder, "search/candidates.json")
    assert 0 < len(told["candidates"]) < told["num_scored"] == 10
    assert all(c["costs"]["parameters"] <= 120 for c in told["candidates"])
    rows = [r for r in read(folder, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert all(r["params"] <= 120 for r in rows)


def enlarged(**budget):
    plain = {**study(**budget), "space": {**CELL, "take": 2}}
    plain["search"] = {**plain["search"], "num_ranked": 6}
    plain["trials"] = {**plain["trials"], "cells": 3, "width": 8, "random": 1}
    return plain


def test_a_budget_is_that_of_the_full_size(tmp_path):
    with pytest.raises(BudgetError, match=r"budget\.parameters") as told:
        Study.of(enlarged(parameters=1)).run(tmp_path / "none")
    least = int(re.search(r"at least \(of those looked at\) ([\d,]+), what", str(told.value))[1].replace(",", ""))
    folder = Study.of(enlarged(parameters=30 * least)).run(tmp_path / "some").folder
    assert read(folder, "search/budget.json")["full_size"] is True
    found = read(folder, "search/candidates.json")["candidates"]
    sizes = [(c["params"], c["costs"]["parameters"]) for c in found]
    assert all(searched <= full <= 30 * least for searched, full in sizes)
    assert any(searched < full for searched, full in sizes)
    rows = [r for r in read(folder, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert all(r["params"] == r["costs"]["parameters"] <= 30 * least for r in rows)
    assert all(Architecture.from_plain(r["architecture"])["cells"] == 3 for r in rows)


OWN = """\
kind = "cpu"
words = "Ours."
backends = ["c"]
[limits]
weight_bytes = {limit}
"""


def test_the_file_of_a_device_may_not_change_while_a_run_goes_on(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(OWN.format(limit=480))
    run = Study(config=read_config(study(device="own.toml")), base=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.run(tmp_path / "runs", progress=Heard(stop="search"))
    own.write_text(OWN.format(limit=481))
    with pytest.raises(FolderError, match="budget whose limits changed"):
        run.run(tmp_path / "runs")
    own.write_text(OWN.format(limit=480))
    folder = run.run(tmp_path / "runs").folder
    assert all(c["costs"]["weight_bytes"] <= 480 for c in read(folder, "search/candidates.json")["candidates"])


def test_settings_that_ask_for_nothing_change_no_digest():
    assert read_config(tiny()).digest == read_config({**tiny(), "budget": {}}).digest
    assert read_config(tiny()).digest != read_config({**tiny(), "budget": {"macs": 10}}).digest
    assert read_config({**tiny(), "budget": {"device": "cpu-1core"}}).budget.on(Path()) == device("cpu-1core")


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"parameter": 3}, "budget.parameter: no such key, did you mean 'parameters'"),
        ({"macs": -1}, "budget.macs"),
        ({"device": "cpu-2core"}, "Did you mean 'cpu-1core'"),
        ({"precision": "int7"}, "budget.precision"),
        ({"rule": "maybe"}, "budget.rule"),
        ({"scale": -1.0}, "budget.scale"),
        ({"objectives": ["merit"]}, "budget.objectives"),
        ({"objectives": ["merit", "mac"]}, "Did you mean 'macs'"),
        ({"exponents": [{"cost": "mac"}]}, "budget.exponents.cost"),
        ({"exponents": [{"cost": "macs", "above": 1.0}]}, "budget.exponents.above"),
        ({"exponents": [{"cost": "macs", "targets": 1.0}]}, "targets: no such key"),
        ({"exponents": [{"cost": "macs", "target": 1.0}, {"cost": "macs", "target": 2.0}]}, "a cost twice"),
    ],
)
def test_faulty_budgets_are_told(budget, message):
    with pytest.raises(ConfigError) as told:
        read_config({**tiny(), "budget": budget})
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"latency_us": 5.0}, "budget.table"),
        ({"objectives": ["merit", "latency_us"]}, "budget.table"),
        ({"exponents": [{"cost": "macs"}]}, "budget.exponents.target"),
        ({"bit_operations": 5.0}, "space.weight_bits"),
        ({"luts": 5.0}, "nothing but bits"),
        ({"device": "away.toml"}, "away.toml"),
    ],
)
def test_what_only_the_data_can_tell_is_told_before_training(budget, message, tmp_path):
    with pytest.raises(ConfigError) as told:
        Study.of(study(**budget)).run(tmp_path)
    assert message in str(told.value)
