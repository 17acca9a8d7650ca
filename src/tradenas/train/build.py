"""Candles, features and target on one time axis."""

from __future__ import annotations

import numpy as np

from tradenas.data.candles import Candles
from tradenas.data.series import Series
from tradenas.features import FeatureTable, Target, bar_funding, bar_returns, realised_time
from tradenas.features.technical import ema
from tradenas.train.dataset import Dataset
from tradenas.typing import FloatArray

__all__ = ["build_dataset", "past_returns", "usual_move"]

#: Span of the exponential average behind the unit of returns, bars (RiskMetrics' 0.94 is a span of 32).
VOLATILITY_SPAN = 32


def build_dataset(candles: Candles, table: FeatureTable, target: Target, *, funding: Series | None = None) -> Dataset:
    """What models may look at: features of `table`, labels of `target`, returns and their unit.

    Args:
        table: features of the same candles, from `tradenas.features.build_table`.
        target: what is to be predicted.
        funding: settled rates of a perpetual, to be charged; None charges nothing.

    >>> from tradenas.data.synthetic import planted
    >>> from tradenas.features import build_table
    >>> candles = planted("noise", bars=600).candles
    >>> data = build_dataset(candles, build_table(candles, indicators=["log_return_1"]), Target(kind="direction"))
    >>> len(data), data.kind, data.x_TF.shape
    (600, 'binary', (600, 1))
    """
    same_bar = target.same_bar
    return Dataset(
        x_TF=table.values_TF,
        y_T=target.label(candles).astype(np.float32),
        ready_T=table.ready_T,
        gap_T=candles.gap_before,
        volatility_T=usual_move(candles),
        past_return_T=past_returns(candles),
        bar_return_T=bar_returns(candles, target.delay, allow_same_bar=same_bar),
        realised_T=realised_time(candles, target.delay, allow_same_bar=same_bar),
        names=table.names,
        groups=table.groups,
        transforms=table.transforms,
        kind="binary" if target.binary else "regression",
        days_per_year=candles.days_per_year,
        centre_labels=target.kind == "volatility",
        purge_rows=target.purge_rows,
        funding_T=None if funding is None else bar_funding(candles, funding, target.delay, allow_same_bar=same_bar),
    )


def past_returns(candles: Candles) -> FloatArray:
    """Log close-to-close return of each candle, 0 for the first and after a gap."""
    moves_T = np.concatenate([[0.0], np.diff(np.log(candles.close))])
    return np.where(candles.gap_before, 0.0, moves_T)


def usual_move(candles: Candles) -> FloatArray:
    """Typical size of one bar's return as known at each row: the root of the averaged squares so far, always positive.

    Before there is an average the running mean of the squares stands in; where nothing moved, a millionth.
    """
    squares_T = past_returns(candles) ** 2
    so_far_T = np.cumsum(squares_T) / np.arange(1, len(squares_T) + 1)
    short = len(squares_T) < VOLATILITY_SPAN
    average_T = np.full(len(squares_T), np.nan) if short else ema(squares_T, VOLATILITY_SPAN)
    return np.maximum(np.sqrt(np.where(np.isnan(average_T), so_far_T, average_T)), 1e-6)
