"""The page, the summary and the CSV: complete, self-contained, and inert to hostile text."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from report.fake_run import build
from tradenas.errors import FolderError
from tradenas.report.formulas import FORMULAS
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.returns import cell, daily_csv
from tradenas.report.sections.parts import table
from tradenas.report.summary import summary
from tradenas.report.write import write_report

HOSTILE = (
    "=cmd|' /C calc'!A0<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    "${x}\x1b[31m\u202e</title></style>--> & $style"
)
TITLES = [
    "Verdict and why",
    "Equity",
    "Drawdown",
    "Months",
    "Finalists, baselines and random architectures",
    "Costs",
    "Architecture",
    "Does the supernet tell the truth?",
    "Search",
    "Data",
    "Ledger, versions and how to reproduce",
]
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.words, self.faults = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs, _ in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(build(tmp_path_factory.mktemp("run") / "r", days=100, num_points=12))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    names = {"finalist-1": HOSTILE, "hold": "+hold", "lightgbm": "-1+1", "ridge": "@ridge|x"}
    names |= {name: f"{name}</script>{HOSTILE}" for name in ("flat", "reversal", "momentum", "dlinear", "gru")}
    folder = tmp_path_factory.mktemp("run") / "r"
    return load_record(
        build(folder, days=40, num_points=5, symbol=HOSTILE, notes=HOSTILE, names=names, watermark=HOSTILE)
    )


def test_the_sections_come_in_order_and_every_link_lands(record):
    page = Page(render(record))
    text = render(record)
    found = re.findall(r'<h2 id="[\w-]+"><span class="no">(\d+)</span><span>([^<]+)</span>', text)
    assert [t for _, t in found] == TITLES
    assert [int(n) for n, _ in found] == list(range(1, 12))
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in ids


def test_the_page_needs_nothing_from_outside(record):
    text = render(record)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|src=|<link|<img|<iframe", text)
    assert len(text) < 1_000_000


def test_no_heading_of_a_table_is_empty():
    text = table("what", ["name", "value", ""], [["a", 1, "b"]])
    assert text.count("<th ") == 3  # two columns and a row
    assert "<td></td>" in text


def test_only_the_one_script_may_run(record):
    text = render(record)
    policy = re.search(r"script-src '(sha256-[^']+)'", text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 1
    assert policy == "sha256-" + base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert "default-src 'none'" in text


def test_the_script_is_short():
    from importlib.resources import files

    assert len((files("tradenas.report") / "static" / "page.js").read_text().splitlines()) <= 110


def test_hostile_text_is_shown_and_does_nothing(hostile):
    text = render(hostile)
    page = Page(text)
    assert len(page.all("script")) == 4  # ours, and three of data
    assert not page.all("img")
    assert text.count("<style>") == text.count("</style>") == text.count("</title>") - len(page.all("title")) + 1 == 1
    assert "<script>alert" not in text
    assert not [key for _, attrs, _ in page.tags for key in attrs if key.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>alert(1)</script>" in page.text
    assert "$style" in page.text
    assert "u003c/script" in text  # the best baseline's name, in the data under the pointer
    for data in re.findall(r'<script type="application/json">(.*?)</script>', text, re.S):
        assert "<" not in data
        json.loads(data)


def test_every_number_has_its_formula_on_hover(record):
    page = Page(render(record))
    terms = [a for a in page.all("a") if a.get("class") == "term"]
    shown = {a["href"].removeprefix("#formula-") for a in terms}
    assert shown == set(FORMULAS) - {"cpcv"}  # that one where combinatorial paths were trained
    assert all("212 trials counted" in a["title"] for a in terms)


def test_landmarks_headings_and_tables(record):
    page = Page(render(record))
    for tag in ("header", "nav", "main", "footer"):
        assert len(page.all(tag)) == 1
    assert len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert "the vault was opened once" in page.text
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table")) == 6
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    for tag, attrs, above in page.tags:
        if tag == "svg":
            assert attrs.get("aria-label") or attrs.get("aria-hidden") == "true"
        if tag == "table":
            assert "div" in above
    assert all(box.get("tabindex") == "0" for box in page.all("div") if box.get("class") == "scroll")


def test_the_verdict_is_on_top_whatever_it_is(record):
    for word, tone in (("EDGE", "edge"), ("NO EVIDENCE", "open"), ("NO EDGE", "none"), ("SOMETHING NEW", "none")):
        text = render(replace(record, verdict=replace(record.verdict, verdict=word)))
        assert f'<body class="{tone}">' in text
        assert f'<h1 class="word">{word}</h1>' in text


@pytest.mark.parametrize("stage", ["search", "strategies", "daily", "coupling", "verdict", "ledger"])
def test_a_stage_not_reached_is_said_to_be_absent(record, stage):
    text = render(replace(record, **{stage: None}))
    Page(text)
    assert text.count("<section ") == 11
    if stage != "ledger":
        assert 'class="absent"' in text
    assert summary(replace(record, **{stage: None}))


def test_a_folder_that_has_only_begun(record):
    bare = replace(record, search=None, strategies=None, daily=None, coupling=None, verdict=None, ledger=None)
    page = Page(render(bare))
    assert "NO VERDICT YET" in page.text
    assert "None" not in page.text
    assert daily_csv(bare) is None
    assert summary(bare).startswith("# NO VERDICT YET: BTCUSDT 1h")


def test_a_verdict_of_nulls_is_dashes(record):
    from tradenas.report.schema import Verdict

    page = Page(render(replace(record, verdict=Verdict(verdict="NO EDGE"))))
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


def test_cost_free_and_watermarked_runs_are_branded(record):
    from tradenas.report.schema import Costs

    free = render(replace(record, verdict=replace(record.verdict, costs=Costs(taker_bps=0.0, slippage_bps=0.0))))
    assert "Cost-free run." in free
    assert "After costs" not in free
    assert 'class="watermark"' in free
    seen = render(replace(record, verdict=replace(record.verdict, watermark="second look")))
    assert seen.count("second look") > 20
    assert "Cost-free" not in seen
    assert 'class="watermark"' not in render(record)


def test_daily_csv_is_read_back(record):
    rows = list(csv.reader(io.StringIO(daily_csv(record))))
    assert rows[0][:5] == ["date", "zone", "net", "gross", "turnover"]
    assert len(rows) == 201
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", rows[1][0])
    assert [row[0] for row in rows[1:]] == sorted({row[0] for row in rows[1:]})
    net = record.daily.of("finalist-1").net_D
    assert [float(row[2]) for row in rows[1:]] == net.tolist()
    assert {row[1] for row in rows[1:]} == {"selection", "vault"}


def test_no_cell_is_a_formula(hostile):
    rows = list(csv.reader(io.StringIO(daily_csv(hostile))))
    assert not [c for c in rows[0] if c[:1] in "=+-@\t\r"]
    assert "'-1+1 net" in rows[0]
    assert cell(" =1") == "' =1"
    assert cell("\t=1").startswith("'")


def test_the_summary_is_one_page_and_inert(record, hostile):
    text = summary(record)
    assert text.startswith("# EDGE: BTCUSDT 1h\n")
    assert len(text.splitlines()) < 70
    assert "212" in text
    assert "tradenas run study.toml" in text
    assert "<script" not in summary(hostile)
    assert "<img" not in summary(hostile)


def test_write_report(tmp_path):
    folder = build(tmp_path / "r", days=30, num_points=4)
    page = write_report(folder, png=False)
    assert page == folder / "report" / "index.html"
    assert sorted(p.name for p in page.parent.iterdir()) == ["daily.csv", "figures", "index.html", "summary.md"]
    before = page.read_bytes()
    assert write_report(folder, png=False).read_bytes() == before


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    folder = build(tmp_path / "r", days=30, num_points=4)
    (folder / "report").write_text("in the way")
    with pytest.raises(FolderError, match="report"):
        write_report(folder)


def test_an_order_that_the_scores_do_not_follow_is_explained(record):
    from tradenas.report.sections.models import candidates

    words = "several supernets order them by rank"
    assert words not in candidates(record).body
    top = record.search.candidates
    turned = replace(record, search=replace(record.search, candidates=(top[1], top[0], *top[2:])))
    assert words in candidates(turned).body
