"""A whole search to equal quality against Optuna's TPE with a pruner on the same space (`race.py`, two planted worlds).

The default search of a study runs to its end; TPE gets the same CPU time.  The ratio is the CPU that TPE took until
its best so far was first as good on fresh rows as what the search ended with, over the CPU that the search took; where
TPE never was, it is the budget, which is a lower limit and is counted in the note.  Only with `--full`.  Both
train by our trainer; `race.py --methods tpe_textbook` is TPE with trainings in plain PyTorch, four minutes a run.
"""

from __future__ import annotations

from collections.abc import Iterator

import race
from race_curves import quality, reached
from worlds import arena

from speed.figure import Figure


def figures(full: bool) -> Iterator[Figure]:
    what = "whole search, Optuna TPE's CPU to equal quality / ours"
    if not full:
        yield Figure.of(what, [float("nan")], bar=20, note="only with --full; last: docs/results/speed.md")
        return
    for world in ("distant", "volume"):
        ratios, never = [], 0
        for seed in range(2):
            ground = arena(world, seed)
            ours, theirs = race.Course(ground, seed), race.Course(ground, seed)
            race.METHODS["tradenas"](ours, 0.0)
            spent = ours.seconds
            race.METHODS["tpe"](theirs, spent)
            run = {"points": theirs.points, "cpu": theirs.seconds}
            took, ever = reached(run, quality(ours.points[-1]), quality)
            ratios.append(took / spent)
            never += not ever
        note = f"2 seeds; {never} in which TPE was not as good in the same time"
        yield Figure.of(f"{what}, {world}", ratios, bar=20, note=note)
