"""Combinatorial purged cross-validation of the champion: what is taught, how paths are put together, a whole study."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.report import load_record, write_report
from tradenas.splits import Span, num_paths, num_splits
from tradenas.stats import sharpe
from tradenas.study import Study, read_config
from tradenas.study.paths import recombined
from tradenas.train.loss import Objective
from tradenas.train.store import load_dataset, save_dataset
from tradenas.trials.jobs import JobSpec, add_input
from tradenas.trials.ledger import Ledger
from tradenas.trials.split_jobs import PathBudget, fit_split, taught

DAY = 86_400_000


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    small = {"coupling": 0, "top_k": 1, "random": 0, "baselines": ["flat", "hold"]}
    study = tiny(trials={**small, "paths": {"groups": 4, "tested": 2}})
    return Study.of(study).run(tmp_path_factory.mktemp("paths"))


def test_every_path_is_there_and_counted(done) -> None:
    found = json.loads((done.folder / "retrain" / "paths.json").read_text())
    assert found["trainings"] == num_splits(4, 2) == 6
    assert len(found["sharpe"]) == num_paths(4, 2) == 3
    assert found["share_below_zero"] == np.mean(np.array(found["sharpe"]) <= 0)
    assert len(set(found["sharpe"])) == 3  # other trainings judge other parts
    with Ledger(done.folder / "ledger.db") as ledger:
        assert ledger.count_by_stage()["paths"] == 3
    page = write_report(done.folder).read_text()
    assert "In other periods" in page
    assert load_record(done.folder).paths.strategy == found["strategy"]


def test_jobs_learn_nothing_near_what_they_are_judged_on(done) -> None:
    """From the jobs' specs: purge and embargo lie between every span learnt from and every span judged."""
    zones = json.loads((done.folder / "data.json").read_text())["zones"]
    with sqlite3.connect(done.folder / "ledger.db") as db:
        specs = [json.loads(spec) for (spec,) in db.execute("SELECT spec FROM jobs")]
    db.close()
    specs = [s for s in specs if s["kind"] == "fit_split"]
    assert len(specs) == 6
    purge, embargo = zones["purge"], zones["embargo"]
    stop = max(stop for s in specs for _, stop in s["params"]["signals"].values())
    assert stop <= zones["selection"]["stop"]  # the vault takes no part
    for spec in specs:
        for start, end in spec["params"]["train"]:
            for first, last in spec["params"]["signals"].values():
                assert end + purge <= first or start >= last + purge + embargo
        assert spec["params"]["training"]["holdout"] == 0


def test_labels_elsewhere_cannot_be_learnt(done) -> None:
    data = load_dataset(done.folder / "data" / "open.safetensors")
    spans = [Span(100, 300), Span(500, 700)]
    kept = taught(data, spans)
    inside = np.zeros(len(data), bool)
    inside[100:300] = inside[500:700] = True
    assert np.isnan(kept.y_T[~inside]).all()
    np.testing.assert_array_equal(kept.y_T[inside], data.y_T[inside])
    np.testing.assert_array_equal(kept.bar_return_T, data.bar_return_T)
    assert not kept.learnable(5)[~inside].any()
    # nor do they set the units of what is learnt
    wild = replace(data, y_T=np.where(inside, data.y_T, data.y_T * 1000).astype(np.float32))
    hull = Span(100, 700)
    assert Objective.fitted(taught(wild, spans), hull) == Objective.fitted(kept, hull)
    assert Objective.fitted(wild, hull) != Objective.fitted(data, hull)


