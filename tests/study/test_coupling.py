"""The coupling stage of a study: causes from the supernet that the search left, finalists by what it is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from study.tiny import tiny
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.report import box
from tradenas.report.record import load_record
from tradenas.stats import k_for_chance
from tradenas.study import Study
from tradenas.study import causes as module
from tradenas.study.bench import Bench
from tradenas.study.causes import restored, why
from tradenas.study.folder import RunFolder
from tradenas.study.searching import found, task_of
from tradenas.train.evaluate import merit
from tradenas.train.store import cut
from tradenas.trials.ledger import Ledger

WISH = {"hold_best": 0.9, "top_k_max": 3, "random": 0, "seeds": 1, "coupling_seeds": 2, "baselines": ["flat"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    told = tiny(trials=WISH)
    told["search"]["supernets"] = 2
    return Study.of(told).run(tmp_path_factory.mktemp("coupling")).folder


@pytest.fixture
def bench(done):
    folder = RunFolder.existing(done)
    with Ledger(folder.ledger) as ledger:
        yield Bench.at(folder, folder.config(), ledger, Events(done / "more.jsonl"), folder.open_rows)
    (done / "more.jsonl").unlink(missing_ok=True)


def facts(folder, name):
    return json.loads((folder / name).read_text())


def test_as_many_finalists_as_it_takes(done):
    coupling, record = facts(done, "coupling.json"), facts(done, "retrain/strategies.json")
    finalists = record["finalists"]
    assert finalists["taken"] == min(3, k_for_chance(coupling["tau"], finalists["of"], 0.9))
    assert sum(s["kind"] == "finalist" for s in record["strategies"]) == finalists["taken"]
    assert coupling["chances"][-1]["k"] == finalists["of"]
    shown = load_record(done)
    assert shown.finalists.words == finalists["words"]
    assert shown.coupling.causes is not None
    assert ("finalists", finalists["words"], "") in box._rows(shown, None)


def test_causes_and_every_supernet_are_in_the_record(done):
    coupling = facts(done, "coupling.json")
    assert len(coupling["supernets"]) == 2
    assert all("rank_low" in p for p in coupling["points"])
    causes = coupling["causes"]
    assert {causes[n]["state"] for n in ("undertraining", "interference", "coadaptation")} <= {
        "found", "not found", "open"}  # fmt: skip
    assert causes["epochs"] == 1
    assert causes["gradients"]["paths"] == 4
    assert coupling["proxies"]
    with Ledger(done / "ledger.db") as ledger:
        assert ledger.count_by_stage()["coupling"] == 2 * coupling["num"]
        assert ledger.count_by_stage()["search"] == 10
        # a score after a repair is a look at the ranking rows: every measured architecture, after each of three repairs
        assert ledger.count_by_stage()["causes"] == 3 * coupling["num"]
        looks = ledger.trials("causes")
        assert {t.params["repair"] for t in looks} == {"longer", "private", "refitted"}
        assert all("ic" in t.scores for t in looks)


def test_losses_alone_are_of_the_rows_that_rank(done, bench):
    """By hand, from the signals of a training on disk: the same rows and units as the supernet's losses."""
    from tradenas.study.coupling import trainings_alone
    from tradenas.study.searching import evaluator_of, search_fold

    data = cut(bench.data, bench.zones.search.stop)
    evaluator, rows = evaluator_of(bench.config, bench.zones, data), search_fold(bench.config, bench.zones).valid.slice
    with Ledger(done / "ledger.db") as ledger:
        trials = {t.key: t.scores["loss"] for t in ledger.trials("coupling")}
    some = next(c.architecture for c in found(bench.folder) if f"{c.architecture.digest}/0" in trials)
    spec = trainings_alone(bench, [some])[some, 0]
    signal_T = np.load(bench.jobs_folder / spec.id / "valid.npy")
    reach = json.loads((bench.jobs_folder / spec.id / "result.json").read_text())["result"]["reach"]
    kept_T = data.learnable(reach)[rows]
    label_T = evaluator.objective.labels(data)[rows]
    said_T = signal_T / (data.volatility_T[rows] * evaluator.objective.scale)
    assert trials[f"{some.digest}/0"] == pytest.approx(np.mean((said_T - label_T)[kept_T] ** 2), rel=1e-4)


def test_it_is_the_supernet_that_ranked(done, bench):
    """The restored weights score the candidates to the bit as they did in the search."""
    task = task_of(bench.config, bench.zones, cut(bench.data, bench.zones.search.stop), lambda *_: None)
    state = restored(bench, bench.config.search, task)
    some = [c for c in found(bench.folder) if merit(c.scores, "ic") > float("-inf")][:3]
    for i, network in enumerate(state.networks):
        again = task.scorer.evaluator.score_paths(network, [c.architecture for c in some])
        assert again == [c.each[i] for c in some]


def test_asked_again_it_says_the_same(done, bench):
    points = [(c, [c.scores["ic"]]) for c in found(bench.folder)[:4]]
    alone = np.array([0.3, 0.1, 0.2, 0.0])
    assert why(bench, points, alone) == why(bench, points, alone)


def test_causes_that_diverge_warn_and_stop_nothing(done, bench, monkeypatch):
    def fail(*_args, **_kwargs):
        raise DivergedError("causes", got="nan", expected="numbers")

    monkeypatch.setattr(module, "causes", fail)
    points = [(c, [0.0]) for c in found(bench.folder)[:3]]
    assert why(bench, points, np.zeros(3)) is None
    kinds = [json.loads(line)["kind"] for line in (done / "more.jsonl").read_text().splitlines()]
    assert kinds == ["begin", "warning", "end"]


def test_a_search_without_a_supernet_has_no_causes_and_a_budget_of_0_no_measurement(tmp_path, done, bench):
    points = [(c, [0.0]) for c in found(bench.folder)[:3]]
    assert why(bench, points[:2], np.zeros(2)) is None
    less = {"coupling": 0, "top_k": 1, "random": 0, "seeds": 1, "baselines": ["flat"]}
    plain = tiny(trials=less)
    plain["search"] = {"kind": "random_search", "num_trained": 3, "training": {"epochs": 1, "segment": 32}}
    folder = Study.of(plain).run(tmp_path).folder
    assert not (folder / "search" / "diagnostics.json").exists()  # nor alphas
    assert facts(folder, "coupling.json") == {"metric": "rank_ic", "num": 0, "points": [], "ceiling": None}
    assert "nobody knows" in facts(folder, "retrain/strategies.json")["finalists"]["words"]
