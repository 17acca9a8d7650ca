"""What a study says of the states of its market.  `None` means that the study did not, or not yet, compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tradenas.report.schema.judgement import Interval

__all__ = ["RegimeRecord", "RegimeScores", "RegimeZone", "RoutedAgainstSingle"]


@dataclass(frozen=True, kw_only=True)
class RegimeScores:
    """One strategy on the rows of one regime: traded there, flat elsewhere, net of costs."""

    sharpe: float | None = None
    ic: float | None = None
    total_net: float | None = None


@dataclass(frozen=True, kw_only=True)
class RoutedAgainstSingle:
    """Net Sharpe of the router (`first`) less that of the best single architecture (`second`), on the same days."""

    value: float
    low: float
    high: float
    first: float
    second: float
    days: int
    single: str
    call: str
    total_first: float | None = None
    total_second: float | None = None

    @property
    def difference(self) -> Interval:
        """With its paired bootstrap interval."""
        return Interval(value=self.value, low=self.low, high=self.high)


@dataclass(frozen=True, kw_only=True)
class RegimeZone:
    """Rows of one zone: their shares, and scores by strategy and regime."""

    shares: Mapping[str, float]
    scores: Mapping[str, Mapping[str, RegimeScores]] = field(default_factory=lambda: MappingProxyType({}))
    comparison: RoutedAgainstSingle | None = None


@dataclass(frozen=True, kw_only=True)
class RegimeRecord:
    """`regimes` of `retrain/strategies.json`: who speaks in which regime, and whether routing paid."""

    names: tuple[str, ...]
    metric: str
    single: str
    router: Mapping[str, str]
    zones: Mapping[str, RegimeZone]
    trials: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    words: tuple[str, ...] = ()
    outside: float | None = None
