from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tradenas.errors import ConfigError, DivergedError
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.trials.baselines import BASELINES, Forecast, fit_forecast, scorer, tune
from train.datasets import make_dataset, scrambled

TRAIN, VALID = Span(0, 1500), Span(1520, 2500)


@pytest.mark.parametrize("name", [name for name in BASELINES if BASELINES[name].reads != "raw"])
class TestConfigurations:
    def test_are_distinct_and_within_the_budget(self, name):
        found = BASELINES[name].configurations(12, 0, reach=32, transforms=("raw", "rank"))
        assert 1 <= len(found) <= 12
        assert len({str(sorted(params.items())) for params in found}) == len(found)
        if BASELINES[name].learned:
            assert len(found) == 12

    def test_the_first_is_the_customary_one_and_a_larger_budget_only_adds(self, name):
        ask = BASELINES[name].configurations
        assert ask(1, 0) == ask(1, 99) == ask(6, 0)[:1]
        assert ask(6, 0)[:3] == ask(3, 0)
        assert ask(6, 0) == ask(6, 0)

    @pytest.mark.parametrize("reach", [1, 2, 5, 64])
    def test_no_window_is_longer_than_the_reach(self, name, reach):
        for params in BASELINES[name].configurations(20, 1, reach=reach):
            assert 1 <= params.get("window", 1) <= reach
            assert params.get("average", 1) <= params.get("window", 1)

    def test_a_budget_of_nothing_is_refused(self, name):
        with pytest.raises(ConfigError, match="count"):
            BASELINES[name].configurations(0, 0)


@pytest.mark.parametrize("name", [name for name in BASELINES if BASELINES[name].learned])
def test_every_configuration_can_be_fitted_and_does_not_warn(name):
    data = make_dataset(rows=700, transforms=("raw", "rank"), kind="binary")
    data = replace(data, names=("log_return_1", *data.names[1:]))
    for params in BASELINES[name].configurations(3, 4, reach=8, transforms=data.transforms):
        signal = BASELINES[name].fit_signal(data, Span(0, 500), Span(520, 700), params=params, seed=0, reach=8)
        assert np.isfinite(signal).all()


def test_the_scale_comes_from_training_rows():
    data = make_dataset(rows=2500)
    common = {"params": {}, "seed": 0, "reach": 4}
    forecast = fit_forecast(BASELINES["reversal"], data, TRAIN, VALID, **common)
    usual = data.past_return_T[3:1500].std()
    assert forecast.scale == pytest.approx(np.abs(data.past_return_T[1200:1500] / usual).mean())
    np.testing.assert_allclose(forecast.signal_T, -data.past_return_T[1520:2500] / usual)
    later = fit_forecast(BASELINES["reversal"], scrambled(data, 1500), TRAIN, VALID, **common)
    assert later.scale == forecast.scale
    assert not np.allclose(later.signal_T, forecast.signal_T)


def test_training_rows_may_come_after_those_to_predict():
    data = make_dataset(rows=2500)
    forecast = fit_forecast(BASELINES["reversal"], data, Span(1000, 2500), Span(0, 900), params={}, seed=0, reach=4)
    assert forecast.signal_T.shape == (900,)
    assert forecast.scale > 0


def test_scorer_counts_accuracy_against_the_label():
    for kind in ("binary", "regression"):
        data = make_dataset(rows=2500, planted="feature", strength=0.99, kind=kind)
        judge = scorer(data, VALID, rule=Rule(band=0.0), costs=Costs(), reach=4)
        scores = judge(fit_forecast(BASELINES["linear"], data, TRAIN, VALID, params={}, seed=0, reach=4))
        assert scores["accuracy"] > 0.9
        always_long = Forecast(signal_T=np.ones(len(VALID)), scale=1.0, banded=False)
        label_T = data.y_T[VALID.slice][data.usable(4)[VALID.slice]]
        assert judge(always_long)["accuracy"] == pytest.approx((label_T > (0.5 if kind == "binary" else 0)).mean())
        assert all(isinstance(value, float) for value in scores.values())


