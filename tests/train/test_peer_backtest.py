"""Our backtest against an independent one, `bt` (MIT, event-driven), on strategies that flip, hold and go flat.

`bt` is told what a broker would be told: the fraction of capital to hold from the open after the decision on.  It keeps
accounts in cash and units, pays fees on the traded value and compounds; ours is a sum over rows.  Both must give the
same return per bar: before costs to rounding, after costs up to terms of second order (fees on a value that has moved
by a bar's return since capital was last counted).
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tradenas.data.synthetic import planted
from tradenas.features.targets import bar_returns, realised_time
from tradenas.train.backtest import Costs, Rule, backtest

FREE, DEAR = Costs(taker_bps=0.0, slippage_bps=0.0), Costs(taker_bps=20.0, slippage_bps=5.0)


@pytest.fixture(scope="module")
def bt():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("bt", reason="bt, an independent backtester, is not installed")


@pytest.fixture(scope="module")
def candles():
    return planted("reversal", bars=500).candles


@pytest.fixture(scope="module")
def positions(candles):
    """Signals of past closes through our rules; rows without a return ahead are flat."""
    close = candles.close
    past = np.concatenate([[0.0], np.diff(np.log(close))])
    momentum = np.log(close) - np.log(np.concatenate([np.full(12, close[0]), close[:-12]]))
    usable = np.isfinite(bar_returns(candles))
    flips = Rule(band=0.0).positions(-past, usable, scale=1.0)[0]
    held = Rule(band=1.0).positions(momentum, usable, scale=float(np.abs(momentum).mean()))[0]
    part = Rule(kind="proportional", band=0.5, max_position=0.6).positions(past, usable, scale=float(past.std()))[0]
    return {"flips": flips, "held": held, "part": part}


def ours(candles, position, costs):
    returns = bar_returns(candles)
    return backtest(
        position, bar_return_T=returns, realised_T=realised_time(candles), usable_T=np.isfinite(returns), costs=costs,
        days_per_year=365,
    )  # fmt: skip


def theirs(bt, candles, position, costs, delay=1):
    """Return of each open over the one before it, by `bt`; the decision of row t trades at the open of t + delay."""
    pandas = pytest.importorskip("pandas")
    index = pandas.to_datetime(candles.open_time, unit="ms")
    opens = pandas.DataFrame({"x": candles.open}, index=index)
    wanted = np.zeros(len(position))
    wanted[delay:] = position[: len(position) - delay]
    weights = pandas.DataFrame({"x": wanted}, index=index)
    strategy = bt.Strategy("peer", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = bt.Backtest(
            strategy, opens, initial_capital=1e8, integer_positions=False, progress_bar=False,
            commissions=lambda units, price: abs(units) * price * costs.rate,
        )  # fmt: skip
        test.run()
    return test.strategy.prices.reindex(index).pct_change().to_numpy()


@pytest.mark.parametrize("kind", ["flips", "held", "part"])
def test_before_costs_every_bar_agrees_to_rounding(bt, candles, positions, kind):
    position = positions[kind]
    assert (np.diff(position) != 0).sum() > 5
    mine = ours(candles, position, FREE).gross_NT[0]
    peer = theirs(bt, candles, position, FREE)
    assert peer[2:] == pytest.approx(mine[:-2], abs=1e-10)  # earned from the open of t + 1 to that of t + 2
    early = theirs(bt, candles, position, FREE, delay=0)
    assert np.abs(early[2:] - mine[:-2]).max() > 1e-4  # a fill one bar earlier would be seen


@pytest.mark.parametrize("kind", ["flips", "held", "part"])
def test_after_costs_every_bar_agrees_to_second_order(bt, candles, positions, kind):
    position = positions[kind]
    result = ours(candles, position, DEAR)
    paid = (result.gross_NT - result.net_NT)[0]
    mine = result.gross_NT[0, :-2] - paid[1:-1]  # at the open of t + 2: the bar's return, the trade decided at t + 1
    peer = theirs(bt, candles, position, DEAR)[2:]
    moved = np.abs(bar_returns(candles)[:-2])
    second_order = 6.0 * DEAR.rate * (moved + DEAR.rate)  # a flip trades 2, and what it trades has moved
    assert (np.abs(peer - mine) <= second_order).all()
    late = result.gross_NT[0, :-2] - paid[:-2]
    assert (np.abs(peer - late) > second_order).any()  # a fee one bar later would be seen
    assert peer.sum() == pytest.approx(mine.sum(), rel=0.02)
    assert abs(mine.sum()) > 10 * DEAR.rate
    assert paid[1:-1].sum() > 10 * DEAR.rate
