"""The section of regimes: there where the study has them, complete, inside its sheets, and inert to hostile text."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from report.fake_regimes import with_regimes
from report.fake_run import build
from report.test_figures import NUMBER, of
from report.test_page import HOSTILE, TITLES, Page
from tradenas.errors import FolderError
from tradenas.report import VerdictBox
from tradenas.report.figures.regimes import against_single, share_bars
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.summary import summary

TITLE = "Regimes and routing"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return with_regimes(build(tmp_path_factory.mktemp("run") / "r", days=120, num_points=10))


@pytest.fixture(scope="module")
def record(folder):
    return load_record(folder)


def titles(page):
    words, out = iter(page.tags), []
    for tag, attrs, _ in words:
        if tag == "section":
            out.append(attrs["id"])
    return out


def test_it_stands_after_the_strategies_and_only_where_there_are_regimes(record):
    page = Page(render(record))
    order = titles(page)
    assert order.index("regimes") == order.index("strategies") + 1
    assert TITLE in page.text
    assert len(order) == len(TITLES) + 1
    without = Page(render(replace(record, regimes=None)))
    assert "regimes" not in titles(without)
    assert TITLE not in without.text


@pytest.mark.parametrize("width", [880, 350])
@pytest.mark.parametrize("figure", [share_bars, against_single], ids=lambda f: f.__name__)
def test_pictures_stay_inside_their_sheets(record, figure, width):
    svg = figure(record, width=width)
    root = ET.fromstring(svg)
    _, _, wide, high = (float(v) for v in root.get("viewBox").split())
    assert wide <= width
    assert len(root.get("aria-label")) > 20
    for node in root.iter():
        for key, most in (
            ("x", wide),
            ("x1", wide),
            ("x2", wide),
            ("cx", wide),
            ("y", high),
            ("y1", high),
            ("cy", high),
        ):
            for text in NUMBER.findall(node.get(key, "")):
                assert -0.5 <= float(text) <= most + 0.5, (node.tag, key)
    for rect in of(svg, "rect"):
        assert float(rect.get("x")) + float(rect.get("width")) <= wide + 0.5


def test_bars_have_the_widths_of_the_shares(record):
    bars = [r for r in of(share_bars(record, width=880), "rect", "share") if float(r.get("height")) == 25.0]
    assert len(bars) == 4 * 5
    room = 880 - 160
    assert [round((float(r.get("width")) + 1.5) / room, 3) for r in bars[:5]] == [0.3, 0.25, 0.2, 0.15, 0.1]
    known = record.regimes.zones["vault"]
    sure = replace(known, shares={**known.shares, "unknown": 0.0})
    fewer = replace(record, regimes=replace(record.regimes, zones={"vault": sure}))
    assert len([r for r in of(share_bars(fewer, width=880), "rect", "share") if float(r.get("height")) == 25.0]) == 4


def test_the_comparison_is_drawn_and_told(record):
    svg = against_single(record, width=880)
    assert len(of(svg, "circle", "dot")) == 3
    assert "0.40 [−0.20, 1.10]" in svg
    assert against_single(replace(record, regimes=None), width=880) is None
    page = Page(render(record))
    assert "Words." in page.text
    for name in ("trending 1", "mean-reverting 1", "volatile 1", "calm 1", "not known", "0.80 (0.012)"):
        assert name in page.text


def test_a_router_as_champion_breaks_nothing(tmp_path):
    record = load_record(with_regimes(build(tmp_path / "r", days=60, num_points=5), champion=True))
    page = Page(render(record))
    assert "routed is no single network" in page.text
    out = io.StringIO()
    Console(file=out, width=100).print(VerdictBox(record))
    assert "several networks, by regime" in out.getvalue()
    assert "several networks, by regime" in summary(record)


def test_before_the_verdict_the_router_may_lead(record):
    open_ = replace(record, verdict=None)
    routed = next(s for s in record.strategies if s.kind == "routed")
    strong = replace(routed, selection=replace(routed.selection, sharpe=99.0))
    others = tuple(s for s in record.strategies if s is not routed)
    assert replace(open_, strategies=(*others, strong)).champion.kind == "routed"
    weak = replace(routed, selection=replace(routed.selection, sharpe=-99.0))
    assert replace(open_, strategies=(*others, weak)).champion.kind == "finalist"


def test_scores_of_regimes_do_not_crowd_the_candidates(tmp_path):
    folder = with_regimes(build(tmp_path / "r", days=60, num_points=5))
    path = folder / "search" / "candidates.json"
    found = json.loads(path.read_text())
    for candidate in found["candidates"]:
        candidate["scores"]["ic/calm"] = 0.123456
    path.write_text(json.dumps(found))
    assert "ic/calm" not in render(load_record(folder))


def test_hostile_words_are_inert(tmp_path):
    folder = build(tmp_path / "r", days=60, num_points=5)
    record = load_record(with_regimes(folder, words=HOSTILE))
    page, plain = Page(render(record)), Page(render(replace(record, regimes=replace(record.regimes, words=()))))
    assert "alert(1)" in page.text
    for tag in ("script", "img"):
        assert len(page.all(tag)) == len(plain.all(tag))


def test_a_damaged_record_is_named(tmp_path):
    folder = with_regimes(build(tmp_path / "r", days=60, num_points=5))
    path = folder / "retrain" / "strategies.json"
    found = json.loads(path.read_text())
    found["regimes"]["zones"]["vault"]["comparison"]["low"] = "low"
    path.write_text(json.dumps(found))
    with pytest.raises(FolderError, match=r"regimes.*vault.*low"):
        load_record(folder)
