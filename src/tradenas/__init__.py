"""Neural architecture search for trading time series, honest about how many it tried.

    from tradenas import Study
    result = Study.of("study.toml").run()
    print(result.verdict)          # EDGE, NO EVIDENCE or NO EDGE

Names are loaded when they are first used, so that `import tradenas` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradenas.data import (
        Candles,
        Extra,
        Repairs,
        Series,
        audit,
        read_candles,
        read_extra,
        read_funding,
        resample,
        sample,
        write_candles,
    )
    from tradenas.data.synthetic import planted
    from tradenas.errors import TradenasError
    from tradenas.features import RegimeModel, Target, alpha158, bar_funding, build_table, feature, joined
    from tradenas.formats.live import Live
    from tradenas.nn import Layout, Network, hard, soft
    from tradenas.report import load_record, write_report
    from tradenas.search.base import Candidate, Scorer, Task, run_search
    from tradenas.search.methods import SPOS, RandomSearch, Sandwich
    from tradenas.space import Architecture, Cell, Chain, Choice, SearchSpace
    from tradenas.splits import Span, make_zones, walk_forward
    from tradenas.study import Study, StudyConfig, StudyResult
    from tradenas.train.backtest import Costs, Rule, backtest
    from tradenas.train.build import build_dataset
    from tradenas.train.dataset import Dataset
    from tradenas.train.evaluate import Evaluator
    from tradenas.train.fit import fit
    from tradenas.train.loop import Training
    from tradenas.trials.ledger import Ledger

_WHERE = {
    "tradenas.data": (
        "Candles",
        "Extra",
        "Repairs",
        "Series",
        "audit",
        "read_candles",
        "read_extra",
        "read_funding",
        "resample",
        "sample",
        "write_candles",
    ),
    "tradenas.data.synthetic": ("planted",),
    "tradenas.errors": ("TradenasError",),
    "tradenas.features": ("RegimeModel", "Target", "alpha158", "bar_funding", "build_table", "feature", "joined"),
    "tradenas.formats.live": ("Live",),
    "tradenas.nn": ("Layout", "Network", "hard", "soft"),
    "tradenas.report": ("load_record", "write_report"),
    "tradenas.search.base": ("Candidate", "Scorer", "Task", "run_search"),
    "tradenas.search.methods": ("SPOS", "RandomSearch", "Sandwich"),
    "tradenas.space": ("Architecture", "Cell", "Chain", "Choice", "SearchSpace"),
    "tradenas.splits": ("Span", "make_zones", "walk_forward"),
    "tradenas.study": ("Study", "StudyConfig", "StudyResult"),
    "tradenas.train.backtest": ("Costs", "Rule", "backtest"),
    "tradenas.train.build": ("build_dataset",),
    "tradenas.train.dataset": ("Dataset",),
    "tradenas.train.evaluate": ("Evaluator",),
    "tradenas.train.fit": ("fit",),
    "tradenas.train.loop": ("Training",),
    "tradenas.trials.ledger": ("Ledger",),
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "SPOS", "Architecture", "Candidate", "Candles", "Cell", "Chain", "Choice", "Costs", "Dataset", "Evaluator",
    "Extra", "Layout", "Ledger", "Live", "Network", "RandomSearch", "RegimeModel", "Repairs", "Rule", "Sandwich",
    "Scorer", "SearchSpace", "Series", "Span", "Study", "StudyConfig", "StudyResult", "Target", "Task", "TradenasError",
    "Training", "alpha158", "audit", "backtest", "bar_funding", "build_dataset", "build_table", "feature", "fit",
    "hard", "joined", "load_record", "make_zones", "planted", "read_candles", "read_extra", "read_funding",
    "resample", "run_search", "sample", "soft", "walk_forward", "write_candles", "write_report",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'tradenas' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_MODULE[name]), name)
    except ModuleNotFoundError as error:
        from tradenas.errors import MissingExtra

        missing = MissingExtra.behind(error)
        if missing is None:
            raise
        raise missing from error


def __dir__() -> list[str]:
    return sorted(__all__)
