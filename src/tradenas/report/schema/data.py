"""What the study ran on: environment, candles, zones.  `None` means that the study did not, or not yet, compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tradenas.report.schema.markets import MarketCandles, Sharing

__all__ = ["DataAudit", "Environment", "ExtraFile", "Funding", "Target", "Zone", "Zones"]

Number = int | float
EMPTY: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """`env.json`: with what the study ran."""

    tradenas: str
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    platform: str | None = None
    cpu: str | None = None
    threads: int | None = None
    command: str | tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Decision rows [start, stop), and the same in time (ms UTC)."""

    start: int
    stop: int
    from_ms: int
    to_ms: int


@dataclass(frozen=True, kw_only=True)
class Zones:
    """The three zones of time; `purge` and `embargo` are rows between them."""

    search: Zone | None = None
    selection: Zone | None = None
    vault: Zone | None = None
    purge: int | None = None
    embargo: int | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was forecast."""

    kind: str
    horizon: int = 1
    delay: int = 1


@dataclass(frozen=True, kw_only=True)
class Funding:
    """Whether holders of the perpetual paid at its settlements.

    `sum` is what a long over all candles would have paid, on average over the markets of a study.
    """

    charged: bool
    sum: float | None = None


@dataclass(frozen=True, kw_only=True)
class ExtraFile:
    """A file beside the candles: funding, a series or order books; `fresh` is the share of candles with a value.

    `symbol` is said where a study has several markets.
    """

    kind: str
    path: str
    symbol: str | None = None
    columns: tuple[str, ...] = ()
    rows: int | None = None
    usual_step_ms: int | None = None
    max_age_ms: int | None = None
    fresh: float | None = None


@dataclass(frozen=True, kw_only=True)
class DataAudit:
    """`data.json`: which candles, how whole they are, and what was made of them."""

    symbol: str
    interval_ms: int
    rows: int
    first_open: int
    last_close: int
    source: str | None = None
    calendar: str | None = None
    days_per_year: Number | None = None
    coverage: float | None = None
    missing: int | None = None
    longest_gap_ms: int | None = None
    zero_volume: Number | None = None
    gap_variance_share: float | None = None
    repairs: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    sha256: str | None = None
    features: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    target: Target | None = None
    zones: Zones = field(default_factory=Zones)
    notes: str | None = None
    funding: Funding | None = None
    extra: tuple[ExtraFile, ...] = ()
    markets: tuple[MarketCandles, ...] = ()
    portfolio: Sharing | None = None
