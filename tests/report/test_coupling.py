"""The section on the supernet: its figures, its causes with advice, and what it does without them."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from report.fake_run import build
from tradenas.report.figures.chances import chances
from tradenas.report.record import load_record
from tradenas.report.schema import Coupling, Finalists
from tradenas.report.sections.coupling import coupling


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return load_record(build(tmp_path_factory.mktemp("coupling"), num_points=12))


def words(section):
    return " ".join(re.sub(r"<[^>]*>", " ", section.body).split())


def test_it_tells_all_that_was_measured(record):
    said = words(coupling(record))
    for part in (
        "share of the ceiling", "τ, best quarter", "order within the best 3", "Spearman", "top five in common 40%",
        "0.210", "best and worst are 2.400 apart", "supernet 3", "all together",
        "5 of 200 retrained: holds the best with 31 % (12-55 %).", "the supernet", "synflow",
    ):  # fmt: skip
        assert part in said, part


def test_each_cause_is_a_card_with_its_state_numbers_and_advice(record):
    body = coupling(record).body
    found = re.search('<div class="causes">.*?</article></div>', body, re.DOTALL)
    cards = ET.fromstring(found[0])
    told = [" ".join("".join(card.itertext()).split()) for card in cards.iter("article")]
    assert [card.get("class") for card in cards.iter("article")] == ["not-found", "found", "open"]
    for card, parts in zip(told, (
        ("Under-training", "not found", "1% [−4%, 6%]", "14 of 800; median 62", "5 of 32", "More epochs would add"),
        ("Interference", "found", "agreement at layers", "0.10 [−0.10, 0.30]; 45% of pairs opposed (noise: 12%)",
         "noise only", "+0.24 [+0.07, +0.41]", "offer fewer ops"),
        ("Co-adaptation", "cannot be told yet", "+0.06 [−0.11, +0.23]", "0.80 [0.70, 0.90]",
         "they know nothing of these rows", "raise trials.coupling"),
    ), strict=True):  # fmt: skip
        for part in parts:
            assert part in card, part
    assert "weights of their own" in words(coupling(record))


def test_the_chance_is_drawn_with_the_studys_own_number(record):
    for width in (350, 880):
        svg = ET.fromstring(chances(record, width=width))
        assert len(list(svg.iter("circle"))) == 9
        assert len([e for e in svg.iter("line") if e.get("class") == "reference taken"]) == 1
        assert "this study: 5" in "".join(svg.itertext())
        assert "100 of 200: 80%, 67% to 90%" in "".join(svg.itertext())
    alone = replace(record, finalists=None)
    assert "this study" not in chances(alone, width=880)
    many = replace(record, finalists=Finalists(taken=500, of=500, words="all"))
    assert "this study" not in chances(many, width=880)
    none = replace(record, coupling=replace(record.coupling, chances=()))
    assert chances(none, width=880) is None


def test_an_old_run_that_measured_less_is_shown_too(record):
    found = record.coupling
    old = replace(record, finalists=None, coupling=Coupling(
        metric=found.metric, num=found.num, tau=found.tau, tau_low=found.tau_low, tau_high=found.tau_high,
        points=found.points,
    ))  # fmt: skip
    said = words(coupling(old))
    assert "Kendall τ" in said
    for part in ("None", "three causes", "How many to retrain", "all together", "Ceiling"):
        assert part not in said, part
    assert "Not measured" in words(coupling(replace(record, coupling=None)))
    assert "Fewer than two" in words(coupling(replace(record, coupling=Coupling(metric="ic", num=0))))


def test_a_search_whose_gradients_or_trainings_were_not_measured(record):
    causes = record.coupling.causes
    bare = replace(causes, gradients=None, **{
        name: replace(getattr(causes, name), gain=None) for name in ("longer", "private", "refitted")})  # fmt: skip
    said = words(coupling(replace(record, coupling=replace(record.coupling, causes=bare))))
    assert "None" not in said
    assert "agreement at" not in said
    assert "Change of Kendall" not in said


def test_ranks_over_supernets_are_read_out(record):
    assert "1 to 8 of all candidates" in coupling(record).body
