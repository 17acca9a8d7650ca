"""What trading a signal would have earned after costs, for many candidates at once.

A position decided at row t is filled one entry delay later and earns `bar_return_T[t]`, which is realised at
`realised_T[t]`.  P&L is additive: sums of returns on constant capital, never compounded.

    gross_t = position_t * bar_return_t
    net_t   = gross_t - rate * |position_t - position_{t-1}| - position_t * funding_t        position_{-1} = 0

`funding_t` is there for perpetuals only: the sum of the rates settled within the bar that the position is held
(`tradenas.features.bar_funding`).  Longs pay it where it is positive, shorts are paid.  Gross is before both.

The zone is entered flat and left flat: the first trade is paid, and what is held on the last row is sold there (its
cost falls on the last row).  A row that is not usable is flat, and the trades out of and into the market around it are
paid.

Shapes: N candidates, T rows of the zone, D days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from tradenas.errors import ConfigError, DivergedError
from tradenas.train.fees import COSTS, Costs, costs_named
from tradenas.train.metrics import annual_sharpe, correlation, max_drawdown, profit_factor, ranks, sign_accuracy
from tradenas.train.positions import Rule, relative_volatility, signal_scale
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = [
    "COSTS",
    "Backtest",
    "Costs",
    "Rule",
    "backtest",
    "check_finite",
    "costs_named",
    "profit_scores",
    "relative_volatility",
    "score",
    "signal_scale",
]

DAY_MS = 86_400_000
_CHUNK_VALUES = 1 << 18  # candidates x rows worked on at once: about 2 MiB a float array, which stays in cache


@dataclass(frozen=True, eq=False, kw_only=True)
class Backtest:
    """P&L of N strategies, per row and per UTC day, in units of capital.

    Attributes:
        gross_NT, net_NT: P&L of each row before and after costs and funding.
        turnover_NT: |change of position| of each row; the last row holds the closing trade too.
        days_D: midnights, ms UTC: every calendar day from the first to the last where days_per_year is 365, else the
            days that have bars.
        gross_DN, net_DN, turnover_DN: the same summed over the day on which the row's return was realised.
        days_per_year: 365 or 252.
        funding_DN: funding paid (negative: received) a day; None where none was charged.
    """

    gross_NT: FloatArray
    net_NT: FloatArray
    turnover_NT: FloatArray
    days_D: IntArray
    gross_DN: FloatArray
    net_DN: FloatArray
    turnover_DN: FloatArray
    days_per_year: int
    funding_DN: FloatArray | None = None

    @property
    def round_trips(self) -> FloatArray:
        """Full round trips of each strategy: half its turnover."""
        return cast("FloatArray", self.turnover_NT.sum(axis=1) / 2.0)

    @property
    def sharpe(self) -> FloatArray:
        """Annualised Sharpe ratio of each daily net P&L."""
        return annual_sharpe(self.net_DN, self.days_per_year)

    @property
    def gross_sharpe(self) -> FloatArray:
        """The same before costs; never to be shown alone."""
        return annual_sharpe(self.gross_DN, self.days_per_year)


def backtest(
    position_NT: FloatArray,
    *,
    bar_return_T: FloatArray,
    realised_T: IntArray,
    usable_T: BoolArray,
    costs: Costs,
    days_per_year: int,
    funding_T: FloatArray | None = None,
) -> Backtest:
    """Earns and pays for positions (N, T) or (T,) over the rows of one zone.

    Args:
        position_NT: position decided at each row, in units of capital; taken as 0 on rows that are not usable.
        bar_return_T: what a position of 1 earns; NaN where unknown, which no usable row may have.
        realised_T: when that is known, ms UTC; must not decrease.  The cost of a row whose return is unknown falls
            on the row before it: that is when its trade takes place.
        usable_T: rows on which a position may be held.
        costs: what a unit of turnover costs.
        days_per_year: 365 for a market that never closes, 252 for one with sessions.
        funding_T: what a position of 1 pays at the settlements of its bar; None charges nothing.

    Raises:
        ConfigError: shapes disagree, a usable row has no return, time runs backward, or a position is not finite.
    """
    position_NT = np.atleast_2d(np.asarray(position_NT, float))
    calendar = _Calendar.of(bar_return_T, realised_T, usable_T, days_per_year, funding_T)
    if position_NT.ndim != 2 or position_NT.shape[1] != len(bar_return_T):
        raise ConfigError("backtest position_NT", got=str(position_NT.shape), expected=f"(N, {len(bar_return_T)})")
    position_NT = np.where(usable_T, position_NT, 0.0)
    if not np.isfinite(position_NT).all():
        raise ConfigError("backtest position_NT", got="a value that is not finite", expected="finite positions")
    return _run(position_NT, calendar, costs)


def score(
    signal_NT: FloatArray,
    *,
    bar_return_T: FloatArray,
    realised_T: IntArray,
    usable_T: BoolArray,
    rule: Rule,
    scale: float | FloatArray,
    costs: Costs,
    days_per_year: int,
    outcome_T: FloatArray | None = None,
    volatility_T: FloatArray | None = None,
    funding_T: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Ranks N signals (N, T) or (T,) by what trading them would have earned; each value has shape (N,).

    Args:
        signal_NT: centred on 0, positive is long; must be finite on usable rows.
        rule, scale, volatility_T: see `Rule.positions`; `scale` comes from training rows.
        outcome_T: what `accuracy` compares signs with: the realised forward label, centred on 0, NaN where unknown;
            the bar return where it is not given.
        bar_return_T, realised_T, usable_T, costs, days_per_year, funding_T: see `backtest`.

    Returns:
        `sharpe` (net, daily, annual), `gross_sharpe`, `accuracy` (NaN for a signal that is always 0), `profit_factor`
        (net, of days), `ic` and `rank_ic` (Pearson and Spearman correlation of signal and bar return on usable rows,
        NaN for a signal that never varies), `turnover` (per day), `round_trips` (per day), `max_drawdown`,
        `total_net`, `total_gross`; `total_funding` (paid) where it is charged.  More is better, but for turnover,
        round trips, drawdown and funding.  Sort NaN last.

    Raises:
        ConfigError: as `backtest`; or no row is usable, or there are fewer than two days.
        DivergedError: a signal is not finite on a usable row.
    """
    signal_NT = np.atleast_2d(np.asarray(signal_NT))
    calendar = _Calendar.of(bar_return_T, realised_T, usable_T, days_per_year, funding_T)
    num, rows = signal_NT.shape
    if rows != len(bar_return_T):
        raise ConfigError("score signal_NT", got=str(signal_NT.shape), expected=f"(N, {len(bar_return_T)})")
    if not usable_T.any():
        raise ConfigError("score usable_T", got="no usable row", expected="rows to score")
    outcome_T = bar_return_T if outcome_T is None else np.asarray(outcome_T, float)
    if outcome_T.shape != (rows,):
        raise ConfigError("score outcome_T", got=str(outcome_T.shape), expected=f"({rows},)")
    scale_N = np.broadcast_to(np.asarray(scale, float), (num,)) if np.ndim(scale) == 0 else np.asarray(scale, float)
    if scale_N.shape != (num,):
        raise ConfigError("score scale", got=str(scale_N.shape), expected=f"one number or ({num},)")
    return_U, outcome_U = bar_return_T[usable_T], outcome_T[usable_T]
    rank_U = ranks(return_U[None])[0]
    step = max(1, _CHUNK_VALUES // max(rows, 1))
    parts: list[dict[str, FloatArray]] = []
    for start in range(0, num, step):
        chunk_NT = signal_NT[start : start + step].astype(float)
        signal_NU = chunk_NT if len(return_U) == rows else chunk_NT[:, usable_T]
        check_finite(signal_NU, start, usable_T)
        position_NT = rule.positions(chunk_NT, usable_T, scale=scale_N[start : start + step], volatility_T=volatility_T)
        part = profit_scores(_run(position_NT, calendar, costs))
        part["accuracy"] = sign_accuracy(signal_NU, outcome_U)
        part["ic"] = correlation(signal_NU, return_U)
        part["rank_ic"] = correlation(ranks(signal_NU), rank_U)
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def profit_scores(result: Backtest) -> dict[str, FloatArray]:
    """What `score` tells of P&L alone."""
    turnover_N = result.turnover_DN.mean(axis=0)
    return {
        "sharpe": result.sharpe,
        "gross_sharpe": result.gross_sharpe,
        "profit_factor": profit_factor(result.net_DN),
        "turnover": turnover_N,
        "round_trips": turnover_N / 2.0,
        "max_drawdown": max_drawdown(result.net_DN),
        "total_net": result.net_DN.sum(axis=0),
        "total_gross": result.gross_DN.sum(axis=0),
        **({} if result.funding_DN is None else {"total_funding": result.funding_DN.sum(axis=0)}),
    }


def check_finite(signal_NU: FloatArray, start: int, usable_T: BoolArray) -> None:
    """Raises `DivergedError` where the signals of candidates `start`, ... are not finite on a usable row."""
    bad_NU = ~np.isfinite(signal_NU)
    if bad_NU.any():
        candidate, column = (int(i) for i in np.argwhere(bad_NU)[0])
        raise DivergedError(
            f"signal of candidate {start + candidate}, row {int(np.flatnonzero(usable_T)[column])} of the zone",
            got=str(signal_NU[candidate, column]),
            expected="a finite number",
            fix="train it with a smaller learning rate, or record the candidate as failed",
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Calendar:
    """Rows of one zone with the day each belongs to, checked once for all candidates."""

    return_T: FloatArray  # 0 where unknown
    usable_T: BoolArray
    days_D: IntArray
    starts: IntArray  # first row of each run of rows of one day ...
    slots: IntArray  # ... and which of days_D it is
    days_per_year: int
    funding_T: FloatArray | None

    @classmethod
    def of(
        cls,
        bar_return_T: FloatArray,
        realised_T: IntArray,
        usable_T: BoolArray,
        days_per_year: int,
        funding_T: FloatArray | None,
    ) -> _Calendar:
        rows = len(bar_return_T)
        for name, array in (("realised_T", realised_T), ("usable_T", usable_T)):
            if array.shape != (rows,):
                raise ConfigError(f"backtest {name}", got=str(array.shape), expected=f"({rows},)")
        if days_per_year not in (252, 365):
            raise ConfigError("backtest days_per_year", got=days_per_year, expected="365 or 252")
        if funding_T is not None and (funding_T.shape != (rows,) or not np.isfinite(funding_T).all()):
            raise ConfigError("backtest funding_T", got=str(funding_T.shape), expected=f"({rows},) of finite rates")
        known_T = np.isfinite(bar_return_T)
        if (usable_T & ~known_T).any():
            row = int(np.flatnonzero(usable_T & ~known_T)[0])
            raise ConfigError(f"backtest bar_return_T row {row}", got="unknown", expected="a return on a usable row")
        if not known_T.any():
            raise ConfigError("backtest bar_return_T", got="no known return", expected="at least one")
        if (np.diff(realised_T[known_T]) < 0).any():
            raise ConfigError("backtest realised_T", got="a time before the one above it", expected="rows in order")
        source_T = np.maximum.accumulate(np.where(known_T, np.arange(rows), int(known_T.argmax())))
        day_T = realised_T[source_T] // DAY_MS
        starts = np.flatnonzero(np.diff(day_T, prepend=day_T[0] - 1))
        day_S = day_T[starts]
        days_D = np.arange(day_S[0], day_S[-1] + 1) if days_per_year == 365 else day_S
        return cls(
            return_T=np.where(known_T, bar_return_T, 0.0),
            usable_T=usable_T,
            days_D=days_D * DAY_MS,
            starts=starts,
            slots=np.searchsorted(days_D, day_S),
            days_per_year=days_per_year,
            funding_T=funding_T,
        )

    def daily(self, values_NT: FloatArray) -> FloatArray:
        daily_ND = np.zeros((len(values_NT), len(self.days_D)))
        daily_ND[:, self.slots] = np.add.reduceat(values_NT, self.starts, axis=1)
        return daily_ND.T


def _run(position_NT: FloatArray, calendar: _Calendar, costs: Costs) -> Backtest:
    turnover_NT = np.abs(np.diff(position_NT, axis=1, prepend=0.0))
    turnover_NT[:, -1] += np.abs(position_NT[:, -1])
    gross_NT = position_NT * calendar.return_T
    net_NT = gross_NT - costs.rate * turnover_NT
    funding_DN = None
    if calendar.funding_T is not None:
        funding_NT = position_NT * calendar.funding_T
        net_NT = net_NT - funding_NT
        funding_DN = calendar.daily(funding_NT)
    return Backtest(
        gross_NT=gross_NT,
        net_NT=net_NT,
        turnover_NT=turnover_NT,
        days_D=calendar.days_D,
        gross_DN=calendar.daily(gross_NT),
        net_DN=calendar.daily(net_NT),
        turnover_DN=calendar.daily(turnover_NT),
        days_per_year=calendar.days_per_year,
        funding_DN=funding_DN,
    )
