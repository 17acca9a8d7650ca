"""How alphas went: lines over epochs, and a strip of colour for each option of each choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tradenas.report.markup import Markup, el
from tradenas.report.schema.alphas import AlphaSupernet
from tradenas.report.svg import Scale, Sheet, fit, path_of, ticks
from tradenas.report.wording import decimal

__all__ = ["LEVELS", "Line", "Strip", "courses", "final_table", "level", "scale_key", "strips", "strips_of"]

#: Odds against even ones from which a colour grows stronger.
LEVELS = (1.25, 2.0, 5.0)
#: How strong, above and below: what loses is many, and must not drown what wins.
SHADES = {"up": (0.3, 0.6, 0.95), "down": (0.14, 0.3, 0.5)}
ROW, HEAD, GAP = 14.0, 20.0, 16.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve over epochs, from 1."""

    label: str
    cls: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The options of one choice over all epochs.

    Attributes:
        head: name of the choice.
        taken: whether the architecture has it.
        options: names.
        weights: for each epoch the weight of each option, None where it was no longer on offer.
        levels: for each epoch how far each weight is from even, -3 to 3.
        chosen: which options the architecture takes.
    """

    head: str
    taken: bool
    options: Sequence[str]
    weights: Sequence[Sequence[float | None]]
    levels: Sequence[Sequence[int | None]]
    chosen: frozenset[int]


def level(weight: float, even: float) -> int:
    """How far a weight is from what it was before anything was learnt, by the ratio of odds: -3 (far below) to 3.

    >>> [level(p, 0.125) for p in (0.125, 0.14, 0.2, 0.5, 0.1, 0.05, 0.01)]
    [0, 0, 1, 3, -1, -2, -3]
    """
    ratio = max(weight, 1e-9) * (1.0 - even) / (max(1.0 - weight, 1e-9) * even)
    size = max(ratio, 1.0 / ratio)
    return (1 if ratio >= 1.0 else -1) * sum(size >= bound for bound in LEVELS)


def strips_of(net: AlphaSupernet, part: str) -> list[Strip]:
    """The choices of one part of a supernet, stage after stage; an option that a later stage lacks has no colour."""
    found = []
    first = net.stages[0]
    for choice in (c for c in first.choices if c.part == part):
        options = [str(o) for o in choice.options]
        weights: list[list[float | None]] = []
        levels: list[list[int | None]] = []
        for stage in net.stages:
            now = next((c for c in stage.choices if c.name == choice.name), None)
            for at in range(len(stage.epochs)):
                given = {} if now is None else dict(zip(map(str, now.options), now.strengths[at], strict=True))
                even = {} if now is None else dict(zip(map(str, now.options), now.even, strict=True))
                weights.append([given.get(o) for o in options])
                levels.append([level(given[o], even[o]) if o in given else None for o in options])
        picked = net.architecture.get(choice.name)
        taken = {str(p) for p in picked} if isinstance(picked, list | tuple) else {str(picked)}
        found.append(
            Strip(
                head=_head(choice.name),
                taken=picked is not None,
                options=options,
                weights=weights,
                levels=levels,
                chosen=frozenset(i for i, o in enumerate(options) if picked is not None and o in taken),
            )
        )
    return found


def _head(name: str) -> str:
    words = name.removeprefix("input/").removeprefix("column/").removeprefix("cell/").removesuffix("/op")
    if words.startswith("edge"):
        return words.removeprefix("edge").replace("-", " → ")
    return words.replace("layer", "layer ").replace("node", "node ").replace("/", " ")


def courses(
    lines: Sequence[Line], *, width: int, what: str, low: float | None = None, high: float | None = None,
    stop: tuple[int, str] | None = None, digits: int = 2,
) -> Markup | None:  # fmt: skip
    """Lines over epochs; `stop` marks the epoch whose alphas were kept."""
    values = [y for line in lines for _, y in line.points]
    if not values:
        return None
    wide, height = width > 600, 230.0
    room = 0.08 * (max(values) - min(values)) or 0.1 * abs(max(values)) or 0.1
    bottom, top = (min(values) - room if low is None else low), (max(values) + room if high is None else high)
    last = max(x for line in lines for x, _ in line.points)
    x = Scale(1, max(last, 2), 58.0, width - (150.0 if wide else 12.0))
    y = Scale(bottom, top, height - 44, 10.0)
    said = "; ".join(
        f"{line.label} {decimal(line.points[0][1], digits)} to {decimal(line.points[-1][1], digits)}"
        for line in lines if line.points
    )  # fmt: skip
    sheet = Sheet(width, height, f"{what} over {last:g} epochs: {said}.")
    for value in ticks(bottom, top, 4):
        sheet.line(x.start, y(value), x.stop, y(value), "grid")
        sheet.text(x.start - 8, y(value) + 4, decimal(value, digits), "tick", "end")
    for value in ticks(1, max(last, 2), 8 if wide else 4):
        if float(value).is_integer():
            sheet.text(x(value), y.start + 17, f"{value:g}", "tick", "middle")
    sheet.text((x.start + x.stop) / 2, height - 8, "epochs", "axis-name", "middle")
    if stop is not None:
        sheet.line(x(stop[0]), y.start, x(stop[0]), y.stop, "reference champion")
        left = x(stop[0]) < (x.start + x.stop) / 2
        sheet.text(x(stop[0]) + (6 if left else -6), y.stop + 10, stop[1], "label", "start" if left else "end")
    ends: list[float] = []
    for line in lines:
        if not line.points:
            continue
        sheet.add("path", d=path_of([x(e) for e, _ in line.points], [y(v) for _, v in line.points]),
                  class_=f"curve {line.cls}")  # fmt: skip
        for e, v in line.points if line.dots or len(line.points) == 1 else ():
            sheet.add("g", el("title", f"epoch {e:g}: {decimal(v, digits)}"),
                      el("circle", cx=x(e), cy=y(v), r=3.5, class_=f"dot {line.cls}"))  # fmt: skip
        at = y(line.points[-1][1]) + 4
        if wide and all(abs(at - other) > 13 for other in ends):
            ends.append(at)
            sheet.text(x.stop + 8, at, fit(line.label, 140), f"label {line.cls}")
    return sheet.svg()


def strips(found: Sequence[Strip], *, width: int) -> Markup | None:
    """A panel for each choice, in it a strip for each option, with epochs from left to right."""
    found = [strip for strip in found if strip.levels]
    if not found:
        return None
    across = 4 if width > 600 else 2
    across = min(across, len(found)) if width > 600 else across
    panel = min((width - 18.0 * (across - 1)) / across, 320.0)
    name_w = min(78.0, 0.42 * panel)
    blocks = [found[i : i + across] for i in range(0, len(found), across)]
    heights = [HEAD + ROW * max(len(s.options) for s in block) + GAP for block in blocks]
    ends = "; ".join(f"{s.head}: {_most(s)}" for s in found)
    sheet = Sheet(width, sum(heights), f"Weights over {len(found[0].levels)} epochs, strongest in the end: {ends}.")
    top = 0.0
    for block, height in zip(blocks, heights, strict=True):
        for column, strip in enumerate(block):
            _panel(sheet, strip, (column * (panel + 18.0), top, panel, name_w))
        top += height
    return sheet.svg()


def _most(strip: Strip) -> str:
    last = [w if w is not None else -1.0 for w in strip.weights[-1]]
    return f"{strip.options[last.index(max(last))]} {decimal(max(last), 2)}"


def _panel(sheet: Sheet, strip: Strip, box: tuple[float, float, float, float]) -> None:
    left, top, panel, name_w = box
    head = strip.head if strip.taken else f"{strip.head}, not taken"
    sheet.text(left, top + 13, fit(head, panel, 13), "group-name" if strip.taken else "tick")
    x0, y0, width = left + name_w, top + HEAD, panel - name_w
    epochs = len(strip.levels)
    sheet.add("rect", x=x0, y=y0, width=width, height=ROW * len(strip.options), class_="zone")
    for way, cls in ((1, "up"), (-1, "down")):
        for size, shade in enumerate(SHADES[cls], start=1):
            d = _runs(strip, way * size, x0, y0, width / epochs)
            if d:
                sheet.add("path", d=d, class_=f"cell {cls}", fill_opacity=shade)
    for i, option in enumerate(strip.options):
        y = y0 + i * ROW
        known = [w[i] for w in strip.weights if w[i] is not None]
        told = f"{strip.head}, {option}: {decimal(known[0], 3)} at first, {decimal(known[-1], 3)} "
        told += "in the end" if strip.weights[-1][i] is not None else f"when it was dropped after epoch {len(known)}"
        chosen = i in strip.chosen
        sheet.add(
            "g",
            el("title", told + (", chosen" if chosen else "")),
            el("text", fit(option, name_w - 8), x=x0 - 6, y=y + 11, text_anchor="end",
               class_="tick strong" if chosen else "tick"),
            el("rect", x=x0, y=y + 0.5, width=width, height=ROW - 1, class_="chosen feel" if chosen else "feel"),
        )  # fmt: skip


def _runs(strip: Strip, wanted: int, x0: float, y0: float, step: float) -> str:
    """Boxes of one level, neighbouring epochs as one."""
    d, epochs = [], len(strip.levels)
    for i in range(len(strip.options)):
        at = 0
        while at < epochs:
            stop = at
            while stop < epochs and strip.levels[stop][i] == wanted:
                stop += 1
            if stop > at:
                d.append(f"M{x0 + at * step:.1f} {y0 + i * ROW:.1f}h{(stop - at) * step:.1f}v{ROW:g}"
                         f"h{-(stop - at) * step:.1f}Z")  # fmt: skip
            at = max(stop, at + 1)
    return "".join(d)


def final_table(found: Sequence[Strip], *, width: int) -> Markup | None:
    """Many choices of the same options, as the weights that they end with: choices down, options across."""
    found = [strip for strip in found if strip.levels]
    if not found:
        return None
    options = list(dict.fromkeys(o for s in found for o in s.options))
    wide = width > 600
    left, step, top = (150.0, 24.0, 24.0) if wide else (0.0, 38.0, 66.0)
    cell_w = (width - left) / len(options)
    said = "; ".join(f"{s.head} {_most(s)}" for s in found)
    sheet = Sheet(width, top + step * len(found) + 4, f"Strongest op of each column in the end: {said}.")
    for i, option in enumerate(options):
        x = left + (i + 0.5) * cell_w
        if wide:
            sheet.text(x, top - 9, fit(option, cell_w), "tick", "middle")
        else:
            turn = f"rotate(-60 {x + 4:.1f} {top - 8:.1f})"
            sheet.add("text", option, x=x + 4, y=top - 8, class_="tick", transform=turn)
    for j, strip in enumerate(found):
        y = top + j * step
        sheet.text(0, y + (16 if wide else 12), fit(strip.head, left - 10 if wide else width), "row-name")
        for i, option in enumerate(strip.options):
            weight, shown = strip.weights[-1][i], strip.levels[-1][i]
            if weight is None or shown is None:
                continue
            x, way = left + options.index(option) * cell_w, "up" if shown > 0 else "down"
            marks = [el("title", f"{strip.head}, {option}: {decimal(weight, 3)}")]
            box = {
                "x": x + 1,
                "y": (y if wide else y + 16) + 1,
                "width": cell_w - 2,
                "height": (step if wide else 20) - 2,
            }
            shade = SHADES[way][abs(shown) - 1] if shown else 0.0
            marks.append(el("rect", **box, class_=f"cell {way}", fill_opacity=shade))
            if wide:
                marks.append(
                    el("text", decimal(weight, 2), x=x + cell_w / 2, y=y + 16, class_="cell-text", text_anchor="middle")
                )
            if i in strip.chosen:
                marks.append(el("rect", **box, class_="chosen"))
            sheet.add("g", *marks)
    return sheet.svg()


def scale_key() -> Markup:
    """What the colours mean, from far below even odds to far above."""
    below, above = [f"below 1/{bound:g}" for bound in LEVELS[::-1]], [f"from {bound:g} times" for bound in LEVELS]
    names = [*below, "even odds", *above]

    def sample(at: int) -> Markup:
        way = "up" if at > 0 else "down"
        cls, shade = ("zone", 1.0) if at == 0 else (f"cell {way}", SHADES[way][abs(at) - 1])
        return el("svg", el("rect", width=18, height=12, class_=cls, fill_opacity=shade), viewbox="0 0 18 12",
                  aria_hidden="true")  # fmt: skip

    return el(
        "ul", *(el("li", sample(at), name) for at, name in zip(range(-3, 4), names, strict=True)), class_="shades"
    )
