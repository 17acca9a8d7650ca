"""A study whose columns have ops of their own: from the file to the ledger, the retrained networks and the page."""

import json

import numpy as np
import pytest

from study.tiny import tiny
from tradenas.errors import ConfigError, SpaceError
from tradenas.report.record import load_record
from tradenas.study.config import read_config
from tradenas.study.study import Study
from tradenas.train.store import load_dataset
from tradenas.trials.ledger import Ledger

INDICATORS = ["log_return_1", "rsi_14", "volume_ratio_20"]
NAMES = [f"input/column/{name}" for name in INDICATORS]
OPS = ["raw", "difference", "drop", "ema4"]


def study(**sections):
    space = {"lookbacks": [5], "depths": [1], "norms": ["none"], "column_ops": OPS, **sections.pop("space", {})}
    return tiny(
        features={"indicators": INDICATORS, "window": 20}, data={"bars": 1500}, space=space,
        **{"search": {"training": {"epochs": 2, "segment": 32, "batch": 256}},
           "trials": {"coupling": 0, "random": 0, "top_k": 1, "seeds": 1, "baselines": ["flat"], "marginal": 2},
           **sections},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Study.of(study()).run(tmp_path_factory.mktemp("columns")).folder


def test_the_table_holds_a_block_for_each_op(folder):
    data = load_dataset(folder / "data" / "open.safetensors")
    assert data.transforms == ("raw", "difference", "ema4")
    assert data.x_TF.shape[1] == 3 * 3


def test_every_trial_says_what_was_done_to_each_column(folder):
    with Ledger(folder / "ledger.db") as ledger:
        trials = ledger.trials("search") + ledger.trials("marginal")
    assert len(trials) > 20
    for trial in trials:
        took = [trial.architecture[name] for name in NAMES]
        assert set(took) <= set(OPS)
        assert set(took) != {"drop"}
    assert len({tuple(t.architecture[n] for n in NAMES) for t in trials}) > 5


def test_what_was_chosen_is_retrained_and_recorded(folder):
    strategies = json.loads((folder / "retrain" / "strategies.json").read_text())["strategies"]
    finalists = [s for s in strategies if s["kind"] == "finalist"]
    searched = json.loads((folder / "search" / "candidates.json").read_text())["candidates"]
    assert [f["digest"] for f in finalists] == [c["digest"] for c in searched[: len(finalists)]]
    for finalist in finalists:
        assert [finalist["architecture"][name] in OPS for name in NAMES] == [True] * 3
        assert np.isfinite(finalist["selection"]["total_net"])
    record = load_record(folder)
    told = {(e.choice, e.option) for e in record.inputs.effects if e.choice in NAMES}
    assert {o for _, o in told} <= set(OPS)
    assert len(told) >= 8
    assert record.inputs.read == sum(record.inputs.chosen[n] != "drop" for n in NAMES)


def test_a_study_without_them_keeps_the_digest_from_before_there_were_any(monkeypatch):
    hashed = []
    monkeypatch.setattr("tradenas.study.config.canonical_json", lambda d: hashed.append(d) or json.dumps(d))
    assert read_config(study()).digest != read_config(study(space={"column_ops": OPS[:3]})).digest
    assert hashed[0]["space"]["column_ops"] == OPS
    plain = read_config(study(space={"column_ops": []}))
    assert plain.digest
    assert "column_ops" not in hashed[2]["space"]
    assert plain.to_dict()["space"]["column_ops"] == []


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"column_ops": ["raw", "rnak"]}, "id you mean 'rank'"),
        ({"column_ops": ["drop"]}, "an op that reads"),
        ({"groups": ["momentum"]}, "one switch"),
        ({"transforms": ["raw"]}, "one of the two"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_runs(space, words):
    with pytest.raises((ConfigError, SpaceError), match=words):
        read_config(study(space=space))
