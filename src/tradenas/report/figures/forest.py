"""Sharpe ratios of everybody who was retrained, each with its bootstrap interval, on one axis."""

from __future__ import annotations

from itertools import groupby

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval, Strategy
from tradenas.report.svg import Scale, Sheet, fit, ticks
from tradenas.report.wording import decimal, interval

__all__ = ["estimate", "forest", "ordered"]

KINDS = {
    "finalist": "Finalists",
    "routed": "Routed between specialists",
    "baseline/rule": "Baselines: rules",
    "baseline/row": "Baselines: current row of indicators",
    "baseline/window": "Baselines: windows of indicators",
    "baseline/raw": "Baselines: windows of raw candles",
    "baseline": "Baselines",
    "random": "Random architectures, equal budget",
    "specialist": "Specialists, flat outside their regime",
}


def estimate(strategy: Strategy, zone: str) -> Interval | None:
    """Its net Sharpe in a zone; `None` where there is none."""
    scores = strategy.zone(zone)
    if scores is None or scores.sharpe is None:
        return None
    return Interval(value=scores.sharpe, low=scores.sharpe_low, high=scores.sharpe_high)


def group_of(strategy: Strategy) -> str:
    """Its kind; of a baseline also what it reads."""
    return f"{strategy.kind}/{strategy.reads}" if strategy.reads else strategy.kind


def ordered(record: RunRecord) -> list[Strategy]:
    """Finalists, baselines, random architectures, then any other kind; best first in the leading zone."""
    kinds = [*KINDS, *sorted({group_of(s) for s in record.strategies or ()} - set(KINDS))]

    def key(strategy: Strategy) -> tuple[int, float]:
        found = estimate(strategy, record.zone) or estimate(strategy, "selection")
        return kinds.index(group_of(strategy)), -(
            found.value if found is not None and found.value is not None else -1e9
        )

    return sorted(record.strategies or (), key=key)


def forest(record: RunRecord, *, width: int) -> Markup | None:
    """One row a strategy: the leading zone as a dot and its interval, the selection zone as a hollow dot."""
    rows = [s for s in ordered(record) if estimate(s, record.zone) or estimate(s, "selection")]
    if not rows:
        return None
    wide = width > 600
    step = 27.0 if wide else 45.0
    groups = [(kind, list(members)) for kind, members in groupby(rows, group_of)]
    height = 14 + 32.0 * len(groups) + step * len(rows) + 34
    found = [e for s in rows for e in (estimate(s, "selection"), estimate(s, record.zone)) if e is not None]
    ends = [v for e in found for v in (e.value, e.low, e.high) if v is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.04 * (high - low) or 0.5
    x = Scale(low - room, high + room, 200.0 if wide else 10.0, width - (150.0 if wide else 10.0))
    sheet = Sheet(
        width, height, f"Net Sharpe ratio with bootstrap interval of {len(rows)} strategies in the {record.zone} zone."
    )
    bottom = height - 30
    for value in ticks(x.low, x.high, 7 if wide else 5):
        sheet.line(x(value), 12, x(value), bottom, "zero" if value == 0 else "grid")
        sheet.text(x(value), bottom + 18, decimal(value, 0 if x.high - x.low > 5 else 1), "tick", "middle")
    baseline = estimate(record.best_baseline, record.zone) if record.best_baseline is not None else None
    if baseline is not None and baseline.value is not None:
        sheet.line(x(baseline.value), 12, x(baseline.value), bottom, "reference baseline")
    y = 14.0
    for kind, members in groups:
        y += 32
        sheet.text(0, y - 12, KINDS.get(kind, kind), "group-name")
        for strategy in members:
            _row(sheet, record, strategy, x, y, wide=wide)
            y += step
    return sheet.svg()


def _row(sheet: Sheet, record: RunRecord, strategy: Strategy, x: Scale, y: float, *, wide: bool) -> None:
    champion = record.champion is not None and strategy.name == record.champion.name
    baseline = record.best_baseline is not None and strategy.name == record.best_baseline.name
    cls = (
        "champion"
        if champion
        else "baseline"
        if strategy.kind == "baseline"
        else strategy.kind
        if strategy.kind == "random"
        else "finalist"
    )
    lead, other = (
        estimate(strategy, record.zone),
        estimate(strategy, "selection") if record.zone != "selection" else None,
    )
    note = " · champion" if champion else " · best" if baseline else ""
    strong = " strong" if champion or baseline else ""
    middle = y + (10 if wide else 25)
    said = interval(lead)
    marks = [
        el("title", f"{strategy.name}: {record.zone} {said}" + (f"; selection {interval(other)}" if other else ""))
    ]
    name = fit(strategy.name, 190 - 7.0 * len(note) if wide else 180)
    marks.append(el("text", name + note, x=0, y=y + 14 if wide else y + 12, class_=f"row-name{strong}"))
    marks.append(
        el("text", said, x=sheet.width, y=y + 14 if wide else y + 12, class_=f"row-value{strong}", text_anchor="end")
    )
    if other is not None and other.value is not None:
        marks.append(el("circle", cx=x(other.value), cy=middle, r=3.5, class_=f"hollow {cls}"))
    if lead is not None and lead.value is not None:
        if lead.low is not None and lead.high is not None:
            marks.append(el("line", x1=x(lead.low), y1=middle, x2=x(lead.high), y2=middle, class_=f"whisker {cls}"))
        marks.append(el("circle", cx=x(lead.value), cy=middle, r=5.5 if champion else 4.5, class_=f"dot {cls}"))
    sheet.add("g", *marks, class_="row")
