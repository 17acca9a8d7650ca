"""Fits a baseline, measures the size of its signal where it learned, and tunes it with a counted budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradenas.errors import ConfigError, DivergedError
from tradenas.registry import did_you_mean
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.panel import Market, Panel, each
from tradenas.train.portfolio import trade, usual_size
from tradenas.trials.baselines.baseline import Baseline, Params, Pooling
from tradenas.typing import FloatArray

__all__ = ["Forecast", "TunedBaseline", "fit_forecast", "scorer", "tune"]

MAX_SCALE_ROWS = 4096
#: The setting by which one model learns from all markets of a panel.
POOLED = "pooled"


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecast:
    """What a fitted baseline says about some rows.

    Attributes:
        signal_T: one signal a row, 0 where there is not enough history; (A, T) of a panel.
        scale: usual size of its signal on training rows, for the no-trade band; one for each market of a panel.
        banded: False if the band must not apply.
    """

    signal_T: FloatArray
    scale: float | FloatArray
    banded: bool

    def rule(self, rule: Rule) -> Rule:
        """The rule to trade it by."""
        return rule if self.banded else rule.without_band()


@dataclass(frozen=True, kw_only=True)
class TunedBaseline:
    """The best of the settings tried.

    Attributes:
        name: of the baseline.
        params: the settings that won.
        scores: theirs, on the validation rows.
        tried: how many settings were tried, those that failed included.
    """

    name: str
    params: Params
    scores: Mapping[str, float]
    tried: int


def fit_forecast(
    baseline: Baseline, data: Market, train: Span, predict: Span, *, params: Params, seed: int, reach: int
) -> Forecast:
    """Fits on `train` once; answers for `predict` and measures the scale on the end of `train`.

    On a panel it is fitted to each market by itself, with the same settings; with the setting `pooled` one model
    learns from all of them.

    The scale is the mean |signal| over the last fifth of `train` (at most 4,096 rows): the part that early stopping
    holds out, where a model that learned its rows by heart does not look surer than it is.

    Raises:
        ConfigError, DivergedError: as `Baseline.fit_signal`.
    """
    tail = Span(train.stop - min(MAX_SCALE_ROWS, math.ceil(len(train) / 5)), train.stop)
    both = Span(min(tail.start, predict.start), max(tail.stop, predict.stop))
    common: dict[str, Any] = {"params": {k: v for k, v in params.items() if k != POOLED}, "seed": seed, "reach": reach}
    if isinstance(data, Panel) and params.get(POOLED) and isinstance(baseline, Pooling):
        signal_T = np.stack(baseline.fit_signals(data.markets, train, both, **common))
    else:
        signal_T = each(data, lambda m: baseline.fit_signal(m, train, both, **common))
    return Forecast(
        signal_T=signal_T[..., predict.start - both.start : predict.stop - both.start],
        scale=usual_size(
            signal_T[..., tail.start - both.start : tail.stop - both.start], data.usable(reach)[..., tail.slice]
        ),
        banded=baseline.banded,
    )


def scorer(
    data: Market, rows: Span, *, rule: Rule, costs: Costs, reach: int, volatility_T: FloatArray | None = None
) -> Callable[[Forecast], dict[str, float]]:
    """A function that trades a forecast of `rows` and returns its scores as numbers (see `train.portfolio.trade`).

    Accuracy is counted against the label's direction: above one half if binary, above 0 if not.  Rows without a label
    (a price that came back to where it was has no direction) are traded like any other: going flat there would be
    knowing the future, and paying for it.

    Args:
        volatility_T: relative volatility of all rows of `data` (each market's), for rules that target it.
    """
    usable = data.usable(reach)[..., rows.slice]
    centre = 0.5 if data.kind == "binary" else 0.0
    label: FloatArray = each(data, lambda m: m.y_T[rows.slice].astype(np.float64) - centre)
    volatility = None if volatility_T is None else volatility_T[..., rows.slice]

    def judge(forecast: Forecast) -> dict[str, float]:
        return trade(
            data,
            rows,
            forecast.signal_T,
            usable=usable,
            scale=forecast.scale,
            rule=forecast.rule(rule),
            costs=costs,
            outcome=label,
            volatility=volatility,
        ).scores

    return judge


def tune(
    baseline: Baseline,
    data: Market,
    fold_train: Span,
    fold_valid: Span,
    budget: int,
    seed: int,
    score: Callable[[Forecast], Mapping[str, float]],
    *,
    reach: int,
    metric: str = "sharpe",
    on_trial: Callable[[Params, Mapping[str, float]], None] | None = None,
    on_failure: Callable[[Params, DivergedError], None] | None = None,
) -> TunedBaseline:
    """Tries `budget` settings on one fold of the search zone and keeps the best by `metric` (more is better).

    On a panel one setting is chosen for all markets, by what the portfolio of them scores; each setting of a baseline
    that can learn from several markets at once is tried both ways, and either counts.

    Biased upward: the winner's validation score is the best of `tried`.  Only a later zone says what it is worth.

    Args:
        score: judges a forecast of `fold_valid`, such as `scorer(...)`.
        reach: rows a model may read.
        metric: name of the score to choose by; NaN loses to any number.
        on_trial: told of every setting that was scored, for the ledger.
        on_failure: told of every setting whose training diverged; it counts as tried.

    Raises:
        ConfigError: the metric is not among the scores.
        DivergedError: every setting failed.
    """
    best: tuple[float, Params, Mapping[str, float]] | None = None
    failed: DivergedError | None = None
    candidates = baseline.configurations(budget, seed, reach=reach, transforms=data.transforms)
    if isinstance(data, Panel) and isinstance(baseline, Pooling):
        candidates = tuple({**params, POOLED: way} for params in candidates for way in (0, 1))
    for params in candidates:
        try:
            forecast = fit_forecast(baseline, data, fold_train, fold_valid, params=params, seed=seed, reach=reach)
            scores = score(forecast)
        except DivergedError as error:
            failed = error
            if on_failure is not None:
                on_failure(params, error)
            continue
        if on_trial is not None:
            on_trial(params, scores)
        if metric not in scores:
            raise ConfigError(
                "tune metric", got=repr(metric), expected="a score", fix=did_you_mean(metric, list(scores))
            )
        value = scores[metric]
        value = -math.inf if math.isnan(value) else value
        if best is None or value > best[0]:
            best = (value, params, scores)
    if best is None:
        raise failed or ConfigError(f"baseline {baseline.name}", got="no configuration", expected="at least one")
    return TunedBaseline(name=baseline.name, params=best[1], scores=best[2], tried=len(candidates))
