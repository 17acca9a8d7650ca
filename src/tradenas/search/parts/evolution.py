"""Evolution over architectures, one generation at a time (Guo et al. 2020, arXiv:1904.00420, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tradenas.errors import ConfigError
from tradenas.search.parts.find import FINDERS, Allowed, Finder, History, anything
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace, crossover, mutate

__all__ = ["Evolution", "bred", "distinct", "next_generation", "sample_distinct"]


def distinct(
    space: SearchSpace,
    draw: Callable[[int], Architecture],
    count: int,
    seen: Iterable[Architecture],
    allowed: Allowed = anything,
) -> list[Architecture]:
    """Up to `count` different draws that are allowed and were not seen; gives up where nothing new comes any more.

    Args:
        space: says how many draws in a row may bring nothing new.
        draw: the next architecture, told how many were found so far.
    """
    known, misses = set(seen), 0
    found: list[Architecture] = []
    while len(found) < count and misses < space.patience:
        architecture = draw(len(found))
        misses = misses + 1 if architecture in known or not allowed(architecture) else 0
        if not misses:
            known.add(architecture)
            found.append(architecture)
    return found


def sample_distinct(
    space: SearchSpace,
    count: int,
    *,
    seed: int,
    stream: str,
    seen: Iterable[Architecture] = (),
    allowed: Allowed = anything,
) -> list[Architecture]:
    """Up to `count` different uniform samples that are not in `seen`; fewer where the space has no more."""
    rng = rng_for(seed, stream)
    return distinct(space, lambda _: space.sample(rng), count, seen, allowed)


def bred(
    space: SearchSpace,
    breed: Callable[[int], Architecture],
    count: int,
    *,
    seen: Sequence[Architecture],
    seed: int,
    generation: int,
    allowed: Allowed,
) -> list[Architecture]:
    """`count` new children of `breed`; uniform samples where it brings nothing new any more, fewer where nothing is."""
    children = distinct(space, breed, count, seen, allowed)
    missing, stream = count - len(children), f"evolution/fill/{generation}"
    return children + sample_distinct(
        space, missing, seed=seed, stream=stream, seen=[*seen, *children], allowed=allowed
    )


def next_generation(
    space: SearchSpace,
    ranked: Sequence[Architecture],
    count: int,
    *,
    parents: int,
    mutation_rate: float,
    seed: int,
    generation: int,
    allowed: Allowed = anything,
) -> list[Architecture]:
    """`count` architectures not scored before: half by mutation, half by crossover of the best `parents` so far.

    Args:
        ranked: all that was scored, best first.
    """
    rng = rng_for(seed, "evolution", generation)
    elite = ranked[:parents]

    def breed(found: int) -> Architecture:
        mother = elite[int(rng.integers(len(elite)))]
        if found < count // 2 or len(elite) == 1:
            return mutate(space, mother, rng, rate=mutation_rate)
        return crossover(space, mother, elite[int(rng.integers(len(elite)))], rng)

    return bred(space, breed, count, seen=ranked, seed=seed, generation=generation, allowed=allowed)


@FINDERS.register("evolution")
@dataclass(frozen=True, kw_only=True)
class Evolution(Finder):
    """Half mutation, half crossover of the best so far.

    Attributes:
        population: architectures in a generation.
        parents: best ones so far that breed.
        mutation_rate: chance of each choice to be drawn anew in a mutation.
    """

    kind: Literal["evolution"] = "evolution"
    population: int = 10
    parents: int = 10
    mutation_rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parents < 1:
            raise ConfigError("search.find.parents", got=self.parents, expected="1 or more")
        if not 0.0 < self.mutation_rate <= 1.0:
            raise ConfigError("search.find.mutation_rate", got=self.mutation_rate, expected="above 0, at most 1")

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
        return next_generation(
            space,
            history.best_first(),
            count,
            parents=self.parents,
            mutation_rate=self.mutation_rate,
            seed=seed,
            generation=generation,
            allowed=allowed,
        )
