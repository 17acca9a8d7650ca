"""How well methods order the architectures of a market, as bars under the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import bars

from truth.measures import Measured

__all__ = ["draw"]


def draw(path: Path, world: str, metric: str, measured: Sequence[Measured], *, ceiling: float) -> None:
    """Writes an SVG: one bar for each method, best first, with its interval, and a line at the ceiling."""
    rows = [
        bars.Bar(
            name=m.method,
            value=m.tau,
            low=m.tau - m.spread if isfinite(m.spread) else None,
            high=m.tau + m.spread if isfinite(m.spread) else None,
            text=f"{m.tau:.2f}   {m.trainings:.0f}",
        )
        for m in sorted(measured, key=lambda m: -m.tau)
    ]
    bars.draw(
        path,
        f"Kendall tau with the trainings of all 1,248 architectures: {world}, {metric}",
        "mean over seeds with its 95 % interval; right: cost of one order in trainings",
        rows,
        line=ceiling,
        line_text=f"ceiling {ceiling:.2f}",
    )
