"""How the best score rose while the search looked on."""

from __future__ import annotations

from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, ticks
from tradenas.report.wording import count, decimal

__all__ = ["trace"]


def trace(record: RunRecord, *, width: int) -> Markup | None:
    """Best so far against architectures scored, as steps; `None` without a trace."""
    search = record.search
    points = [(p.scored, p.best) for p in (search.trace if search is not None else ()) if p.best is not None]
    if search is None or len(points) < 2:
        return None
    wide, height = width > 600, 240.0
    values = [best for _, best in points]
    room = 0.1 * (max(values) - min(values)) or 0.1
    x = Scale(0, max(scored for scored, _ in points), 52.0, width - (90.0 if wide else 14.0))
    y = Scale(min(values) - room, max(values) + room, height - 44, 8.0)
    sheet = Sheet(
        width, height,
        f"Best {search.metric} so far: {decimal(values[0], 3)} after {count(points[0][0])} architectures, "
        f"{decimal(values[-1], 3)} after {count(points[-1][0])}.",
    )  # fmt: skip
    digits = 1 if y.high - y.low > 1 else 2 if y.high - y.low > 0.1 else 4
    for value in ticks(y.low, y.high, 4):
        sheet.line(x.start, y(value), x.stop, y(value), "grid")
        sheet.text(x.start - 8, y(value) + 4, decimal(value, digits), "tick", "end")
    for value in ticks(0, x.high, 8 if wide else 4):
        sheet.line(x(value), y.start, x(value), y.start + 4, "axis")
        sheet.text(x(value), y.start + 17, count(value), "tick", "middle")
    sheet.text((x.start + x.stop) / 2, height - 8, "architectures scored by the supernet", "axis-name", "middle")
    steps = [f"M{x(points[0][0]):.1f} {y(points[0][1]):.1f}"]
    steps += [f"H{x(scored):.1f}V{y(best):.1f}" for scored, best in points[1:]]
    sheet.add("path", d="".join(steps), class_="curve champion")
    sheet.add("circle", cx=x(points[-1][0]), cy=y(points[-1][1]), r=4.0, class_="dot champion")
    if wide:
        sheet.text(x(points[-1][0]) + 10, y(points[-1][1]) + 4, decimal(points[-1][1], 3), "label champion")
    return sheet.svg()
