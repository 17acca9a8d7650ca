"""What a study of several markets writes down of each of them: its candles, and what a strategy earned in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradenas.splits import Zones
from tradenas.stats import bootstrap_interval
from tradenas.study.config import StudyConfig
from tradenas.study.strategies import Traded
from tradenas.train.panel import Panel
from tradenas.typing import IntArray

__all__ = ["about_markets", "named", "scores_by_market"]

#: Facts of a market's audit that stand beside those of the others.
KEPT = ("symbol", "rows", "first_open", "last_close", "coverage", "missing", "longest_gap_ms", "zero_volume", "sha256")


def about_markets(
    config: StudyConfig, data: Panel, seen: Sequence[Mapping[str, Any]], grid_T: IntArray, zones: Zones
) -> dict[str, Any]:
    """Facts of all candles together under the names of one market's audit, and of each market.

    Coverage is the share of the grid's rows, over all markets, at which there is a candle.
    """
    first = seen[0]
    open_zones = {"search": zones.search, "selection": zones.selection}
    return {
        "symbol": named(data.symbols),
        "interval_ms": first["interval_ms"],
        "rows": len(data),
        "first_open": int(grid_T[0]),
        "last_close": int(grid_T[-1]) + first["interval_ms"],
        "calendar": first["calendar"],
        "days_per_year": first["days_per_year"],
        "coverage": float(data.present_AT.mean()),
        "missing": sum(s["missing"] for s in seen),
        "longest_gap_ms": max(s["longest_gap_ms"] for s in seen),
        "zero_volume": sum(s["zero_volume"] for s in seen),
        "sha256": hashlib.sha256("".join(s["sha256"] for s in seen).encode()).hexdigest(),
        "findings": [{**f, "text": f"{s['symbol']}: {f['text']}"} for s in seen for f in s["findings"]],
        "markets": [
            {
                **{name: s[name] for name in KEPT},
                "ready": {name: int(market.ready_T[span.slice].sum()) for name, span in open_zones.items()},
            }
            for s, market in zip(seen, data.markets, strict=True)
        ],
        "portfolio": {"weights": config.portfolio.weights, "rebalance": config.portfolio.rebalance},
    }


def named(symbols: Sequence[str]) -> str:
    """All of a few, the first two of many.

    >>> named(["A", "B", "C"]), named(["A", "B", "C", "D"])
    ('A, B, C', 'A, B and 2 more')
    """
    return ", ".join(symbols) if len(symbols) <= 3 else f"{', '.join(symbols[:2])} and {len(symbols) - 2} more"


def scores_by_market(data: Panel, traded: Traded, *, reps: int, seed: int) -> list[dict[str, float | int | str | None]]:
    """What one strategy did in each market of a zone; their nets add up to the portfolio's.

    The Sharpe ratio is of the market's part of the P&L, with its own bootstrap interval, and does not add up.
    """
    assert traded.each is not None
    told: list[dict[str, float | int | str | None]] = []
    for symbol, result, agreement in zip(data.symbols, traded.each.markets, traded.each.agreements, strict=True):
        known = {name: value if np.isfinite(value) else None for name, value in agreement.items()}
        row: dict[str, float | int | str | None] = {"symbol": symbol, **known}
        if result is not None and len(result.days_D) > 1:
            sharpe = bootstrap_interval(result.net_DN, days_per_year=data.days_per_year, reps=reps, seed=seed)
            row |= {
                "days": len(result.days_D),
                "total_net": float(result.net_DN.sum()),
                "total_gross": float(result.gross_DN.sum()),
                "turnover_per_day": float(result.turnover_DN.mean()),
                "sharpe": float(sharpe.value_N[0]),
                "sharpe_low": float(sharpe.low_N[0]),
                "sharpe_high": float(sharpe.high_N[0]),
            }
        told.append(row)
    return told
