"""Daily returns as CSV, for quantstats, pyfolio or a spreadsheet."""

from __future__ import annotations

import csv
import io

from tradenas.report.daily import Daily
from tradenas.report.markup import printable
from tradenas.report.record import RunRecord
from tradenas.report.wording import date

__all__ = ["cell", "daily_csv"]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def cell(text: str) -> str:
    """Words that no spreadsheet takes for a formula.

    >>> cell("=HYPERLINK(1)"), cell("hold")
    ("'=HYPERLINK(1)", 'hold')
    """
    words = printable(text)
    return f"'{words}" if words.lstrip().startswith(FORMULA_STARTS) or text.startswith(FORMULA_STARTS) else words


def daily_csv(record: RunRecord) -> str | None:
    """One row a UTC day (tz-naive date), fractions of capital; `None` without daily P&L.

    `net`, `gross`, `turnover` and, where it was charged, `funding` are the champion's; then one column with the net P&L
    of each other strategy.
    """
    daily, champion = record.daily, record.champion
    if daily is None or not daily.names:
        return None
    first = champion.name if champion is not None and champion.name in daily.names else None
    columns: list[tuple[str, dict[int, float]]] = []
    for name in ([first] if first is not None else []) + [n for n in daily.names if n != first]:
        series = daily.of(name)
        if series is None:
            continue
        fields = [("net", series.net_D), ("gross", series.gross_D), ("turnover", series.turnover_D)]
        fields += [("funding", series.funding_D)] if series.funding_D is not None else []
        for field, values in fields if name == first else fields[:1]:
            head = field if name == first else f"{cell(name)} net"
            columns.append((head, dict(zip(series.day_D.tolist(), values.tolist(), strict=True))))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["date", "zone", *(head for head, _ in columns)])
    for day in sorted({day for _, values in columns for day in values}):
        writer.writerow([date(day), _zone(daily, day), *(_number(values.get(day)) for _, values in columns)])
    return out.getvalue()


def _zone(daily: Daily, day: int) -> str:
    spans = {zone: daily.span(zone) for zone in ("selection", "vault")}
    return "+".join(zone for zone, span in spans.items() if span is not None and span[0] <= day <= span[1])


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)
