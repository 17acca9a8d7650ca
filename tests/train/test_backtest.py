from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from tradenas.errors import ConfigError, DivergedError
from tradenas.train.backtest import COSTS, Costs, Rule, backtest, costs_named, score
from train.datasets import make_dataset

HOUR, DAY = 3_600_000, 86_400_000
FREE = Costs(taker_bps=0.0, slippage_bps=0.0)


def run(position, returns, *, realised=None, usable=None, costs=FREE, days_per_year=365):
    returns = np.asarray(returns, float)
    return backtest(
        np.asarray(position, float),
        bar_return_T=returns,
        realised_T=np.arange(len(returns)) * HOUR if realised is None else np.asarray(realised),
        usable_T=np.isfinite(returns) if usable is None else np.asarray(usable),
        costs=costs,
        days_per_year=days_per_year,
    )


def judge(signal, returns, *, realised=None, usable=None, rule=None, scale=1.0, costs=FREE, days_per_year=365, **rest):
    returns = np.asarray(returns, float)
    return score(
        np.asarray(signal),
        bar_return_T=returns,
        realised_T=np.arange(len(returns)) * 6 * HOUR if realised is None else realised,
        usable_T=np.isfinite(returns) if usable is None else usable,
        rule=rule or Rule(band=0.0),
        scale=scale,
        costs=costs,
        days_per_year=days_per_year,
        **rest,
    )


class TestCosts:
    def test_default_rate(self):
        assert Costs().rate == pytest.approx(6.5e-4)

    def test_by_hand(self):
        # flat -> long (1) -> short (2) -> short (0) -> half long (1.5), sold at the end (0.5)
        costs = Costs(taker_bps=8.0, slippage_bps=2.0)
        result = run([1, -1, -1, 0.5], [0.01, 0.02, -0.03, 0.04], costs=costs)
        np.testing.assert_allclose(result.turnover_NT, [[1, 2, 0, 2.0]])
        np.testing.assert_allclose(result.gross_NT, [[0.01, -0.02, 0.03, 0.02]])
        np.testing.assert_allclose(result.net_NT, [[0.009, -0.022, 0.03, 0.018]])
        assert result.round_trips.tolist() == [2.5]

    def test_hold_pays_one_round_trip(self):
        result = run(np.ones(100), np.zeros(100), costs=Costs())
        assert result.net_NT.sum() == pytest.approx(-2 * 6.5e-4)
        assert result.turnover_NT[0, 0] == result.turnover_NT[0, -1] == 1

    def test_a_single_row_is_bought_and_sold(self):
        assert run([1.0], [0.01], costs=Costs()).net_NT.tolist() == [[pytest.approx(0.01 - 2 * 6.5e-4)]]

    def test_presets(self):
        assert costs_named("bybit_perp_taker") == Costs()
        assert COSTS["none"].rate == 0
        assert "IGNORED" in (COSTS["none"].brand or "")
        assert all(costs.brand is None for name, costs in COSTS.items() if name != "none")

    @pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
    def test_refuses(self, bad):
        with pytest.raises(ConfigError, match=r"Costs\.taker_bps"):
            Costs(taker_bps=bad)
        with pytest.raises(ConfigError, match=r"Costs\.slippage_bps"):
            Costs(slippage_bps=bad)

    def test_unknown_preset_suggests(self):
        with pytest.raises(ConfigError, match="id you mean 'bybit_spot'"):
            costs_named("bybit_spt")


