"""How much the champion's Sharpe ratio hangs on the period: a dot for each recombined history."""

from __future__ import annotations

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, ticks
from tradenas.report.wording import decimal

__all__ = ["path_dots"]


def path_dots(record: RunRecord, *, width: int) -> Markup | None:
    """Dots on one axis, in rows so that none hides another; zero and holding are marked."""
    found = record.paths
    if found is None or not found.sharpe:
        return None
    values = sorted(found.sharpe)
    low, high = min(*values, found.hold, 0.0), max(*values, found.hold, 0.0)
    margin = 0.06 * ((high - low) or 1.0)
    x = Scale(low - margin, high + margin, 20.0, width - 20.0)
    placed: list[tuple[float, int]] = []
    for value in values:
        at = x(value)
        level = next(n for n in range(len(values)) if all(abs(at - a) >= 11 or n != m for a, m in placed))
        placed.append((at, level))
    rows = max(level for _, level in placed) + 1
    bottom = 34.0 + 12.0 * rows
    said = f"Net Sharpe ratio of {len(values)} paths, {decimal(values[0])} to {decimal(values[-1])}"
    said += f"; holding {decimal(found.hold)}."
    sheet = Sheet(width, bottom + 44, said)
    for value in ticks(x.low, x.high, 6 if width > 600 else 4):
        sheet.line(x(value), 26, x(value), bottom, "zero" if value == 0 else "grid")
        sheet.text(x(value), bottom + 16, decimal(value, 1), "tick", "middle")
    sheet.text((x.start + x.stop) / 2, bottom + 36, "net Sharpe ratio of a path", "axis-name", "middle")
    sheet.line(x(found.hold), 20, x(found.hold), bottom, "reference")
    late = x(found.hold) > width / 2
    sheet.text(
        x(found.hold) + (-6 if late else 6), 18, f"holding {decimal(found.hold)}", "label", "end" if late else "start"
    )
    for value, (at, level) in zip(values, placed, strict=True):
        dot = el("circle", cx=float(at), cy=float(bottom - 8 - 12 * level), r=4.5, class_="dot champion")
        sheet.add("g", el("title", decimal(value)), dot)
    return sheet.svg()
