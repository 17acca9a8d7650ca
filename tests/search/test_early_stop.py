"""Early stops: made-up sequences with the exact epoch of the stop and of the architecture that is kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import DivergedError
from tradenas.search.parts.early_stop import (
    eigenvalue_stop,
    local_averages,
    ranking,
    ranking_stop,
    skip_stop,
)

EPOCHS = list(range(0, 50, 2))
torch.set_num_threads(1)


def step_at(epoch, low=1.0, high=2.0):
    return [low if e < epoch else high for e in EPOCHS]


def test_a_rise_is_seen_and_the_architecture_before_it_is_kept():
    """1 before epoch 30, then 2.  Around 26 the average is 1.2, around 28 it is 1.4, four measurements after 20.

    The window around 28 is full at 32.
    """
    values = step_at(30)
    stop = eigenvalue_stop(EPOCHS, values)
    assert (stop.at, stop.keep) == (32, 20)
    assert stop.why == "eigenvalue 1 to 1.4 from epoch 20 to 28"
    assert eigenvalue_stop(EPOCHS[:16], values[:16]) is None  # not known at 30
    assert eigenvalue_stop(EPOCHS[:17], values[:17]) == stop  # known at 32, from what was known then


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (step_at(48), None),  # 1.2 at the end of the run
        (step_at(30, high=1.38), (36, 24)),  # 1.304 around 32, which has one low one, against 24, which has no high one
        (step_at(30, high=1.37), None),  # 1.296 there, and later ones are held against a rise begun
        ([1.0] * 25, None),
        (step_at(30, 2.0, 1.0), None),  # a fall
        ([2.45 if e == 30 else 1.0 for e in EPOCHS], None),  # one spike: 1.29
        ([2.55 if e == 30 else 1.0 for e in EPOCHS], (30, 18)),  # 1.31, first in the window around 26
        (step_at(18), (22, 10)),  # around 18 1.6 against 1 around 10, the first that may be kept
        (step_at(4), None),  # all over before any epoch may be kept
        (step_at(30, -1.0, 2.0), (40, 28)),  # a ratio to a negative average says nothing; 0.2 around 28 is the first
        (step_at(30, -1.0, -2.0), None),  # though the ratio is 2
        ([1.1**i for i in range(25)], (22, 10)),  # 1.46 everywhere: waits for epoch 10
        ([1.06**i for i in range(25)], None),  # 1.26 everywhere
    ],
    ids=str,
)
def test_the_eigenvalue_rule(values, want):
    stop = eigenvalue_stop(EPOCHS, values)
    assert (stop and (stop.at, stop.keep)) == want


def test_the_settings_of_the_eigenvalue_rule():
    values = step_at(30)
    assert eigenvalue_stop(EPOCHS, values, ratio=1.5).at == 34
    assert eigenvalue_stop(EPOCHS, values, not_before=22).keep == 22
    assert eigenvalue_stop(EPOCHS, values, window=1).at == 30
    assert eigenvalue_stop(EPOCHS, values, back=2).keep == 24
    assert eigenvalue_stop(list(range(25)), values).keep == 10  # measured every epoch
    with pytest.raises(DivergedError, match="eigenvalue"):
        eigenvalue_stop(EPOCHS, [*values[:-1], float("nan")])


def test_the_first_averages_have_what_there_is():
    """3 measurements for the first, 4 for the second, then 5."""
    assert local_averages([1.0, 2.0]) == []
    assert local_averages([1.0, 2.0, 6.0]) == [3.0]
    assert local_averages([1.0, 2.0, 6.0, 7.0, 4.0, 11.0]) == [3.0, 4.0, 4.0, 6.0]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=25, max_size=25), st.floats(0.01, 100))
def test_a_stop_is_known_when_it_comes_and_hangs_on_ratios_only(values, unit):
    stop = eigenvalue_stop(EPOCHS, values)
    first = next((n for n in range(26) if eigenvalue_stop(EPOCHS[:n], values[:n])), None)
    assert (stop and stop.at) == (first and EPOCHS[first - 1])
    if stop:
        assert stop.at - stop.keep == 12
        assert eigenvalue_stop(EPOCHS[:first], values[:first]) == stop
    near = [b / a for a, b in zip(local_averages(values), local_averages(values)[4:], strict=False)]
    if all(abs(r - 1.3) > 1e-9 for r in near):
        scaled = eigenvalue_stop(EPOCHS, [v * unit for v in values])
        assert (scaled and scaled.keep) == (stop and stop.keep)


@pytest.mark.parametrize(
    ("counts", "limit", "want"),
    [([0, 1, 1, 2, 5], 2, 3), ([0, 1, 1], 2, None), ([3], 2, 0), ([0, 1, 2, 3], 3, 3), ([], 2, None), ([2, 0], 2, 0)],
)
def test_skips(counts, limit, want):
    stop = skip_stop(counts, limit=limit)
    assert (stop and (stop.at, stop.keep)) == (want if want is None else (want, want))


def test_rankings():
    options = {"edge0/op": ("dense", "skip", "conv3"), "edge1/op": ("zero", "conv3", "dense")}
    alphas = {"edge0/op": torch.tensor([0.1, 0.9, 0.5]), "edge1/op": torch.tensor([1.0, 0.2, 0.2])}
    found = ranking(alphas, options, weightless=("skip", "zero"))
    assert found == (("conv3", "dense"), ("conv3", "dense"))
    louder = {n: a + torch.tensor([0.0, 5.0, 0.0]) * (n == "edge0/op") for n, a in alphas.items()}
    assert ranking(louder, options, weightless=("skip", "zero")) == found  # a skip that rises changes nothing
    assert ranking(louder, options, weightless=())[0] == ("skip", "conv3", "dense")


@pytest.mark.parametrize(
    ("rankings", "patience", "want"),
    [("abaaaa", 3, 4), ("abaaaa", 4, 5), ("abaaaa", 5, None), ("aaa", 3, 2), ("a", 1, 0), ("", 1, None),
     ("ababab", 2, None), ("b" + "a" * 10, 10, 10), ("b" + "a" * 9, 10, None)],
)  # fmt: skip
def test_a_ranking_that_stays(rankings, patience, want):
    stop = ranking_stop(list(rankings), patience=patience)
    assert (stop and (stop.at, stop.keep)) == (want if want is None else (want, want))
    assert ranking_stop(list("b" + "a" * 10)).at == 10  # 10 epochs, unless told
