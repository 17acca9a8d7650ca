"""What methods without shared weights have in common: a list of architectures, each trained from scratch."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tradenas.errors import ConfigError, DivergedError
from tradenas.search.base import Candidate, Method, State, Task
from tradenas.search.parts.affordable import best_first, refuse_unless_met
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.space import Architecture
from tradenas.train.evaluate import merit
from tradenas.train.fit import fit
from tradenas.train.loop import Training

__all__ = ["Standalone", "StandaloneState"]


class StandaloneState(State):
    """What is to be trained, once that is known, and what was scored so far."""

    def __init__(self) -> None:
        self.wanted: list[Architecture] | None = None
        self.scored: list[Candidate] = []

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def meta(self) -> dict[str, Any]:
        return {
            "wanted": None if self.wanted is None else [dict(a) for a in self.wanted],
            "scored": candidates_to(self.scored),
        }

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:  # noqa: ARG002
        wanted = meta["wanted"]
        self.wanted = None if wanted is None else [Architecture.from_plain(a) for a in wanted]
        self.scored = candidates_from(meta["scored"])


@dataclass(frozen=True, kw_only=True)
class Standalone(Method[StandaloneState], abc.ABC):
    """Trains and scores one architecture an epoch.

    Attributes:
        training: of each network.
        num_trained: architectures to train.
    """

    training: Training = field(default_factory=Training)
    num_trained: int = 20

    def __post_init__(self) -> None:
        if self.num_trained < 1:
            raise ConfigError("search.num_trained", got=self.num_trained, expected="1 or more")

    @abc.abstractmethod
    def wanted(self, task: Task) -> list[Architecture]:
        """Up to `num_trained` architectures, in the order in which they are trained; fewer where there are no more."""

    def num_epochs(self) -> int:
        return self.num_trained

    def init(self, task: Task) -> StandaloneState:
        if task.prices is not None:
            refuse_unless_met(task.space, task.prices)
        return StandaloneState()

    def epoch(self, task: Task, state: StandaloneState, epoch: int) -> dict[str, float]:
        """Trains and scores the next architecture; one that diverges is counted and has no score."""
        if state.wanted is None:
            state.wanted = self.wanted(task)
        if len(state.wanted) <= epoch:
            return {"scored": float(len(state.scored))}  # the space holds no more
        return self.tried(task, state, state.wanted[epoch])

    def tried(self, task: Task, state: StandaloneState, architecture: Architecture) -> dict[str, float]:
        """Trains and scores one architecture, the next trial."""
        try:
            fitted = fit(
                task.network(),
                architecture,
                task.data,
                task.train,
                training=self.training,
                seed=task.seed,
                device=task.device,
            )
            state.scored.append(task.scorer.fitted(fitted, architecture))
        except DivergedError as error:
            state.scored.append(task.scorer.failed(architecture, error))
        best = task.scorer.best_first(state.scored)[0]
        return {"scored": float(len(state.scored)), "best": merit(best.scores, task.scorer.metric)}

    def finish(self, task: Task, state: StandaloneState) -> list[Candidate]:
        return best_first(task, state.scored)