class TestTiming:
    def test_a_signal_made_of_the_return_it_knows_does_not_earn_it(self):
        # Candle returns r1..r6, known at their close.  A position decided at row t earns candle t+1's return.
        known = np.array([0.01, -0.02, 0.03, -0.04, 0.05, -0.06])
        earned = np.append(known[1:], np.nan)
        honest = judge(known, earned)
        # long after each rise, short after each fall, against the next candle: loses every time
        assert honest["total_gross"][0] == pytest.approx(-(0.02 + 0.03 + 0.04 + 0.05 + 0.06))
        assert honest["accuracy"][0] == 0.0

    def test_same_bar_return_is_not_earned_in_a_market_of_noise(self):
        data = make_dataset(rows=6000, seed=3)
        common = {"realised": data.realised_T, "usable": data.usable(1)}
        assert abs(judge(data.past_return_T, data.bar_return_T, **common)["ic"][0]) < 0.04
        cheat = np.nan_to_num(data.bar_return_T)
        assert judge(cheat, data.bar_return_T, **common)["sharpe"][0] > 30

    def test_rows_that_are_not_usable_are_flat_and_the_exit_is_paid(self):
        costs = Costs(taker_bps=10.0, slippage_bps=0.0)
        result = run([1, 1, 1, 1], [0.01, np.nan, 0.03, 0.04], costs=costs)
        np.testing.assert_allclose(result.turnover_NT, [[1, 1, 1, 1]])
        np.testing.assert_allclose(result.net_NT, [[0.009, -0.001, 0.029, 0.039]])

    def test_a_row_may_be_unusable_although_its_return_is_known(self):
        result = run([1, 1, 1], [0.01, 0.5, 0.03], usable=[True, False, True])
        assert result.gross_NT.tolist() == [[0.01, 0.0, 0.03]]


class TestDays:
    def test_pnl_falls_on_the_day_it_is_realised(self):
        result = run([1, 1, 1], [0.01, 0.02, 0.04], realised=[DAY - 1, DAY, DAY + HOUR])
        assert result.days_D.tolist() == [0, DAY]
        np.testing.assert_allclose(result.gross_DN, [[0.01], [0.06]])

    def test_every_calendar_day_counts_when_the_market_never_closes(self):
        realised = [0, DAY, 5 * DAY]
        assert run([1, 1, 1], [1, 2, 4], realised=realised).gross_DN.ravel().tolist() == [1, 2, 0, 0, 0, 4]
        sessions = run([1, 1, 1], [1, 2, 4], realised=realised, days_per_year=252)
        assert sessions.gross_DN.ravel().tolist() == [1, 2, 4]
        assert sessions.days_D.tolist() == realised

    def test_days_do_not_depend_on_what_was_traded(self):
        flat = run([0, 0, 0, 0], [1, 2, 4, 8], realised=np.arange(4) * DAY)
        assert flat.days_D.tolist() == [0, DAY, 2 * DAY, 3 * DAY]

    def test_the_cost_of_a_row_without_return_falls_on_the_day_of_the_row_before(self):
        costs = Costs(taker_bps=10.0, slippage_bps=0.0)
        result = run([1, 1, 1], [0.0, np.nan, 0.0], realised=[0, 999 * DAY, 3 * DAY], costs=costs)
        np.testing.assert_allclose(result.net_DN.ravel(), [-0.002, 0, 0, -0.002])

    def test_first_row_without_return(self):
        result = run([1, 1], [np.nan, 0.5], realised=[0, 3 * DAY])
        assert result.days_D.tolist() == [3 * DAY]

    def test_daily_sums_are_the_rows(self):
        rng = np.random.default_rng(4)
        result = run(rng.standard_normal((3, 500)), rng.standard_normal(500), costs=Costs())
        np.testing.assert_allclose(result.net_DN.sum(axis=0), result.net_NT.sum(axis=1))
        np.testing.assert_allclose(result.turnover_DN.sum(axis=0), result.turnover_NT.sum(axis=1))

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"realised": [2, 1, 0]}, "realised_T"),
            ({"realised": [0, 1]}, "realised_T"),
            ({"usable": [True]}, "usable_T"),
            ({"days_per_year": 360}, "days_per_year"),
            ({"returns": [np.nan] * 3, "usable": [False] * 3}, "no known return"),
            ({"returns": [1, np.nan, 1], "usable": [True] * 3}, "row 1"),
            ({"position": [1, 1]}, "position_NT"),
            ({"position": [1, np.nan, 1]}, "position_NT"),
        ],
    )
    def test_refuses(self, change, place):
        arguments = {"position": [1, 1, 1], "returns": [0.1, 0.2, 0.3]} | change
        with pytest.raises(ConfigError, match=place):
            run(**arguments)


