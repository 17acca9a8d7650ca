"""What hand-made charts need: scales, ticks, a sheet to draw on.  Colours are classes of the page's CSS."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tradenas.report.markup import Attribute, Markup, el
from tradenas.typing import FloatArray

__all__ = ["Scale", "Sheet", "fit", "legend", "path_of", "spread", "text_width", "thin", "ticks", "time_ticks"]


@dataclass(frozen=True)
class Scale:
    """A straight line from data to pixels.

    >>> Scale(0, 10, 100, 200)(5)
    150.0
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        width = self.high - self.low
        share = (value - self.low) / width if width else 0.5
        return self.start + share * (self.stop - self.start)


@dataclass
class Sheet:
    """Collects the marks of one picture, from back to front."""

    width: float
    height: float
    label: str
    data: dict[str, Attribute] = field(default_factory=dict)
    marks: list[Markup] = field(default_factory=list)

    def add(self, tag: str, /, *children: object, **attributes: Attribute) -> None:
        """Adds one mark."""
        self.marks.append(el(tag, *children, **attributes))

    def line(self, x1: float, y1: float, x2: float, y2: float, cls: str) -> None:
        """A straight line."""
        self.add("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=cls)

    def text(self, x: float, y: float, text: object, cls: str = "tick", anchor: str = "start") -> None:
        """A text whose baseline starts, is centred, or ends (`anchor`) at a point."""
        self.add("text", text, x=float(x), y=float(y), class_=cls, text_anchor=None if anchor == "start" else anchor)

    def axes(self, x: Scale, y: Scale) -> None:
        """Tells the page's script how data lie on this sheet."""
        ends = {"x0": x.start, "x1": x.stop, "v0": x.low, "v1": x.high}
        ends |= {"y0": y.start, "y1": y.stop, "w0": y.low, "w1": y.high}
        self.data = {f"data_{key}": float(value) for key, value in ends.items()}

    def svg(self) -> Markup:
        """The picture; `label` is what a screen reader says of it."""
        view = f"0 0 {self.width:g} {self.height:g}"
        return el("svg", *self.marks, viewbox=view, role="img", aria_label=self.label, **self.data)


def ticks(low: float, high: float, num: int = 5) -> tuple[float, ...]:
    """Round numbers from `low` to `high`, about `num` of them (steps of 1, 2 or 5 times a power of ten).

    >>> ticks(-1.3, 2.2, 4)
    (-1.0, 0.0, 1.0, 2.0)
    """
    if not high > low:
        return (low,)
    raw = (high - low) / max(num, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(i * step, 12) + 0.0 for i in range(first, last + 1))


def time_ticks(first_ms: float, last_ms: float, num: int) -> tuple[tuple[int, str], ...]:
    """Starts of days, months or years between two moments (ms UTC), at most about `num`, each with its name."""
    first, last = (dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (first_ms, last_ms))
    months = (last.year - first.year) * 12 + last.month - first.month
    if months < 2:
        step = max(1, math.ceil((last - first).days / num))
        start = first.replace(hour=0, minute=0, second=0, microsecond=0)
        days = (start + dt.timedelta(days=i) for i in range(0, (last - first).days + 2, step))
        return tuple((_ms(day), f"{day.day} {day:%b}") for day in days if first <= day <= last)
    step = next((s for s in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600) if months / s <= num), 1200)
    starts = []
    for index in range(first.year * 12 // step * step, last.year * 12 + 12, step):
        start = dt.datetime(index // 12, index % 12 + 1, 1, tzinfo=dt.UTC)
        if first <= start <= last:
            name = f"{start:%Y}" if start.month == 1 else f"{start:%b}"
            starts.append((_ms(start), name))
    return tuple(starts)


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def thin(x_N: FloatArray, y_N: FloatArray, num: int) -> tuple[FloatArray, FloatArray]:
    """At most about `num` points that draw the same line: of each stretch the first, lowest, highest and last."""
    if len(x_N) <= num:
        return x_N, y_N
    keep: set[int] = set()
    for chunk in np.array_split(np.arange(len(x_N)), max(1, num // 4)):
        y = y_N[chunk]
        keep |= {int(chunk[0]), int(chunk[-1]), int(chunk[y.argmin()]), int(chunk[y.argmax()])}
    index = np.asarray(sorted(keep))
    return x_N[index], y_N[index]


def path_of(x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> str:
    """The `d` of a line through points.  Raises `ValueError` for one that is not finite."""
    x_N, y_N = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not (np.isfinite(x_N).all() and np.isfinite(y_N).all()):
        raise ValueError("a picture needs finite coordinates")
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x_N, y_N, strict=True))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves labels apart so that each has `gap`, as little as a pass down and a pass up allow; order is kept.

    >>> spread([10, 12, 50], 10, 0, 100)
    [10, 20, 50]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [min(max(value, low), high) for value in wanted]
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + gap)
    limit = high
    for i in reversed(order):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - gap
    return placed


def text_width(text: str, size: float = 12.0) -> float:
    """A generous guess of how wide a text is, in pixels; there is no font to ask."""
    return sum(0.36 if char in "iljtfrI .,:;|'!()[]" else 0.86 if char in "mwMW@%" else 0.6 for char in text) * size


def fit(text: str, width: float, size: float = 12.0) -> str:
    """A text cut with an ellipsis to a width.

    >>> fit("a very long name", 60)
    'a very l…'
    """
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """A list of line samples with names, for screens too narrow to label lines directly."""

    def sample(cls: str) -> Markup:
        stroke = el("line", x1=0, y1=5, x2=22, y2=5, class_=f"curve {cls}")
        return el("svg", stroke, viewbox="0 0 22 10", aria_hidden="true")

    return el("ul", *(el("li", sample(cls), name) for name, cls in entries), class_="legend")
