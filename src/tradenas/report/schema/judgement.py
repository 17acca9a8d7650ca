"""What was concluded, and from how many tries.  `None` means that the study did not, or not yet, compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "Champion",
    "ConfidenceSet",
    "Costs",
    "Interval",
    "LedgerCounts",
    "Paths",
    "Spa",
    "StepM",
    "SweepPoint",
    "Trials",
    "Verdict",
]

EMPTY: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its bootstrap interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Champion:
    """Which strategy was put before the vault."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Everything ever scored."""

    total: int | None = None
    by_stage: Mapping[str, int] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, kw_only=True)
class Spa:
    """Hansen's test of superior predictive ability; `against` is p for each benchmark."""

    p_lower: float | None = None
    p_consistent: float | None = None
    p_upper: float | None = None
    benchmark: str | None = None
    against: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class StepM:
    """Who beats the best baseline by Romano and Wolf's stepwise test; `against` is the same for each benchmark."""

    superior: tuple[str, ...] = ()
    against: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class ConfidenceSet:
    """The model confidence set: who cannot be told from the best, out of how many."""

    held: tuple[str, ...] = ()
    of: int | None = None
    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """The champion at another price of a unit of turnover."""

    bps: float
    sharpe: float | None = None
    total_net: float | None = None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of a unit of turnover, in hundredths of a percent."""

    taker_bps: float | None = None
    slippage_bps: float | None = None

    @property
    def bps(self) -> float | None:
        """Both together, where either is known."""
        known = [value for value in (self.taker_bps, self.slippage_bps) if value is not None]
        return sum(known) if known else None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`verdict.json`."""

    verdict: str
    why: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    champion: Champion | None = None
    best_baseline: str | None = None
    trials: Trials = field(default_factory=Trials)
    effective_trials: float | None = None
    zone: str | None = None
    spa: Spa | None = None
    stepm: StepM | None = None
    confidence_set: ConfidenceSet | None = None
    alpha: float | None = None
    psr: float | None = None
    dsr: float | None = None
    pbo: float | None = None
    min_track_record_days: float | None = None
    days: int | None = None
    net_sharpe: Interval | None = None
    gross_sharpe: float | Interval | None = None
    baseline_sharpe: Interval | None = None
    selection_sharpe: float | None = None
    cost_sweep: tuple[SweepPoint, ...] = ()
    break_even_bps: float | None = None
    costs: Costs | None = None
    band: float | None = None
    watermark: str | None = None


@dataclass(frozen=True, kw_only=True)
class Paths:
    """`retrain/paths.json`: combinatorial purged cross-validation of one finalist."""

    strategy: str
    groups: int
    tested: int
    trainings: int
    epochs: int
    sharpe: tuple[float, ...]
    share_below_zero: float
    hold: float


@dataclass(frozen=True, kw_only=True)
class LedgerCounts:
    """`ledger.db`: rows a stage, and looks into the vault."""

    by_stage: Mapping[str, int]
    looks: int

    @property
    def total(self) -> int:
        """All rows, failed trials included."""
        return sum(self.by_stage.values())
