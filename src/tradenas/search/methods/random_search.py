"""Random search over standalone networks: the control that any other search has to beat (Li & Talwalkar 2019)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from tradenas.errors import ConfigError, DivergedError
from tradenas.search.base import METHODS, Candidate, Method, State, Task
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.train.evaluate import merit
from tradenas.train.fit import fit
from tradenas.train.loop import Training

__all__ = ["RandomSearch"]


class RandomState(State):
    """What was scored so far."""

    def __init__(self) -> None:
        self.scored: list[Candidate] = []

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def meta(self) -> dict[str, Any]:
        return {"scored": candidates_to(self.scored)}

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:  # noqa: ARG002
        self.scored = candidates_from(meta["scored"])


@METHODS.register("random_search")
@dataclass(frozen=True, kw_only=True)
class RandomSearch(Method[RandomState]):
    """Draws architectures uniformly and trains each from scratch.

    Attributes:
        training: of each network.
        num_trained: architectures to train.
    """

    citation: ClassVar[str] = (
        "@inproceedings{li2019random, title={Random Search and Reproducibility for Neural Architecture Search},\n"
        "  author={Li, Liam and Talwalkar, Ameet}, booktitle={UAI}, year={2019}}"
    )

    kind: Literal["random_search"] = "random_search"
    training: Training = field(default_factory=Training)
    num_trained: int = 20

    def __post_init__(self) -> None:
        if self.num_trained < 1:
            raise ConfigError("search.num_trained", got=self.num_trained, expected="1 or more")

    def num_epochs(self) -> int:
        return self.num_trained

    def init(self, task: Task) -> RandomState:  # noqa: ARG002
        return RandomState()

    def epoch(self, task: Task, state: RandomState, epoch: int) -> dict[str, float]:
        """Trains and scores the next architecture; one that diverges is counted and has no score."""
        drawn = sample_distinct(task.space, epoch + 1, seed=task.seed, stream="random_search")
        if len(drawn) <= epoch:
            return {"scored": float(len(state.scored))}  # the space holds no more
        architecture = drawn[epoch]
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

    def finish(self, task: Task, state: RandomState) -> list[Candidate]:
        return task.scorer.best_first(state.scored)
