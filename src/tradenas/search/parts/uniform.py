"""Finders that learn nothing from what was scored: uniform draws, and everything there is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from tradenas.errors import ConfigError
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.find import FINDERS, Allowed, Finder, History, anything
from tradenas.space import Architecture, SearchSpace

__all__ = ["Exhaustive", "Uniform"]


@FINDERS.register("random")
@dataclass(frozen=True, kw_only=True)
class Uniform(Finder):
    """Draws architectures uniformly, none twice."""

    kind: Literal["random"] = "random"

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
        stream = f"population/{generation}"
        return sample_distinct(space, count, seed=seed, stream=stream, seen=history.architectures, allowed=allowed)


@FINDERS.register("exhaustive")
@dataclass(frozen=True, kw_only=True)
class Exhaustive(Finder):
    """Goes through the whole space in the order of its options."""

    kind: Literal["exhaustive"] = "exhaustive"

    def check(self, space: SearchSpace, num: int) -> None:
        super().check(space, num)
        if space.size() > num:
            raise ConfigError(
                "search.find.kind",
                got=f"exhaustive, with {space.size():,} architectures",
                expected=f"at most search.num_ranked = {num:,} of them",
                fix="make the space smaller, or num_ranked larger",
            )

    def propose(
        self,
        space: SearchSpace,
        history: History,
        count: int,
        *,
        generation: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        allowed: Allowed = anything,
    ) -> list[Architecture]:
        seen = set(history.architectures)
        return list(islice((a for a in space if a not in seen and allowed(a)), count))
