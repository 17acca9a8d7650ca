"""What each option is worth, all else equal: a dot and an interval an option, choice by choice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.schema import InputRecord, Interval, OptionEffect
from tradenas.report.svg import Scale, Sheet, fit, ticks
from tradenas.report.wording import decimal, interval
from tradenas.space.switches import COLUMN, GROUP
from tradenas.space.switches import FEATURE as SINGLE

__all__ = ["THIRD", "digits", "input_effects", "is_switch", "layer_effects", "shown"]

THIRD = ("ic", "rank_ic", "loss", "accuracy")


def digits(metric: str) -> int:
    """Decimals that differences of this metric need."""
    return 4 if metric in THIRD else 2


def is_switch(choice: str) -> bool:
    """Whether it turns an indicator or a group on and off, and nothing else."""
    return choice.startswith((GROUP, SINGLE))


def shown(found: InputRecord, *, inputs: bool) -> list[OptionEffect]:
    """The rows of one picture; of a switch only `on`, for `off` is its mirror image.  Columns' ops have their own."""
    rows = [e for e in found.effects if e.choice.startswith("input/") == inputs and not e.choice.startswith(COLUMN)]
    return [e for e in rows if not is_switch(e.choice) or e.option == "on"]


def input_effects(record: RunRecord, *, width: int) -> Markup | None:
    """Lookback, transform, groups and indicators."""
    return _effects(record, inputs=True, width=width)


def layer_effects(record: RunRecord, *, width: int) -> Markup | None:
    """Depth, and what each layer is made of."""
    return _effects(record, inputs=False, width=width)


def _heading(choice: str) -> str:
    if is_switch(choice):
        return "Groups, on less off" if choice.startswith(GROUP) else "Indicators, on less off"
    words = choice.removeprefix("input/").replace("layer", "layer ").replace("/", ": ")
    if words.startswith("layer "):
        number, _, what = words.removeprefix("layer ").partition(": ")
        words = f"layer {int(number) + 1}: {what}" if number.isdigit() else words
    return words[:1].upper() + words[1:]


def _name(effect: OptionEffect) -> str:
    if is_switch(effect.choice):
        return effect.choice.removeprefix(GROUP).removeprefix(SINGLE)
    return f"{effect.option:g}" if isinstance(effect.option, float) else str(effect.option)


def _effects(record: RunRecord, *, inputs: bool, width: int) -> Markup | None:
    found = record.inputs
    rows = shown(found, inputs=inputs) if found is not None else []
    if found is None or not rows:
        return None
    wide = width > 600
    step, places = (25.0, digits(found.metric)) if wide else (44.0, digits(found.metric))
    blocks: Sequence[tuple[str, list[OptionEffect]]] = [
        (head, list(members)) for head, members in groupby(rows, key=lambda e: _heading(e.choice))
    ]
    ends = [v for e in rows for v in (e.effect, e.low, e.high)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.05 * (high - low) or 0.01
    height = 8 + 32.0 * len(blocks) + step * len(rows) + 34
    x = Scale(low - room, high + room, 190.0 if wide else 10.0, width - (215.0 if wide else 10.0))
    said = "; ".join(f"{_heading(e.choice)} {_name(e)} {decimal(e.effect, places, sign=True)}" for e in rows)
    sheet = Sheet(width, height, f"Worth of each option in {found.metric}, with its interval: {said}.")
    bottom = height - 30
    for value in ticks(x.low, x.high, 7 if wide else 4):
        sheet.line(x(value), 10, x(value), bottom, "zero" if value == 0 else "grid")
        sheet.text(x(value), bottom + 18, decimal(value, 2 if found.metric in THIRD else 1), "tick", "middle")
    y = 8.0
    for head, members in blocks:
        y += 32
        sheet.text(0, y - 11, head, "group-name")
        for effect in members:
            _row(sheet, found, effect, x, y, wide=wide)
            y += step
    return sheet.svg()


def _row(sheet: Sheet, found: InputRecord, effect: OptionEffect, x: Scale, y: float, *, wide: bool) -> None:
    chosen = found.chosen.get(effect.choice) == effect.option
    cls, strong = ("champion", " strong") if chosen else ("finalist", "")
    middle, base = (y + 9, y + 13) if wide else (y + 25, y + 12)
    said = interval(Interval(value=effect.effect, low=effect.low, high=effect.high), digits(found.metric))
    mark = " · chosen" if chosen and wide else ""  # on a phone bold letters have to do
    name = fit(_name(effect), 180 - (56 if mark else 0) if wide else 150) + mark
    dot = "dot" if effect.low > 0 or effect.high < 0 else "hollow"
    sheet.add(
        "g",
        el("title", f"{_heading(effect.choice)} {_name(effect)}: {said}, {effect.num} architectures"),
        el("text", name, x=0, y=base, class_=f"row-name{strong}"),
        el("text", said, x=sheet.width, y=base, class_=f"row-value{strong}", text_anchor="end"),
        el("line", x1=x(effect.low), y1=middle, x2=x(effect.high), y2=middle, class_=f"whisker {cls}"),
        el("circle", cx=x(effect.effect), cy=middle, r=4.5, class_=f"{dot} {cls}"),
        class_="row",
    )
