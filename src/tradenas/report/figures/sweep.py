"""What the champion's Sharpe would be at other costs, and where it reaches nothing."""

from __future__ import annotations

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, path_of, ticks
from tradenas.report.wording import decimal, percent

__all__ = ["sweep"]


def sweep(record: RunRecord, *, width: int) -> Markup | None:
    """Net Sharpe over costs a unit of turnover; `None` without a sweep."""
    verdict = record.verdict
    found = [(p.bps, p.sharpe, p.total_net) for p in (verdict.cost_sweep if verdict is not None else ())]
    points = sorted((bps, sharpe, total) for bps, sharpe, total in found if sharpe is not None)
    if verdict is None or len(points) < 2:
        return None
    wide, height = width > 600, 280.0
    values = [sharpe for _, sharpe, _ in points]
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.12 * (high - low) or 0.5
    paid = verdict.costs.bps if verdict.costs is not None else None
    even = verdict.break_even_bps
    last = max(points[-1][0], paid or 0.0)
    shown_even = even is not None and points[0][0] <= even <= last
    x = Scale(points[0][0], last, 46.0, width - (40.0 if wide else 16.0))
    y = Scale(low - room, high + 1.6 * room, height - 44, 8.0)
    even_words = f"break-even at {decimal(even, 1)} bps" if even is not None else "no break-even in this range"
    sheet = Sheet(
        width,
        height,
        f"Net Sharpe ratio of the champion at {decimal(points[0][0], 1)} to {decimal(last, 1)} bps "
        f"a unit of turnover; {even_words}.",
    )
    for value in ticks(y.low, y.high, 5):
        sheet.line(x.start, y(value), x.stop, y(value), "zero" if value == 0 else "grid")
        sheet.text(x.start - 8, y(value) + 4, decimal(value, 0 if y.high - y.low > 5 else 1), "tick", "end")
    for value in ticks(x.low, x.high, 10 if wide else 6):
        sheet.line(x(value), y.start, x(value), y.start + 4, "axis")
        sheet.text(x(value), y.start + 17, f"{value:g}", "tick", "middle")
    sheet.text((x.start + x.stop) / 2, height - 8, "cost of a unit of turnover, bps", "axis-name", "middle")
    marked = [(paid, f"this study pays {decimal(paid, 1)}", "baseline")] if paid is not None else []
    marked += [(even, f"break-even {decimal(even, 1)}", "champion")] if shown_even and even is not None else []
    for bps, _, cls in marked:
        sheet.line(x(bps), y.start, x(bps), y.stop, f"reference {cls}")
    for i, (bps, words, cls) in enumerate(sorted(marked)):
        left = x.stop - x(bps) < 140 or (i == 0 and x(bps) - x.start > 140)
        at = (x(bps) + (-6 if left else 6), y.stop + 12 + 16 * i)
        sheet.text(*at, words, f"label {cls}", "end" if left else "start")
    sheet.add("path", d=path_of([x(bps) for bps, _, _ in points], [y(v) for v in values]), class_="curve champion")
    for bps, sharpe, total in points:
        said = f"{decimal(bps, 1)} bps: net Sharpe {decimal(sharpe)}, total {percent(total, sign=True)}"
        sheet.add("g", el("title", said), el("circle", cx=x(bps), cy=y(sharpe), r=3.5, class_="dot champion"))
    return sheet.svg()
