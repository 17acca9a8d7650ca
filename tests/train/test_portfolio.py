"""Portfolio P&L by hand, and what must not change it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.errors import ConfigError, DivergedError
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.metrics import correlation
from tradenas.train.panel import Panel
from tradenas.train.portfolio import agreement, flat, trade, usual_size, volatility_of
from tradenas.trials.baselines import BASELINES, fit_forecast, scorer, tune
from tradenas.trials.baselines.tuning import POOLED

DAY_MS = 86_400_000
FREE, FIVE = Costs(taker_bps=0.0, slippage_bps=0.0), Costs(taker_bps=10.0, slippage_bps=0.0)
OBEY = Rule(band=0.0)
COMMON: dict[str, int] = {"seed": 0, "reach": 4}


def market(returns: list[float], *, absent: tuple[int, ...] = (), funding: list[float] | None = None) -> Dataset:
    rows = len(returns)
    return_T = np.array(returns)
    present_T = ~np.isin(np.arange(rows), absent)
    return Dataset(
        x_TF=np.zeros((rows, 1), np.float32),
        y_T=return_T.astype(np.float32),
        ready_T=present_T,
        gap_T=~present_T,
        volatility_T=np.full(rows, 0.01),
        past_return_T=np.where(present_T, 0.01, 0.0),
        bar_return_T=np.where(present_T, return_T, np.nan),
        realised_T=(np.arange(rows) * DAY_MS // 2).astype(np.int64),
        names=("one",),
        groups=("returns",),
        transforms=("raw",),
        kind="regression",
        days_per_year=365,
        funding_T=None if funding is None else np.array(funding),
    )


def panel(*markets: Dataset, weight_AT: object = None) -> Panel:
    shape = (len(markets), len(markets[0]))
    return Panel(
        symbols=tuple("ABCDEFGH"[: len(markets)]),
        markets=markets,
        present_AT=np.stack([m.ready_T for m in markets]),
        weight_AT=np.full(shape, 1 / len(markets)) if weight_AT is None else np.asarray(weight_AT, float),
    )


def traded(data: Panel | Dataset, signal: object, costs: Costs = FREE, rule: Rule = OBEY):
    return trade(
        data, Span(0, len(data)), np.asarray(signal, float), usable=data.usable(1), scale=1.0, rule=rule, costs=costs
    )


def test_two_markets_of_four_rows_by_hand() -> None:
    """Half the capital each; A: long, long, short, short.  B: flat, long, long, short.  10 bps a unit of turnover."""
    data = panel(market([0.01, -0.02, 0.03, 0.01]), market([0.05, 0.02, -0.01, 0.04]))
    found = traded(data, [[1, 1, -1, -1], [0, 1, 1, -1]], FIVE)
    gross = [0.5 * 0.01, 0.5 * -0.02 + 0.5 * 0.02, 0.5 * -0.03 + 0.5 * -0.01, 0.5 * -0.01 + 0.5 * -0.04]
    turnover = [0.5, 0.5, 1.0, 0.0 + 1.0 + 0.5 + 0.5]  # the last row sells what is held in both
    np.testing.assert_allclose(found.result.gross_NT[0], gross, atol=1e-15)
    np.testing.assert_allclose(found.result.turnover_NT[0], turnover, atol=1e-15)
    np.testing.assert_allclose(found.result.net_NT[0], np.array(gross) - 1e-3 * np.array(turnover), atol=1e-15)
    np.testing.assert_allclose(found.result.net_DN[:, 0], found.result.net_NT[0].reshape(2, 2).sum(axis=1), atol=1e-15)
    assert found.scores["turnover"] == pytest.approx(sum(turnover) / 2)
    parts = [one.net_NT[0].sum() for one in found.markets if one is not None]
    assert sum(parts) == pytest.approx(found.scores["total_net"], abs=1e-15)


def test_a_change_of_weight_is_a_trade_and_is_paid_for() -> None:
    data = panel(market([0.0] * 4), market([0.0] * 4), weight_AT=[[0.5, 0.2, 0.2, 0.6], [0.5, 0.8, 0.8, 0.4]])
    found = traded(data, np.ones((2, 4)), FIVE)
    np.testing.assert_allclose(found.result.turnover_NT[0], [1.0, 0.6, 0.0, 0.8 + 1.0], atol=1e-15)
    assert found.scores["total_net"] == pytest.approx(-1e-3 * 3.4)


def test_the_order_of_markets_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    markets = [market(list(0.01 * rng.standard_normal(40)), absent=(a, 7 + a)) for a in range(3)]
    weight_AT = rng.dirichlet(np.ones(3), size=40).T
    signal_AT, scale_A = rng.standard_normal((3, 40)), np.array([0.5, 1.0, 2.0])
    order = [2, 0, 1]

    def scores(at: list[int]) -> dict[str, float]:
        data = panel(*(markets[a] for a in at), weight_AT=weight_AT[at])
        return trade(
            data, Span(0, 40), signal_AT[at], usable=data.usable(2), scale=scale_A[at], rule=Rule(), costs=FIVE
        ).scores

    one, other = scores([0, 1, 2]), scores(order)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-12, abs=1e-15)


def test_a_market_that_is_absent_is_flat_and_pays_for_leaving() -> None:
    data = panel(market([0.01] * 6), market([0.02] * 6, absent=(2, 3)))
    found = traded(data, np.ones((2, 6)), FIVE)
    b = found.markets[1]
    assert b is not None
    np.testing.assert_allclose(b.gross_NT[0], [0.01, 0.01, 0.0, 0.0, 0.01, 0.01], atol=1e-15)
    np.testing.assert_allclose(b.turnover_NT[0], [0.5, 0.0, 0.5, 0.0, 0.5, 0.5], atol=1e-15)
    whole = traded(panel(market([0.01] * 6), market([0.02] * 6)), np.ones((2, 6)), FIVE)
    np.testing.assert_array_equal(found.markets[0].net_NT, whole.markets[0].net_NT)


def test_days_are_those_that_any_market_has() -> None:
    data = panel(market([0.01] * 8), market([0.02] * 8, absent=(0, 1, 2, 3)))
    found = traded(data, np.ones((2, 8)))
    assert found.result.days_D.tolist() == [day * DAY_MS for day in range(4)]
    np.testing.assert_allclose(found.result.net_DN[:, 0], [0.01, 0.01, 0.03, 0.03], atol=1e-15)


def test_a_market_without_any_return_in_the_span_takes_no_part() -> None:
    data = panel(market([0.01, 0.02, -0.01, 0.03]), market([0.0] * 4, absent=(0, 1, 2, 3)))
    found = traded(data, np.ones((2, 4)))
    assert found.markets[1] is None
    assert found.scores["total_net"] == pytest.approx(0.5 * 0.05)
    assert np.isnan(found.agreements[1]["ic"])


def test_funding_is_paid_in_the_market_that_has_it() -> None:
    data = panel(market([0.0] * 4, funding=[0.01, 0.0, -0.02, 0.0]), market([0.0] * 4))
    found = traded(data, [[1, 1, 1, 1], [1, 1, 1, 1]])
    assert found.scores["total_funding"] == pytest.approx(0.5 * (0.01 - 0.02))
    assert found.scores["total_net"] == pytest.approx(-0.5 * (0.01 - 0.02))


def test_ic_is_the_mean_of_the_markets_by_rows_and_silence_earns_nothing() -> None:
    rng = np.random.default_rng(1)
    returns = [list(0.01 * rng.standard_normal(30)), list(0.05 * rng.standard_normal(30))]
    data = panel(market(returns[0], absent=tuple(range(10))), market(returns[1]))
    signal_AT = rng.standard_normal((2, 30))
    own = [
        float(correlation(s_T[None, u_T], np.array(r)[u_T])[0])
        for s_T, r, u_T in zip(signal_AT, returns, data.usable(1), strict=True)
    ]
    found = traded(data, signal_AT)
    assert found.scores["ic"] == pytest.approx((20 * own[0] + 30 * own[1]) / 50)
    assert [a["ic"] for a in found.agreements] == pytest.approx(own)
    told = agreement("ic", data, Span(0, 30), signal_AT, data.usable(1), signal_AT)
    assert told == found.scores["ic"]
    silent = traded(data, np.stack([signal_AT[0], np.zeros(30)])).scores
    assert silent["ic"] == pytest.approx(20 * own[0] / 50)
    assert silent["accuracy"] == pytest.approx(found.agreements[0]["accuracy"])  # only of rows with an opinion


def test_a_portfolio_of_one_market_is_that_market() -> None:
    one = market([0.01, -0.02, 0.03, 0.01])
    signal = np.array([0.4, 1.0, -0.2, -1.0])
    assert traded(panel(one), signal[None], FIVE, Rule()).scores == traded(one, signal, FIVE, Rule()).scores


def test_each_market_has_its_own_usual_size_and_one_without_rows_that_of_the_others() -> None:
    signal_AT = np.array([[1.0, -1.0], [3.0, 5.0], [9.0, 9.0]])
    usable_AT = np.array([[True, True], [True, False], [False, False]])
    assert np.asarray(usual_size(signal_AT, usable_AT)).tolist() == [1.0, 3.0, 2.0]
    assert usual_size(signal_AT[1], usable_AT[1]) == 3.0


def test_relative_volatility_is_that_of_a_markets_own_candles() -> None:
    rng = np.random.default_rng(2)
    full = replace(market([0.0] * 300), past_return_T=rng.standard_normal(300))
    keep = np.setdiff1d(np.arange(300), [50, 51, 120])
    past_T = np.where(np.isin(np.arange(300), keep), full.past_return_T, 0.0)
    holed = replace(market([0.0] * 300, absent=(50, 51, 120)), past_return_T=past_T)
    rule = Rule(kind="volatility_target")
    found = volatility_of(panel(full, holed), rule, train=Span(0, 200))
    alone = replace(market([0.0] * 297), past_return_T=past_T[keep])
    assert found is not None
    np.testing.assert_array_equal(found[0], volatility_of(full, rule, train=Span(0, 200)))
    np.testing.assert_array_equal(found[1, keep], volatility_of(alone, rule, train=Span(0, 197)))


def test_what_cannot_be_traded_is_said() -> None:
    data = panel(market([0.01] * 4), market([0.01] * 4))
    with pytest.raises(DivergedError, match="row 2"):
        traded(data, [[1, 1, 1, 1], [1, 1, np.nan, 1]])
    with pytest.raises(ConfigError, match="usable"):
        trade(data, Span(0, 4), np.ones((2, 4)), usable=np.zeros((2, 4), bool), scale=1.0, rule=OBEY, costs=FREE)
    with pytest.raises(ConfigError, match="at most 1 in sum"):
        panel(market([0.0] * 4), market([0.0] * 4), weight_AT=np.ones((2, 4)))
    assert flat(data, Span(0, 4), costs=FIVE).net_NT.tolist() == [[0.0] * 4]


@pytest.fixture(scope="module")
def pair() -> Panel:
    """Both follow their one column, B four times as strongly, and A's column is on another scale."""
    rng = np.random.default_rng(3)
    made = []
    for size, shift in ((1.0, 0.0), (50.0, 3.0)):
        x_T = rng.standard_normal(700)
        plain = market(list(0.002 * x_T + 0.01 * rng.standard_normal(700)))
        made.append(replace(plain, x_TF=(size * x_T + shift)[:, None].astype(np.float32)))
    return panel(*made)


