"""What was searched and retrained.  `None` means that the study did not, or not yet, compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tradenas.report.schema.coupling import Finalists
from tradenas.report.schema.markets import MarketZones
from tradenas.report.schema.regimes import RegimeRecord

__all__ = [
    "Candidate",
    "InputRecord",
    "OptionEffect",
    "SearchRecord",
    "SeedRun",
    "Strategies",
    "Strategy",
    "TracePoint",
    "ZoneScores",
]

Number = int | float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One architecture as the supernet saw it; rank 1 is best."""

    rank: int
    digest: str
    architecture: Mapping[str, object]
    scores: Mapping[str, float | None]
    costs: Mapping[str, float] | None = None
    instead_of: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class TracePoint:
    """The best score after `scored` architectures."""

    scored: int
    best: float | None


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """`search/candidates.json`, best first."""

    method: str
    metric: str
    candidates: tuple[Candidate, ...]
    space_size: Number | None = None
    num_scored: int | None = None
    num_params_max: int | None = None
    seconds: float | None = None
    trace: tuple[TracePoint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptionEffect:
    """What one option of one choice is worth: merit with it less the mean merit with the others, all else equal."""

    choice: str
    option: str | int | float
    value: float
    effect: float
    low: float
    high: float
    num: int


@dataclass(frozen=True, kw_only=True)
class InputRecord:
    """`search/inputs.json`: what the first candidate reads, and what every option of the space is worth."""

    metric: str
    drawn: int
    scored: int
    read: int
    indicators: int
    chosen: Mapping[str, object]
    effects: tuple[OptionEffect, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ZoneScores:
    """How one strategy did in one zone; net of costs unless it says gross."""

    sharpe: float | None = None
    sharpe_low: float | None = None
    sharpe_high: float | None = None
    gross_sharpe: float | None = None
    profit_factor: float | None = None
    accuracy: float | None = None
    ic: float | None = None
    rank_ic: float | None = None
    turnover_per_day: float | None = None
    max_drawdown: float | None = None
    total_net: float | None = None
    total_gross: float | None = None
    total_funding: float | None = None


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One training of a strategy from scratch."""

    seed: int
    selection: Mapping[str, float | None] | None = None
    vault: Mapping[str, float | None] | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A finalist, a random architecture, a baseline; a specialist of one regime, or the router between them."""

    name: str
    kind: str
    digest: str | None = None
    architecture: Mapping[str, object] | None = None
    params: int | None = None
    costs: Mapping[str, float] | None = None
    supernet_score: float | None = None
    tried: int | None = None
    reads: str | None = None
    seeds: tuple[SeedRun, ...] = ()
    selection: ZoneScores | None = None
    vault: ZoneScores | None = None
    markets: MarketZones | None = None

    def zone(self, name: str) -> ZoneScores | None:
        """Its scores in `selection` or `vault`, where it has them."""
        return self.vault if name == "vault" else self.selection

    def seed_sharpes(self, zone: str) -> tuple[float, ...]:
        """The Sharpe ratio of each seed in a zone, for the spread over seeds."""
        runs = (run.vault if zone == "vault" else run.selection for run in self.seeds)
        found = (scores.get("sharpe") for scores in runs if scores is not None)
        return tuple(value for value in found if value is not None)


@dataclass(frozen=True, kw_only=True)
class Strategies:
    """`retrain/strategies.json`."""

    strategies: tuple[Strategy, ...]
    finalists: Finalists | None = None
    regimes: RegimeRecord | None = None
