"""Regularised evolution (Real et al., AAAI 2019, arXiv:1802.01548, algorithm 1): the oldest dies, not the worst.

    population   the last P that were scored                                      P = 100 there
    sample       S of it, drawn with replacement                                  S = 25 there
    parent       the best of the sample
    child        the parent with one choice drawn anew, scored, joins; the oldest leaves

Departures: an architecture is not scored twice: a child that is known already is bred anew, from a new sample, whereas
there it is trained again and lives again.  `children` of them may be bred from one population before any is scored.
There is no mutation that changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradenas.errors import ConfigError
from tradenas.search.parts.evolution import bred, sample_distinct
from tradenas.search.parts.find import FINDERS, Allowed, Finder, History, anything
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace, mutate

__all__ = ["Aging"]


@FINDERS.register("aging")
@dataclass(frozen=True, kw_only=True)
class Aging(Finder):
    """Regularised evolution: a child of the best of a small sample replaces the oldest.

    Attributes:
        population: architectures that are alive: the last ones scored; as many are drawn at the start.
        tournament: architectures sampled, of which the best becomes a parent.
        children: bred before any of them is scored; 1 is the paper's, more are quicker to score.
    """

    kind: Literal["aging"] = "aging"
    tournament: int = 10
    children: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tournament", "children"):
            if not 1 <= getattr(self, name) <= self.population:
                expected = f"1 to search.find.population = {self.population}"
                raise ConfigError(f"search.find.{name}", got=getattr(self, name), expected=expected)

    def sizes(self, num: int) -> list[int]:
        first = min(self.population, num)
        return [first] + [min(self.children, num - done) for done in range(first, num, self.children)]

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
        rng = rng_for(seed, "aging", generation)
        alive = range(max(0, len(history) - self.population), len(history))

        def breed(found: int) -> Architecture:  # noqa: ARG001
            sample = alive.start + rng.integers(len(alive), size=self.tournament)
            winner = min(sample.tolist(), key=history.key)
            return mutate(space, history.architectures[winner], rng, rate=0.0)

        seen = history.architectures
        return bred(space, breed, count, seen=seen, seed=seed, generation=generation, allowed=allowed)
