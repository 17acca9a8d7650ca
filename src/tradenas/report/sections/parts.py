"""Pieces that several sections share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tradenas.report.markup import Markup, el, join, json_script
from tradenas.report.record import RunRecord
from tradenas.report.svg import legend

__all__ = ["Draw", "Section", "absent", "facts", "figure", "note", "table"]

WIDE, NARROW = 880, 350
Draw = Callable[..., Markup | None]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A numbered part of the page; `name` is its anchor, `short` its name in the contents."""

    name: str
    short: str
    title: str
    body: Markup


def absent(words: str) -> Markup:
    """Says calmly that something is not there, and why."""
    return el("p", words, class_="absent")


def note(*words: object) -> Markup:
    """A small paragraph under a figure or table."""
    return el("p", *words, class_="note")


def figure(
    record: RunRecord,
    draw: Draw,
    *,
    caption: object = None,
    hover: tuple[str, object] | None = None,
    key: Sequence[tuple[str, str]] = (),
    read: str = "",
    beside: bool = False,
) -> Markup | None:
    """A picture drawn twice, for a desk and for a phone, of which CSS shows one.

    Args:
        record: the run.
        draw: a picture of `tradenas.report.figures`.
        caption: what stands below it.
        hover: a mode of the page's script (`time` or `points`) and its data.
        key: names and classes of lines, shown on the phone only.
        beside: puts the caption at the right of the picture where there is room.
        read: what a keyboard or screen-reader user is told about the read-out.
    """
    wide, narrow = draw(record, width=WIDE), draw(record, width=NARROW)
    if wide is None or narrow is None:
        return None
    pictures = [el("div", wide, class_="wide"), el("div", narrow, class_="narrow")]
    mode = None
    if hover is not None:
        mode = hover[0]
        pictures += [el("div", class_="tip", role="status", aria_live="polite"), json_script(hover[1])]
    plot = el("div", *pictures, class_="plot", data_mode=mode, tabindex=0 if mode else None,
              role="group" if mode else None, aria_label=read if mode else None)  # fmt: skip
    words = el("figcaption", caption) if caption is not None else None
    return el("figure", legend(key) if key else None, plot, words, class_="beside" if beside else None)


def table(
    caption: object,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    text: Iterable[int] = (0,),
    classes: Sequence[str | None] = (),
) -> Markup:
    """A table in a box that scrolls by itself; columns in `text` hold words, others numbers; the first names a row."""
    words = frozenset(text)
    kind = [None if i in words else "num" for i in range(len(header))]
    head = el(
        "tr", *(el("th", name, scope="col", class_=kind[i]) if name else el("td") for i, name in enumerate(header))
    )
    body = []
    for number, row in enumerate(rows):
        cells = [
            el("th" if i == 0 else "td", cell, scope="row" if i == 0 else None, class_=kind[i])
            for i, cell in enumerate(row)
        ]
        body.append(el("tr", *cells, class_=classes[number] if number < len(classes) else None))
    whole = el("table", el("caption", caption), el("thead", head), el("tbody", *body))
    return el("div", whole, class_="scroll", tabindex=0, role="region", aria_label=f"Table: {_plain(caption)}")


def _plain(caption: object) -> str:
    return caption if isinstance(caption, str) and not isinstance(caption, Markup) else "figures"


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Names and values, a line each."""
    return el("dl", join(el("div", el("dt", name), el("dd", value)) for name, value in pairs), class_="facts")
