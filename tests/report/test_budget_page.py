"""The section of costs: whole where there is a budget, absent without, inside its sheets, inert to hostile text."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from report.fake_budget import with_budget
from report.fake_run import build
from report.test_figures import NUMBER
from report.test_page import HOSTILE, TITLES, Page
from tradenas.errors import FolderError
from tradenas.report import VerdictBox
from tradenas.report.figures.front import front, hover_front, shown, stairs
from tradenas.report.figures.latency import hover_latency, latency, mean_error
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.schema.budget import FrontPoint
from tradenas.report.sections.budget import budget, cost_words
from tradenas.report.sections.models import strategies
from tradenas.report.summary import summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return with_budget(build(tmp_path_factory.mktemp("run") / "r", days=60, num_points=8))


@pytest.fixture(scope="module")
def record(folder):
    return load_record(folder)


def bare(record):
    return replace(record, budget=None, front=None, latency=None, resources=())


def test_it_stands_behind_the_architecture_and_only_where_there_is_something_to_say(record):
    page = Page(render(record))
    order = [attrs["id"] for tag, attrs, _ in page.tags if tag == "section"]
    assert order.index("budget") == order.index("architecture") + 1
    assert len(order) == len(TITLES) + 1
    without = Page(render(bare(record)))
    assert "budget" not in [attrs["id"] for tag, attrs, _ in without.tags if tag == "section"]
    assert budget(bare(record)) is None
    assert budget(replace(bare(record), latency=record.latency)) is not None


def test_it_says_what_the_files_say(record):
    text = Page(render(record)).text
    for words in (
        "37.0% of what is drawn from the space meets every limit",
        "1,000 of 48,211,200,000 architectures were drawn, 95 % interval 34.0% to 40.0%",
        "never scored, so it is no trial",
        "the device also limits what the search has no price for: look-up tables, expected 5,000",
        "(latency / 5 µs) to the power of −0.07",
        "which covers 63.0% of the box",
        "stands in for what the alphas chose",
        "a net differs by 2.0%",
        "synthesised", "placed and routed", "nanoseconds 197", "Streaming and window are two designs",
    ):  # fmt: skip
        assert words.lower() in text.lower(), words
    listed = replace(record, budget=replace(record.budget, looked_at=record.budget.size, rule="dominance"))
    told = str(budget(listed).body)
    assert "were listed" in told
    assert "95 %" not in told
    assert "are trials" in told


def test_what_was_retrained_stands_with_what_it_takes(record):
    told = str(strategies(record).body)
    assert '<th scope="col" class="num">latency</th>' in told
    assert told.count('<td class="num">3 µs</td>') == sum(s.costs is not None for s in record.strategies)
    assert "latency" not in str(strategies(bare(record)).body)


def test_circuits_are_told_by_how_near_to_a_chip_the_figures_are(record):
    cells = re.findall(r"<td>(estimated|synthesised|synthesised ice40|placed and routed)</td>", render(record))
    assert cells == ["estimated", "synthesised", "synthesised ice40", "placed and routed"]


def test_the_champion_and_its_limits_are_told_in_short(record):
    words = cost_words(record)
    assert "2,000 parameters (limit 6,000)" in words
    assert "3 µs (limit 5 µs)" in words
    assert "8 kB of weights ·" in words
    assert "| It takes |" in summary(record)
    out = io.StringIO()
    Console(file=out, width=100).print(VerdictBox(record))
    assert "it takes" in out.getvalue()
    assert cost_words(replace(record, strategies=None, verdict=None)) == ""


def test_stairs_are_what_nothing_beats_in_both(record):
    kept = stairs(record.front, "parameters")
    for one in kept:
        beaten = [
            p
            for p in record.front.points
            if p.costs["parameters"] <= one.costs["parameters"] and p.quality > one.quality
        ]
        assert not beaten
    assert [p.quality for p in kept] == sorted(p.quality for p in kept)
    assert kept[-1].quality == max(p.quality for p in record.front.points)
    worse = replace(record.front, metric="loss")
    assert stairs(worse, "parameters")[-1].quality == min(p.quality for p in worse.points)


def test_dots_and_their_words_stand_in_one_order(record):
    told = hover_front(record, "latency_us")
    points = shown(record.front)
    assert len(told["x"]) == len(told["y"]) == len(told["text"]) == len(points)
    assert told["y"] == [p.quality for p in points]
    assert told["text"][0][1] == points[0].words
    assert any("chosen" in line for line in told["text"][0])
    assert 0.0 < mean_error(record) < 0.1
    assert len(hover_latency(record)["text"]) == 5
    assert mean_error(bare(record)) is None


@pytest.mark.parametrize("width", [880, 350])
@pytest.mark.parametrize("draw", [partial(front, cost="latency_us"), partial(front, cost="parameters"), latency])
def test_pictures_stay_inside_their_sheets(record, draw, width):
    root = ET.fromstring(draw(record, width=width))
    _, _, wide, high = (float(v) for v in root.get("viewBox").split())
    assert wide <= width
    assert len(root.get("aria-label")) > 20
    for node in root.iter():
        for key, most in (("x1", wide), ("x2", wide), ("cx", wide), ("y1", high), ("y2", high), ("cy", high)):
            for text in NUMBER.findall(node.get(key, "")):
                assert -0.5 <= float(text) <= most + 0.5, (node.tag, key)


def test_one_candidate_or_a_cost_of_nothing_is_drawn_or_left_out(record):
    point = FrontPoint(digest="a", words="w", front=0, chosen=True, quality=0.1, costs={"macs": 0.0})
    few = replace(record, front=replace(record.front, points=(point,), objectives=("merit", "macs")))
    assert front(few, cost="macs", width=400) is None
    same = replace(few, front=replace(few.front, points=(point, replace(point, digest="b", chosen=False))))
    assert front(same, cost="macs", width=400) is not None
    assert front(record, cost="energy", width=400) is None
    assert budget(same) is not None


def test_hostile_words_do_nothing(tmp_path):
    record = load_record(with_budget(build(tmp_path / "r", days=40, num_points=5), words=HOSTILE))
    page = Page(render(record))
    assert not page.faults
    assert sum(tag == "script" for tag, _, _ in page.tags) == sum(
        tag == "script" for tag, _, _ in Page(render(replace(record, budget=None))).tags
    )


def test_damage_is_named(tmp_path):
    folder = with_budget(build(tmp_path / "r", days=40, num_points=5))
    path = folder / "search" / "budget.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "share": "much"}))
    with pytest.raises(FolderError, match=r"budget\.json: share: got 'much', expected a number"):
        load_record(folder)
    path.unlink()
    (folder / "export" / "champion" / "verilog" / "resources.json").write_text("[]")
    with pytest.raises(FolderError, match=r"resources\.json: got list"):
        load_record(folder)
