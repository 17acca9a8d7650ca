"""Random search over standalone networks: the control that any other search has to beat (Li & Talwalkar 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.search.base import METHODS, Task
from tradenas.search.parts.affordable import affordable
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.standalone import Standalone
from tradenas.space import Architecture

__all__ = ["RandomSearch"]


@METHODS.register("random_search")
@dataclass(frozen=True, kw_only=True)
class RandomSearch(Standalone):
    """Draws architectures uniformly and trains each from scratch."""

    citation: ClassVar[str] = (
        "@inproceedings{li2019random, title={Random Search and Reproducibility for Neural Architecture Search},\n"
        "  author={Li, Liam and Talwalkar, Ameet}, booktitle={UAI}, year={2019}}"
    )

    kind: Literal["random_search"] = "random_search"

    def wanted(self, task: Task) -> list[Architecture]:
        return sample_distinct(
            affordable(task.space, task.prices), self.num_trained, seed=task.seed, stream="random_search"
        )
