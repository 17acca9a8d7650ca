"""From numbers to findings: each threshold from both sides, and advice that names what to turn."""

from __future__ import annotations

import pytest

from tradenas.search.parts.findings import Repair, Updates, coadapted, interfering, undertrained
from tradenas.search.parts.interference import Conflict, Estimate, Interference, Shared
from tradenas.train.loop import Optimisation

HOW = Optimisation(epochs=7)


def near(value, half=0.01):
    return Estimate(value=value, low=value - half, high=value + half)


def repair(new=None, gain=None, order=None):
    return Repair(new=new, gain=gain, same_order=order or near(0.5))


def had(stuck=0):
    return Updates(rarest="layer3/op = gru", fewest=12.0, median=50.0, steps=800, stuck=stuck, parts=20)


@pytest.mark.parametrize(
    ("new", "gain", "stuck", "state"),
    [
        (near(0.10), None, 0, "found"),
        (near(0.02), None, 0, "not found"),
        (near(0.02), None, 20, "not found"),  # training on was tried and brought nothing, whatever was expected
        (near(0.05), None, 0, "open"),
        (near(0.05), None, 9, "open"),
        (near(0.05), None, 10, "found"),
        (None, None, 0, "open"),
        (near(0.02), near(0.2), 0, "found"),
        (near(0.02), near(0.0), 0, "not found"),
    ],
)
def test_undertraining(new, gain, stuck, state):
    told = undertrained(repair(new, gain), had(stuck), HOW, 2)
    assert told.state == state
    assert "layer3/op = gru, had 12 updates in 800 steps" in told.advice
    assert ("epochs above 7" in told.advice) is (state == "found")


def conflict(kind, agreement, excess):
    return Conflict(kind=kind, pairs=9, same_rows=near(0.5), other_rows=near(0.1), floor=near(0.4), negative=0.3,
                    negative_floor=0.1, excess=excess, agreement=agreement)  # fmt: skip


def pulling(*kinds):
    part = Shared(part="layer0/op = gated", pairs=9, same_rows=0.5, other_rows=0.1, floor=0.4)
    return Interference(paths=6, kinds=kinds, parts=(part,))


@pytest.mark.parametrize(
    ("kinds", "state", "words"),
    [
        ([("layers", near(0.1), near(0.3)), ("heads", near(0.9), near(0.0))], "found", "pull layers apart"),
        ([("layers", near(0.1), near(0.3)), ("heads", near(0.1), near(0.3))], "found", "pull layers and heads apart"),
        ([("layers", near(0.9), near(0.3))], "not found", "want the same"),
        ([("layers", near(0.1), near(0.0))], "not found", "want the same"),
        ([("layers", near(0.5), near(0.3))], "open", "causes.paths"),
        ([("layers", near(0.1), near(0.05, 0.2))], "open", "causes.paths"),
        ([("layers", None, near(0.3))], "open", "noise alone"),
    ],
)
def test_interference(kinds, state, words):
    told = interfering(pulling(*(conflict(*k) for k in kinds)), repair())
    assert told.state == state
    assert words in told.advice


def test_interference_that_costs_nothing_is_said_to():
    clash = pulling(conflict("layers", near(0.1), near(0.3)))
    assert "costs little" in interfering(clash, repair(gain=near(0.0))).advice
    assert "costs little" not in interfering(clash, repair(gain=near(0.3))).advice
    assert interfering(None, repair()).state == "not found"


@pytest.mark.parametrize(
    ("gain", "order", "state"),
    [
        (near(0.3), near(0.5), "found"),
        (Estimate(value=0.3, low=0.01, high=0.6), near(0.5), "found"),
        (Estimate(value=0.3, low=-0.01, high=0.6), near(0.5), "open"),
        (near(0.05), near(0.5), "not found"),
        (near(-0.3), near(0.5), "not found"),
        (None, near(0.5), "open"),
        (near(0.3), near(0.95), "not found"),  # a head of its own moves no path
    ],
)
def test_coadaptation(gain, order, state):
    told = coadapted(repair(gain=gain, order=order))
    assert told.state == state
    assert told.advice.endswith(".")
