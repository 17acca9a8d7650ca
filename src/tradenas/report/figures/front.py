"""Candidates by cost and quality: what a smaller network would have cost in quality, and which one was chosen."""

from __future__ import annotations

import math

from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.schema import FrontPoint, FrontRecord
from tradenas.report.svg import Scale, Sheet, ticks
from tradenas.report.wording import amount, cost_name, decimal, in_order

__all__ = ["front", "hover_front", "stairs"]

#: Most dots of what lies behind the first front; the best of it by quality are shown.
BEHIND = 300


def shown(found: FrontRecord) -> list[FrontPoint]:
    """The first front, and the best of what lies behind it."""
    return [p for p in found.points if p.front == 0] + [p for p in found.points if p.front > 0][:BEHIND]


def stairs(found: FrontRecord, cost: str) -> list[FrontPoint]:
    """The points that nothing beats in this cost and in quality alone, by cost."""
    sign = -1.0 if found.metric.partition("/")[0] == "loss" else 1.0
    best, kept = -math.inf, []
    for point in sorted(found.points, key=lambda p: (p.costs[cost], -sign * p.quality, p.digest)):
        if sign * point.quality > best:
            best = sign * point.quality
            kept.append(point)
    return kept


def _scales(record: RunRecord, cost: str, width: int) -> tuple[float, Scale, Scale, bool]:
    """Size, and scales of log cost and of quality."""
    found = record.front
    assert found is not None
    size, points = float(min(width, 460)), shown(found)
    costs = [max(p.costs[cost], 0.0) for p in points]
    limit = _limit(record, cost)
    if limit is not None and limit < 1.6 * max(costs):
        costs.append(limit)
    logs = min(costs) > 0 and max(costs) > 20 * min(costs)
    at = [math.log10(c) if logs else c for c in costs]
    room = 0.06 * (max(at) - min(at)) or 0.06 * abs(at[0]) or 1.0
    values = [p.quality for p in points]
    space = 0.08 * (max(values) - min(values)) or 0.1
    x = Scale(min(at) - room, max(at) + room, 58.0, size - 12)
    y = Scale(min(values) - space, max(values) + space, size - 60, 8.0)
    return size, x, y, logs


def _limit(record: RunRecord, cost: str) -> float | None:
    spread = record.budget.costs.get(cost) if record.budget is not None else None
    return spread.limit if spread is not None else None


def _at(value: float, *, logs: bool) -> float:
    return math.log10(value) if logs else value


def front(record: RunRecord, *, cost: str, width: int) -> Markup | None:
    """A dot a candidate, cost across, quality upwards; steps join what nothing beats in both; the limit is dashed."""
    found = record.front
    if found is None or len(found.points) < 2 or any(cost not in p.costs for p in found.points):
        return None
    size, x, y, logs = _scales(record, cost, width)
    chosen = next((p for p in found.points if p.chosen), None)
    words = f"{found.metric.replace('_', ' ')} of {len(found.points)} candidates against {cost_name(cost)}."
    if chosen is not None:
        words += f" Chosen: {decimal(chosen.quality, 3)} at {amount(cost, chosen.costs[cost])}."
    sheet = Sheet(size, size - 10, words[0].upper() + words[1:])
    sheet.axes(x, y)
    sheet.add("rect", x=x.start, y=y.stop, width=x.stop - x.start, height=y.start - y.stop, class_="frame")
    digits = 1 if y.high - y.low > 1 else 2 if y.high - y.low > 0.1 else 3
    for value in ticks(y.low, y.high, 5):
        sheet.line(x.start, y(value), x.stop, y(value), "grid")
        sheet.text(x.start - 7, y(value) + 4, decimal(value, digits), "tick", "end")
    for value in _cost_ticks(x, logs=logs):
        sheet.text(x(_at(value, logs=logs)), y.start + 17, amount(cost, value), "tick", "middle")
    sheet.text((x.start + x.stop) / 2, y.start + 38, f"{cost_name(cost)}{', log scale' if logs else ''}",
               "axis-name", "middle")  # fmt: skip
    middle = (y.start + y.stop) / 2
    sheet.add("text", f"{found.metric.replace('_', ' ')} in the search", x=12, y=middle, class_="axis-name",
              text_anchor="middle", transform=f"rotate(-90 12 {middle:.1f})")  # fmt: skip
    limit = _limit(record, cost)
    if limit is not None and x.low <= _at(limit, logs=logs) <= x.high:
        px = x(_at(limit, logs=logs))
        sheet.line(px, y.start, px, y.stop, "reference baseline")
        sheet.text(px - 5, y.stop + 14, "limit", "label baseline", "end")
    _dots(sheet, record, found, cost, x, y, logs=logs)
    return sheet.svg()


