"""What the champion earned in each market and as a portfolio: Sharpe ratios with their intervals, on one axis."""

from __future__ import annotations

from tradenas.report.figures.forest import estimate
from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval
from tradenas.report.svg import Scale, Sheet, fit, ticks
from tradenas.report.wording import decimal, interval

__all__ = ["markets"]


def markets(record: RunRecord, *, width: int) -> Markup | None:
    """One row a market, best first, and the portfolio below them."""
    champion = record.champion
    if champion is None or champion.markets is None:
        return None
    rows = [
        (m.symbol, Interval(value=m.sharpe, low=m.sharpe_low, high=m.sharpe_high), False)
        for m in champion.markets.zone(record.zone)
        if m.sharpe is not None
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row[1].value or 0.0))
    whole = estimate(champion, record.zone)
    rows += [("portfolio", whole, True)] if whole is not None else []
    wide = width > 600
    step = 27.0 if wide else 45.0
    height = 20 + step * len(rows) + 34
    ends = [v for _, e, _ in rows for v in (e.value, e.low, e.high) if v is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.04 * (high - low) or 0.5
    x = Scale(low - room, high + room, 200.0 if wide else 10.0, width - (150.0 if wide else 10.0))
    sheet = Sheet(width, height, f"Net Sharpe ratio of {champion.name} in each market, and of the portfolio of them.")
    for value in ticks(x.low, x.high, 7 if wide else 5):
        sheet.line(x(value), 12, x(value), height - 30, "zero" if value == 0 else "grid")
        sheet.text(x(value), height - 12, decimal(value, 0 if x.high - x.low > 5 else 1), "tick", "middle")
    for number, (name, found, strong) in enumerate(rows):
        _row(sheet, x, 20 + number * step, name, found, strong=strong, wide=wide)
    return sheet.svg()


def _row(sheet: Sheet, x: Scale, y: float, name: str, found: Interval, *, strong: bool, wide: bool) -> None:
    cls, also = ("champion", " strong") if strong else ("finalist", "")
    middle = y + (10 if wide else 25)
    text = y + (14 if wide else 12)
    said = interval(found)
    marks = [
        el("title", f"{name}: {said}"),
        el("text", fit(name, 180), x=0, y=text, class_=f"row-name{also}"),
        el("text", said, x=sheet.width, y=text, class_=f"row-value{also}", text_anchor="end"),
    ]
    if found.low is not None and found.high is not None:
        marks.append(el("line", x1=x(found.low), y1=middle, x2=x(found.high), y2=middle, class_=f"whisker {cls}"))
    if found.value is not None:
        marks.append(el("circle", cx=x(found.value), cy=middle, r=5.5 if strong else 4.5, class_=f"dot {cls}"))
    sheet.add("g", *marks, class_="row")
