"""What a run folder says, as types.  `None` means that the study did not, or not yet, compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "LedgerCounts",
    "Candidate",
    "Champion",
    "Costs",
    "Coupling",
    "CouplingPoint",
    "DataAudit",
    "Environment",
    "Interval",
    "SearchRecord",
    "SeedRun",
    "Spa",
    "StepM",
    "Strategies",
    "Strategy",
    "SweepPoint",
    "Target",
    "TauInterval",
    "TracePoint",
    "Trials",
    "Verdict",
    "Zone",
    "ZoneScores",
    "Zones",
]

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


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One architecture as the supernet saw it; rank 1 is best."""

    rank: int
    digest: str
    architecture: Mapping[str, object]
    scores: Mapping[str, float | None]


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
class ZoneScores:
    """How one strategy did in one zone; net of costs unless it says gross."""

    sharpe: float | None = None
    sharpe_low: float | None = None
    sharpe_high: float | None = None
    gross_sharpe: float | None = None
    profit_factor: float | None = None
    accuracy: float | None = None
    ic: float | None = None
    turnover_per_day: float | None = None
    max_drawdown: float | None = None
    total_net: float | None = None
    total_gross: float | None = None


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One training of a strategy from scratch."""

    seed: int
    selection: Mapping[str, float | None] | None = None
    vault: Mapping[str, float | None] | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A finalist, a random architecture, or a baseline."""

    name: str
    kind: str
    digest: str | None = None
    architecture: Mapping[str, object] | None = None
    params: int | None = None
    supernet_score: float | None = None
    tried: int | None = None
    seeds: tuple[SeedRun, ...] = ()
    selection: ZoneScores | None = None
    vault: ZoneScores | None = None

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


@dataclass(frozen=True, kw_only=True)
class TauInterval:
    """A Kendall tau with its bootstrap interval."""

    tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class CouplingPoint:
    """One architecture scored by the supernet and by standalone trainings."""

    digest: str
    supernet: float | None
    standalone: float | None
    seeds: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """`coupling.json`: how far the supernet's ranking can be believed; `ceiling` is standalone against standalone."""

    metric: str
    num: int
    tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None
    spearman: float | None = None
    top5_overlap: float | None = None
    ceiling: TauInterval | None = None
    points: tuple[CouplingPoint, ...] = ()


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
class LedgerCounts:
    """`ledger.db`: rows a stage, and looks into the vault."""

    by_stage: Mapping[str, int]
    looks: int

    @property
    def total(self) -> int:
        """All rows, failed trials included."""
        return sum(self.by_stage.values())
