"""What a longer shortlist buys: the chance that it holds the true best."""

from __future__ import annotations

import math

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, path_of
from tradenas.report.wording import count, percent

__all__ = ["chances"]


def chances(record: RunRecord, *, width: int) -> Markup | None:
    """The chance over the number of candidates retrained, with its band; the study's own number is marked."""
    points = record.coupling.chances if record.coupling is not None else ()
    if len(points) < 2:
        return None
    wide, height = width > 600, 250.0
    num, taken = points[-1].num, record.finalists.taken if record.finalists is not None else None
    x = Scale(0.0, math.log(num), 46.0, width - (30.0 if wide else 14.0))
    y = Scale(0.0, 1.0, height - 46, 22.0)
    said = "; ".join(f"{p.k} hold it with {percent(p.value, 0)}" for p in points)
    sheet = Sheet(width, height, f"Chance that the best of {count(num)} candidates is among those retrained: {said}.")
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        sheet.line(x.start, y(value), x.stop, y(value), "zero" if value == 0 else "grid")
        sheet.text(x.start - 8, y(value) + 4, percent(value, 0), "tick", "end")
    at = [x(math.log(p.k)) for p in points]
    last = -math.inf
    for place, p in zip(at, points, strict=True):
        if place - last > 26 and (p.k == num or x.stop - place > 30):
            sheet.text(place, y.start + 18, count(p.k), "tick", "middle")
            last = place
    sheet.text((x.start + x.stop) / 2, height - 8, "candidates retrained", "axis-name", "middle")
    band = path_of([*at, *reversed(at)], [y(p.high) for p in points] + [y(p.low) for p in reversed(points)])
    sheet.add("path", d=f"{band}Z", class_="area champion")
    sheet.add("path", d=path_of(at, [y(p.value) for p in points]), class_="curve champion")
    for place, p in zip(at, points, strict=True):
        words = f"{p.k} of {num}: {percent(p.value, 0)}, {percent(p.low, 0)} to {percent(p.high, 0)}"
        sheet.add("g", el("title", words), el("circle", cx=place, cy=y(p.value), r=3.5, class_="dot champion"))
    if taken is not None and 1 <= taken <= num:
        place = x(math.log(taken))
        late = place > (x.start + x.stop) / 2
        sheet.line(place, y.start, place, y.stop, "reference taken")
        sheet.text(place + (-6 if late else 6), y.stop - 8, f"this study: {taken}", "label", "end" if late else "start")
    return sheet.svg()
