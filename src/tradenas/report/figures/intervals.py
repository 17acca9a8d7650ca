"""A few estimates with their intervals on one axis, a row each."""

from __future__ import annotations

from collections.abc import Sequence

from tradenas.report.markup import Markup
from tradenas.report.schema import Interval
from tradenas.report.svg import Scale, Sheet, fit, ticks
from tradenas.report.wording import decimal, interval

__all__ = ["Row", "intervals"]

#: Name, class of its colour, estimate.
Row = tuple[str, str, Interval]


def intervals(rows: Sequence[Row], *, what: str, width: int) -> Markup | None:
    """The picture; `None` without an estimate.

    Args:
        what: is estimated, for who cannot see it.
    """
    rows = [row for row in rows if row[2].value is not None]
    if not rows:
        return None
    wide = width > 600
    ends = [v for _, _, e in rows for v in (e.value, e.low, e.high) if v is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.5
    step, left = (40.0, 200.0) if wide else (54.0, 8.0)
    height = step * len(rows) + 32
    x = Scale(low - room, high + room, left, width - (160.0 if wide else 8.0))
    said = "; ".join(f"{name} {interval(found)}" for name, _, found in rows)
    sheet = Sheet(width, height, f"{what}: {said}.")
    for value in ticks(x.low, x.high, 6 if wide else 4):
        sheet.line(x(value), 2, x(value), height - 26, "zero" if value == 0 else "grid")
        sheet.text(x(value), height - 9, decimal(value, 0 if x.high - x.low > 5 else 1), "tick", "middle")
    for i, (name, cls, found) in enumerate(rows):
        y = step * i + (24 if wide else 38)
        head = y + 4 if wide else y - 18
        sheet.text(0, head, fit(name, 185), f"row-name strong label {cls}")
        sheet.text(width, head, interval(found), f"row-value strong label {cls}", "end")
        if found.low is not None and found.high is not None:
            sheet.line(x(found.low), y, x(found.high), y, f"whisker thick {cls}")
        assert found.value is not None
        sheet.add("circle", cx=x(found.value), cy=float(y), r=7.0, class_=f"dot {cls}")
    return sheet.svg()
