"""What a study of several markets says of each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["MarketCandles", "MarketScores", "MarketZones", "Sharing"]

NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """How capital is shared between markets."""

    weights: str
    rebalance: int


@dataclass(frozen=True, kw_only=True)
class MarketCandles:
    """Candles of one market; `ready` counts its rows with features in the zones that are open from the start."""

    symbol: str
    rows: int
    first_open: int
    last_close: int
    coverage: float | None = None
    missing: int | None = None
    longest_gap_ms: int | None = None
    zero_volume: int | None = None
    sha256: str | None = None
    ready: Mapping[str, int] = field(default_factory=lambda: NONE)


@dataclass(frozen=True, kw_only=True)
class MarketScores:
    """What one strategy did in one market of a zone: its part of the portfolio's P&L, and how well its signal did."""

    symbol: str
    days: int | None = None
    total_net: float | None = None
    total_gross: float | None = None
    turnover_per_day: float | None = None
    sharpe: float | None = None
    sharpe_low: float | None = None
    sharpe_high: float | None = None
    accuracy: float | None = None
    ic: float | None = None
    rank_ic: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarketZones:
    """The same in each zone."""

    selection: tuple[MarketScores, ...] = ()
    vault: tuple[MarketScores, ...] = ()

    def zone(self, name: str) -> tuple[MarketScores, ...]:
        """Of `selection` or `vault`; empty where it is not known."""
        return self.vault if name == "vault" else self.selection
