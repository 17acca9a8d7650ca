"""One small finished run for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from study.tiny import tiny
from tradenas.study import Study

#: Trials of a run of which only the networks matter.
FEW = {"coupling": 0, "seeds": 2, "top_k": 1, "random": 1, "baselines": ["hold"], "training": {"epochs": 1}}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """Its folder; two trainings of a champion and of a random architecture."""
    torch.set_num_threads(1)
    return Study.of(tiny(trials=FEW)).run(tmp_path_factory.mktemp("finished")).folder