def test_a_training_does_not_know_the_answers_it_is_judged_on(done, tmp_path) -> None:
    """The job itself: labels outside the spans learnt from may be anything, its signals are the same to the bit."""
    with sqlite3.connect(done.folder / "ledger.db") as db:
        specs = [JobSpec.from_json(spec) for (spec,) in db.execute("SELECT spec FROM jobs")]
    db.close()
    spec = next(s for s in specs if s.kind == "fit_split" and len(s.params["train"]) > 1)
    data = load_dataset(done.folder / "data" / "open.safetensors")
    learnt = np.zeros(len(data), bool)
    for start, stop in spec.params["train"]:
        learnt[start:stop] = True
    said = []
    for name, factor in (("as it is", 1.0), ("other answers", -3.0), ("other lessons", 1.0)):
        folder = tmp_path / name / "job"
        folder.mkdir(parents=True)
        y_T = np.where(learnt, data.y_T, factor * data.y_T)
        y_T = -y_T if name == "other lessons" else y_T
        file = tmp_path / f"{name}.safetensors"
        save_dataset(replace(data, y_T=y_T.astype(np.float32)), file)
        fit_split(replace(spec, inputs={"dataset": add_input(folder.parent, file)}), folder)
        said.append({n: np.load(folder / f"{n}.npy") for n in spec.params["signals"]})
    for name in said[0]:
        np.testing.assert_array_equal(said[0][name], said[1][name])
    assert any((said[0][name] != said[2][name]).any() for name in said[0])  # it does learn


def test_paths_by_hand() -> None:
    """Three groups, one judged at a time: one path, each split judging its own group; a shared day is summed."""
    rng = np.random.default_rng(0)
    parts = [{d * DAY: v for d, v in zip(range(5 * g, 5 * g + 6), rng.normal(size=6), strict=True)} for g in range(3)]
    judged = {(s, s): parts[s] for s in range(3)}
    told = recombined(judged, {g: parts[g] for g in range(3)}, 3, 1, 365)
    days: dict[int, float] = {}
    for part in parts:
        for day, value in part.items():
            days[day] = days.get(day, 0.0) + value
    assert told["sharpe"] == [pytest.approx(sharpe(np.array([days[d] for d in sorted(days)]), 365))]
    assert told["hold"] == told["sharpe"][0]
    assert told["trainings"] == 3
    # two judged at a time: path 0 takes the first judgement of every group, path 1 the second
    two = {(0, 0): parts[0], (0, 1): parts[1], (1, 0): {0: 9.0, DAY: 1.0}, (1, 2): parts[2], (2, 1): {DAY: 2.0, 9: 3.0},
           (2, 2): {2: 1.0, 3: 2.0}}  # fmt: skip
    told = recombined(two, {g: parts[g] for g in range(3)}, 3, 2, 365)
    assert len(told["sharpe"]) == 2
    assert told["sharpe"][0] == pytest.approx(sharpe(np.array([days[d] for d in sorted(days)]), 365))


def test_settings() -> None:
    for groups, tested in ((1, 1), (-2, 1), (4, 4), (4, 0)):
        with pytest.raises(ConfigError, match="paths"):
            PathBudget(groups=groups, tested=tested)
    plain, asked = read_config(tiny()), read_config(tiny(trials={"paths": {"groups": 6}}))
    assert plain.digest != asked.digest
    assert read_config(tiny(trials={"paths": {"groups": 0, "tested": 3}})).digest == plain.digest


def test_a_study_without_paths_has_none(tmp_path) -> None:
    small = {"coupling": 0, "top_k": 1, "random": 0, "seeds": 1, "baselines": ["flat", "hold"]}
    result = Study.of(tiny(trials=small)).run(tmp_path)
    assert not (result.folder / "retrain" / "paths.json").exists()
    assert "In other periods" not in write_report(result.folder).read_text()


def test_paths_are_those_of_the_network_that_is_traded(tmp_path) -> None:
    """Searched small, traded large: the trainings are of the large one."""
    small = {"coupling": 0, "top_k": 1, "random": 0, "seeds": 1, "baselines": ["flat", "hold"]}
    study = tiny(trials={**small, "cells": 2, "width": 6, "paths": {"groups": 3, "tested": 1}})
    study["space"] = {"kind": "cell", "cells": [1], "nodes": 1, "widths": [4], "ops": ["skip", "dense"],
                      "norms": ["none"], "lookbacks": [5]}  # fmt: skip
    result = Study.of(study).run(tmp_path)
    assert len(json.loads((result.folder / "retrain" / "paths.json").read_text())["sharpe"]) == 1
    with sqlite3.connect(result.folder / "ledger.db") as db:
        specs = [json.loads(spec) for (spec,) in db.execute("SELECT spec FROM jobs")]
    db.close()
    (cells,) = {s["params"]["architecture"]["cells"] for s in specs if s["kind"] == "fit_split"}
    assert cells == 2
