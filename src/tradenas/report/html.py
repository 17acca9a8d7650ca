"""The report page: one HTML file that needs no network, no server and no library."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template

from tradenas.report.markup import Markup, el, escape, join, printable
from tradenas.report.record import RunRecord
from tradenas.report.sections import SECTIONS
from tradenas.report.sections.verdict import dek
from tradenas.report.wording import count, interval_name, span

__all__ = ["render"]

TONES = {"EDGE": "edge", "NO EVIDENCE": "open", "NO EDGE": "none"}
UNPAID = (
    "The costs are those of a perpetual, whose holders pay or receive funding at every settlement, most often three "
    "times a day. Name its settled rates with data.funding; tradenas fetch brings them."
)


def render(record: RunRecord) -> str:
    """The whole page as text.  Every word that comes from the record is escaped on its way in."""
    static = files("tradenas.report") / "static"
    style, script, page = ((static / name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html"))
    sections = [section for make in SECTIONS if (section := make(record)) is not None]
    data = record.data
    word = record.verdict.verdict if record.verdict is not None else "NO VERDICT YET"
    subject = f"{data.symbol} · {interval_name(data.interval_ms)} · {span(data.first_open, data.last_close)}"
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return Template(page).substitute(
        script_hash=f"sha256-{digest}",
        title=escape(f"{word}: {data.symbol} {interval_name(data.interval_ms)} · tradenas"),
        style=style,
        tone=TONES.get(word, "none"),
        watermark=_watermark(record),
        subject=escape(subject),
        banner=_banner(record),
        word=escape(word),
        dek=escape(dek(record)),
        byline=_byline(record),
        contents=join((el("li", el("a", s.short, href=f"#{s.name}")) for s in sections), "\n"),
        sections=join(
            (
                el(
                    "section",
                    el("h2", el("span", str(number), class_="no"), el("span", s.title), id=f"{s.name}-title"),
                    s.body,
                    id=s.name,
                    aria_labelledby=f"{s.name}-title",
                )
                for number, s in enumerate(sections, start=1)
            ),
            "\n",
        ),
        footer=escape(
            f"Run {record.folder.name}, tradenas {record.environment.tradenas}. Nothing on this page is advice."
        ),
        script=script,
    )


def _byline(record: RunRecord) -> Markup:
    found = record.verdict
    words = []
    if found is not None and found.champion is not None:
        words.append(
            f"Champion {found.champion.name}"
            + (f", judged against {found.best_baseline}" if found.best_baseline else "")
        )
    if found is not None and found.days is not None:
        words.append(f"{count(found.days)} days in the {found.zone or record.zone}")
    if found is not None and found.trials.total is not None:
        words.append(f"{count(found.trials.total)} trials counted")
    words.append(f"{count(record.data.rows)} candles")
    return escape(" · ".join(words))


def _banner(record: RunRecord) -> Markup:
    found = []
    if record.cost_free:
        found.append(
            ("Cost-free run.", "Nobody trades for nothing: every figure here is before costs, and none can be earned.")
        )
    if record.data.funding is not None and not record.data.funding.charged:
        found.append(("Funding was not charged.", UNPAID))
    said = record.verdict.watermark if record.verdict is not None else None
    if said:
        found.append(("Marked:", printable(said)))
    return join(el("p", el("strong", head), f" {words}", class_="banner", role="note") for head, words in found)


def _watermark(record: RunRecord) -> Markup:
    words = record.watermark
    if not words:
        return Markup("")
    text = printable(words)[:60]
    step = 90 + 19 * len(text)
    marks = [
        el("text", text, x=float(x + (row % 2) * step // 2), y=float(row * 150))
        for row in range(-4, 22)
        for x in range(-step, 2600, step)
    ]
    return el("svg", el("g", *marks, transform="rotate(-24)"), class_="watermark", aria_hidden="true")
