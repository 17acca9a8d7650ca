"""What the alphas of a differentiable search went through.  `None` means that it was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tradenas.report.schema.judgement import Interval
from tradenas.space.switches import COLUMN

__all__ = ["AlphaChoice", "AlphaEpoch", "AlphaRecord", "AlphaStage", "AlphaStop", "AlphaSupernet", "Eigenvalue", "Gap"]


@dataclass(frozen=True, kw_only=True)
class AlphaChoice:
    """Weights of the options of one choice after each epoch, and those where nothing was learnt."""

    name: str
    options: tuple[str | int | float, ...]
    even: tuple[float, ...]
    entropy: tuple[float, ...]
    strengths: tuple[tuple[float, ...], ...]

    @property
    def part(self) -> str:
        """`ops` of edges and layers, `columns` of the inputs, or `others`."""
        if self.name.endswith("/op"):
            return "ops"
        return "columns" if self.name.startswith(COLUMN) else "others"


@dataclass(frozen=True, kw_only=True)
class AlphaEpoch:
    """Means over one epoch, of the ops only: entropy (1: all alike) and share of skips."""

    loss: float | None = None
    alpha_loss: float | None = None
    entropy: float | None = None
    skips: float | None = None


@dataclass(frozen=True, kw_only=True)
class Eigenvalue:
    """The largest eigenvalue of the validation loss's Hessian in the alphas."""

    epoch: int
    value: float


@dataclass(frozen=True, kw_only=True)
class AlphaStop:
    """An early end, and the epoch whose alphas were kept."""

    at: int
    keep: int
    why: str


@dataclass(frozen=True, kw_only=True)
class AlphaStage:
    """All epochs, or those of one stage where a method begins anew."""

    choices: tuple[AlphaChoice, ...]
    epochs: tuple[AlphaEpoch, ...] = ()
    eigenvalues: tuple[Eigenvalue, ...] = ()
    stopped: AlphaStop | None = None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Scores of the relaxed network, of its architecture with shared weights, and of that trained alone.

    `discretisation` and `retraining` are what each step gained in merit, by metric; less than 0 is lost.
    """

    relaxed: Mapping[str, float | None]
    path: Mapping[str, float | None]
    alone: Mapping[str, float | None] | None = None
    discretisation: Mapping[str, Interval | None] = field(default_factory=lambda: MappingProxyType({}))
    retraining: Mapping[str, Interval | None] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class AlphaSupernet:
    """One supernet: its stages, and the architecture that its alphas stand for.

    `decided` choices were made while the supernet was trained on (perturbation), not read off alphas in the end.
    """

    stages: tuple[AlphaStage, ...]
    architecture: Mapping[str, object]
    digest: str
    gap: Gap
    decided: int = 0

    @property
    def epochs(self) -> tuple[AlphaEpoch, ...]:
        """Of all stages, one after the other."""
        return tuple(epoch for stage in self.stages for epoch in stage.epochs)

    @property
    def starts(self) -> tuple[int, ...]:
        """The epoch with which each stage begins."""
        return tuple(sum(len(s.epochs) for s in self.stages[:i]) for i in range(len(self.stages)))

    @property
    def eigenvalues(self) -> tuple[tuple[int, float], ...]:
        """Epochs, counted over all stages, and eigenvalues."""
        return tuple(
            (first + e.epoch, e.value)
            for first, stage in zip(self.starts, self.stages, strict=True)
            for e in stage.eigenvalues
        )

    @property
    def stopped(self) -> AlphaStop | None:
        """Why it ended before its time."""
        return self.stages[-1].stopped


@dataclass(frozen=True, kw_only=True)
class AlphaRecord:
    """`search/diagnostics.json`."""

    method: str
    metric: str
    supernets: tuple[AlphaSupernet, ...]