class TestReference:
    """The same numbers from a loop over rows that knows nothing of the vectorised code."""

    @pytest.mark.parametrize("seed", range(8))
    def test_agrees(self, seed):
        rng = np.random.default_rng(seed)
        rows, days_per_year = 150, 365 if seed % 2 else 252
        returns = rng.standard_normal(rows) * 0.01
        returns[rng.random(rows) < 0.1] = np.nan
        usable = np.isfinite(returns) & (rng.random(rows) > 0.1)
        realised = 10**12 + np.cumsum(rng.integers(1, 9, rows)) * 4 * HOUR
        signal = rng.standard_normal((5, rows))
        rule, costs, scale = Rule(band=0.4), Costs(taker_bps=3.0, slippage_bps=2.0), rng.random(5) + 0.5
        got = score(
            signal,
            bar_return_T=returns,
            realised_T=realised,
            usable_T=usable,
            rule=rule,
            scale=scale,
            costs=costs,
            days_per_year=days_per_year,
        )
        for n in range(5):
            slow = slow_score(signal[n], returns, realised, usable, 0.4 * scale[n], 5e-4, days_per_year)
            for name, value in slow.items():
                assert got[name][n] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def slow_score(signal, returns, realised, usable, threshold, rate, days_per_year):
    net, gross, turnover, held, day = {}, {}, {}, 0.0, None
    equity = []
    first = next(t for t in range(len(returns)) if not math.isnan(returns[t]))
    last_row = len(returns) - 1
    for t in range(len(returns)):
        known = not math.isnan(returns[t])
        if known or day is None:
            day = datetime.fromtimestamp(realised[t if known else first] / 1000, UTC).date()
        wanted = held
        if not usable[t]:
            wanted = 0.0
        elif abs(signal[t]) > threshold:
            wanted = 1.0 if signal[t] > 0 else -1.0
        traded = abs(wanted - held) + (abs(wanted) if t == last_row else 0.0)
        held = wanted
        earned = held * returns[t] if known else 0.0
        gross[day] = gross.get(day, 0.0) + earned
        net[day] = net.get(day, 0.0) + earned - rate * traded
        turnover[day] = turnover.get(day, 0.0) + traded
    days = sorted(net)
    if days_per_year == 365:
        days = [days[0].fromordinal(i) for i in range(days[0].toordinal(), days[-1].toordinal() + 1)]
    daily = [net.get(d, 0.0) for d in days]
    top = sunk = total = 0.0
    for value in daily:
        total += value
        equity.append(total)
        top = max(top, total)
        sunk = max(sunk, top - total)
    mean = sum(daily) / len(daily)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in daily) / (len(daily) - 1))
    rows = [t for t in range(len(returns)) if usable[t]]
    return {
        "sharpe": mean / deviation * math.sqrt(days_per_year),
        "total_net": total,
        "total_gross": sum(gross.values()),
        "max_drawdown": sunk,
        "turnover": sum(turnover.values()) / len(days),
        "profit_factor": sum(v for v in daily if v > 0) / -sum(v for v in daily if v < 0),
        "accuracy": sum((signal[t] > 0) == (returns[t] > 0) for t in rows) / len(rows),
        "ic": np.corrcoef(signal[rows], returns[rows])[0, 1],
        "rank_ic": stats.spearmanr(signal[rows], returns[rows]).statistic,
    }


