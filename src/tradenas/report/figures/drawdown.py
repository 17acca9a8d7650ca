"""How far below its best point each strategy sat, and for how long."""

from __future__ import annotations

from dataclasses import replace

from tradenas.report.figures.curves import Curve, curves, frame, path
from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, fit
from tradenas.report.wording import decimal

__all__ = ["drawdown", "underwater"]


def underwater(record: RunRecord) -> tuple[Curve, ...]:
    """The lines of `curves` as their drawdowns; gross is left out, nobody can live on it."""
    return tuple(replace(line, total_D=line.underwater) for line in curves(record, gross=False))


def drawdown(record: RunRecord, *, width: int) -> Markup | None:
    """Depth below the highest point so far, in percentage points of capital; `None` without daily P&L."""
    lines = underwater(record)
    if not lines:
        return None
    depths = [float(line.total_D.min()) for line in lines]
    deepest = min(depths) or -1.0
    worst = "; ".join(f"{line.label} {decimal(depth, 1)}" for line, depth in zip(lines, depths, strict=True))
    height = 230.0 if width > 600 else 220.0
    made = frame(
        record,
        lines,
        f"Drawdown; deepest in points {worst}.",
        (width, height),
        Scale(1.06 * deepest, -0.16 * deepest, 0, 0),
    )
    sheet, x, y = made.sheet, made.x, made.y
    for line in reversed(lines):
        ways = path(line, made)
        if line.cls == "champion":
            filled = (f"{way}V{y(0):.1f}H{way[1:].split()[0]}Z" for way in ways)
            sheet.add("path", d="".join(filled), class_="area champion")
        sheet.add("path", d="".join(ways), class_=f"curve {line.cls}")
    if made.wide:
        for i, (line, depth) in enumerate(zip(lines, depths, strict=True)):
            sheet.text(x.stop + 10, y.stop + 16 + 38 * i, fit(line.label, 138), f"label {line.cls}")
            sheet.text(x.stop + 10, y.stop + 31 + 38 * i, f"deepest {decimal(depth, 1)}%", f"label value {line.cls}")
    return sheet.svg()
