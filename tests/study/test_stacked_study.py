"""Networks of one shape are trained together in a study, and nothing but the last bits shows it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch

from study.tiny import tiny
from tradenas.study import Study, read_config
from tradenas.train.store import load_dataset, save_dataset
from tradenas.trials import retrain
from tradenas.trials.jobs import JobDone, JobSpec, add_input, read_result
from tradenas.trials.ledger import Ledger
from tradenas.trials.runner import InlineRunner
from tradenas.trials.stacks import stacks_of

TRAINED = ("fit_network", "fit_split")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


SMALL = {
    "coupling": 3, "coupling_seeds": 2, "top_k": 2, "seeds": 2, "random": 0, "baselines": ["hold"], "reps": 100,
    "paths": {"groups": 4, "tested": 2}, "causes": {"paths": 4, "rows": 128, "epochs": 1},
    "training": {"epochs": 2, "segment": 32, "batch": 256},
}  # fmt: skip
REGIMES = {"enabled": True, "window": 8, "slow": 40, "min_rows": 20, "top_k": 1}
SEARCH = {"num_ranked": 6, "training": {"epochs": 1, "segment": 32, "batch": 256}}
WORLD = {"source": "planted:gated", "bars": 1800}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A study, and how many networks went together each time."""
    sizes = []
    real = retrain.fit_stacked

    def counted(template, architecture, lessons, *, training):
        sizes.append(len(lessons))
        return real(template, architecture, lessons, training=training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrain, "fit_stacked", counted)
        small = tiny(trials=SMALL, data=WORLD, search=SEARCH)
        folder = Study.of({**small, "regimes": REGIMES}).run(tmp_path_factory.mktemp("together")).folder
    return folder, sizes


def specs_of(folder):
    with sqlite3.connect(folder / "ledger.db") as db:
        specs = [JobSpec.from_json(text) for (text,) in db.execute("SELECT spec FROM jobs ORDER BY created, id")]
    db.close()
    return [spec for spec in specs if spec.kind in TRAINED]


def test_coupling_finalists_specialists_and_paths_go_together(run):
    folder, sizes = run
    assert sum(sizes) == len(specs_of(folder)) >= 6 + 4 + 2 + 6
    assert len(sizes) - sizes.count(1) >= 3 + 2 + 1 + 3
    assert sizes.count(1) <= 2


def test_each_says_what_it_says_alone(run, tmp_path):
    """The very same jobs, one by one: equal names, files and figures, and signals to rounding."""
    folder, _ = run
    specs = specs_of(folder)
    inputs = folder / "retrain" / "jobs" / "inputs"
    assert {add_input(tmp_path / "jobs", file) for file in inputs.iterdir()} >= {s.inputs["dataset"] for s in specs}
    with Ledger(tmp_path / "alone.db") as ledger:
        alone = InlineRunner().run(specs, ledger=ledger, folder=tmp_path / "jobs")
    for spec in specs:
        together = folder / "retrain" / "jobs" / spec.id
        told = read_result(together, spec.id)
        assert told.keys() == alone[spec.id].result.keys()
        for name in {"best_epoch", "calibration", "parameters", "reach"} & told.keys():
            assert told[name] == alone[spec.id].result[name]
        assert {p.name for p in together.iterdir()} == {p.name for p in alone[spec.id].folder.iterdir()}
        for name in [*spec.params["signals"], "calibration"]:
            said, expected = (np.load(at / f"{name}.npy") for at in (together, alone[spec.id].folder))
            np.testing.assert_allclose(said, expected, rtol=1e-3, atol=1e-4 * expected.std())


def test_stacks_hold_networks_of_one_shape_data_and_training(run):
    specs = {spec.id: spec for spec in specs_of(run[0])}
    stacks = [stack for stack in stacks_of(specs.values(), 8) if len(stack) > 1]
    assert len(stacks) > 5
    for stack in stacks:
        first, *others = (specs[job] for job in stack)
        for other in others:
            assert (other.kind, other.inputs, other.threads) == (first.kind, first.inputs, first.threads)
            for name in ("space", "architecture", "training", "regime", "outside"):
                assert other.params.get(name) == first.params.get(name)


def test_what_differs_in_shape_or_settings_stays_apart(run):
    spec = next(s for s in specs_of(run[0]) if s.kind == "fit_network" and "regime" not in s.params)
    same = [replace(spec, seed=seed) for seed in range(100, 108)]
    assert {len(stack) for stack in stacks_of([*same, spec], 8)} == {3}
    for change in (
        {"architecture": {**spec.params["architecture"], "input/lookback": 20}},
        {"training": {**spec.params["training"], "lr": 0.1}},
        {"space": {**spec.params["space"], "lookbacks": [5, 20]}},
        {"regime": "calm", "outside": 0.0},
    ):
        other = replace(spec, params={**spec.params, **change})
        assert (other.id,) in stacks_of([*same, other], 8)
    assert (replace(spec, threads=2).id,) in stacks_of([*same, replace(spec, threads=2)], 8)
    gru = {k: "gru" if k.endswith("/op") else v for k, v in spec.params["architecture"].items()}
    slow = [replace(one, params={**one.params, "architecture": gru}) for one in same]
    halved = {**spec.params, "training": {**spec.params["training"], "bf16": True}}
    for single in (slow, [replace(one, params=halved) for one in same]):
        assert {len(stack) for stack in stacks_of(single, 8)} == {1}  # these keep all workers busy instead


def test_one_that_diverges_fails_alone_and_by_its_own_error(run, tmp_path):
    """Rows of one network's fold are beyond all bounds; the others of its stack have never seen them."""
    data = load_dataset(run[0] / "data" / "open.safetensors")
    wild = data.x_TF.copy()
    wild[700:720] = 3e38
    save_dataset(replace(data, x_TF=wild), tmp_path / "wild.safetensors")
    spec = next(s for s in specs_of(run[0]) if s.kind == "fit_network" and "regime" not in s.params)
    done: list[dict[str, JobDone]] = []
    for stack in (8, 1):
        jobs = tmp_path / str(stack)
        sha = add_input(jobs, tmp_path / "wild.safetensors")
        params = {**spec.params, "train": [100, 650], "signals": {"v": [0, 650]}}
        calm = replace(spec, inputs={"dataset": sha}, params=params)
        specs = [replace(calm, seed=seed) for seed in range(8)]
        specs[1] = replace(calm, seed=1, params={**calm.params, "train": [100, 820]})
        with Ledger(tmp_path / f"{stack}.db") as ledger:
            done.append(InlineRunner(stack=stack).run(specs, ledger=ledger, folder=jobs))
    together, alone = done
    assert [one.status for one in together.values()].count("failed") == 1
    failed = together[specs[1].id]
    assert failed.status == "failed"
    assert "DivergedError" in str(failed.error)
    assert failed.error == alone[specs[1].id].error
    said, expected = (np.load(one[specs[0].id].folder / "v.npy") for one in done)
    np.testing.assert_allclose(said, expected, rtol=1e-3, atol=1e-4 * expected.std())


def test_the_digest_of_a_study_that_asks_for_nothing_is_as_it_was():
    plain = read_config(tiny())
    assert plain.runner.stack > 1
    assert read_config(tiny(runner={"stack": plain.runner.stack})).digest == plain.digest
    assert read_config(tiny(runner={"stack": 1})).digest != plain.digest  # last bits differ