def test_rows_without_a_label_are_traded_like_any_other():
    data = make_dataset(rows=2500, kind="binary")
    hold = Forecast(signal_T=np.ones(len(VALID)), scale=1.0, banded=False)
    whole = scorer(data, VALID, rule=Rule(), costs=Costs(), reach=4)(hold)
    data.y_T[1600:2400:7] = np.nan
    ties = scorer(data, VALID, rule=Rule(), costs=Costs(), reach=4)(hold)
    assert ties["turnover"] == whole["turnover"]
    assert ties["total_net"] == whole["total_net"]
    assert ties["accuracy"] != whole["accuracy"]


def test_tune_keeps_the_best_and_reports_every_trial():
    data = make_dataset(rows=2500, planted="momentum", strength=0.4)
    judge = scorer(data, VALID, rule=Rule(band=0.0), costs=Costs(taker_bps=0.0), reach=64)
    seen = []
    best = tune(
        BASELINES["momentum"], data, TRAIN, VALID, 8, 0, judge, reach=64, on_trial=lambda *trial: seen.append(trial)
    )
    assert best.tried == len(seen) == 8
    assert best.scores["sharpe"] == max(scores["sharpe"] for _, scores in seen)
    assert (best.params, best.scores) in seen
    assert best.params["window"] == min(params["window"] for params, _ in seen)
    worst = tune(BASELINES["momentum"], data, TRAIN, VALID, 8, 0, judge, reach=64, metric="turnover")
    assert worst.scores["turnover"] == max(scores["turnover"] for _, scores in seen)


def _named(values):
    """Scores by the window of the configuration, whatever it forecasts."""
    queue = list(values)
    return lambda forecast: {"sharpe": queue.pop(0)}


def test_nan_loses_to_any_number():
    data = make_dataset(rows=2500)
    best = tune(BASELINES["momentum"], data, TRAIN, VALID, 3, 0, _named([math.nan, -5.0, math.nan]), reach=64)
    assert best.scores["sharpe"] == -5.0


class Moody:
    """A baseline that diverges at odd settings."""

    name, learned, banded = "moody", True, True

    def configurations(self, count, seed, *, reach=64, transforms=("raw",)):
        return tuple({"n": n} for n in range(count))

    def fit_signal(self, data, train, predict, *, params, seed, reach):
        if params["n"] % 2 or params["n"] >= 4:
            raise DivergedError("moody", got="nan")
        return np.ones(predict.stop - predict.start)


def test_failures_count_as_tried_and_are_reported():
    data, failed, scored = make_dataset(rows=2500), [], []
    best = tune(
        Moody(), data, TRAIN, VALID, 6, 0, _named([1.0, 2.0]), reach=4,
        on_trial=lambda params, scores: scored.append(params["n"]),
        on_failure=lambda params, error: failed.append(params["n"]),
    )  # fmt: skip
    assert (best.tried, best.params) == (6, {"n": 2})
    assert (scored, failed) == ([0, 2], [1, 3, 4, 5])


def test_if_all_fail_so_does_tuning():
    class Hopeless(Moody):
        def fit_signal(self, *args, **rest):
            raise DivergedError("hopeless", got="inf")

    with pytest.raises(DivergedError, match="hopeless"):
        tune(Hopeless(), make_dataset(rows=2500), TRAIN, VALID, 2, 0, _named([]), reach=4)


def test_a_metric_that_is_no_score_is_refused():
    with pytest.raises(ConfigError, match="sharpe"):
        tune(BASELINES["flat"], make_dataset(rows=2500), TRAIN, VALID, 1, 0, _named([1.0]), reach=4, metric="sharp")


def test_a_forecast_without_band_is_traded_without_band():
    rule = Rule(band=0.5)
    assert Forecast(signal_T=np.ones(1), scale=1.0, banded=False).rule(rule).band == 0
    assert Forecast(signal_T=np.ones(1), scale=1.0, banded=True).rule(rule) is rule
