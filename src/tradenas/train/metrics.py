"""What a P&L and a signal are worth, for many candidates at once.

Shapes: D days, N candidates, T rows.  A daily P&L is in units of capital, additive, flat days included.
"""

from __future__ import annotations

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import FloatArray

__all__ = [
    "PROFIT_FACTOR_CAP",
    "annual_sharpe",
    "correlation",
    "max_drawdown",
    "profit_factor",
    "ranks",
    "sign_accuracy",
]

PROFIT_FACTOR_CAP = 100.0
"""Profit factor of a strategy that never lost a day: a ratio without denominator can be neither ranked nor JSON."""


def annual_sharpe(daily_DN: FloatArray, days_per_year: int) -> FloatArray:
    """Mean over standard deviation (ddof 1) of daily P&L, times the root of the days in a year; shape (N,).

    A P&L that never varies (a flat strategy) has 0.  The risk-free rate is taken as 0.

    Raises:
        ConfigError: fewer than two days.

    >>> annual_sharpe(np.array([[0.01], [0.03]]), 252).round(6).tolist()
    [22.449944]
    """
    if len(daily_DN) < 2:
        raise ConfigError("annual_sharpe", got=f"{len(daily_DN)} days", expected="two or more")
    spread_N = daily_DN.std(axis=0, ddof=1)
    varies_N = spread_N > 1e-12 * np.abs(daily_DN).max(axis=0)
    ratio_N = np.divide(daily_DN.mean(axis=0), spread_N, out=np.zeros_like(spread_N), where=varies_N)
    sharpe_N: FloatArray = ratio_N * np.sqrt(days_per_year)
    return sharpe_N


def profit_factor(daily_DN: FloatArray) -> FloatArray:
    """Sum of winning days over sum of losing days, of net P&L; shape (N,).

    Days and not trades, so that it does not depend on the bar size, nor on what is called one trade when positions
    are scaled.  At most `PROFIT_FACTOR_CAP`; 1 where nothing was won and nothing lost.

    >>> profit_factor(np.array([[3.0, 1.0, 0.0], [-2.0, 0.0, 0.0]])).tolist()
    [1.5, 100.0, 1.0]
    """
    wins_N = np.maximum(daily_DN, 0.0).sum(axis=0)
    losses_N = np.maximum(-daily_DN, 0.0).sum(axis=0)
    factor_N = np.where(wins_N > 0, PROFIT_FACTOR_CAP, 1.0)
    with np.errstate(over="ignore"):  # a loss of almost nothing: the cap answers
        np.divide(wins_N, losses_N, out=factor_N, where=losses_N > 0)
    return np.minimum(factor_N, PROFIT_FACTOR_CAP)


def max_drawdown(daily_DN: FloatArray) -> FloatArray:
    """Deepest fall of the summed P&L below its highest point so far (0 at the start), a positive number; shape (N,).

    >>> max_drawdown(np.array([[-1.0], [3.0], [-2.0], [-1.0], [4.0]])).tolist()
    [3.0]
    """
    equity_DN = np.cumsum(daily_DN, axis=0)
    peak_DN = np.maximum(np.maximum.accumulate(equity_DN, axis=0), 0.0)
    depth_N: FloatArray = (peak_DN - equity_DN).max(axis=0, initial=0.0)
    return depth_N


def sign_accuracy(signal_NT: FloatArray, outcome_T: FloatArray) -> FloatArray:
    """Share of rows whose signal had the sign of the outcome; shape (N,).

    Rows on which either is 0 (or the outcome is NaN) do not count; NaN where none is left.

    >>> sign_accuracy(np.array([[1.0, -1.0, 0.0, 2.0]]), np.array([0.5, 0.5, 1.0, 0.0])).tolist()
    [0.5]
    """
    counts_T = np.isfinite(outcome_T) & (outcome_T != 0)
    signal_NT, up_T = signal_NT[:, counts_T], outcome_T[counts_T] > 0
    long_NT, short_NT = signal_NT > 0, signal_NT < 0
    right_N = (long_NT & up_T).sum(axis=1) + (short_NT & ~up_T).sum(axis=1)
    spoken_N = long_NT.sum(axis=1) + short_NT.sum(axis=1)
    accuracy_N: FloatArray = np.divide(right_N, spoken_N, out=np.full(len(signal_NT), np.nan), where=spoken_N > 0)
    return accuracy_N


def correlation(signal_NT: FloatArray, outcome_T: FloatArray) -> FloatArray:
    """Pearson correlation of each signal with the outcome; shape (N,), NaN where one of them never varies.

    >>> correlation(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]), np.array([2.0, 4.0, 6.0])).round(6).tolist()
    [1.0, nan]
    """
    undefined_N = np.full(len(signal_NT), np.nan)
    if signal_NT.shape[1] < 2:
        return undefined_N
    # Each row is brought to size 1 first, so that squares neither overflow nor vanish.
    outcome_T = outcome_T / (np.abs(outcome_T).max() or 1.0)
    outcome_T = outcome_T - outcome_T.mean()
    size_N1 = np.abs(signal_NT).max(axis=1, keepdims=True)
    signal_NT = signal_NT / np.where(size_N1 > 0, size_N1, 1.0)
    signal_NT -= signal_NT.mean(axis=1, keepdims=True)
    spread_N = np.sqrt(np.einsum("nt,nt->n", signal_NT, signal_NT) / signal_NT.shape[1])
    spread = float(np.sqrt(outcome_T @ outcome_T / len(outcome_T)))
    varies_N = (spread_N > 1e-12) & (spread > 1e-12)
    covariance_N = np.einsum("nt,t->n", signal_NT, outcome_T) / len(outcome_T)  # not BLAS: it rounds by batch size
    correlation_N: FloatArray = np.divide(covariance_N, spread_N * spread, out=undefined_N, where=varies_N)
    return correlation_N


def ranks(values_NT: FloatArray) -> FloatArray:
    """Ranks along time, from 0; equal values share their mean rank.  `correlation` of ranks is Spearman's.

    >>> ranks(np.array([[0.3, 0.1, 0.3, 0.9]])).tolist()
    [[1.5, 0.0, 1.5, 3.0]]
    """
    rows = values_NT.shape[1]
    order_NT = np.argsort(values_NT, axis=1)
    sorted_NT = np.take_along_axis(values_NT, order_NT, axis=1)
    row_T = np.arange(rows)
    differs_NT = np.ones((len(values_NT), rows + 1), bool)
    np.not_equal(sorted_NT[:, 1:], sorted_NT[:, :-1], out=differs_NT[:, 1:-1])
    first_NT = np.maximum.accumulate(np.where(differs_NT[:, :-1], row_T, 0), axis=1)
    last_NT = np.where(differs_NT[:, 1:], row_T, rows)[:, ::-1]
    last_NT = np.minimum.accumulate(last_NT, axis=1)[:, ::-1]
    ranks_NT = np.empty(values_NT.shape)
    np.put_along_axis(ranks_NT, order_NT, (first_NT + last_NT) / 2.0, axis=1)
    return ranks_NT
