"""Strategies that anyone could have used instead: rules, linear models, boosted trees, textbook networks.

A searched network has found something only if it beats these on the same features, rows and costs, tuned with the
same number of trials.

>>> sorted(name for name in BASELINES if BASELINES[name].reads == "raw")
['dlinear_raw', 'gru_raw', 'lightgbm_raw', 'linear_raw']
"""

from __future__ import annotations

from tradenas.trials.baselines import boosting, dlinear, gru, linear, rules
from tradenas.trials.baselines.baseline import BASELINES, Baseline, Params
from tradenas.trials.baselines.tuning import Forecast, TunedBaseline, fit_forecast, scorer, tune

__all__ = [
    "BASELINES",
    "Baseline",
    "Forecast",
    "Params",
    "TunedBaseline",
    "boosting",
    "dlinear",
    "fit_forecast",
    "gru",
    "linear",
    "rules",
    "scorer",
    "tune",
]
