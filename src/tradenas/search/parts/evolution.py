"""Evolution over architectures, one generation at a time (Guo et al. 2020, arXiv:1904.00420, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence

from tradenas.search.base import Candidate
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace, crossover, mutate

__all__ = ["next_generation", "sample_distinct"]

#: Draws after which a space is taken to hold nothing new.
MAX_TRIES = 1000


def sample_distinct(
    space: SearchSpace, count: int, *, seed: int, stream: str, seen: Sequence[Architecture] = ()
) -> list[Architecture]:
    """Up to `count` different uniform samples that are not in `seen`; fewer where the space has no more."""
    rng, known, misses = rng_for(seed, stream), set(seen), 0
    found: list[Architecture] = []
    while len(found) < count and misses < MAX_TRIES:
        architecture = space.sample(rng)
        if architecture in known:
            misses += 1
            continue
        known.add(architecture)
        found.append(architecture)
        misses = 0
    return found


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
    known, misses = {c.architecture for c in ranked}, 0
    children: list[Architecture] = []
    while len(children) < count and misses < MAX_TRIES:
        mother = elite[int(rng.integers(len(elite)))]
        if len(children) < count // 2 or len(elite) == 1:
            child = mutate(space, mother, rng, rate=mutation_rate)
        else:
            child = crossover(space, mother, elite[int(rng.integers(len(elite)))], rng)
        if child in known:
            misses += 1
            continue
        known.add(child)
        children.append(child)
        misses = 0
    stream = f"evolution/fill/{generation}"
    return children + sample_distinct(space, count - len(children), seed=seed, stream=stream, seen=[*known])
