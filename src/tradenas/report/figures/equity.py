"""What the champion would have earned, day by day: net, gross, the best baseline, and holding."""

from __future__ import annotations

from tradenas.report.figures.curves import curves, frame, path
from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, fit, spread
from tradenas.report.wording import decimal

__all__ = ["equity"]


def equity(record: RunRecord, *, width: int) -> Markup | None:
    """P&L added up over selection and vault, lines labelled at their ends where there is room; `None` without any."""
    lines = curves(record)
    if not lines:
        return None
    low = min(0.0, *(float(line.total_D.min()) for line in lines))
    high = max(0.0, *(float(line.total_D.max()) for line in lines))
    room = 0.06 * (high - low) or 1.0
    final = [float(line.total_D[-1]) for line in lines]
    ends = "; ".join(f"{line.label} {decimal(end, 1, sign=True)}%" for line, end in zip(lines, final, strict=True))
    height = 380.0 if width > 600 else 330.0
    made = frame(
        record,
        lines,
        f"Cumulative profit and loss; at the end {ends}.",
        (width, height),
        Scale(low - room, high + 2.2 * room, 0, 0),
    )
    sheet, x, y = made.sheet, made.x, made.y
    for line in reversed(lines):
        sheet.add("path", d="".join(path(line, made)), class_=f"curve {line.cls}")
    if made.wide:
        places = spread([y(end) - 6 for end in final], 34, y.stop + 10, y.start - 14)
        for line, end, at in zip(lines, final, places, strict=True):
            sheet.text(x.stop + 10, at, fit(line.label, 138), f"label {line.cls}")
            words = f"{decimal(end, 1, sign=True)}%"
            sheet.text(x.stop + 10, at + 14, words, f"label value {line.cls}")
    return sheet.svg()
