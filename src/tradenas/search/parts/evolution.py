"""Evolution over architectures, one generation at a time (Guo et al. 2020, arXiv:1904.00420, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tradenas.search.base import Candidate
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace, crossover, mutate

__all__ = ["next_generation", "sample_distinct"]

#: Draws after which a space is taken to hold nothing new.
MAX_TRIES = 1000


def _distinct(draw: Callable[[int], Architecture], count: int, seen: Iterable[Architecture]) -> list[Architecture]:
    """Up to `count` different draws that were not seen; gives up where nothing new comes any more.

    Args:
        draw: the next architecture, told how many were found so far.
    """
    known, misses = set(seen), 0
    found: list[Architecture] = []
    while len(found) < count and misses < MAX_TRIES:
        architecture = draw(len(found))
        misses = misses + 1 if architecture in known else 0
        if not misses:
            known.add(architecture)
            found.append(architecture)
    return found


def sample_distinct(
    space: SearchSpace, count: int, *, seed: int, stream: str, seen: Iterable[Architecture] = ()
) -> list[Architecture]:
    """Up to `count` different uniform samples that are not in `seen`; fewer where the space has no more."""
    rng = rng_for(seed, stream)
    return _distinct(lambda _: space.sample(rng), count, seen)


def next_generation(
    space: SearchSpace,
    ranked: Sequence[Candidate],
    count: int,
    *,
    parents: int,
    mutation_rate: float,
    seed: int,
    generation: int,
) -> list[Architecture]:
    """`count` architectures not scored before: half by mutation, half by crossover of the best `parents` so far.

    Args:
        ranked: all that was scored, best first.
    """
    rng = rng_for(seed, "evolution", generation)
    elite = [c.architecture for c in ranked[:parents]]

    def breed(found: int) -> Architecture:
        mother = elite[int(rng.integers(len(elite)))]
        if found < count // 2 or len(elite) == 1:
            return mutate(space, mother, rng, rate=mutation_rate)
        return crossover(space, mother, elite[int(rng.integers(len(elite)))], rng)

    scored = [c.architecture for c in ranked]
    children = _distinct(breed, count, scored)
    stream = f"evolution/fill/{generation}"
    return children + sample_distinct(space, count - len(children), seed=seed, stream=stream, seen=scored + children)
