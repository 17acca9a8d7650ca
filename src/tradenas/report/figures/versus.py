"""The one comparison that the verdict rests on: champion against best baseline, with intervals."""

from __future__ import annotations

from tradenas.report.figures.intervals import Row, intervals
from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord

__all__ = ["versus"]


def versus(record: RunRecord, *, width: int) -> Markup | None:
    """Two intervals on one axis; `None` before there is a verdict with them."""
    verdict = record.verdict
    if verdict is None:
        return None
    champion = verdict.champion.name if verdict.champion is not None else "champion"
    rows: list[Row] = [
        (name, cls, found)
        for name, cls, found in (
            (champion, "champion", verdict.net_sharpe),
            (verdict.best_baseline or "best baseline", "baseline", verdict.baseline_sharpe),
        )
        if found is not None
    ]
    return intervals(rows, what=f"Net Sharpe ratio in the {verdict.zone or record.zone}", width=width)
