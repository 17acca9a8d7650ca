"""Candidates in turns in one process: what disturbs a round disturbs all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Took", "turns"]


@dataclass(frozen=True)
class Took:
    """CPU milliseconds of one run of each candidate in each round."""

    ms: dict[str, list[float]]

    def best(self, name: str) -> float:
        return min(self.ms[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """One candidate over another, round by round, in rising order."""
        return sorted(a / b for a, b in zip(self.ms[name], self.ms[other], strict=True))

    def over(self, name: str, other: str) -> str:
        """Median and range of these."""
        each = self.ratios(name, other)
        return f"{statistics.median(each):.2f} ({each[0]:.2f}-{each[-1]:.2f})"


def turns(
    candidates: dict[str, Callable[[], object]],
    rounds: int,
    *,
    repeats: dict[str, int] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> Took:
    """Runs every candidate once to warm up, then all in turns, round by round.

    Args:
        repeats: how often a short candidate runs in its turn; what is told is one run.
    """
    for run in candidates.values():
        run()
    took: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            times = (repeats or {}).get(name, 1)
            began = clock()
            for _ in range(times):
                run()
            took[name].append(1e3 * (clock() - began) / times)
    return Took(took)
