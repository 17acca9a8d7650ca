"""A study over cells, from the file to the verdict and its page."""

from __future__ import annotations

import json

import pytest
import torch

from study.tiny import tiny
from tradenas.errors import ConfigError
from tradenas.report import write_report
from tradenas.space import Cell
from tradenas.study import Study
from tradenas.study.config import read_config

CELL = {"kind": "cell", "cells": [1, 2], "nodes": 2, "take": 2, "ops": ["zero", "skip", "dense", "ema4"], "widths": [4],
        "lookbacks": [5], "norms": ["layer"]}  # fmt: skip


def cells(**sections):
    return {**tiny(**sections), "space": CELL}


@pytest.mark.parametrize("kind", ["darts", pytest.param("pdarts", marks=pytest.mark.slow)])
def test_a_study_over_cells(kind, tmp_path):
    torch.set_num_threads(1)
    few = {"coupling": 2, "random": 1, "seeds": 1, "top_k": 1, "baselines": ["flat", "hold"]}
    done = Study.of(cells(trials=few, search={"kind": kind, "find": {"kind": "random"}})).run(tmp_path)
    assert done.verdict in ("EDGE", "NO EVIDENCE", "NO EDGE")
    rows = json.loads((done.folder / "retrain/strategies.json").read_text())["strategies"]
    champion = rows[0]["architecture"]
    assert champion["cells"] in (1, 2)
    page = write_report(done.folder).read_text(encoding="utf-8")
    assert f"{champion['cells']} cell" in page
    assert Study.resume(done.folder).verdict == done.verdict


def test_its_section_is_read_and_its_faults_are_named():
    config = read_config(cells())
    assert isinstance(config.space, Cell)
    assert config.space.take == 2
    assert read_config(config.to_dict()) == config
    assert config.digest != read_config(cells(), changes={"space.take": 1}).digest
    with pytest.raises(ConfigError, match=r"space\.depths: no such key"):
        read_config(cells(), changes={"space.depths": [1]})
    with pytest.raises(ConfigError, match=r"space\.nodes"):
        read_config(cells(), changes={"space.nodes": 9})
    with pytest.raises(ConfigError, match=r"space\.kind: did you mean 'cell'"):
        read_config(cells(), changes={"space.kind": "cells"})
