"""The page's pictures as files of their own, for slides and papers: SVG always, PNG where a rasteriser is installed.

A picture is taken from the sections of the page as it stands there, in the form for a desk.  It gets what it loses by
leaving the page: a white sheet, the rules of the page's CSS that concern it with their colours written out, its title
and what a screen reader says of it, and a foot line with the run, the verdict and the number of trials.  A watermark of
the run goes with every picture.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files

from tradenas.errors import MissingExtra
from tradenas.report.markup import Markup, el, printable
from tradenas.report.record import RunRecord
from tradenas.report.sections import SECTIONS
from tradenas.report.svg import fit
from tradenas.report.wording import count, interval_name, span

__all__ = ["Picture", "pictures_of", "rasteriser"]

MARGIN = 24.0
ZOOM = 2.0  # pixels of a PNG for each of the picture's: sharp on paper and on screens with small pixels
OWN = (
    "text.picture-title{fill:#23201c;font-size:17px;font-weight:600}"
    "text.picture-line{fill:#615a51;font-size:12px}"
    "text.picture-mark{fill:#990f3d;font-size:13px;font-weight:600}"
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture by itself, which a notebook shows: `name` is its file's, without an ending; `svg` the file's text."""

    name: str
    title: str
    svg: str = field(repr=False)

    def _repr_svg_(self) -> str:
        return self.svg


def pictures_of(record: RunRecord) -> tuple[Picture, ...]:
    """Every picture of the page, in its order; names come from the section, with a number where it has several."""
    found = []
    for make in SECTIONS:
        section = make(record)
        drawn = _drawn(section.body) if section is not None else []
        for number, (attributes, inner) in enumerate(drawn, start=1):
            assert section is not None
            name = section.name + (f"-{number}" if len(drawn) > 1 else "")
            svg = _standalone(record, section.title, attributes, inner)
            found.append(Picture(name=name, title=section.title, svg=svg))
    return tuple(found)


def rasteriser() -> Callable[[str], bytes]:
    """The function that turns SVG text into the bytes of a PNG.

    Raises:
        MissingExtra: `resvg_py` is not installed.
    """
    try:
        resvg = importlib.import_module("resvg_py")
    except ImportError as error:
        raise MissingExtra.of("resvg_py", extra="report") from error

    def png(svg: str) -> bytes:
        return bytes(resvg.svg_to_bytes(svg_string=svg, zoom=ZOOM))

    return png


def _standalone(record: RunRecord, title: str, attributes: dict[str, str], inner: str) -> str:
    left, top, width, height = (float(number) for number in attributes["viewBox"].split())
    label = unescape(attributes.get("aria-label", ""))
    lines = [(title, 17.0, "title"), (label, 12.0, "line"), (f"Marked: {record.watermark}", 13.0, "mark")]
    if not record.watermark:
        lines.pop()
    head, foot = 22.0 * len(lines) + 22.0, 44.0
    wide, high = width + 2 * MARGIN, height + head + foot
    x, y = left - MARGIN, top - head
    style = "".join(_rules(_classes(inner), frozenset(re.findall(r"<(\w+)", inner)))) + OWN
    words = [
        el("text", fit(printable(text), width, size), x=left, y=y + 28 + 22 * row, class_=f"picture-{cls}")
        for row, (text, size, cls) in enumerate(lines)
    ]
    words.append(el("text", fit(_foot(record), width), x=left, y=top + height + foot - 14, class_="picture-line"))
    sheet = el("rect", x=x, y=y, width=wide, height=high, fill="#ffffff")
    svg = el(
        "svg",
        *(el("title", title), el("desc", label), el("style", Markup(style)), sheet, Markup(inner), *words),
        xmlns="http://www.w3.org/2000/svg",
        viewbox=f"{x:g} {y:g} {wide:g} {high:g}",
        width=wide,
        height=high,
        role="img",
    )
    return svg + "\n"


def _foot(record: RunRecord) -> str:
    found, data = record.verdict, record.data
    words = [f"tradenas run {record.folder.name}", found.verdict if found is not None else "no verdict yet"]
    if found is not None and found.trials.total is not None:
        words.append(f"{count(found.trials.total)} trials counted")
    words.append(f"{data.symbol} {interval_name(data.interval_ms)}, {span(data.first_open, data.last_close)}")
    return printable(" · ".join(words))


def _classes(inner: str) -> frozenset[str]:
    return frozenset(name for names in re.findall(r'class="([^"]*)"', inner) for name in names.split())


def _rules(classes: frozenset[str], tags: frozenset[str]) -> Iterator[str]:
    """The rules of the page that can touch a picture with these classes and elements, without variables."""
    for selectors, declarations in _sheet():
        kept = [
            selector
            for selector in selectors
            if frozenset(re.findall(r"\.([\w-]+)", selector)) <= classes
            and frozenset(re.findall(r"(?:^|\s)(\w+)", selector)) <= tags | {"svg"}
        ]
        if kept:
            yield f"{','.join(kept)}{{{declarations}}}"


@cache
def _sheet() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Selectors and declarations of the page's rules for pictures, in the colours of its light theme on white."""
    text = (files("tradenas.report") / "static" / "page.css").read_text(encoding="utf-8")
    root = re.search(r":root\s*\{([^}]*)\}", text)
    assert root is not None
    values = dict(re.findall(r"--([\w-]+):\s*([^;]+);", root[1])) | {"paper": "#ffffff"}

    def resolved(declarations: str) -> str:
        return re.sub(r"var\(--([\w-]+)\)", lambda found: values[found[1]], declarations).strip()

    rules = [(("svg",), resolved("font-family: var(--sans)"))]
    for selectors, declarations in re.findall(r"(?:^|(?<=\}))\s*(svg [^{}]*)\{([^}]*)\}", text, re.MULTILINE):
        rules.append((tuple(one.strip() for one in selectors.split(",")), resolved(declarations)))
    return tuple(rules)


def _drawn(body: str) -> list[tuple[dict[str, str], str]]:
    return _Reader(body).found


class _Reader(HTMLParser):
    """Cuts the pictures out of a section: attributes and inner text of each that is not the one for a phone."""

    def __init__(self, body: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[dict[str, str], str]] = []
        self._starts = [0]
        self._body = body
        for line in body.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._divs: list[bool] = []  # for each open div, whether it is for a phone
        self._since: int | None = None
        self._attributes: dict[str, str] = {}
        self.feed(body)
        self.close()

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "div":
            self._divs.append("narrow" in given.get("class", "").split())
        if tag == "svg" and given.get("role") == "img" and not any(self._divs):
            opening = self.get_starttag_text() or ""
            self._attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', opening))
            self._since = self._here() + len(opening)

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._divs.pop()
        if tag == "svg" and self._since is not None:
            self.found.append((self._attributes, self._body[self._since : self._here()]))
            self._since = None

    def _here(self) -> int:
        line, column = self.getpos()
        return self._starts[line - 1] + column
