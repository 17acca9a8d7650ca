"""A study small enough to run many times in a test, and what of its folder has to be the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

_SPEC = importlib.util.spec_from_file_location("kill_benchmark", Path(__file__).parents[2] / "benchmarks" / "kill.py")
assert _SPEC is not None
assert _SPEC.loader is not None
kill = importlib.util.module_from_spec(_SPEC)
sys.modules["kill_benchmark"] = kill
_SPEC.loader.exec_module(kill)


def tiny(**sections: Any) -> dict[str, Any]:
    """A study of a second or two in this process; `section={...}` changes some of its keys."""
    study: dict[str, Any] = {
        "name": "tiny", "seed": 3,
        "data": {"source": "planted:reversal", "bars": 1800},
        "features": {"indicators": ["log_return_1", "rsi_14"], "window": 20},
        "space": {
            "depths": [1, 2], "widths": [4, 8], "ops": ["dense", "conv3", "gated"], "lookbacks": [5],
            "norms": ["none", "batch"], "dropouts": [0.0],
        },
        "search": {
            "kind": "spos", "num_ranked": 10, "find": {"population": 5},
            "training": {"epochs": 4, "segment": 32, "batch": 256},
        },
        "trials": {
            "top_k": 2, "seeds": 2, "random": 1, "coupling": 3, "coupling_seeds": 1, "reps": 100, "tuning_budget": 2,
            "causes": {"paths": 4, "rows": 128, "epochs": 1},
            "baselines": ["flat", "hold", "reversal"], "training": {"epochs": 2, "segment": 32, "batch": 256},
        },
        "runner": {"kind": "inline"},
    }  # fmt: skip
    for name, change in sections.items():
        study[name] = {**study[name], **change} if isinstance(change, dict) else change
    return study