class TestScore:
    def test_chunks_do_not_change_a_number(self, monkeypatch):
        rng = np.random.default_rng(5)
        signal, returns = rng.standard_normal((7, 90)).astype(np.float32), rng.standard_normal(90) * 0.01
        whole = judge(signal, returns, scale=np.arange(7) / 7, costs=Costs())
        for values in (1, 200):  # one, or two candidates at a time
            monkeypatch.setattr("tradenas.train.backtest._CHUNK_VALUES", values)
            parts = judge(signal, returns, scale=np.arange(7) / 7, costs=Costs())
            for name in whole:
                np.testing.assert_array_equal(whole[name], parts[name])
                assert whole[name].shape == (7,)

    def test_one_signal_may_be_one_dimensional(self):
        assert judge([1.0, 1.0, -1.0, 1.0, 1.0], [0.01, 0.02, 0.03, -0.01, 0.02])["sharpe"].shape == (1,)

    def test_flat(self):
        got = {name: float(value[0]) for name, value in judge(np.zeros(8), np.linspace(-0.1, 0.1, 8)).items()}
        assert got["sharpe"] == got["gross_sharpe"] == got["turnover"] == got["max_drawdown"] == got["total_net"] == 0
        assert got["profit_factor"] == 1.0
        assert math.isnan(got["accuracy"])
        assert math.isnan(got["ic"])
        assert math.isnan(got["rank_ic"])

    def test_never_leaving_the_band_is_flat_but_has_an_ic(self):
        returns = np.array([0.01, -0.01, 0.02, -0.02, 0.01, 0.03])
        got = judge(returns * 10, returns, rule=Rule(band=5.0), scale=1.0, costs=Costs())
        assert got["total_net"] == got["turnover"] == got["sharpe"] == 0
        assert got["ic"][0] == pytest.approx(1.0)

    def test_a_market_that_does_not_move(self):
        got = judge(np.ones(8), np.zeros(8), costs=Costs())
        assert math.isnan(got["ic"][0])
        assert math.isnan(got["accuracy"][0])
        assert got["profit_factor"][0] == 0.0
        assert got["max_drawdown"][0] == pytest.approx(2 * 6.5e-4)

    def test_never_losing_a_day_is_capped(self):
        assert judge(np.ones(8), np.full(8, 0.01) + np.arange(8) * 1e-3)["profit_factor"][0] == 100.0

    def test_accuracy_is_against_the_label_where_given_and_leaves_out_zeros(self):
        label = np.array([1.0, -1.0, 0.0, np.nan, -1.0, -1.0])
        got = judge([1.0, 1.0, 1.0, 1.0, -1.0, 0.0], [0.01, 0.02, 0.03, 0.01, 0.02, 0.01], outcome_T=label)
        assert got["accuracy"][0] == pytest.approx(2 / 3)

    def test_rank_ic_shares_ranks_of_ties(self):
        rng = np.random.default_rng(6)
        signal, returns = np.sign(rng.standard_normal(60)), np.round(rng.standard_normal(60), 1) / 100
        expected = stats.spearmanr(signal, returns).statistic
        assert judge(signal, returns)["rank_ic"][0] == pytest.approx(expected)

    def test_ic_survives_tiny_and_huge_signals(self):
        returns = np.random.default_rng(7).standard_normal(50) * 0.01
        got = judge(np.stack([returns * 1e-200, returns * 1e200]), returns)
        np.testing.assert_allclose(got["ic"], 1.0)

    def test_a_signal_that_is_not_a_number_is_named(self):
        signal = np.ones((3, 6))
        signal[1, 4] = np.nan
        with pytest.raises(DivergedError, match="candidate 1, row 4"):
            judge(signal, np.full(6, 0.01))

    def test_but_may_stand_on_a_row_that_is_not_usable(self):
        usable = np.array([True, True, False, True, True, True])
        signal = np.array([1.0, 1.0, np.nan, 1.0, -1.0, 1.0])
        assert np.isfinite(judge(signal, np.full(6, 0.01), usable=usable)["sharpe"][0])

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"usable": np.zeros(6, bool)}, "no usable row"),
            ({"signal": np.ones(5)}, "signal_NT"),
            ({"outcome_T": np.ones(5)}, "outcome_T"),
            ({"scale": np.ones(2)}, "scale"),
            ({"realised": np.arange(6)}, "1 days"),
        ],
    )
    def test_refuses(self, change, place):
        with pytest.raises(ConfigError, match=place):
            judge(**({"signal": np.ones(6), "returns": np.full(6, 0.01)} | change))
