"""Where in time the study learned, chose, and was judged."""

from __future__ import annotations

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, text_width, time_ticks
from tradenas.report.wording import count, span

__all__ = ["zones"]

TASKS = {"search": "learn and rank", "selection": "choose", "vault": "judge, once"}


def zones(record: RunRecord, *, width: int) -> Markup | None:
    """The three zones to scale on the span of the candles; `None` before they are cut."""
    cut = record.data.zones
    found = [(name, zone) for name in TASKS if (zone := getattr(cut, name)) is not None]
    if not found or record.data.last_close <= record.data.first_open:
        return None
    wide = width > 600
    x = Scale(record.data.first_open, record.data.last_close, 0.0, float(width))
    said = "; ".join(
        f"{name} {span(zone.from_ms, zone.to_ms)}, {count(zone.stop - zone.start)} rows" for name, zone in found
    )
    sheet = Sheet(width, 74.0, f"Zones in time. {said}.")
    sheet.line(0, 46, width, 46, "axis")
    for name, zone in found:
        left, right = x(zone.from_ms), x(zone.to_ms)
        words = f"{name}: {TASKS[name]}" if wide else name
        for shorter in (name, ""):
            if text_width(words) > right - left - 12:
                words = shorter
        sheet.add(
            "g",
            el("title", f"{name}: {span(zone.from_ms, zone.to_ms)}, {count(zone.stop - zone.start)} decision rows"),
            el("rect", x=left, y=6, width=max(1.0, right - left), height=40, class_=f"zone strong {name}"),
            el("text", words, x=left + 8, y=31, class_="zone-name"),
        )  # fmt: skip
    for ms, name in time_ticks(x.low, x.high, 10 if wide else 5):
        if 14 < x(ms) < width - 14:
            sheet.line(x(ms), 46, x(ms), 50, "axis")
            sheet.text(x(ms), 64, name, "tick", "middle")
    return sheet.svg()
