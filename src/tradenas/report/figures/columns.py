"""What each op of each column is worth: columns down, ops across."""

from __future__ import annotations

from tradenas.report.figures.effects import THIRD, digits
from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.schema import InputRecord, Interval, OptionEffect
from tradenas.report.svg import Sheet, fit
from tradenas.report.wording import decimal, interval
from tradenas.space.switches import COLUMN

__all__ = ["column_effects", "column_rows"]


def column_rows(found: InputRecord) -> dict[str, dict[str, OptionEffect]]:
    """Indicator, op, and what it is worth."""
    rows: dict[str, dict[str, OptionEffect]] = {}
    for effect in found.effects:
        if effect.choice.startswith(COLUMN):
            rows.setdefault(effect.choice.removeprefix(COLUMN), {})[str(effect.option)] = effect
    return rows


def column_effects(record: RunRecord, *, width: int) -> Markup | None:
    """A cell for each; where its interval leaves out zero it is shaded.  On a phone a name has a line of its own."""
    found = record.inputs
    rows = column_rows(found) if found is not None else {}
    if found is None or not rows:
        return None
    ops = list(dict.fromkeys(op for each in rows.values() for op in each))
    wide = width > 600
    left, step, top = (150.0, 26.0, 24.0) if wide else (0.0, 44.0, 66.0)
    cell_w = (width - left) / len(ops)
    scale, unit = (1000.0, " in thousandths") if found.metric in THIRD else (1.0, "")
    size = max((abs(e.effect) for each in rows.values() for e in each.values()), default=0.0) or 1.0
    said = "; ".join(
        f"{name} {e.option} {decimal(e.effect, digits(found.metric), sign=True)}"
        for name, each in rows.items() for e in each.values() if _sure(e)
    )  # fmt: skip
    title = f"Worth of each op of each column in {found.metric}{unit}: {said or 'nothing measurable'}."
    sheet = Sheet(width, top + step * len(rows) + 4, title)
    for i, op in enumerate(ops):
        x = left + (i + 0.5) * cell_w
        if wide:
            sheet.text(x, top - 9, fit(op, cell_w), "tick", "middle")
        else:
            sheet.add("text", op, x=x + 4, y=top - 8, class_="tick", transform=f"rotate(-60 {x + 4:.1f} {top - 8:.1f})")
    for j, (name, each) in enumerate(rows.items()):
        y = top + j * step
        sheet.text(0, y + (17 if wide else 13), fit(name, left - 10 if wide else width), "row-name")
        for i, op in enumerate(ops):
            if op in each:
                box = (left + i * cell_w, y if wide else y + 19, cell_w, step if wide else step - 21)
                words = decimal(scale * each[op].effect, 1, sign=True) if wide else ""
                _cell(sheet, found, each[op], box, words, size)
    return sheet.svg()


def _sure(effect: OptionEffect) -> bool:
    return effect.low > 0 or effect.high < 0


def _cell(
    sheet: Sheet, found: InputRecord, effect: OptionEffect, box: tuple[float, float, float, float], words: str,
    size: float,
) -> None:  # fmt: skip
    x, y, w, h = box
    told = interval(Interval(value=effect.effect, low=effect.low, high=effect.high), digits(found.metric))
    chosen = found.chosen.get(effect.choice) == effect.option
    shade = 0.1 + 0.6 * abs(effect.effect) / size if _sure(effect) else 0.0
    kind = f"cell {'up' if effect.effect >= 0 else 'down'}"
    marks = [
        el("title", f"{effect.choice.removeprefix(COLUMN)} {effect.option}: {told}{', chosen' if chosen else ''}"),
        el("rect", x=x + 1, y=y + 1, width=w - 2, height=h - 2, class_=kind, fill_opacity=round(shade, 3)),
        el("text", words, x=x + w / 2, y=y + h / 2 + 4, class_="cell-text" if _sure(effect) else "tick",
           text_anchor="middle"),
    ]  # fmt: skip
    if chosen:
        marks.append(el("rect", x=x + 2, y=y + 2, width=w - 4, height=h - 4, class_="chosen"))
    sheet.add("g", *marks, class_="column-op")
