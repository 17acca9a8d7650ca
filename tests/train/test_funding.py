"""Funding in the backtest, by hand: two days, settlements every eight hours, hourly candles, a position that flips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.data import Candles, Series
from tradenas.errors import ConfigError
from tradenas.features import Target, build_table
from tradenas.splits import Span
from tradenas.study.strategies import Speaker, rows_of, trade, zone_scores
from tradenas.train.backtest import Costs, Rule, backtest, score
from tradenas.train.build import build_dataset
from tradenas.train.store import cut, load_dataset, save_dataset
from tradenas.trials.baselines.tuning import Forecast, scorer
from train.datasets import make_dataset

HOUR, DAY = 3_600_000, 86_400_000
START = 1_735_689_600_000  # 2025-01-01 00:00 UTC
HOURS = np.arange(0, 56, 8)
RATES = np.array([0.9, 0.0001, 0.0003, -0.0002, 0.0004, -0.0001, 0.0007])  # at 00 08 16 | 00 08 16 | 00


@pytest.fixture(scope="module")
def data():
    """51 candles: fills at the opens of 01:00 .. 50:00, prices that double the bookkeeping of nobody: all 1."""
    ones = np.ones(51)
    candles = Candles.from_arrays(
        symbol="X", open_time=START + np.arange(51) * HOUR, open=ones, high=ones, low=ones, close=ones, volume=ones,
        interval_ms=HOUR, calendar="24/7",
    )  # fmt: skip
    funding = Series(name="funding", known_at_ms=START + HOURS * HOUR, value=RATES)
    table = build_table(candles, indicators=["log_return_1"], transforms=["raw"], window=2)
    return build_dataset(candles, table, Target(kind="forward_return"), funding=funding)


def run(data, position_T, *, costs=Costs(taker_bps=10.0, slippage_bps=0.0), funding=True):  # noqa: B008
    return backtest(
        np.asarray(position_T, float), bar_return_T=data.bar_return_T, realised_T=data.realised_T,
        usable_T=np.isfinite(data.bar_return_T), costs=costs, days_per_year=365,
        funding_T=data.funding_T if funding else None,
    )  # fmt: skip


def test_two_days_by_hand(data):
    # Rows are decided at the close of candle t and held from the open of t+1 to the open of t+2.
    # Long from the fill at 01:00 until the fill at 08:00 (rows 0-6), short until 24:00 (rows 7-22), long half until
    # 33:00 (rows 23-31), flat.
    position = np.zeros(51)
    position[0:7], position[7:23], position[23:32] = 1.0, -1.0, 0.5
    result = run(data, position)
    # 08:00 is paid by the long, which is turned at that very fill; 16:00 and 24:00 by the short, turned at 24:00;
    # 32:00 by the half long.  00:00 came before anything was filled, 40:00 and 48:00 find nobody.
    paid = {6: 1.0 * 0.0001, 14: -1.0 * 0.0003, 22: -1.0 * -0.0002, 30: 0.5 * 0.0004}
    costs = {0: 1.0, 7: 2.0, 23: 1.5, 32: 0.5}
    net = np.zeros(51)
    for row, money in paid.items():
        net[row] -= money
    for row, turnover in costs.items():
        net[row] -= 0.001 * turnover
    np.testing.assert_allclose(result.net_NT[0], net, rtol=0, atol=1e-18)
    assert not result.gross_NT.any()  # gross stays gross
    # A return, and what was settled, belong to the day on which the bar ended: 24:00 is the second day.
    assert result.days_D.tolist() == [START, START + DAY, START + 2 * DAY]
    np.testing.assert_allclose(result.funding_DN[:, 0], [0.0001 - 0.0003, 0.0002 + 0.0002, 0.0], atol=1e-18)
    np.testing.assert_allclose(result.net_DN[:, 0], [0.0002 - 0.003, -0.0004 - 0.002, 0.0], atol=1e-18)


def test_buy_and_hold_pays_every_settlement_after_its_fill(data):
    result = run(data, np.ones(51), costs=Costs(taker_bps=0.0, slippage_bps=0.0))
    assert result.net_NT.sum() == pytest.approx(-RATES[1:].sum(), abs=1e-15)


def test_rows_that_are_not_traded_pay_nothing(data):
    usable_T = np.isfinite(data.bar_return_T)
    usable_T[[6, 14]] = False
    common = {"bar_return_T": data.bar_return_T, "realised_T": data.realised_T, "usable_T": usable_T,
              "costs": Costs(), "days_per_year": 365}  # fmt: skip
    with_it = backtest(np.ones(51), funding_T=data.funding_T, **common)
    without = backtest(np.ones(51), **common)
    assert (without.net_NT - with_it.net_NT).sum() == pytest.approx(RATES[3:].sum(), abs=1e-15)


def test_without_rates_every_bit_is_as_it_was(data):
    rng = np.random.default_rng(0)
    position = rng.normal(size=(3, 51))
    bare, zero = run(data, position, funding=False), run(replace(data, funding_T=np.zeros(51)), position)
    assert bare.funding_DN is None
    assert zero.net_NT.tobytes() == bare.net_NT.tobytes()
    expected = position * np.nan_to_num(data.bar_return_T)
    expected[:, ~np.isfinite(data.bar_return_T)] = 0.0
    held = np.where(np.isfinite(data.bar_return_T), position, 0.0)
    turned = np.abs(np.diff(held, axis=1, prepend=0.0))
    turned[:, -1] += np.abs(held[:, -1])
    assert bare.net_NT.tobytes() == (expected - 0.001 * turned).tobytes()


@pytest.mark.parametrize("bad", [np.zeros(50), np.full(51, np.nan)])
def test_wrong_rates_are_refused(data, bad):
    with pytest.raises(ConfigError, match=r"backtest funding_T"):
        run(replace(data, funding_T=None), np.ones(51)) and backtest(
            np.ones(51), bar_return_T=data.bar_return_T, realised_T=data.realised_T,
            usable_T=np.isfinite(data.bar_return_T), costs=Costs(), days_per_year=365, funding_T=bad,
        )  # fmt: skip
    with pytest.raises(ConfigError, match=r"Dataset\.funding_T"):
        replace(data, funding_T=bad)


@pytest.fixture(scope="module")
def market():
    """A market with rates so high that whoever forgets them is found out."""
    made = make_dataset(rows=600, seed=4)
    rates = np.zeros(600)
    rates[::8] = 0.002
    return replace(made, funding_T=rates)


def test_it_is_charged_wherever_a_signal_is_traded(market):
    """Search, tuning of baselines, selection and vault: one signal, one bill."""
    span, train = Span(300, 560), Span(0, 250)
    signal_T = np.ones(len(span))
    rule, costs = Rule(kind="sign", band=0.0), Costs()
    bare = replace(market, funding_T=None)

    def studied(data):
        return trade(data, span, Speaker(signal_T=signal_T, scale=1.0, banded=False, reach=4), rule=rule, costs=costs,
                     train=train)  # fmt: skip

    def tuned(data):
        return scorer(data, span, rule=rule, costs=costs, reach=4)(Forecast(signal_T=signal_T, scale=1.0, banded=False))

    def searched(data):
        from tradenas.train.evaluate import Evaluator

        judge = Evaluator(data=data, train=train, valid=span, rule=rule, costs=costs)
        return judge.trade(signal_T, 1.0, data.usable(4)[span.slice])

    paid = market.funding_T[span.slice].sum()
    for way in (lambda d: studied(d).scores, tuned, searched):
        with_it, without = way(market), way(bare)
        assert with_it["total_net"] == pytest.approx(without["total_net"] - paid, abs=1e-12)
        assert with_it["total_gross"] == without["total_gross"]
        assert with_it["total_funding"] == pytest.approx(paid)
        assert with_it["sharpe"] < without["sharpe"] - 1
        assert with_it["gross_sharpe"] == without["gross_sharpe"]
        assert "total_funding" not in without
    done = studied(market)
    daily = rows_of("vault", ["long"], [done])
    assert sum(daily["funding"]) == pytest.approx(paid)
    assert set(rows_of("vault", ["long"], [studied(bare)])) == {"zone", "name", "day", "net", "gross", "turnover"}
    assert zone_scores([done], reps=100, seed=0)[0]["total_funding"] == pytest.approx(paid)


def test_a_short_is_paid(market):
    span = slice(300, 560)
    common = {"bar_return_T": market.bar_return_T[span], "realised_T": market.realised_T[span],
              "usable_T": np.ones(260, bool), "costs": Costs(taker_bps=0.0, slippage_bps=0.0), "days_per_year": 365,
              "rule": Rule(kind="sign", band=0.0), "scale": 1.0, "funding_T": market.funding_T[span]}  # fmt: skip
    told = score(np.stack([np.ones(260), -np.ones(260)]), **common)
    np.testing.assert_allclose(told["total_funding"], [0.064, -0.064])
    np.testing.assert_allclose(told["total_net"] - told["total_gross"], [-0.064, 0.064])


def test_it_is_in_the_file_and_in_the_part_of_it(market, tmp_path):
    save_dataset(market, tmp_path / "all")
    save_dataset(cut(market, 200), tmp_path / "open")
    assert np.array_equal(load_dataset(tmp_path / "all").funding_T, market.funding_T)
    assert np.array_equal(load_dataset(tmp_path / "open").funding_T, market.funding_T[:200])
