"""Every picture: valid XML, inside its sheet, with the marks that the record asks for."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from report.fake_run import build
from tradenas.report.describe import describe, parts
from tradenas.report.figures.architecture import architecture, draw
from tradenas.report.figures.curves import curves, hover_data
from tradenas.report.figures.drawdown import drawdown, underwater
from tradenas.report.figures.equity import equity
from tradenas.report.figures.forest import forest, ordered
from tradenas.report.figures.heatmap import heatmap, monthly
from tradenas.report.figures.ranks import hover_points, placed, ranks, tau_words
from tradenas.report.figures.sweep import sweep
from tradenas.report.figures.trace import trace
from tradenas.report.figures.versus import versus
from tradenas.report.figures.zones import zones
from tradenas.report.record import load_record

FIGURES = [equity, drawdown, heatmap, forest, versus, ranks, sweep, trace, architecture, zones]
WIDTHS = [880, 350]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(build(tmp_path_factory.mktemp("run") / "r", days=200, num_points=30))


def of(svg, tag, cls=None):
    """Marks of one kind whose class holds all the words of `cls`."""
    wanted = set((cls or "").split())
    return [node for node in ET.fromstring(svg).iter(tag) if wanted <= set((node.get("class") or "").split())]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_it_is_xml_with_a_label_and_finite_coordinates_inside_its_sheet(record, figure, width):
    root = ET.fromstring(figure(record, width=width))
    _, _, sheet_w, sheet_h = (float(v) for v in root.get("viewBox").split())
    assert sheet_w <= width
    assert len(root.get("aria-label")) > 20
    assert root.get("role") == "img"
    for node in root.iter():
        if node.get("transform"):
            continue
        for key in ("x", "x1", "x2", "cx"):
            assert -1 <= float(node.get(key, 0)) <= sheet_w + 1, (node.tag, node.attrib)
        for key in ("y", "y1", "y2", "cy"):
            assert -1 <= float(node.get(key, 0)) <= sheet_h + 1, (node.tag, node.attrib)
        if node.tag == "path":
            assert not re.search("nan|inf", node.get("d"))


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_without_its_data_there_is_no_picture_and_no_crash(record, figure):
    bare = replace(record, search=None, strategies=None, daily=None, coupling=None, verdict=None, ledger=None)
    bare = replace(bare, data=replace(record.data, zones=type(record.data.zones)()))
    assert figure(bare, width=880) is None


def test_equity_has_a_line_for_each_and_a_band_for_each_zone(record):
    svg = equity(record, width=880)
    drawn = [node.get("class") for node in of(svg, "path", "curve")]
    assert drawn == ["curve hold", "curve baseline", "curve gross", "curve champion"]
    assert {node.get("class") for node in of(svg, "rect", "zone")} == {"zone search", "zone selection", "zone vault"}


def test_equity_ends_where_the_sum_of_the_days_ends(record):
    line = curves(record)[0]
    net = record.daily.of(record.champion.name).net_D
    assert line.total_D[-1] == pytest.approx(100 * net.sum())
    root = ET.fromstring(equity(record, width=880))
    d = next(n.get("d") for n in root.iter("path") if n.get("class") == "curve champion")
    y = float(NUMBER.findall(d)[-1])
    v = {k: float(root.get(f"data-{k}")) for k in ("y0", "y1", "w0", "w1")}
    assert y == pytest.approx(
        v["y0"] + (line.total_D[-1] - v["w0"]) / (v["w1"] - v["w0"]) * (v["y1"] - v["y0"]), abs=0.1
    )


def test_a_line_breaks_between_the_zones_and_goes_on_at_its_level(record):
    root = ET.fromstring(equity(record, width=880))
    d = next(n.get("d") for n in root.iter("path") if n.get("class") == "curve champion")
    first, second = d.removeprefix("M").split("M")
    assert NUMBER.findall(first)[-1] == NUMBER.findall(second)[1]
    assert float(NUMBER.findall(second)[0]) > float(NUMBER.findall(first)[-2]) + 1
    vault = next(n for n in root.iter("rect") if n.get("class") == "zone vault")
    assert float(vault.get("x")) == pytest.approx(float(NUMBER.findall(second)[0]), abs=0.06)


def test_drawdown_starts_from_nothing_and_never_rises_above_it(record):
    for line in underwater(record):
        assert (line.total_D <= 0).all()
    champion = curves(record)[0]
    total = np.concatenate([[0.0], champion.total_D])
    assert underwater(record)[0].total_D.min() == pytest.approx((total - np.maximum.accumulate(total)).min())
    assert len(of(drawdown(record, width=880), "path", "area")) == 1


def test_hover_knows_every_day_of_every_line(record):
    data = hover_data(curves(record))
    assert len(data["x"]) == 400
    assert [len(s["y"]) for s in data["series"]] == [400] * 4


def test_a_champion_that_is_flat_or_alone_is_drawn(record):
    flat = replace(
        record,
        verdict=replace(record.verdict, champion=type(record.verdict.champion)(name="flat"), best_baseline="flat"),
    )
    assert len(of(equity(flat, width=880), "path", "curve")) == 4
    assert drawdown(flat, width=350) is not None


def test_the_heatmap_has_a_cell_a_month_whose_sum_is_the_whole(record):
    months = monthly(record)
    assert len(of(heatmap(record, width=880), "rect", "cell")) == len(months)
    assert sum(v[0] for v in months.values()) == pytest.approx(100 * record.daily.of("finalist-1").net_D.sum())
    assert len(of(heatmap(record, width=350), "rect", "judged")) == sum(v[2] for v in months.values())


def test_few_months_make_no_heatmap(tmp_path):
    assert heatmap(load_record(build(tmp_path / "r", days=8, num_points=3)), width=880) is None


def test_the_forest_has_a_row_a_strategy_in_the_order_of_the_table(record):
    svg = forest(record, width=880)
    rows = of(svg, "g", "row")
    assert len(rows) == len(record.strategies) == 18
    assert [row.find("title").text.split(":")[0] for row in rows] == [s.name for s in ordered(record)]
    assert len(of(svg, "line", "whisker")) == len(of(svg, "circle", "hollow")) == 18
    assert len(of(svg, "line", "reference baseline")) == 1
    finalists = [s.vault.sharpe for s in ordered(record) if s.kind == "finalist"]
    assert finalists == sorted(finalists, reverse=True)


def test_learned_baselines_stand_by_what_they_read(record):
    reads = {"hold": "rule", "flat": "rule", "reversal": "rule", "momentum": "rule", "ridge": "row", "lightgbm": "raw"}
    told = replace(record, strategies=tuple(replace(s, reads=reads.get(s.name)) for s in record.strategies))
    heads = [text.text for text in of(forest(told, width=880), "text", "group-name")]
    kinds = [h.removeprefix("Baselines: ") for h in heads if h.startswith("Baselines")]
    assert kinds == [
        "rules", "current row of indicators", "windows of raw candles", "Baselines",
    ]  # fmt: skip
    assert [s.name for s in ordered(told)].index("ridge") < [s.name for s in ordered(told)].index("lightgbm")


def test_before_the_vault_the_forest_shows_the_selection_zone(record):
    closed = replace(record, verdict=None, strategies=tuple(replace(s, vault=None) for s in record.strategies))
    svg = forest(closed, width=880)
    assert len(of(svg, "circle", "dot")) == 18
    assert not of(svg, "circle", "hollow")


def test_ranks_share_ties_and_turn_round_for_a_loss(record):
    coupling = record.coupling
    points, supernet, alone = placed(coupling)
    assert len(of(ranks(record, width=350), "circle")) == len(points) == 30
    assert sorted(supernet) == list(range(1, 31))
    best = max(points, key=lambda p: p.standalone)
    assert alone[points.index(best)] == 1
    _, lossy, _ = placed(replace(coupling, metric="loss"))
    assert lossy == pytest.approx(31 - supernet)
    tied = replace(coupling, points=tuple(replace(p, supernet=1.0) for p in coupling.points[:3]))
    assert placed(tied)[1].tolist() == [2.0, 2.0, 2.0]
    assert len(hover_points(coupling)["text"]) == 30
    assert tau_words(coupling).count("[") == 2


def test_the_sweep_marks_what_is_paid_and_the_break_even_inside_it(record):
    assert len(of(sweep(record, width=880), "circle")) == len(record.verdict.cost_sweep)
    inside = replace(record, verdict=replace(record.verdict, break_even_bps=5.6))
    beyond = replace(record, verdict=replace(record.verdict, break_even_bps=99.0))
    assert "break-even 5.6" in "".join(t.text for t in of(sweep(inside, width=880), "text"))
    assert len(of(sweep(beyond, width=880), "line", "reference")) == 1


def test_the_trace_ends_at_the_best(record):
    assert "".join(t.text for t in of(trace(record, width=880), "text")).endswith(f"{record.search.trace[-1].best:.3f}")


def test_the_architecture_has_a_box_a_layer_and_arrows_between_them(record):
    for width in WIDTHS:
        svg = architecture(record, width=width)
        assert len(of(svg, "rect", "node")) == 4 + 2
        assert len(of(svg, "path", "head")) == 5
        assert len(of(svg, "rect", "node skip")) == 1
        assert len(of(svg, "path", "edge skip")) == 1  # the residual layer's way round
    heads = [t.text for t in of(svg, "text", "node-head")]
    assert heads == ["input", "conv3", "residual", "skip", "gru", "signal"]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_unknown_is_drawn_all_the_same(width):
    strange = {
        "cell/edge0-2/op": ["a", "b"],
        "layer0/op": "warp",
        "layer0/kernel": 9,
        "input/clock": "utc",
        "head": None,
    }
    words = "".join(t.text or "" for t in of(draw(strange, width=width), "text"))
    for word in ("warp", "kernel 9", "clock utc", "cell/edge0-2/op", "head None"):
        assert word in words
    deep = {f"layer{i}/op": "x" * 60 for i in range(12)}
    svg = draw(deep, width=width)
    assert len(of(svg, "rect", "node")) == 14
    assert all(float(n.get("x")) + float(n.get("width")) <= width for n in of(svg, "rect", "node"))


def test_an_architecture_in_one_line_leaves_nothing_out():
    mapping = {
        "input/lookback": 5,
        "input/group/volume": "off",
        "depth": 1,
        "layer0/op": "gru",
        "layer0/width": 8,
        "layer0/norm": "none",
        "layer0/dropout": 0.0,
        "extra": True,
    }
    assert describe(mapping) == "5 candles · without volume → gru 8 → extra on"
    assert describe(None) == "not an architecture"
    assert parts(mapping).input.groups_off == ("volume",)
