"""Single Path One-Shot NAS with uniform sampling (Guo et al., ECCV 2020, arXiv:1904.00420).

    train    W <- W - lr * grad L(A(a), W),  a ~ U(A), one path a step             sec. 3.1-3.2, eq. 5-6
    rank     score A(a) with the inherited weights on validation rows              sec. 3.4
    search   evolution: half mutation (p = 0.1), half crossover of the top 10      algorithm 1

Departures: AdamW for SGD; batch norms, where the space has them, get moments pooled over training rows per subnet,
not running averages over a shuffled sample; every candidate is scored on the same rows; training rows and validation
rows are consecutive in time with a purge between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.nn import Mixture, hard
from tradenas.search.base import METHODS, Candidate, Method, Task
from tradenas.search.parts.evolution import next_generation, sample_distinct
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import rng_for
from tradenas.train.evaluate import merit
from tradenas.train.loop import Optimisation, optimizer_for, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments

__all__ = ["SPOS"]


@METHODS.register("spos")
@dataclass(frozen=True, kw_only=True)
class SPOS(Method[SupernetState]):
    """Trains all architectures at once by sharing weights, then ranks by those weights.

    Biased: a shared weight is not the weight the architecture would have alone.  How far the ranking can be trusted
    is measured by retraining (the report's Kendall tau), never assumed.

    Attributes:
        training: of the shared weights.
        ranking: how candidates are found once the weights are trained.
        num_ranked: architectures to score.
        population: architectures in a generation of the evolution.
        parents: best ones so far that breed.
        mutation_rate: chance of each choice to be drawn anew in a mutation.
    """

    citation: ClassVar[str] = (
        "@inproceedings{guo2020single, title={Single Path One-Shot Neural Architecture Search with Uniform Sampling},\n"
        "  author={Guo, Zichao and Zhang, Xiangyu and Mu, Haoyuan and Heng, Wen and Liu, Zechun and Wei, Yichen and "
        "Sun, Jian},\n  booktitle={ECCV}, year={2020}}"
    )

    kind: Literal["spos"] = "spos"
    training: Optimisation = field(default_factory=lambda: Optimisation(epochs=40, batch=512, lr=1e-3))
    ranking: Literal["evolution", "random"] = "evolution"
    num_ranked: int = 200
    population: int = 50
    parents: int = 10
    mutation_rate: float = 0.1

    def __post_init__(self) -> None:
        for name in ("num_ranked", "population", "parents"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name}", got=getattr(self, name), expected="1 or more")
        if not 0.0 < self.mutation_rate <= 1.0:
            raise ConfigError("search.mutation_rate", got=self.mutation_rate, expected="above 0, at most 1")

    @property
    def num_generations(self) -> int:
        return math.ceil(self.num_ranked / self.population)

    def num_epochs(self) -> int:
        return self.training.epochs + self.num_generations

    def init(self, task: Task) -> SupernetState:
        network = task.network()
        return SupernetState(network, optimizer_for(network, self.training))

    def epoch(self, task: Task, state: SupernetState, epoch: int) -> dict[str, float]:
        if epoch < self.training.epochs:
            return self.train(task, state, epoch)
        return self.generation(task, state, epoch - self.training.epochs)

    def train(self, task: Task, state: SupernetState, epoch: int) -> dict[str, float]:
        """One pass over the training rows, each step on a path drawn uniformly."""
        objective = Objective.fitted(task.data, task.train)
        segments = Segments(
            task.data,
            task.train,
            reach=state.network.reach(),
            length=self.training.segment,
            objective=objective,
            device=task.device,
        )

        def path(step: int) -> tuple[Mixture, int]:
            architecture = task.space.sample(rng_for(task.seed, "paths", epoch, step))
            return hard(task.space, architecture), state.network.reach(architecture)

        return train_epoch(
            state.network,
            state.optimizer,
            segments,
            objective,
            self.training,
            epoch=epoch,
            seed=task.seed,
            stream="supernet",
            path=path,
        )

    def generation(self, task: Task, state: SupernetState, generation: int) -> dict[str, float]:
        """Scores the next architectures with the shared weights."""
        count = min(self.population, self.num_ranked - generation * self.population)
        if generation == 0 or self.ranking == "random":
            seen = [c.architecture for c in state.scored]
            stream = f"population/{generation}"
            wanted = sample_distinct(task.space, count, seed=task.seed, stream=stream, seen=seen)
        else:
            wanted = next_generation(
                task.space,
                task.scorer.best_first(state.scored),
                count,
                parents=self.parents,
                mutation_rate=self.mutation_rate,
                seed=task.seed,
                generation=generation,
            )
        state.scored += task.scorer.paths(state.network, wanted)
        best = task.scorer.best_first(state.scored)[0]
        return {"scored": float(len(state.scored)), "best": merit(best.scores, task.scorer.metric)}

    def finish(self, task: Task, state: SupernetState) -> list[Candidate]:
        return task.scorer.best_first(state.scored)
