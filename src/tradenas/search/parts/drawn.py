"""A space that is sampled by what was learnt, not uniformly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tradenas.space import Architecture, SearchSpace

__all__ = ["Drawn", "Source"]

#: Some architectures, the next ones at each call; several sources must give the same number.
Source = Callable[[np.random.Generator], Sequence[Architecture]]


class Drawn(SearchSpace):
    """A space whose samples come from sources (controllers, alphas), one from each in turns."""

    def __init__(self, space: SearchSpace, sources: Sequence[Source]) -> None:
        super().__init__(space.choices, not_all=space.not_all)
        self.sources = sources
        self.waiting: list[Architecture] = []

    def sample(self, rng: np.random.Generator) -> Architecture:
        if not self.waiting:
            blocks = [source(rng) for source in self.sources]
            self.waiting = [a for side_by_side in zip(*blocks, strict=True) for a in side_by_side][::-1]
        return self.waiting.pop()
