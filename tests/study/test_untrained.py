"""Zero-cost proxies in a study: beside the supernet's coupling, and as a search of their own."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.proxies import PROXIES
from tradenas.space import Chain
from tradenas.splits import Fold, Span
from tradenas.stats import kendall
from tradenas.study import Study
from tradenas.study import untrained as module
from tradenas.study.config import read_config
from train.datasets import make_dataset

SPACE = Chain(depths=(1, 2), widths=(4, 8), ops=("dense", "conv3"), lookbacks=(5,), transforms=("raw",))


def bench():
    config = SimpleNamespace(space=SPACE, seed=4, trials=SimpleNamespace(reps=50), zones=None)
    return SimpleNamespace(config=config, data=make_dataset(rows=600, features=3), zones=None)


def test_every_proxy_is_held_against_standalone_training(monkeypatch):
    """Each by its own scores; one that knows no difference is left out; what cannot be told is last."""
    some = sample_distinct(SPACE.space(), 5, seed=0, stream="untrained")
    alone_N = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    scores = {"synflow": [1.0, 2.0, 3.0, 5.0, 4.0], "naswot": [-math.inf, -math.inf, 3.0, 2.0, 1.0]}
    seen = []

    def scored(template, batch, architectures, name, *, seed):
        seen.append((name, seed, batch.x_BTF.shape[1] - 16 + 1 == template.reach(), architectures == some))
        return scores.get(name, [7.0] * 5)

    monkeypatch.setattr(module, "scores_of", scored)
    monkeypatch.setattr(module, "search_fold", lambda config, zones: Fold(train=Span(0, 400), valid=Span(420, 590)))
    told = module.proxies(bench(), some, alone_N)
    assert seen == [(name, 4, True, True) for name in PROXIES]
    assert set(told) == {"synflow", "naswot"}
    assert told["synflow"]["tau"] == pytest.approx(0.8)
    assert told["naswot"]["tau"] == pytest.approx(kendall([0.0, 0.0, 3.0, 2.0, 1.0], alone_N).tau)
    assert all(-1 <= t["tau_low"] <= t["tau"] <= t["tau_high"] <= 1 for t in told.values())


def test_a_study_searched_by_proxies(tmp_path):
    search = {"kind": "zero_cost", "num_trained": 3, "num_screened": 12, "proxies": ["grad_norm", "params"]}
    search["training"] = {"epochs": 2, "segment": 32, "batch": 256}
    study = tiny()
    study["search"] = search
    result = Study.of(study).run(tmp_path)
    assert json.loads((result.folder / "search/candidates.json").read_text())["num_scored"] == 3
    assert json.loads((result.folder / "coupling.json").read_text())["num"] == 0  # there is no supernet to believe


def test_no_shortlist_by_a_coupling_that_cannot_be_measured():
    with pytest.raises(ConfigError, match=r"trials\.hold_best: got 0\.5 with search\.kind zero_cost"):
        read_config({"trials": {"hold_best": 0.5}, "search": {"kind": "zero_cost"}})
