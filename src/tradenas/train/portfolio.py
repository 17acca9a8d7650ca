"""What a signal would have earned in one market, or in all markets of a panel as one portfolio.

    position of market a    w_at * rule(signal_a)_t                   w: `Panel.weight_AT`, known at row t
    its P&L                 as `backtest`: a change of weight is a trade, and is paid for like any other
    portfolio               the sum over the markets, row by row and day by day

Each market has its own usual signal, no-trade band, costs and days; a market that is absent is flat.  Sharpe ratio,
profit factor, turnover and drawdown are the portfolio's.  IC, rank IC and accuracy are of a market's own signal and
returns through time, averaged over the markets by their rows: what is measured is whether the signal moves with what
comes, and not which market is the wilder one, which a pooled correlation would mostly measure.

Shapes: A markets, T rows of the span, D days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import numpy as np

from tradenas.errors import ConfigError
from tradenas.splits import Span
from tradenas.train.backtest import (
    DAY_MS,
    Backtest,
    Costs,
    Rule,
    backtest,
    check_finite,
    profit_scores,
    relative_volatility,
    signal_scale,
)  # fmt: skip
from tradenas.train.dataset import Dataset
from tradenas.train.metrics import correlation, ranks, sign_accuracy
from tradenas.train.panel import Market, Panel
from tradenas.typing import BoolArray, FloatArray

__all__ = ["AGREEMENT", "Portfolio", "Trade", "agreement", "flat", "summed", "trade", "usual_size", "volatility_of"]


@lru_cache(maxsize=8)
def _ranked(returns: bytes) -> FloatArray:
    """Ranks of returns by their bytes: a ranking holds hundreds of signals against the same ones."""
    found: FloatArray = ranks(np.frombuffer(returns)[None])[0]
    found.flags.writeable = False
    return found


def _rank_ic(signal_NU: FloatArray, return_U: FloatArray) -> FloatArray:
    return correlation(ranks(signal_NU), _ranked(np.ascontiguousarray(return_U, dtype=np.float64).tobytes()))


#: How a signal and what came are compared, each (1, U) and (U,) to (1,).
AGREEMENT: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "accuracy": sign_accuracy,
    "ic": correlation,
    "rank_ic": _rank_ic,
}


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """How capital is shared between the markets of a study.

    Attributes:
        weights: `equal`: each market has the same share, and that of a market without candles lies idle.
            `inverse_volatility`: shares in proportion to 1 / volatility as known at the row, among the markets that are
            ready there; they sum to 1.
        rebalance: rows for which shares stay as they are before they are set anew; a market that becomes ready
            meanwhile waits.  What a new share changes in a position is traded, and paid for.
    """

    weights: Literal["equal", "inverse_volatility"] = "equal"
    rebalance: int = 24

    def __post_init__(self) -> None:
        if self.weights not in ("equal", "inverse_volatility"):
            raise ConfigError("portfolio.weights", got=repr(self.weights), expected="equal or inverse_volatility")
        if self.rebalance < 1:
            raise ConfigError("portfolio.rebalance", got=self.rebalance, expected="1 or more rows")

    def shares(self, markets: Sequence[Dataset]) -> FloatArray:
        """Share of each market at each row, (A, T); nothing in it comes from later rows.

        >>> from tradenas.data.synthetic import planted
        >>> from tradenas.features import Target, build_table
        >>> from tradenas.train.build import build_dataset
        >>> candles = planted("noise", bars=100).candles
        >>> data = build_dataset(candles, build_table(candles, indicators=["log_return_1"]), Target())
        >>> Portfolio().shares([data, data])[:, 0].tolist()
        [0.5, 0.5]
        """
        if self.weights == "equal":
            return np.full((len(markets), len(markets[0])), 1.0 / len(markets))
        calm_AT = np.stack([np.where(m.ready_T, 1.0 / m.volatility_T, 0.0) for m in markets])
        whole_T = calm_AT.sum(axis=0)
        share_AT = np.divide(calm_AT, whole_T, out=np.zeros_like(calm_AT), where=whole_T > 0)
        set_T = np.arange(len(whole_T)) // self.rebalance * self.rebalance
        held_AT: FloatArray = share_AT[:, set_T]
        return held_AT


@dataclass(frozen=True, eq=False, kw_only=True)
class Trade:
    """What came of a signal.

    Attributes:
        scores: as `tradenas.train.backtest.score`; of a panel the portfolio's, see the module's head.
        result: P&L by row and day; of a panel the sum of its markets.
        markets: P&L of each market's part, None for one that had no return to earn; one for a plain dataset.
        agreements: accuracy, IC and rank IC of each market.
    """

    scores: dict[str, float]
    result: Backtest
    markets: tuple[Backtest | None, ...]
    agreements: tuple[dict[str, float], ...]


def trade(
    data: Market,
    span: Span,
    signal: FloatArray,
    *,
    usable: BoolArray,
    scale: float | FloatArray,
    rule: Rule,
    costs: Costs,
    outcome: FloatArray | None = None,
    volatility: FloatArray | None = None,
) -> Trade:
    """Trades one signal over a span, entered and left flat.

    Args:
        signal: centred on 0, one number a row: (T,), or (A, T) of a panel, as all that follows.
        usable: rows on which a position may be held.
        scale: usual size of the signal on training rows, one number for each market.
        outcome: what `accuracy` compares signs with, centred on 0; the bar return where it is not given.
        volatility: relative volatility, where the rule reads it; see `volatility_of`.

    Raises:
        ConfigError: no usable row, or fewer than two days.
        DivergedError: a signal is not finite on a usable row.
    """
    if not usable.any():
        raise ConfigError("trade usable", got="no usable row", expected="rows to score")
    markets = (data,) if isinstance(data, Dataset) else data.markets
    signal_AT, usable_AT = np.atleast_2d(signal), np.atleast_2d(usable)
    scale_A = np.broadcast_to(np.asarray(scale, float), (len(markets),))
    results: list[Backtest | None] = []
    agreements: list[dict[str, float]] = []
    for a, market in enumerate(markets):
        return_T, usable_T, signal_1T = (
            market.bar_return_T[span.slice],
            usable_AT[a],
            signal_AT[a : a + 1].astype(float),
        )
        check_finite(signal_1T[:, usable_T], 0, usable_T)
        outcome_T = return_T if outcome is None else np.atleast_2d(outcome)[a]
        agreements.append(
            {
                name: float(of(signal_1T[:, usable_T], (outcome_T if name == "accuracy" else return_T)[usable_T])[0])
                for name, of in AGREEMENT.items()
            }
            if usable_T.any()
            else dict.fromkeys(AGREEMENT, math.nan)
        )
        if not np.isfinite(return_T).any():
            results.append(None)
            continue
        position_1T = rule.positions(
            signal_1T,
            usable_T,
            scale=float(scale_A[a]),
            volatility_T=None if volatility is None else np.atleast_2d(volatility)[a],
        )
        results.append(
            backtest(
                position_1T * data.weight_AT[a, span.slice] if isinstance(data, Panel) else position_1T,
                bar_return_T=return_T,
                realised_T=market.realised_T[span.slice],
                usable_T=usable_T,
                costs=costs,
                days_per_year=data.days_per_year,
                funding_T=None if market.funding_T is None else market.funding_T[span.slice],
            )
        )
    result = summed([r for r in results if r is not None])
    scores = {name: float(value[0]) for name, value in profit_scores(result).items()}
    scores |= {name: _over_markets(name, [g[name] for g in agreements], usable_AT) for name in AGREEMENT}
    return Trade(scores=scores, result=result, markets=tuple(results), agreements=tuple(agreements))


def flat(data: Market, span: Span, *, costs: Costs) -> Backtest:
    """Nothing held over a span: its days, and zeros."""
    markets = (data,) if isinstance(data, Dataset) else data.markets
    rows = span.slice
    return summed(
        [
            backtest(
                np.zeros(len(span)),
                bar_return_T=market.bar_return_T[rows],
                realised_T=market.realised_T[rows],
                usable_T=np.zeros(len(span), bool),
                costs=costs,
                days_per_year=data.days_per_year,
                funding_T=None if market.funding_T is None else market.funding_T[rows],
            )
            for market in markets
            if np.isfinite(market.bar_return_T[rows]).any()
        ]
    )


def agreement(name: str, data: Market, span: Span, signal: FloatArray, usable: BoolArray, outcome: FloatArray) -> float:
    """One of `AGREEMENT` over a span, averaged over markets as in `trade`; NaN where it cannot be told.

    Args:
        outcome: what `accuracy` compares signs with; the others are correlations with the bar return.
    """
    markets = (data,) if isinstance(data, Dataset) else data.markets
    signal_AT, usable_AT, outcome_AT = np.atleast_2d(signal), np.atleast_2d(usable), np.atleast_2d(outcome)
    values = []
    for market, signal_T, usable_T, outcome_T in zip(markets, signal_AT, usable_AT, outcome_AT, strict=True):
        came_T = outcome_T if name == "accuracy" else market.bar_return_T[span.slice]
        known = usable_T.any()
        values.append(float(AGREEMENT[name](signal_T[None, usable_T], came_T[usable_T])[0]) if known else math.nan)
    return _over_markets(name, values, usable_AT)


def _over_markets(name: str, values: Sequence[float], usable_AT: BoolArray) -> float:
    """The mean by rows.  A correlation that cannot be told counts as 0: who is silent in a market gains nothing by it.

    An accuracy that cannot be told has no rows.
    """
    if len(values) == 1 or all(math.isnan(v) for v in values):
        return values[0]
    rows_A = usable_AT.sum(axis=1).astype(float)
    if name == "accuracy":
        rows_A = np.where(np.isnan(values), 0.0, rows_A)
    return float(np.nan_to_num(values) @ rows_A / rows_A.sum())


def summed(parts: Sequence[Backtest]) -> Backtest:
    """Several P&Ls over the same rows as one, day by day on the days that any of them has.

    Raises:
        ConfigError: nothing to sum.
    """
    if not parts:
        raise ConfigError("portfolio", got="no market with a known return", expected="at least one")
    if len(parts) == 1:
        return parts[0]
    days_per_year = parts[0].days_per_year
    days_D = np.unique(np.concatenate([p.days_D for p in parts]))
    if days_per_year == 365:
        days_D = np.arange(days_D[0], days_D[-1] + 1, DAY_MS)
    slots = [np.searchsorted(days_D, p.days_D) for p in parts]

    def rows(name: str) -> FloatArray:
        return cast("FloatArray", np.sum([getattr(p, name) for p in parts], axis=0))

    def days(name: str) -> FloatArray:
        sum_DN = np.zeros((len(days_D), parts[0].net_DN.shape[1]))
        for one, slot in zip(parts, slots, strict=True):
            if getattr(one, name) is not None:
                sum_DN[slot] += getattr(one, name)
        return sum_DN

    charged = any(p.funding_DN is not None for p in parts)

    return Backtest(
        **{name: rows(name) for name in ("gross_NT", "net_NT", "turnover_NT")},
        **{name: days(name) for name in ("gross_DN", "net_DN", "turnover_DN")},
        funding_DN=days("funding_DN") if charged else None,
        days_D=days_D,
        days_per_year=days_per_year,
    )


def usual_size(signal: FloatArray, usable: BoolArray) -> float | FloatArray:
    """Mean |signal| over usable training rows: a number, or (A,) of a panel.

    A market without such rows gets the mean of the others: its band is then as wide as theirs.
    """
    if signal.ndim == 1:
        return float(signal_scale(signal, usable)[0])
    size_A = np.array([signal_scale(s_T, u_T)[0] for s_T, u_T in zip(signal, usable, strict=True)])
    known_A = usable.any(axis=1)
    return np.where(known_A, size_A, size_A[known_A].mean() if known_A.any() else 0.0)


def volatility_of(data: Market, rule: Rule, *, train: Span) -> FloatArray | None:
    """Relative volatility of every row, (T,) or (A, T), where the rule reads it.

    Of a panel each market's is its own, over the candles that it has; one without any on the training rows counts as
    ordinary throughout.
    """
    if rule.kind != "volatility_target":
        return None
    if isinstance(data, Dataset):
        return relative_volatility(data.past_return_T, train=train.slice)
    relative_AT = np.ones((data.assets, len(data)))
    for a, (market, present_T) in enumerate(zip(data.markets, data.present_AT, strict=True)):
        before_T = np.concatenate([[0], np.cumsum(present_T)])
        own = slice(int(before_T[train.start]), int(before_T[train.stop]))
        if own.start < own.stop:
            relative_AT[a, present_T] = relative_volatility(market.past_return_T[present_T], train=own)
    return relative_AT
