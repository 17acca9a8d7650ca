"""Net P&L of the champion month by month."""

from __future__ import annotations

import calendar
import datetime as dt

from tradenas.report.daily import DAY_MS
from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.svg import Sheet
from tradenas.report.wording import decimal

__all__ = ["MIN_MONTHS", "heatmap", "monthly"]

MIN_MONTHS = 3


def monthly(record: RunRecord) -> dict[tuple[int, int], tuple[float, int, bool]]:
    """(year, month) -> net P&L in percent of capital, days counted, whether the vault has a day in it."""
    champion = record.champion
    series = record.daily.of(champion.name) if record.daily is not None and champion is not None else None
    if record.daily is None or series is None:
        return {}
    vault = record.daily.span("vault")
    months: dict[tuple[int, int], tuple[float, int, bool]] = {}
    for day, net in zip(series.day_D.tolist(), series.net_D.tolist(), strict=True):
        at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day // DAY_MS)
        total, num, judged = months.get((at.year, at.month), (0.0, 0, False))
        months[at.year, at.month] = (total + 100 * net, num + 1, judged or (vault is not None and day >= vault[0]))
    return months


def heatmap(record: RunRecord, *, width: int) -> Markup | None:
    """Years down and months across, with the year's sum; turned on a narrow screen; `None` below three months."""
    months = monthly(record)
    if len(months) < MIN_MONTHS:
        return None
    years = range(min(year for year, _ in months), max(year for year, _ in months) + 1)
    wide = width > 600
    across, down = (13, len(years)) if wide else (len(years), 13)
    left, top = (52.0, 26.0) if wide else (38.0, 26.0)
    cell_w = min((width - left) / across, 88.0)
    cell_h = 36.0 if wide else 30.0
    best, worst = max(v[0] for v in months.values()), min(v[0] for v in months.values())
    sheet = Sheet(
        width, top + down * cell_h + 2,
        f"Net profit and loss of the champion in {len(months)} months: "
        f"best {decimal(best, 1, sign=True)}%, worst {decimal(worst, 1)}%.",
    )  # fmt: skip
    size = max(abs(best), abs(worst)) or 1.0
    names = [*(calendar.month_abbr[m] for m in range(1, 13)), "year"]
    for i, name in enumerate(names if wide else [str(y) for y in years]):
        sheet.text(left + (i + 0.5) * cell_w, top - 9, name, "tick", "middle")
    for i, name in enumerate([str(y) for y in years] if wide else names):
        sheet.text(left - 8, top + (i + 0.5) * cell_h + 4, name, "tick", "end")
    for row, year in enumerate(years):
        for month in range(1, 13):
            if (year, month) in months:
                i, j = (month - 1, row) if wide else (row, month - 1)
                _cell(
                    sheet,
                    (left + i * cell_w, top + j * cell_h, cell_w, cell_h),
                    months[year, month],
                    size,
                    f"{calendar.month_name[month]} {year}",
                )
        total = sum(value[0] for (y, _), value in months.items() if y == year)
        i, j = (12, row) if wide else (row, 12)
        sheet.text(
            left + (i + 0.5) * cell_w,
            top + (j + 0.5) * cell_h + 4,
            decimal(total, 1, sign=True),
            "cell-text total",
            "middle",
        )
    return sheet.svg()


def _cell(
    sheet: Sheet, box: tuple[float, float, float, float], value: tuple[float, int, bool], size: float, name: str
) -> None:
    x, y, w, h = box
    total, num, judged = value
    said = f"{name}: {decimal(total, 2, sign=True)}% over {num} days{', vault' if judged else ''}"
    way, words = "up" if total >= 0 else "down", decimal(total, 1, sign=True)
    shade = 0.08 + 0.62 * min(1.0, abs(total) / size)
    marks = [
        el("rect", x=x + 1, y=y + 1, width=w - 2, height=h - 2, class_=f"cell {way}", fill_opacity=shade),
        el("text", words, x=x + w / 2, y=y + h / 2 + 4, class_="cell-text", text_anchor="middle"),
    ]  # fmt: skip
    if judged:
        marks.append(el("rect", x=x + 5, y=y + h - 6, width=w - 10, height=2.0, class_="judged"))
    sheet.add("g", el("title", said), *marks)
