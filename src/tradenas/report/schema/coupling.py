"""How far the supernet's ranking can be believed, and why not further.  `None` means that it was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tradenas.report.schema.judgement import Interval

__all__ = [
    "Causes", "Chance", "Conflict", "Coupling", "CouplingPoint", "Finalists", "Finding", "Gradients", "Repair",
    "Supernet", "TauInterval", "Updates",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TauInterval:
    """A Kendall tau with its bootstrap interval."""

    tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None
    num: int | None = None

    @property
    def interval(self) -> Interval:
        """As an estimate."""
        return Interval(value=self.tau, low=self.tau_low, high=self.tau_high)


@dataclass(frozen=True, kw_only=True)
class CouplingPoint:
    """One architecture scored by the supernet and by standalone trainings; its rank's interval over supernets."""

    digest: str
    supernet: float | None
    standalone: float | None
    seeds: tuple[float | None, ...] = ()
    rank_low: float | None = None
    rank_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Supernet(TauInterval):
    """One of several supernets by itself."""

    spearman: float | None = None
    regret: float | None = None


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The chance that the best `k` of `num` candidates hold the true best."""

    k: int
    num: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Finalists:
    """How many candidates were retrained, and with what chance the best is among them."""

    taken: int
    of: int
    words: str
    asked: float | None = None
    chance: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What a repair changed: merit that is new, the order of before and after, tau with standalone training."""

    new: Interval | None = None
    same_order: Interval | None = None
    gain: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Updates:
    """Training that the parts of one supernet had."""

    rarest: str
    fewest: float
    median: float
    steps: int
    stuck: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Cosines of the gradients of pairs of paths at one kind of shared weights."""

    kind: str
    pairs: int
    same_rows: Interval
    other_rows: Interval
    floor: Interval
    negative: float
    negative_floor: float
    excess: Interval
    agreement: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Interference, by kind of shared weights."""

    paths: int
    kinds: tuple[Conflict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One cause: `found`, `not found` or `open`, and what to do."""

    state: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Causes:
    """Why the ranking errs."""

    epochs: int
    updates: Updates
    longer: Repair
    private: Repair
    refitted: Repair
    undertraining: Finding
    interference: Finding
    coadaptation: Finding
    gradients: Gradients | None = None


@dataclass(frozen=True, kw_only=True)
class Coupling:
    """`coupling.json`: how far the supernet's ranking can be believed; `ceiling` is standalone against standalone.

    `proxies` is the same for numbers of untrained networks, which cost nothing; `spread` is the difference between
    the best and the worst architecture measured, beside which `regret` is to be read.
    """

    metric: str
    num: int
    tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None
    spearman: float | None = None
    top5_overlap: float | None = None
    regret: float | None = None
    spread: float | None = None
    top_quarter: TauInterval | None = None
    ceiling: TauInterval | None = None
    of_ceiling: TauInterval | None = None
    supernets: tuple[Supernet, ...] = ()
    chances: tuple[Chance, ...] = ()
    causes: Causes | None = None
    proxies: Mapping[str, TauInterval] = field(default_factory=lambda: MappingProxyType({}))
    points: tuple[CouplingPoint, ...] = ()

    @property
    def interval(self) -> Interval:
        """Its tau as an estimate."""
        return Interval(value=self.tau, low=self.tau_low, high=self.tau_high)
