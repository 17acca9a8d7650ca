"""NSGA-II (Deb et al., IEEE Trans. Evol. Comput. 6(2), 2002): what is best by several objectives at once.

    rank         non-dominated sorting into fronts, limits first                   sec. III-A and VI, `front.pareto`
    crowding     mean side of the cuboid around a point of its front               sec. III-B
    survivors    by front, then the less crowded first, `population` of them
    parents      binary tournament in that order
    children     uniform crossover with probability 0.9, then every choice drawn anew with a small probability

Departures: survivors are taken out of all that was scored, not out of the last survivors and their children, so that
the rule needs no memory but the history and loses nothing good; ties go by digest, not by chance; crossover and
mutation are those of a space of choices; a child that is known already is not scored again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tradenas.cost import COSTS
from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean
from tradenas.search.parts.evolution import bred, sample_distinct
from tradenas.search.parts.find import FINDERS, Allowed, Finder, History, anything
from tradenas.search.parts.front import pareto
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace, crossover, mutate
from tradenas.train.evaluate import METRICS, merit
from tradenas.typing import FloatArray

__all__ = ["LESS", "NSGA2", "check_objectives", "objective_columns"]

#: Objectives of which less is better, beside the metrics, which know themselves; `params` is short for `parameters`.
LESS = ("params", *COSTS)


def check_objectives(objectives: tuple[str, ...], *, place: str) -> None:
    """Refuses fewer than two objectives, one twice, or a name that is none.

    Raises:
        ConfigError: any of these.
    """
    if len(set(objectives)) < max(2, len(objectives)):
        raise ConfigError(place, got=str(list(objectives)), expected="two or more, each once")
    for name in objectives:
        if name not in ("merit", *LESS):
            try:
                merit({}, name)
            except ConfigError as error:
                hint = error.fix if "/" in name else did_you_mean(name, ["merit", *LESS, *METRICS])
                raise ConfigError(place, got=repr(name), expected="a known objective", fix=hint) from None


def objective_columns(objectives: tuple[str, ...], history: History) -> FloatArray:
    """A row for each architecture and a column for each objective; less is better.

    Raises:
        ConfigError: no architecture has a number for one of the objectives.
    """
    columns = []
    for name in objectives:
        if name == "merit":
            columns.append([-m for m in history.merits])
            continue
        if name not in history.values:
            known = f"a score there is: {', '.join(history.values)}"
            raise ConfigError("search.find.objectives", got=repr(name), expected=known)
        values = history.values[name]
        columns.append(list(values) if name in LESS else [-merit({name: v}, name) for v in values])
    return np.array(columns, dtype=float).T


@FINDERS.register("nsga2")
@dataclass(frozen=True, kw_only=True)
class NSGA2(Finder):
    """Several objectives at once: candidates come front by front, within a front by what the search ranks by.

    Attributes:
        population: survivors that breed, and architectures in a generation.
        objectives: what is wanted, two or more: `merit`, which is what the search ranks by; metrics, each in its own
            better direction (also of one regime, `ic/calm`); costs, of which less is better: `params`, `macs`,
            `weight_bytes`, `peak_bytes`, `state_bytes`, and `latency_us` where `[budget]` names a table.
        crossover_rate: chance of a child to have two parents.
        mutation_rate: chance of each choice to be drawn anew; at least one is.
    """

    kind: Literal["nsga2"] = "nsga2"
    objectives: tuple[str, ...] = ("merit", "params")
    crossover_rate: float = 0.9
    mutation_rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_objectives(self.objectives, place="search.find.objectives")
        if not 0.0 <= self.crossover_rate <= 1.0:
            raise ConfigError("search.find.crossover_rate", got=self.crossover_rate, expected="a share from 0 to 1")
        if not 0.0 < self.mutation_rate <= 1.0:
            raise ConfigError("search.find.mutation_rate", got=self.mutation_rate, expected="above 0, at most 1")

    def weighs(self) -> tuple[str, ...]:
        asked = ["parameters" if name == "params" else name for name in self.objectives]
        return tuple(name for name in COSTS if name in asked)

    def fronts(self, history: History) -> tuple[int, ...]:
        return self.sorted(history)[0] if len(history) else ()

    def sorted(self, history: History) -> tuple[tuple[int, ...], FloatArray]:
        """Front and crowding of each architecture."""
        return pareto(objective_columns(self.objectives, history), history.violations)

    def survivors(self, history: History) -> list[Architecture]:
        """The `population` that breed: by front, then the less crowded first."""
        fronts, apart_N = self.sorted(history)
        some = history.architectures
        order = sorted(range(len(some)), key=lambda i: (fronts[i], -apart_N[i], some[i].digest))
        return [some[i] for i in order[: self.population]]

    def propose(
        self,
        space: SearchSpace,
        history: History,
        count: int,
        *,
        generation: int,
        seed: int,
        allowed: Allowed = anything,
    ) -> list[Architecture]:
        if not len(history):
            return sample_distinct(space, count, seed=seed, stream=f"population/{generation}", allowed=allowed)
        rng = rng_for(seed, "nsga2", generation)
        survivors = self.survivors(history)

        def parent() -> Architecture:
            return survivors[int(rng.integers(len(survivors), size=2).min())]  # the order is who wins

        def breed(found: int) -> Architecture:  # noqa: ARG001
            child = parent()
            if rng.random() < self.crossover_rate:
                child = crossover(space, child, parent(), rng)
            return mutate(space, child, rng, rate=self.mutation_rate)

        seen = history.architectures
        return bred(space, breed, count, seen=seen, seed=seed, generation=generation, allowed=allowed)
