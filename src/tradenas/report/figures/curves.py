"""Cumulative P&L lines and the sheet of time that they lie on: shared by equity, drawdown and their read-outs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradenas.report.daily import DAY_MS, ZONES
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, path_of, thin, ticks, time_ticks
from tradenas.report.wording import date, decimal
from tradenas.typing import FloatArray, IntArray

__all__ = ["Curve", "Frame", "curves", "frame", "hover_data", "path"]

#: Pixels of the search zone's strip, with the gap behind it.
STRIP = 46.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """One line: P&L summed from its first day, in percent of capital (added up, not compounded)."""

    label: str
    cls: str
    day_D: IntArray
    total_D: FloatArray

    @property
    def underwater(self) -> FloatArray:
        """How far below its highest point so far, starting from 0; never positive."""
        return self.total_D - np.maximum.accumulate(np.maximum(self.total_D, 0.0))


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A sheet made ready for lines."""

    sheet: Sheet
    x: Scale
    y: Scale
    wide: bool
    vault_from: int | None


def curves(record: RunRecord, *, gross: bool = True) -> tuple[Curve, ...]:
    """Champion net (and gross), the best baseline, and holding; each where the record has it, front line first."""
    if record.daily is None:
        return ()
    champion, baseline, hold = record.champion, record.best_baseline, record.hold
    wanted: list[tuple[str, str, str, str]] = []
    if champion is not None:
        wanted.append((champion.name, "net", "champion, net", "champion"))
        if gross:
            wanted.append((champion.name, "gross", "champion, gross", "gross"))
    if baseline is not None:
        wanted.append((baseline.name, "net", f"{baseline.name} · best", "baseline"))
    if hold is not None and (baseline is None or hold.name != baseline.name):
        wanted.append((hold.name, "net", hold.name, "hold"))
    found = []
    for name, what, label, cls in wanted:
        series = record.daily.of(name)
        if series is not None and len(series):
            total_D = 100.0 * np.cumsum(series.net_D if what == "net" else series.gross_D)
            found.append(Curve(label=label, cls=cls, day_D=series.day_D, total_D=total_D))
    return tuple(found)


def frame(record: RunRecord, lines: tuple[Curve, ...], label: str, size: tuple[int, float], y: Scale) -> Frame:
    """A sheet with time across: zones shaded, dates below, grid and percents of `y` (whose pixels are set here)."""
    width, height = size
    wide = width > 600
    first = min(int(line.day_D[0]) for line in lines)
    last = max(int(line.day_D[-1]) for line in lines) + DAY_MS
    strip = STRIP if record.data.zones.search is not None else 0.0
    top, bottom, right = 6.0, height - 26.0, width - (150.0 if wide else 12.0)
    x = Scale(first, last, (48.0 if wide else 40.0) + strip, right)
    y = Scale(y.low, y.high, bottom, top)
    sheet = Sheet(width, height, f"{label} {date(first)} to {date(last - DAY_MS)}.")
    sheet.axes(x, y)
    _zone_bands(sheet, record, x, top, bottom)
    for value in ticks(y.low, y.high, 5):
        if value > 0 >= max(float(line.total_D.max()) for line in lines):
            continue  # room above a drawdown, not a value that can be reached
        sheet.line(x.start, y(value), right, y(value), "zero" if value == 0 else "grid")
        words = f"{decimal(value, 0 if y.high - y.low > 4 else 1)}%"
        sheet.text(x.start - strip - 8, y(value) + 4, words, "tick", "end")
    for ms, name in time_ticks(x.low, x.high, 9 if wide else 5):
        sheet.line(x(ms), bottom, x(ms), bottom + 4, "axis")
        sheet.text(x(ms), bottom + 17, name, "tick", "middle")
    vault = record.daily.span("vault") if record.daily is not None else None
    return Frame(sheet=sheet, x=x, y=y, wide=wide, vault_from=vault[0] if vault is not None else None)


def path(line: Curve, frame: Frame) -> list[str]:
    """The ways of a line over a frame: one a zone, since nobody traded in the rows between them.

    Each day stands at its end; a zone starts from the level at which the one before it ended, the first from 0.
    """
    cut = int(np.searchsorted(line.day_D, frame.vault_from)) if frame.vault_from is not None else 0
    ways, level = [], 0.0
    for part in (slice(0, cut), slice(cut, None)):
        day_D, total_D = line.day_D[part], line.total_D[part]
        if len(day_D):
            xs, ys = thin(day_D.astype(np.float64) + DAY_MS, total_D, 800 if frame.wide else 400)
            xs, ys = np.append(float(day_D[0]), xs), np.append(level, ys)
            ways.append(path_of([frame.x(v) for v in xs], [frame.y(v) for v in ys]))
            level = float(total_D[-1])
    return ways


def _zone_bands(sheet: Sheet, record: RunRecord, x: Scale, top: float, bottom: float) -> None:
    """Shades selection and vault, and the search zone as a narrow strip before them that is not to scale."""
    search = record.data.zones.search
    if search is not None:
        left, width = x.start - STRIP, STRIP - 8
        sheet.add("rect", x=left, y=top, width=width, height=bottom - top, class_="zone search")
        a, b = left + width / 2, (top + bottom) / 2
        turn = f"rotate(-90 {a:.1f} {b:.1f})"
        dates = f"{date(search.from_ms)[:7]} to {date(search.to_ms)[:7]}"
        sheet.add("text", "search zone", x=a, y=b - 3, class_="zone-name", text_anchor="middle", transform=turn)
        sheet.add("text", dates, x=a, y=b + 11, class_="tick", text_anchor="middle", transform=turn)
    for zone in ZONES:
        span = record.daily.span(zone) if record.daily is not None else None
        if span is not None:
            left, right = max(x.start, x(span[0])), min(x.stop, x(span[1] + DAY_MS))
            width = max(1.0, right - left)
            sheet.add("rect", x=left, y=top, width=width, height=bottom - top, class_=f"zone {zone}")
            sheet.text(left + 6, top + 15, zone, "zone-name")


def hover_data(lines: tuple[Curve, ...]) -> dict[str, object]:
    """What the page's script needs to read out a day: days, and each line's value on them or null."""
    days = sorted({int(day) for line in lines for day in line.day_D})
    series = []
    for line in lines:
        at = dict(zip(line.day_D.tolist(), line.total_D.round(3).tolist(), strict=True))
        series.append({"name": line.label, "cls": line.cls, "y": [at.get(day) for day in days]})
    return {"x": days, "step": DAY_MS, "series": series}
