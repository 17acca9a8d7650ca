"""Candles, features and target on one time axis, of one market or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tradenas.data.candles import Candles
from tradenas.data.series import Series
from tradenas.errors import ConfigError
from tradenas.features import FeatureTable, Target, bar_funding, bar_returns, realised_time
from tradenas.features.technical import ema
from tradenas.train.dataset import Dataset
from tradenas.train.panel import Panel
from tradenas.train.portfolio import Portfolio
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["build_dataset", "build_panel", "past_returns", "usual_move"]

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


def build_panel(
    candles: Sequence[Candles],
    tables: Sequence[FeatureTable],
    target: Target,
    *,
    portfolio: Portfolio | None = None,
    funding: Sequence[Series | None] = (),
) -> tuple[Panel, IntArray]:
    """The same for several markets, on the union of their opening times; also those times.

    Each market is made on its own candles and then laid onto the grid: its features, labels and returns are those it
    has alone.  Where it has no candle there is nothing: no feature (zeros), label, return or readiness, and no window
    spans the row.

    Args:
        candles: of each market, with one length of bar and one kind of calendar.
        tables: features of each, with the same columns.
        portfolio: how capital is shared; equally if not given.
        funding: settled rates of each market, if any is to be charged.

    Raises:
        ConfigError: no market, two of one name, or bars or calendars that differ.
    """
    first = candles[0] if candles else None
    for other in candles:
        for name in ("interval_ms", "days_per_year"):
            got, want = getattr(other, name), getattr(first, name)
            if got != want:
                raise ConfigError(
                    f"{name} of {other.symbol}",
                    got=got,
                    expected=f"{want}, that of {candles[0].symbol}",
                    fix="resample to one length of bar, and study markets that never close apart from those that do",
                )
    if not candles:
        raise ConfigError("build_panel.candles", got="no market", expected="one or more")
    grid_T = np.unique(np.concatenate([c.open_time for c in candles]))
    step = candles[0].interval_ms * max(target.delay + 1, 2)
    markets, present = [], []
    for own, table, rates in zip(candles, tables, funding or [None] * len(candles), strict=True):
        present_T = np.isin(grid_T, own.open_time)
        present.append(present_T)
        markets.append(_laid_out(build_dataset(own, table, target, funding=rates), present_T, grid_T + step))
    panel = Panel(
        symbols=tuple(c.symbol for c in candles),
        markets=tuple(markets),
        present_AT=np.stack(present),
        weight_AT=(portfolio or Portfolio()).shares(markets),
    )
    return panel, grid_T


def _laid_out(data: Dataset, present_T: BoolArray, later_T: IntArray) -> Dataset:
    """A market's rows on the grid.

    Args:
        present_T: rows of the grid that it has; as many as the market has rows.
        later_T: times that stand in for `realised_T` on rows that it has not.
    """
    rows, columns = len(present_T), data.x_TF.shape[1]
    absent: dict[str, np.ndarray] = {
        "x_TF": np.zeros((rows, columns), np.float32),
        "y_T": np.full(rows, np.nan, np.float32),
        "ready_T": np.zeros(rows, bool),
        "gap_T": np.ones(rows, bool),
        "volatility_T": np.ones(rows),
        "past_return_T": np.zeros(rows),
        "bar_return_T": np.full(rows, np.nan),
        "realised_T": later_T.astype(np.int64),
    }
    if data.funding_T is not None:
        absent["funding_T"] = np.zeros(rows)
    for name, array in absent.items():
        array[present_T] = getattr(data, name)
    return replace(data, **absent)  # type: ignore[arg-type]  # arrays only; Dataset checks them