def _dots(sheet: Sheet, record: RunRecord, found: FrontRecord, cost: str, x: Scale, y: Scale, *, logs: bool) -> None:
    def place(point: FrontPoint) -> tuple[float, float]:
        return x(_at(point.costs[cost], logs=logs)), y(point.quality)

    ways = [place(p) for p in stairs(found, cost)]
    steps = [f"M{ways[0][0]:.1f} {ways[0][1]:.1f}", *(f"H{a:.1f}V{b:.1f}" for a, b in ways[1:]), f"H{x.stop:.1f}"]
    retrained = {s.digest for s in record.strategies or () if s.kind == "finalist"}
    champion = record.champion.digest if record.champion is not None else None
    for point in shown(found)[::-1]:
        px, py = place(point)
        kind = "hollow" if point.front else "dot plain"
        if point.digest in retrained:
            kind = "dot finalist"
        if point.digest == champion:
            kind = "dot champion"
        sheet.add("circle", cx=px, cy=py, r=5.0 if point.digest in retrained else 3.5, class_=kind)
    sheet.add("path", d="".join(steps), class_="curve champion")
    chosen = next((p for p in found.points if p.chosen), None)
    if chosen is not None:
        px, py = place(chosen)
        sheet.add("circle", cx=px, cy=py, r=9.0, class_="ring")


def _cost_ticks(x: Scale, *, logs: bool) -> list[float]:
    if not logs:
        return [v for v in ticks(x.low, x.high, 5) if v >= 0]
    low, high = 10.0**x.low, 10.0**x.high
    powers = range(math.floor(x.low), math.ceil(x.high) + 1)
    steps = (1, 2, 5) if x.high - x.low < 1.6 else (1, 3) if x.high - x.low < 2.5 else (1,)
    return [v for p in powers for s in steps if low <= (v := s * 10.0**p) <= high]


def hover_front(record: RunRecord, cost: str) -> dict[str, object]:
    """What the page's script reads out for each dot."""
    found = record.front
    assert found is not None
    *_, logs = _scales(record, cost, 460)
    some = shown(found)
    names = {s.digest: s.name for s in record.strategies or () if s.digest is not None}
    traded = {
        s.digest: [f"net Sharpe {decimal(scores.sharpe)} in the {record.zone}"]
        for s in record.strategies or ()
        if s.digest is not None and (scores := s.zone(record.zone)) is not None and scores.sharpe is not None
    }
    told = [
        [
            point.digest[:12] + (f", {names[point.digest]}" if point.digest in names else ""),
            point.words,
            f"{found.metric.replace('_', ' ')} {decimal(point.quality, 4)}"
            + (", chosen" if point.chosen else ", on the front" if point.front == 0 else ""),
            *traded.get(point.digest, []),
            *(f"{cost_name(name)} {amount(name, value)}" for name, value in in_order(point.costs)),
        ]
        for point in some
    ]
    return {
        "x": [round(_at(p.costs[cost], logs=logs), 6) for p in some],
        "y": [p.quality for p in some],
        "text": told,
    }
