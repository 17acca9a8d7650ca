"""A study that measures what its inputs are worth: counted, written once, and nothing else of it changes."""

import json

import numpy as np
import pytest

from study.tiny import tiny
from tradenas.errors import ConfigError, SpaceError
from tradenas.report.record import load_record
from tradenas.study.config import read_config
from tradenas.study.study import Study
from tradenas.trials.ledger import Ledger

INDICATORS = ["log_return_1", "rsi_14", "volume_ratio_20"]


def study(**trials):
    return tiny(
        features={"indicators": INDICATORS},
        data={"bars": 1500},
        space={"lookbacks": [5, 10], "features": INDICATORS, "depths": [1], "norms": ["none"]},
        search={"training": {"epochs": 2, "segment": 32, "batch": 256}},
        trials={"coupling": 0, "random": 0, "top_k": 1, "seeds": 1, "baselines": ["flat", "hold"], **trials},
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The study with the measurement and without."""
    base = tmp_path_factory.mktemp("marginal")
    return [Study.of(study(marginal=marginal)).run(base).folder for marginal in (8, 0)]


def test_every_look_is_a_trial_and_none_is_counted_twice(runs):
    folder, without = runs
    told = json.loads((folder / "search" / "inputs.json").read_text())
    with Ledger(folder / "ledger.db") as ledger:
        looks = ledger.trials("marginal")
        searched = {t.digest for t in ledger.trials("search")}
    assert told["scored"] == len(looks) > 12
    assert not {t.digest for t in looks} & searched
    assert all(t.scores["ic"] is not None for t in looks)
    with Ledger(without / "ledger.db") as ledger:
        assert ledger.trials("marginal") == []
        assert {t.digest for t in ledger.trials("search")} == searched
    assert not (without / "search" / "inputs.json").exists()
    candidates = [json.loads((f / "search" / "candidates.json").read_text())["candidates"] for f in runs]
    assert candidates[0] == candidates[1]  # it chooses nothing


def test_the_record_is_read_back(runs):
    record = load_record(runs[0]).inputs
    assert record is not None
    worth = {(e.choice, e.option): e for e in record.effects}
    for name in INDICATORS:
        e = worth[f"input/feature/{name}", "on"]
        assert e.low <= e.effect <= e.high
        assert e.effect == pytest.approx(-worth[f"input/feature/{name}", "off"].effect)
    for choice in ("input/lookback", "layer0/op", "layer0/width"):
        assert np.isfinite([e.effect for e in record.effects if e.choice == choice]).all()
    best = json.loads((runs[0] / "search" / "candidates.json").read_text())["candidates"][0]["architecture"]
    assert record.chosen == best
    assert record.read == sum(best[f"input/feature/{name}"] == "on" for name in INDICATORS)
    assert record.indicators == 3
    assert load_record(runs[1]).inputs is None


def test_it_is_written_once(runs):
    file = runs[0] / "search" / "inputs.json"
    before = file.stat().st_mtime_ns
    Study.resume(runs[0])
    assert file.stat().st_mtime_ns == before


def test_names_are_checked_before_anything_runs():
    with pytest.raises((ConfigError, SpaceError), match="id you mean 'rsi_14'"):
        read_config(tiny(space={"features": ["rsi_41"]}))
    with pytest.raises((ConfigError, SpaceError), match="not both"):
        read_config(tiny(space={"features": ["rsi_14"], "groups": ["momentum"]}))
    with pytest.raises(ConfigError, match="marginal"):
        read_config(tiny(trials={"marginal": -1}))


def test_without_shared_weights_there_is_nothing_to_measure(tmp_path):
    plain = study(marginal=3)
    plain["search"] = {"kind": "random_search", "num_trained": 3, "training": {"epochs": 1}}
    folder = Study.of(plain).run(tmp_path).folder
    assert not (folder / "search" / "inputs.json").exists()
