"""Markup that cannot forget to escape: text becomes markup only through here."""

from __future__ import annotations

import html
import json
import math
import unicodedata
from collections.abc import Iterable

__all__ = ["Markup", "el", "escape", "join", "json_script", "printable"]

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
VOID = frozenset({"br", "hr", "meta", "line", "rect", "circle", "path", "polyline", "col", "stop", "use"})
Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is HTML or SVG already; any other text is escaped by `el`."""

    __slots__ = ()


def printable(text: str) -> str:
    r"""One line of text with nothing in it that steers a terminal, a browser or an XML parser.

    >>> printable("BTC\x1b[31m\n<b>")
    'BTC�[31m <b>'
    """
    return "".join(_printable(char) for char in text)


def _printable(char: str) -> str:
    if char in "\n\r\t":
        return " "
    bad = char in BIDI or char in "\u2028\u2029" or unicodedata.category(char) in ("Cc", "Cs", "Cn")
    return "\N{REPLACEMENT CHARACTER}" if bad else char


def escape(text: object) -> Markup:
    """Text as markup, `Markup` as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(printable(str(text)), quote=True))


def el(tag: str, /, *children: object, **attributes: Attribute) -> Markup:
    """One element.  `class_` and `stroke_width` become `class` and `stroke-width`; `None` and `False` are left out.

    >>> el("td", "a < b", class_="num", colspan=2)
    '<td class="num" colspan="2">a &lt; b</td>'
    """
    words = [tag]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        name = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}.get(name, name)
        words.append(f'{name}="{escape(_attribute(value, name))}"')
    opening = " ".join(words)
    if tag in VOID:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{''.join(escape(child) for child in children if child is not None)}</{tag}>")


def _attribute(value: str | int | float | bool, name: str) -> str:
    if value is True:
        return name
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name}={value}: a picture needs finite coordinates")
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Pieces of markup in a row; text among them is escaped."""
    return Markup(between.join(escape(part) for part in parts))


def json_script(value: object) -> Markup:
    r"""Data for the page's script, inert whatever is in it.

    >>> json_script("</script>")
    '<script type="application/json">"\\u003c/script\\u003e"</script>'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(f'<script type="application/json">{text}</script>')
