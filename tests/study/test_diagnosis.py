"""What is recorded of the alphas of a study: their way, and the gap between the mixture and the architecture."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch

from study.tiny import tiny
from tradenas.events import Events
from tradenas.report import write_report
from tradenas.study import Study
from tradenas.study.bench import Bench
from tradenas.study.causes import restored
from tradenas.study.diagnosis import Heard, difference
from tradenas.study.folder import RunFolder
from tradenas.study.searching import task_of
from tradenas.train.store import cut
from tradenas.trials.ledger import Ledger

CELL = {"kind": "cell", "cells": [1], "nodes": 2, "take": 2, "ops": ["zero", "skip", "dense", "ema4"], "widths": [4],
        "lookbacks": [5], "norms": ["layer"]}  # fmt: skip
EDGES = [f"cell/edge{i}-{j}/op" for j in (2, 3) for i in range(j)]


def study(kind="darts", **sections):
    trials = {"coupling": 3, "coupling_seeds": 2, "random": 0, "seeds": 1, "top_k": 1, "baselines": ["flat", "hold"]}
    search = {"kind": kind, "find": {"kind": "random"}, "num_ranked": 5, "eigenvalue_every": 2}
    search |= {"training": {"epochs": 4, "segment": 32, "batch": 512}}
    told = tiny(trials={**trials, **sections.pop("trials", {})}, **sections)
    return {**told, "space": CELL, "search": {**search, **sections.pop("search", {})}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    told = study()
    told["search"]["supernets"] = 2
    return Study.of(told).run(tmp_path_factory.mktemp("diagnosis")).folder


def facts(folder):
    return json.loads((folder / "search" / "diagnostics.json").read_text())


@pytest.fixture
def restarted(done):
    """Task, method and state as the search left them."""
    folder = RunFolder.existing(done)
    with Ledger(folder.ledger) as ledger:
        bench = Bench.at(folder, folder.config(), ledger, Events(), folder.open_rows)
        task = task_of(bench.config, bench.zones, cut(bench.data, bench.zones.search.stop), lambda *_: None)
        yield bench, task, bench.config.search, restored(bench, bench.config.search, task)


def test_every_choice_and_epoch_is_there(done, restarted):
    _, _, method, state = restarted
    record = facts(done)
    assert (record["method"], record["metric"]) == ("darts", "rank_ic")
    for net, learner in zip(record["supernets"], state.learners, strict=True):
        (stage,) = net["stages"]
        assert [c["name"] for c in stage["choices"]] == EDGES
        for choice in stage["choices"]:
            assert choice["options"] == CELL["ops"]
            assert choice["even"] == [0.25] * 4
            for told, alphas in zip(choice["strengths"], learner.trail, strict=True):
                want = torch.softmax(alphas[choice["name"]].double(), 0)
                assert told == pytest.approx(want.tolist(), abs=1e-5)
                assert sum(told) == pytest.approx(1.0, abs=1e-4)
            for told, p in zip(choice["entropy"], choice["strengths"], strict=True):
                assert told == pytest.approx(-sum(x * math.log(x) for x in p) / math.log(4), abs=1e-3)
        assert len(stage["epochs"]) == 4
        for at, epoch in enumerate(stage["epochs"]):
            each = [c["entropy"][at] for c in stage["choices"]]
            assert epoch["entropy"] == pytest.approx(sum(each) / len(each), abs=1e-4)
            skips = [c["strengths"][at][1] for c in stage["choices"]]
            assert epoch["skips"] == pytest.approx(sum(skips) / len(skips), abs=1e-4)
            assert 0 < epoch["loss"] < 10
            assert 0 < epoch["alpha_loss"] < 10
        assert [e["epoch"] for e in stage["eigenvalues"]] == [0, 2]
        assert stage["stopped"] is None
        assert net["architecture"] == json.loads(json.dumps(dict(method.chosen(state.space, learner.now()))))


def test_the_page_draws_the_champion_and_the_cells_of_the_alphas(done):
    page = write_report(done).read_text(encoding="utf-8")
    own = {net["digest"] for net in facts(done)["supernets"]}
    assert page.count('aria-label="Architecture: ') == 2 * (1 + len(own))  # for a desk and for a phone
    assert "What the alphas learnt" in page
    assert "Weights of supernet 2" in page


def test_the_gap_is_between_the_mixture_and_its_architecture(done, restarted):
    """The three numbers again, by other ways: the signals of both networks, and the files of the trainings."""
    _, task, method, state = restarted
    evaluator = task.scorer.evaluator
    gaps = [net["gap"] for net in facts(done)["supernets"]]
    assert gaps[0]["relaxed"] != gaps[1]["relaxed"]
    for gap, network, learner in zip(gaps, state.networks, state.learners, strict=True):
        mixture = {n: torch.softmax(a, 0) for n, a in learner.now().items()}
        mixture |= {c.name: torch.ones(len(c.options)) for c in state.space.choices if c.take > 1}
        own = method.chosen(state.space, learner.now())
        relaxed = evaluator.scores_of(evaluator.hear(network, mixture, reach=network.reach()))
        (path,) = evaluator.score_paths(network, [own])
        for name in ("rank_ic", "loss"):
            assert gap["relaxed"][name] == relaxed[name]
            assert gap["path"][name] == path[name]
        assert gap["discretisation"]["rank_ic"]["value"] == pytest.approx(path["rank_ic"] - relaxed["rank_ic"])
        assert gap["discretisation"]["loss"]["value"] == pytest.approx(relaxed["loss"] - path["loss"])
        for change in (*gap["discretisation"].values(), *gap["retraining"].values()):
            assert change["low"] < change["value"] < change["high"]
        assert gap["alone"]["rank_ic"] - gap["path"]["rank_ic"] == pytest.approx(gap["retraining"]["rank_ic"]["value"])


def test_each_look_is_counted_once(done):
    record = facts(done)
    with Ledger(done / "ledger.db") as ledger:
        looks = {t.key: t for t in ledger.trials("diagnostics")}
        coupled = {t.key: t for t in ledger.trials("coupling")}
    own = {net["digest"] for net in record["supernets"]}
    alone = {f"{digest}/{seed}" for digest in own for seed in range(2)}
    assert {k for k in looks if k.startswith("alone/")} == {f"alone/{k}" for k in alone - set(coupled)}
    assert {k for k in looks if not k.startswith("alone/")} == {"relaxed/0", "relaxed/1", "path/0", "path/1"}
    for i, net in enumerate(record["supernets"]):
        assert looks[f"relaxed/{i}"].scores["rank_ic"] == net["gap"]["relaxed"]["rank_ic"]
        assert looks[f"relaxed/{i}"].digest is None  # a mixture is no architecture
        assert looks[f"path/{i}"].digest == net["digest"]
        both = [(coupled.get(f"{net['digest']}/{s}") or looks[f"alone/{net['digest']}/{s}"]).scores["rank_ic"]
                for s in range(2)]  # fmt: skip
        assert net["gap"]["alone"]["rank_ic"] == pytest.approx(np.mean(both))
    verdict = json.loads((done / "verdict.json").read_text())
    assert verdict["trials"]["by_stage"]["diagnostics"] == len(looks)


def test_a_resumed_study_says_the_same_and_counts_nothing_twice(done, tmp_path):
    again = tmp_path / done.name
    shutil.copytree(done, again)
    before = (again / "search" / "diagnostics.json").read_bytes()
    with Ledger(again / "ledger.db") as ledger:
        print_before = ledger.fingerprint()
    (again / "search" / "diagnostics.json").unlink()
    Study.resume(again)
    assert not (again / "search" / "diagnostics.json").exists()  # the count of trials was closed by the verdict
    (again / "verdict.json").unlink()
    Study.resume(again, open_vault_again=True)
    assert (again / "search" / "diagnostics.json").read_bytes() == before
    with Ledger(again / "ledger.db") as ledger:
        assert ledger.fingerprint() == print_before


def test_of_one_supernet_the_path_was_counted_by_the_search(tmp_path):
    """By DARTS-, whose auxiliary skip is no part of the relaxed network once it has faded, after a restart neither."""
    folder = Study.of(study("darts_minus", trials={"coupling": 0})).run(tmp_path).folder
    record = facts(folder)
    with Ledger(folder / "ledger.db") as ledger:
        run = RunFolder.existing(folder)
        bench = Bench.at(run, run.config(), ledger, Events(), run.open_rows)
        task = task_of(bench.config, bench.zones, cut(bench.data, bench.zones.search.stop), lambda *_: None)
        state = restored(bench, bench.config.search, task)
    mixture = bench.config.search.mixture(state.space, state.learners[0].now(), epoch=3, seed=None)
    state.network.mix.beta = 0.0
    faded = task.scorer.evaluator.hear(state.network, mixture, reach=state.network.reach())
    assert record["supernets"][0]["gap"]["relaxed"]["loss"] == faded.losses["loss"]
    with Ledger(folder / "ledger.db") as ledger:
        assert [t.key for t in ledger.trials("diagnostics")] == ["relaxed/0"]
        assert record["supernets"][0]["digest"] in {t.digest for t in ledger.trials("search")}
    assert record["supernets"][0]["gap"]["alone"] is None  # no coupling, no trainings
    assert record["supernets"][0]["gap"]["retraining"] == {}


def heard(scores, **parts):
    return Heard(scores=scores, parts={n: np.array(v) for n, v in parts.items()})


def test_the_difference_by_hand():
    """Parts gain 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, error 0.1 / sqrt 3, and t(2) is 4.3027 at 97.5 %."""
    before = heard({"ic": 0.3, "loss": 0.9}, ic=[0.1, 0.2, 0.3, math.nan], loss=[-0.9, -0.9, -0.9, -0.9])
    after = heard({"ic": 0.5, "loss": 1.0}, ic=[0.2, 0.4, 0.6, 0.7], loss=[-1.0, -1.0, -1.0, -1.0])
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert difference(before, after, "ic") == pytest.approx({"value": 0.2, "low": 0.2 - half, "high": 0.2 + half})
    lost = difference(before, after, "loss")
    assert lost["value"] == pytest.approx(-0.1)  # more loss is a loss of merit
    assert (lost["low"], lost["high"]) == pytest.approx((-0.1, -0.1))
    assert difference(before, heard({"loss": 1.0}, ic=[], loss=[]), "ic") is None
    short = heard({"ic": 0.1}, ic=[0.1])
    assert difference(short, short, "ic") == {"value": 0.0}


def test_several_trainings_are_their_mean():
    two = Heard.mean([heard({"ic": 0.2, "sharpe": 1.0}, ic=[0.1, 0.3]), heard({"ic": 0.4}, ic=[0.3, 0.5])])
    assert two.scores == pytest.approx({"ic": 0.3})
    assert two.parts["ic"].tolist() == pytest.approx([0.2, 0.4])
