"""What the inputs are worth, on the page: the words say what the picture shows, and nothing is claimed that was not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from report.fake_run import build
from tradenas.report.describe import describe
from tradenas.report.figures.columns import column_effects
from tradenas.report.figures.effects import input_effects, layer_effects
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.schema import InputRecord, OptionEffect
from tradenas.report.sections.inputs import findings, inputs


def effect(choice, option, worth, half):
    return OptionEffect(
        choice=choice, option=option, value=0.02 + worth, effect=worth, low=worth - half, high=worth + half, num=20
    )


def switch(name, worth, half):
    return [effect(name, "off", -worth, half), effect(name, "on", worth, half)]


EFFECTS = (
    effect("input/lookback", 5, -0.02, 0.01), effect("input/lookback", 20, 0.015, 0.005),
    effect("input/lookback", 50, 0.005, 0.01), effect("input/transform", "zscore", 0.001, 0.01),
    effect("input/transform", "rank", -0.001, 0.01), *switch("input/group/shape", 0.0005, 0.004),
    *switch("input/feature/volume_ratio_20", 0.031, 0.01), *switch("input/feature/rsi_14", 0.001, 0.006),
    *switch("input/feature/skew_20", -0.012, 0.004), effect("depth", 1, 0.002, 0.001),
    effect("depth", 2, -0.002, 0.001), effect("layer0/op", "dense", 0.001, 0.003),
    effect("layer0/op", "conv3", -0.001, 0.003),
)  # fmt: skip
FOUND = InputRecord(
    metric="rank_ic", drawn=20, scored=412, read=2, indicators=9, effects=EFFECTS,
    chosen={
        "input/lookback": 20, "input/transform": "zscore", "input/group/shape": "off",
        "input/feature/volume_ratio_20": "on", "input/feature/rsi_14": "on", "input/feature/skew_20": "off", "depth": 1,
        "layer0/op": "dense",
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(build(tmp_path_factory.mktemp("inputs")))


def test_the_words_follow_from_the_intervals():
    said = findings(FOUND)
    assert said == [
        "shape features add nothing measurable.",
        "volume_ratio_20 adds 0.0310 [0.0210, 0.0410] rank IC.",
        "skew_20 takes away 0.0120 [0.0080, 0.0160] rank IC.",
        "rsi_14 adds nothing measurable.",
        "A lookback of 20 candles adds 0.0150 [0.0100, 0.0200] rank IC to the mean of the others.",
        "No transform is measurably better than the others.",
    ]
    volume = replace(FOUND, effects=tuple(switch("input/group/volume", 0.02, 0.01)))
    assert findings(volume) == ["volume features add 0.0200 [0.0100, 0.0300] rank IC."]
    many = replace(FOUND, effects=tuple(e for i in range(9) for e in switch(f"input/feature/f{i}", 0.0, 0.01)))
    assert findings(many) == ["f0, f1, f2, f3, f4, f5 and 3 more add nothing measurable."]
    assert findings(replace(FOUND, effects=(effect("input/feature/x", "on", 0.01, 0.001),), metric="loss")) == [
        "x adds 0.0100 [0.0090, 0.0110] less loss."
    ]


def test_the_picture_has_a_row_an_option_and_marks_what_was_chosen(record):
    record = replace(record, inputs=FOUND)
    for width in (880, 350):
        drawn = input_effects(record, width=width)
        assert drawn.count('class="row"') == 3 + 2 + 1 + 3  # of a switch only `on`
        assert drawn.count("· chosen") == (4 if width > 600 else 0)
        assert drawn.count("row-name strong") == 4
        for words in ("Indicators, on less off", "Groups, on less off", "Lookback", "0.0310 [0.0210, 0.0410]"):
            assert words in drawn
        dots = [("hollow" in c, float(x)) for x, c in re.findall(r'<circle cx="([\d.]+)"[^>]*class="([a-z ]+)"', drawn)]
        assert sum(hollow for hollow, _ in dots) == 5  # intervals across zero
        assert all(0 < x < width for _, x in dots)
        assert all(0 <= float(x) <= width for x in re.findall(r' x[12]="([\d.]+)"', drawn))
        assert layer_effects(record, width=width).count('class="row"') == 4
    assert "Layer 1: op" in layer_effects(record, width=880)
    assert layer_effects(replace(record, inputs=replace(FOUND, effects=())), width=880) is None


def test_the_page_has_the_section_where_it_was_measured(record):
    assert inputs(record) is None
    assert 'id="inputs"' not in render(record)
    page = render(replace(record, inputs=FOUND))
    for words in ('id="inputs"', "2 of 9", "20 candles", "shape, skew_20", "412 looks at the ranking rows"):
        assert words in page
    hostile = replace(FOUND, chosen={"input/lookback": "<script>", "input/feature/<b>": "off"}, metric="<i>")
    assert "<script>alert" not in render(replace(record, inputs=hostile))
    assert "&lt;script&gt; candles" in render(replace(record, inputs=hostile))


def test_indicators_that_are_off_are_told_like_groups():
    assert describe(FOUND.chosen) == "20 candles · zscore · without shape, skew_20 → dense"


def column(name, *worths, half=0.004):
    ops = ("rank", "std20", "drop")
    return [effect(f"input/column/{name}", o, w, half) for o, w in zip(ops, worths, strict=True)]


OWN = replace(
    FOUND,
    effects=(
        *EFFECTS[:3], *column("rsi_14", 0.012, 0.001, -0.013), *column("body", 0.001, -0.002, 0.001),
        *column("skew_20", -0.006, -0.003, 0.009), *column("range_1", -0.001, 0.005, -0.004),
    ),
    chosen={
        "input/lookback": 20, "input/column/rsi_14": "rank", "input/column/body": "std20",
        "input/column/skew_20": "drop", "input/column/range_1": "std20", "depth": 1, "layer0/op": "dense",
    },
)  # fmt: skip


def test_columns_are_told_by_what_reading_them_is_worth_and_by_their_best_op():
    assert findings(OWN)[1:] == [
        "Reading rsi_14 adds 0.0130 [0.0090, 0.0170] rank IC to dropping it.",
        "Dropping skew_20 adds 0.0090 [0.0050, 0.0130] rank IC.",
        "Whether body and range_1 are read makes no measurable change.",
        "rsi_14 under rank adds 0.0120 [0.0080, 0.0160] rank IC to the mean of its other options.",
        "range_1 under std20 adds 0.0050 [0.0010, 0.0090] rank IC to the mean of its other options.",
    ]
    assert findings(replace(OWN, effects=tuple(column("body", 0.001, 0.0, -0.001)))) == [
        "Whether body is read makes no measurable change.",
        "No op of a column is measurably better than its others.",
    ]


def test_among_many_columns_some_are_sure_by_chance():
    ten = tuple(e for i in range(10) for e in column(f"c{i}", 0.01 if i < 3 else 0.001, 0.0, 0.0))
    said = findings(replace(OWN, effects=ten))
    assert said[0] == ("Of 30 intervals, one for each op of each column, 1 would leave out zero by chance; 3 do.")


def test_columns_have_a_picture_of_their_own(record):
    record = replace(record, inputs=OWN)
    assert input_effects(record, width=880).count('class="row"') == 3  # the lookback
    assert column_effects(replace(record, inputs=FOUND), width=880) is None
    for width in (880, 350):
        drawn = column_effects(record, width=width)
        assert drawn.count('class="column-op"') == 12
        assert drawn.count('class="chosen"') == 4
        shaded = [float(o) > 0 for o in re.findall(r'fill-opacity="([\d.]+)"', drawn)]
        assert sum(shaded) == 5  # intervals that leave out zero
        for name in ("rsi_14", "body", "skew_20", "range_1", "rank", "std20", "drop"):
            assert f">{name}</text>" in drawn
        assert ("+12.0" in drawn) is (width > 600)
        ends = [float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"', drawn)]
        assert max(ends) <= width
    assert "body" not in re.search(r'aria-label="([^"]*)"', column_effects(record, width=880))[1]


def test_the_page_shows_the_op_of_every_column(record):
    names = [f"indicator_{i}" for i in range(23)]
    ops = {f"input/column/{n}": ("rank", "log", "drop")[i % 3] for i, n in enumerate(names)}
    chosen = {"input/lookback": 20, **ops, "depth": 1, "layer0/op": "dense"}
    assert describe(chosen) == "20 candles · 23 columns: 8 log, 8 rank, 7 drop → dense"
    own = replace(record.champion, architecture=chosen)
    others = [s for s in record.strategies if s.name != own.name]
    with_own = replace(record, strategies=(own, *others), inputs=OWN)
    page = render(with_own)
    part = page.split('id="architecture"')[1].split("</section>")[0]
    assert "What is done to each column" in part
    for op in ("rank", "log", "drop"):
        mine = [n for n in names if ops[f"input/column/{n}"] == op]
        assert f"<dt>{op}</dt><dd>{', '.join(mine)}</dd>" in part
    assert "log: 8 columns" in part  # in the drawing
    assert "What is done to each column" not in render(record)
    for words in ("one for each column", "An op for each column", "Dropping skew_20 adds", "are thousandths"):
        assert words in page
