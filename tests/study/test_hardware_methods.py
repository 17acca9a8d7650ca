"""Hardware-aware methods as studies: from the file to the verdict, its citations and what they leave beside."""

from __future__ import annotations

import json

import pytest
import torch

from study.tiny import tiny
from tradenas.report import write_report
from tradenas.study import Study
from tradenas.study.citations import citations

FEW = {"coupling": 0, "random": 0, "seeds": 1, "top_k": 2, "baselines": ["flat", "hold"],
       "training": {"epochs": 1, "segment": 32, "batch": 256}}  # fmt: skip
QUICK = {"epochs": 1, "segment": 32, "batch": 256}
DEVICES = [{"name": "small", "macs": 120}, {"name": "large", "macs": 5000}]
SEARCHES = {
    "mnasnet": {"num_trained": 3, "controller": {"samples": 2}, "exponents": [{"cost": "macs", "above": -1.0}]},
    "compound": {"num_trained": 2, "num_grid": 2, "steps": 1},
    "once_for_all": {
        "devices": DEVICES, "num_ranked": 4, "find": {"population": 2}, "training": {**QUICK, "epochs": 4},
    },
    "fbnet": {"num_ranked": 3},
}  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["once_for_all", *(pytest.param(k, marks=pytest.mark.slow) for k in ("mnasnet", "compound", "fbnet"))]
)
def test_a_study_by_it(kind, tmp_path):
    torch.set_num_threads(1)
    source = tiny(trials=FEW)
    source["search"] = {"kind": kind, "training": QUICK, **SEARCHES[kind]}
    source["space"] = {**source["space"], "lookbacks": [5, 10], "norms": ["none"]}
    done = Study.of(source).run(tmp_path)
    assert done.verdict in ("EDGE", "NO EVIDENCE", "NO EDGE")
    assert write_report(done.folder).exists()
    assert any("title={" in entry for entry in citations(done.folder)[:1])
    budget = json.loads((done.folder / "search/budget.json").read_text())
    assert budget["objectives"] == ["merit", "macs"]  # the report draws quality over what the search paid for
    looked = json.loads((done.folder / "search/candidates.json").read_text())["candidates"]
    if kind == "once_for_all":
        held = json.loads((done.folder / "search/devices.json").read_text())["devices"]
        best = list(dict.fromkeys(d["best"]["digest"] for d in held))
        assert {c["digest"] for c in looked[: len(best)]} == set(best)  # which are the finalists
        assert held[0]["best"]["costs"]["macs"] <= 120
    if kind == "compound":
        assert json.loads((done.folder / "search/scaling.json").read_text())["family"][0]["phi"] == 0
