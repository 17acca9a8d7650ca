"""What a study says of costs: limits, what the space costs, fronts, latencies, resources of exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = [
    "BudgetRecord",
    "CheapestRecord",
    "CostSpread",
    "DeviceRecord",
    "ExponentRecord",
    "FrontPoint",
    "FrontRecord",
    "LatencyPoint",
    "LatencyRecord",
    "ResourceRecord",
]


@dataclass(frozen=True, kw_only=True)
class CheapestRecord:
    """An architecture with the smallest of a cost."""

    digest: str
    words: str


@dataclass(frozen=True, kw_only=True)
class CostSpread:
    """One cost over the space; `fits` is the chance that a drawn architecture meets the limit."""

    smallest: float
    median: float
    largest: float
    fits: float
    cheapest: CheapestRecord
    limit: float | None = None
    proved: bool = False


@dataclass(frozen=True, kw_only=True)
class DeviceRecord:
    """Whose limits hold where the study names none."""

    name: str
    kind: str
    words: str


@dataclass(frozen=True, kw_only=True)
class ExponentRecord:
    """A cost in the objective: (cost / target) to the power of `below` or `above`."""

    cost: str
    target: float
    below: float
    above: float


@dataclass(frozen=True, kw_only=True)
class BudgetRecord:
    """`search/budget.json`: said before anything was trained."""

    costs: Mapping[str, CostSpread]
    share: float
    low: float
    high: float
    size: int | float
    looked_at: int
    rule: str
    precision: str | int
    mode: str
    device: DeviceRecord | None = None
    not_held: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    exponents: tuple[ExponentRecord, ...] = ()
    full_size: bool = False


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A candidate; front 0 is what no other beats in one objective without losing in another."""

    digest: str
    words: str
    front: int
    chosen: bool
    quality: float
    costs: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class FrontRecord:
    """`search/front.json`: candidates by quality and costs, and which was chosen by which rule."""

    objectives: tuple[str, ...]
    metric: str
    rule: str
    points: tuple[FrontPoint, ...]
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class LatencyPoint:
    """A network that was timed, in microseconds; before it was, what the table said."""

    name: str
    predicted_us: float
    measured_us: float
    p99_us: float | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class LatencyRecord:
    """`retrain/latency.json`: finalists timed on the device, with what the table had predicted."""

    points: tuple[LatencyPoint, ...]
    backend: str
    mode: str
    cpu: str
    floor: float
    load: float | None = None
    threads: int | None = None
    limit_us: float | None = None
    slower: float | None = None


@dataclass(frozen=True, kw_only=True)
class ResourceRecord:
    """A `resources.json` of an export: what is known of a circuit, under the word for how it is known.

    Attributes:
        place: folder of it, relative to the run.
        mode: `streaming` or `window`.
        cycles: of the clock from a candle to its signal.
        known: figures by word: `estimated`, `synthesised`, `placed and routed`, `routing modelled`.
    """

    place: str
    mode: str
    cycles: int | None
    known: Mapping[str, Mapping[str, object]]
