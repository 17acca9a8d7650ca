"""A cell searched small and traded large: the same ops, other sizes, from the settings to the verdict."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.space import Architecture
from tradenas.study import Study
from tradenas.study.config import read_config
from tradenas.study.market import longest_reach, zones_of

CELL = {"kind": "cell", "cells": [1, 2], "nodes": 2, "take": 2, "ops": ["zero", "skip", "dense", "conv3"],
        "widths": [4, 6], "lookbacks": [5], "norms": ["layer"]}  # fmt: skip
SIZE = {"cells", "cell/width"}


def study(**trials):
    few = {
        "coupling": 3,
        "random": 1,
        "seeds": 1,
        "top_k": 2,
        "baselines": ["hold"],
        "training": {"epochs": 1},
        **trials,
    }
    search = {
        "kind": "darts",
        "find": {"kind": "random"},
        "num_ranked": 8,
        "eigenvalue_every": 0,
        "training": {"epochs": 1},
    }
    return {**tiny(trials=few, search=search), "space": CELL}


def shape(architecture):
    return {n: p for n, p in architecture.items() if n not in SIZE}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    torch.set_num_threads(1)
    return Study.of(study(cells=4, width=8)).run(tmp_path_factory.mktemp("full"))


def read(done, name):
    return json.loads((done.folder / name).read_text())


def test_finalists_are_what_was_found_at_full_size(done):
    rows = [r for r in read(done, "retrain/strategies.json")["strategies"] if r["architecture"]]
    assert {r["kind"] for r in rows} == {"finalist", "random"}
    assert {(r["architecture"]["cells"], r["architecture"]["cell/width"]) for r in rows} == {(4, 8)}
    candidates = [c["architecture"] for c in read(done, "search/candidates.json")["candidates"]]
    assert {(c["cells"], c["cell/width"]) for c in candidates} <= {(c, w) for c in (1, 2) for w in (4, 6)}
    finalists = [r for r in rows if r["kind"] == "finalist"]
    assert len(finalists) == 2
    assert shape(finalists[0]["architecture"]) == shape(candidates[0])  # the best is the best, but for its size
    assert all(shape(r["architecture"]) in [shape(c) for c in candidates] for r in finalists)
    for row in rows:
        assert row["digest"] == Architecture.from_plain(row["architecture"]).digest
        weights = load_file(done.folder / "retrain/jobs" / row["jobs"][0] / "weights.safetensors")
        stem = [w for n, w in weights.items() if n.endswith("stack.stem.weight")]
        assert all(len(w) == 8 for w in stem)
        assert {n.split("bodies.")[1][0] for n in weights if "bodies." in n} <= set("0123")
        assert max(int(n.split("bodies.")[1][0]) for n in weights if "bodies." in n) == 3


def test_the_ledger_knows_them_by_their_own_digests(done):
    rows = {r["name"]: r["digest"] for r in read(done, "retrain/strategies.json")["strategies"] if r["digest"]}
    with sqlite3.connect(done.folder / "ledger.db") as ledger:
        told = dict(ledger.execute("select key, digest from trials where stage = 'retrain' and digest is not null"))
    assert told == rows


def test_the_coupling_compares_networks_of_the_search_size(done):
    points = {p["digest"] for p in read(done, "coupling.json")["points"]}
    known = {c["digest"] for c in read(done, "search/candidates.json")["candidates"]}
    assert len(points) == 3
    assert points <= known
    traded = {r["digest"] for r in read(done, "retrain/strategies.json")["strategies"]}
    assert not points & traded


def test_the_vault_hears_the_networks_that_were_trained(done):
    assert done.verdict in ("EDGE", "NO EVIDENCE", "NO EDGE")
    assert Study.resume(done.folder).verdict == done.verdict


def test_zones_are_as_far_apart_as_the_larger_network_reads(done):
    small, large = read_config(study()), read_config(study(cells=4))
    from tradenas.train.store import load_dataset

    data = load_dataset(done.folder / "data" / "open.safetensors")
    assert longest_reach(large, data) > longest_reach(small, data)
    assert longest_reach(read_config(study(cells=1)), data) == longest_reach(small, data)  # the search reads more
    assert zones_of(large, data).embargo == longest_reach(large, data)


def test_sizes_that_are_not_asked_for_change_no_digest_and_are_left_alone():
    small, large = read_config(study()), read_config(study(cells=3))
    assert small.digest != large.digest != read_config(study(cells=3, width=8)).digest
    assert small.full_space == small.space
    assert large.full_space == replace(large.space, cells=(3,))
    a = Architecture({"cells": 1, "cell/width": 6, "cell/edge0-2/op": "conv3"})
    assert small.full_size(a) == a
    assert large.full_size(a) == Architecture({**a, "cells": 3})


def test_candidates_that_differ_in_size_alone_are_one_network():
    few = {"ops": ["dense"], "nodes": 1, "take": 0}
    faulty = {**study(cells=2, width=8, top_k=2), "space": {**CELL, **few}}
    with pytest.raises(ConfigError, match=r"trials\.top_k"):
        read_config(faulty)
    assert read_config({**faulty, "trials": {**faulty["trials"], "width": 0}}).trials.top_k == 2


@pytest.mark.parametrize(("key", "value"), [("cells", 21), ("cells", -1), ("width", 2000)])
def test_sizes_out_of_range(key, value):
    with pytest.raises(ConfigError, match=rf"trials\.{key}"):
        read_config(study(**{key: value}))


@pytest.mark.parametrize("key", ["cells", "width"])
def test_a_chain_has_no_larger_self(key):
    with pytest.raises(ConfigError, match=rf"trials\.{key}.*a layer of a chain has an op and a width of its own"):
        read_config(tiny(trials={key: 4}))
