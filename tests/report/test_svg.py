"""Scales, ticks, thinning, labels: the arithmetic under the pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.report.markup import el, printable
from tradenas.report.svg import Scale, Sheet, path_of, spread, text_width, thin, ticks, time_ticks

DAY = 86_400_000
few = settings(max_examples=60, derandomize=True, deadline=None)


@few
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_ticks_are_round_inside_and_about_as_many_as_asked(low, width, num):
    found = ticks(low, low + width, num)
    assert len(found) <= num + 1
    for value in found:
        assert low - 1e-6 * width - 1e-9 <= value <= low + width + 1e-6 * width + 1e-9
    if len(found) > 1 and abs(low) < 1e3 * width:
        step = found[1] - found[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-3


def test_a_scale_without_width_points_at_the_middle():
    assert Scale(3, 3, 0, 100)(3) == 50


@few
@given(st.integers(0, 2_000_000_000_000), st.integers(3, 12_000), st.integers(3, 10))
def test_time_ticks_lie_in_the_span_and_rise(first, days, num):
    last = first + days * DAY
    found = [ms for ms, _ in time_ticks(first, last, num)]
    assert found == sorted(set(found))
    assert all(first <= ms <= last for ms in found)
    assert len(found) <= num + 2


@few
@given(st.integers(5, 4000), st.integers(8, 500), st.integers(0, 10))
def test_thinning_keeps_ends_and_extremes(num, most, seed):
    y = np.random.default_rng(seed).standard_normal(num)
    x, z = thin(np.arange(num, dtype=float), y, most)
    assert len(x) <= max(num if num <= most else most, 4)
    assert x[0] == 0
    assert x[-1] == num - 1
    assert z.min() == y.min()
    assert z.max() == y.max()


@few
@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_labels_do_not_overlap_and_stay_inside(wanted):
    placed = spread(wanted, 30, 0, 300)
    ordered = sorted(placed)
    assert all(b - a >= 30 - 1e-9 for a, b in pairwise(ordered))
    assert max(placed) <= 300 + 1e-9
    for i, a in enumerate(wanted):
        for j, b in enumerate(wanted):
            if a < b:
                assert placed[i] < placed[j]


def test_a_picture_never_holds_a_coordinate_that_is_not_finite():
    sheet = Sheet(10, 10, "empty")
    with pytest.raises(ValueError, match="finite"):
        sheet.line(0, 0, math.nan, 1, "grid")
    with pytest.raises(ValueError, match="finite"):
        path_of([0, 1], [0, math.inf])


def test_a_sheet_is_xml_with_a_label():
    sheet = Sheet(10, 20, 'a "label" <b>')
    sheet.text(1, 2, "1 < 2 & 3")
    root = ET.fromstring(sheet.svg())
    assert root.get("aria-label") == 'a "label" <b>'
    assert root.get("viewBox") == "0 0 10 20"
    assert root[0].text == "1 < 2 & 3"


@few
@given(st.text(max_size=40))
def test_any_text_becomes_valid_xml(text):
    node = ET.fromstring(el("text", text, class_=text))
    assert (node.text or "") == printable(text)
    assert node.get("class") == printable(text)


def test_control_and_direction_characters_are_shown_not_obeyed():
    assert printable("a\u202eb\x1b[2Jc\x00\ud800") == "a\ufffdb\ufffd[2Jc\ufffd\ufffd"


def test_wide_letters_are_wider():
    assert text_width("WWW") > text_width("iii")
