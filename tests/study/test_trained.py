"""What leaves a run folder is what was traded: the stored signals, from the programs of all seeds."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from study.tiny import tiny
from tradenas.errors import FolderError
from tradenas.formats.reference import run_series
from tradenas.study import Study
from tradenas.study.trained import TrainedStrategy


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    few = {"coupling": 0, "seeds": 2, "top_k": 1, "random": 1, "baselines": ["hold"], "training": {"epochs": 1}}
    space = {"norms": ["batch"], "ops": ["dense", "conv3"]}  # moments have to leave too
    return Study.of(tiny(trials=few, space=space)).run(tmp_path_factory.mktemp("trained"))


def test_programs_say_what_was_traded(done):
    strategy = TrainedStrategy.load(done.folder)
    assert all(fitted.moments for fitted in strategy.fitted)
    row = next(r for r in rows(done) if r["name"] == "finalist 1")
    assert strategy.row == row  # the champion: there is one finalist
    assert len(strategy.programs) == len(row["jobs"]) == 2
    zone = strategy.zones.selection
    for program, fitted, job in zip(strategy.programs, strategy.fitted, row["jobs"], strict=True):
        output_T = run_series(program, strategy.data.x_TF[:, list(program.columns)])[zone.slice]
        said_T = fitted.objective.signal(output_T, strategy.data, zone)
        traded_T = np.load(done.folder / "retrain" / "jobs" / job / "selection.npy")
        assert np.abs(said_T - traded_T).max() < 1e-5 * np.abs(traded_T).max()
    first, second = (f.network.state_dict()["inputs.taps"] for f in strategy.fitted)
    assert not torch.equal(first, second)


def test_what_baselines_read_is_on_record(done):
    assert {r["name"]: r.get("reads") for r in rows(done)}["hold"] == "rule"
    assert all("reads" not in r for r in rows(done) if r["kind"] != "baseline")


def test_a_strategy_goes_by_its_name_or_digest(done):
    random = next(r for r in rows(done) if r["kind"] == "random")
    for name in (random["name"], random["digest"]):
        assert TrainedStrategy.load(done.folder, name).architecture.digest == random["digest"]
    with pytest.raises(FolderError, match="finalist 1"):
        TrainedStrategy.load(done.folder, "finalist 7")
    with pytest.raises(FolderError, match="no single network"):
        TrainedStrategy.load(done.folder, "hold")


def test_a_folder_without_a_verdict_has_no_champion(done, tmp_path):
    shutil.copytree(done.folder, tmp_path / "run")
    (tmp_path / "run" / "verdict.json").unlink()
    with pytest.raises(FolderError, match="name a strategy"):
        TrainedStrategy.load(tmp_path / "run")
    assert TrainedStrategy.load(tmp_path / "run", "finalist 1").fitted


def rows(done):
    return json.loads((done.folder / "retrain" / "strategies.json").read_text())["strategies"]
