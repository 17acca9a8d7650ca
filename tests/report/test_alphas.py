"""The alphas on the page: the words follow from the figures, the strips from the weights, and nothing without them."""

from __future__ import annotations

import json
import re

import pytest

from report.fake_alphas import EPOCHS, OPS, change, choice, stage, supernet, write_alphas
from report.fake_run import build
from tradenas.errors import FolderError
from tradenas.report.decode import decode
from tradenas.report.figures.alphas import LEVELS, Line, courses, final_table, level, strips, strips_of
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.schema.alphas import AlphaRecord
from tradenas.report.sections.alphas import alphas, findings, in_short
from tradenas.report.summary import summary

LINE = re.compile(r'<path d="M[^"]*" class="curve (\w+)"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("alphas") / "r", days=60, num_points=8)


def record_of(*nets):
    return decode(AlphaRecord, json.loads(json.dumps({"method": "darts", "metric": "rank_ic", "supernets": nets})), "x")


def test_without_alphas_there_is_no_section(folder):
    record = load_record(folder)
    assert record.alphas is None
    assert alphas(record) is None
    assert 'id="alphas"' not in render(record)
    assert "Alphas" not in summary(record)


def test_the_section_is_whole_and_read_from_the_file(folder, tmp_path_factory):
    other = build(tmp_path_factory.mktemp("alphas") / "r", days=60, num_points=8)
    record = load_record(write_alphas(other))
    page = render(record)
    for words in (
        'id="alphas"',
        "What the alphas learnt",
        "Each edge",
        "Each input column",
        "Other choices",
        "How sharp the loss is",
        "What discretisation costs",
        "The architecture of the alphas",
        "−0.0300 [−0.0500, −0.0100]",
        "0.0100 [−0.0100, 0.0300]",
        "a trial of the stage diagnostics",
    ):
        assert words in page, words  # fmt: skip
    line = next(x for x in summary(record).splitlines() if x.startswith("| Alphas"))
    assert line == f"| Alphas | {in_short(record.alphas)} |".replace("[", "\\[").replace("]", "\\]").replace("_", "\\_")
    (other / "search" / "diagnostics.json").write_text('{"method": "darts"}')
    with pytest.raises(FolderError, match="metric"):
        load_record(other)


def test_undecided_and_overrun_by_skips_are_said():
    even = findings(record_of(supernet(stage(strength=0.2))))
    assert even[0].startswith("The alphas never decided: the entropy of the ops ended at 0.996")
    decided = findings(record_of(supernet(stage(strength=6.0))))
    assert decided[0].startswith("The entropy of the ops went from 1.00 to 0.06.")
    assert not any("took over" in words for words in decided)
    skips = findings(record_of(supernet(stage(strength=6.0, winner=1), winner=1)))
    assert skips[1].startswith(
        "Skips took over: skips have 98% of the weight, 12% after the first epoch, and 10 of the 10"
    )
    light = findings(record_of(supernet(stage(strength=0.2), winner=1)))  # alphas that hardly say so, yet all skips
    assert light[1].startswith("Skips took over")


DESTROYED, NOTHING = "Discretisation destroyed what was learnt: ", "Discretisation cost nothing that can be measured: "


@pytest.mark.parametrize(
    ("lost", "less", "words"),
    [
        ((-0.03, 0.02), (-0.015, 0.01), f"{DESTROYED}−0.0300 [−0.0500, −0.0100] rank IC and +0.0150 [0.0050, 0.0250] "
         "loss from the relaxed network to its architecture. "),
        ((-0.03, 0.04), (-0.015, 0.01), f"{DESTROYED}+0.0150 [0.0050, 0.0250] loss from the relaxed network to its "
         "architecture; −0.0300 [−0.0700, 0.0100] rank IC does not show it. "),
        ((-0.03, 0.04), (0.0, 0.01), f"{NOTHING}−0.0300 [−0.0700, 0.0100] rank IC and 0.0000 [−0.0100, 0.0100] loss."),
        ((0.03, 0.02), (0.03, 0.01), "The architecture is better than the mixture it came from: +0.0300"),
        ((0.03, 0.02), (0.0, 0.01), NOTHING),
    ],
)  # fmt: skip
def test_the_gap_in_words_follows_its_intervals(lost, less, words):
    net = supernet(lost=lost)
    net["gap"]["discretisation"]["loss"] = change(*less)
    said = findings(record_of(net))[-1]
    assert said.startswith(words)
    assert ("DARTS-PT" in said) == words.startswith("Discretisation destroyed")


def test_ops_taken_against_the_alphas_are_counted():
    """The strips' winner is `zero`, and the architecture took other ops."""
    net = supernet(stage(strength=6.0, winner=0))
    assert "On 10 of the 10 edges taken, zero weighs more" in " ".join(findings(record_of(net)))
    assert "zero weighs more" not in " ".join(findings(record_of(supernet(stage(strength=6.0)))))


def test_a_gap_that_was_not_measured_is_not_told():
    net = supernet()
    net["gap"] |= {"alone": None, "retraining": {}, "discretisation": {"rank_ic": None, "loss": None}}
    found = record_of(net)
    assert not any("iscretisation" in words for words in findings(found))
    assert "discretisation" not in in_short(found)


def test_choices_made_on_the_way_leave_no_gap_to_speak_of():
    said = findings(record_of(supernet(lost=(0.0, 0.0)) | {"decided": 25}))
    assert said[-1].startswith("25 choices were made one by one while the supernet was trained on")
    assert not any("Discretisation" in words for words in said)


def test_a_stop_is_told_and_drawn():
    stop = {"at": 31, "keep": 19, "why": "eigenvalue 1 to 1.4 from epoch 20 to 28"}
    found = record_of(supernet(stage(stopped=stop)))
    assert (
        "Stopped after epoch 32: eigenvalue 1 to 1.4 from epoch 20 to 28. The alphas of epoch 20 were kept."
        in findings(found)
    )
    drawn = courses(
        [Line(label="a", cls="champion", points=[(1, 0.0), (40, 1.0)])], width=880, what="x", stop=(20, "kept")
    )
    assert "reference champion" in drawn
    assert ">kept<" in drawn


def test_several_supernets_are_told_apart(folder):
    found = record_of(supernet(), supernet(stage(strength=0.1)))
    said = findings(found)
    assert sum(words.startswith("Supernet 1: ") for words in said) == 3
    assert "Supernet 2: The alphas never decided" in " ".join(said)


def test_levels_are_of_odds_against_even_ones():
    assert level(0.25, 0.25) == 0
    for size, bound in enumerate(LEVELS, start=1):
        odds = bound * (0.25 / 0.75)
        above = odds / (1 + odds)
        assert level(above * 1.0001, 0.25) == size
        assert level(above * 0.999, 0.25) == size - 1
        below = (0.25 / 0.75) / bound
        assert level(below / (1 + below) * 0.9999, 0.25) == -size
    assert level(0.85, 0.5) == 3  # an open gate
    assert level(0.0, 0.25) == -3
    assert level(1.0, 0.25) == 3


def test_strips_show_each_option_and_epoch():
    net = record_of(supernet(stage(strength=6.0))).supernets[0]
    found = strips_of(net, "ops")
    assert len(found) == 20
    assert [s.head for s in found][:3] == ["0 → 2", "1 → 2", "0 → 3"]
    first = found[0]
    assert len(first.weights) == len(first.levels) == EPOCHS
    assert first.chosen == {2}
    assert first.levels[0] == [0] * 8
    assert first.levels[-1] == [-3, -3, 3, -3, -3, -3, -3, -3]
    assert not next(s for s in found if s.head == "1 → 4").taken  # nodes take 0 and the one before
    for width in (880, 350):
        drawn = strips(found, width=width)
        assert drawn.count("<title>") == 20 * len(OPS)
        assert "0 → 2, dense: 0.125 at first" in drawn
        assert drawn.count(", chosen</title>") == 10
        assert drawn.count("not taken") == 10
        assert drawn.count("<path") <= 20 * 6
        xs = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', drawn)]
        assert all(0 <= x <= width for x in xs)
        for d in re.findall(r'<path d="([^"]+)"', drawn):
            for x, run in re.findall(r"M([\d.]+) [\d.]+h([\d.]+)", d):
                assert float(x) + float(run) <= width + 0.5


def test_runs_cover_exactly_the_epochs_of_their_level():
    """A choice of two options whose first is even for 10 of 40 epochs and strong afterwards."""
    made = choice("cell/edge0-2/op", ["skip", "dense"], 1, 0.0)
    made["strengths"] = [[0.5, 0.5]] * 10 + [[0.05, 0.95]] * 30
    plain = stage()
    plain["choices"] = [made]
    net = record_of(supernet(plain)).supernets[0]
    drawn = strips(strips_of(net, "ops"), width=880)
    (up,) = re.findall(r'<path d="M([\d.]+) [\d.]+h([\d.]+)[^"]*" class="cell up"', drawn)
    (left,) = {float(x) for x, cls in re.findall(r'<rect x="([\d.]+)"[^>]*class="(zone)"', drawn)}
    (wide,) = {float(w) for w in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)"[^>]*class="zone"', drawn)}
    assert float(up[0]) == pytest.approx(left + 0.25 * wide, abs=0.2)
    assert float(up[1]) == pytest.approx(0.75 * wide, abs=0.2)


def test_options_that_a_later_stage_dropped_have_no_colour_from_there():
    later = stage(ops=OPS[:4])
    net = record_of(supernet(stage(), later)).supernets[0]
    strip = strips_of(net, "ops")[0]
    assert len(strip.levels) == 2 * EPOCHS
    assert strip.levels[-1][4:] == [None] * 4
    assert None not in strip.levels[EPOCHS - 1]
    assert f"when it was dropped after epoch {EPOCHS}" in strips([strip], width=880)
    assert [e for e, _ in net.eigenvalues][8:10] == [EPOCHS, EPOCHS + 5]


def test_columns_stand_apart_from_edges(folder, tmp_path_factory):
    other = build(tmp_path_factory.mktemp("alphas") / "r", days=60, num_points=8)
    record = load_record(write_alphas(other))
    found = strips_of(record.alphas.supernets[0], "columns")
    assert len(found) == 12
    for width in (880, 350):
        drawn = final_table(found, width=width)
        assert drawn.count("<title>") == 12 * 5
        assert "a_long_name_3, difference: 0." in drawn
    assert "a_long" not in strips(strips_of(record.alphas.supernets[0], "ops"), width=880)
    assert LINE.findall(str(alphas(record).body)).count("hold") == 2  # entropy of columns, drawn twice


def test_hostile_names_are_inert(folder, tmp_path_factory):
    other = build(tmp_path_factory.mktemp("alphas") / "r", days=60, num_points=8)
    evil = "<script>alert(1)</script>"
    plain = stage(columns=0)
    plain["choices"].append(choice(f"input/{evil}", [evil, "b"], 0, 1.0))
    plain["stopped"] = {"at": 1, "keep": 0, "why": evil}
    page = render(load_record(write_alphas(other, supernet(plain))))
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_one_measurement_and_one_epoch_are_drawn():
    one = courses([Line(label="a", cls="champion", points=[(1, 0.5)], dots=True)], width=350, what="x")
    assert one.count("<circle") == 1
    assert courses([], width=350, what="x") is None
    assert change(1.0, 0.5)["low"] == 0.5