class TestBaselines:
    def test_apart_is_each_market_alone(self, pair: Panel) -> None:
        for name in ("linear", "lightgbm", "hold", "reversal"):
            found = fit_forecast(BASELINES[name], pair, Span(0, 500), Span(510, 600), params={}, **COMMON)
            for a, own in enumerate(pair.markets):
                alone = fit_forecast(BASELINES[name], own, Span(0, 500), Span(510, 600), params={}, **COMMON)
                np.testing.assert_array_equal(found.signal_T[a], alone.signal_T)
                assert np.asarray(found.scale)[a] == alone.scale

    @pytest.mark.parametrize("name", ["linear", "lightgbm"])
    def test_pooled_is_one_model_that_finds_what_is_common(self, pair: Panel, name: str) -> None:
        forecasts = [
            fit_forecast(BASELINES[name], pair, Span(0, 500), Span(510, 700), params=params, **COMMON)
            for params in ({POOLED: 1}, {POOLED: 0})
        ]
        assert not np.array_equal(forecasts[0].signal_T, forecasts[1].signal_T)
        usable = pair.usable(4)[:, 510:700]
        for found in forecasts:
            assert agreement("ic", pair, Span(510, 700), found.signal_T, usable, found.signal_T) > 0.05

    def test_pooled_of_one_market_is_that_market(self, pair: Panel) -> None:
        single = panel(pair.markets[0])
        for name in ("linear_window", "lightgbm"):
            one, two = (
                fit_forecast(BASELINES[name], single, Span(0, 500), Span(510, 600), params={POOLED: w}, **COMMON)
                for w in (0, 1)
            )
            np.testing.assert_array_equal(one.signal_T, two.signal_T)

    def test_each_setting_is_tried_both_ways_where_a_baseline_can_pool(self, pair: Panel) -> None:
        judge = scorer(pair, Span(510, 700), rule=Rule(), costs=FREE, reach=4)
        for name, tried in (("linear", 4), ("momentum", 2), ("hold", 1)):
            told: list[dict[str, object]] = []
            tuned = tune(
                BASELINES[name], pair, Span(0, 500), Span(510, 700), 2, 0, judge, reach=4, metric="rank_ic",
                on_trial=lambda params, _scores, told=told: told.append(dict(params)),
            )  # fmt: skip
            assert tuned.tried == len(told) == tried
            assert sorted(p[POOLED] for p in told if POOLED in p) == ([0, 0, 1, 1] if name == "linear" else [])
