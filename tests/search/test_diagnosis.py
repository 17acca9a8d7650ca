"""How undecided alphas are: known answers at both ends, and by hand between them."""

from __future__ import annotations

import math

import pytest
import torch

from search.test_differentiable import state_after
from tradenas.search.base import METHODS
from tradenas.search.parts.diagnosis import entropy, gate_entropy, told_of_ops
from tradenas.space import Cell, Chain

OPS = ("zero", "skip", "dense", "conv3")
SPACE = Cell(nodes=2, ops=OPS, cells=(1,), widths=(4, 8), lookbacks=(5,), transforms=("raw",), norms=("none",)).space()


def alphas(*ops, width=(0.0, 0.0)):
    names = [c.name for c in SPACE.choices if c.name.endswith("/op")]
    return {"cell/width": torch.tensor(width), **{n: torch.tensor(ops) for n in names}}


def test_all_alike_is_1_and_one_alone_is_0():
    for num in (2, 3, 9):
        assert entropy(torch.full((num,), 0.3)) == pytest.approx(1.0)
        assert entropy(torch.eye(num)[0]) == 0.0
        assert gate_entropy(torch.full((num,), 0.5)) == pytest.approx(1.0)
        assert gate_entropy((torch.arange(num) % 2).float()) == 0.0


def test_between_them_by_hand():
    """-(1/2 log 1/2 + 2 * 1/4 log 1/4) / log 3 = 1.5 log 2 / log 3, whatever the sum of the weights."""
    want = 1.5 * math.log(2) / math.log(3)
    assert entropy(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(want)
    assert entropy(torch.tensor([2.0, 1.0, 1.0])) == pytest.approx(want)
    assert gate_entropy(torch.tensor([0.25, 0.5])) == pytest.approx((2 - 0.75 * math.log2(3) + 1.0) / 2)


def test_two_open_gates_are_decided_where_ops_do_not_compete():
    decided = alphas(-20.0, -20.0, 20.0, 20.0)
    fair, plain = METHODS["fairdarts"](), METHODS["darts"]()
    assert fair.entropies(decided)["cell/edge0-2/op"] == pytest.approx(0.0, abs=1e-6)
    assert plain.entropies(decided)["cell/edge0-2/op"] == pytest.approx(0.5)  # between two of four
    half_open = alphas(0.0, 0.0, 0.0, 0.0)
    assert fair.entropies(half_open)["cell/edge0-2/op"] == pytest.approx(1.0)
    assert fair.entropies(alphas(0.0, 0.0, 0.0, 0.0, width=(9.0, -9.0)))["cell/width"] < 1e-5  # a softmax there


def test_what_is_told_is_of_ops_and_of_skips():
    made = METHODS["darts"]()
    given = alphas(math.log(1.0), math.log(5.0), math.log(2.0), math.log(2.0), width=(9.0, -9.0))
    told = told_of_ops(SPACE, made.strengths(given), made.entropies(given))
    assert told["skips"] == pytest.approx(0.5)
    assert told["entropy"] == pytest.approx(entropy(torch.tensor([0.1, 0.5, 0.2, 0.2])))  # nothing of the width
    chain = Chain(depths=(1,), ops=("dense", "conv3"), widths=(4, 8)).space()
    weights = {"layer0/op": torch.tensor([0.5, 0.5]), "layer0/width": torch.tensor([1.0, 0.0])}
    assert told_of_ops(chain, weights, {n: entropy(w) for n, w in weights.items()}) == pytest.approx({"entropy": 1.0})
    assert told_of_ops(chain, {"layer0/width": torch.ones(2)}, {"layer0/width": 1.0}) == {}


def test_what_a_stage_that_is_over_went_through_is_kept():
    """P-DARTS begins anew in each stage; its account of the first is that of all its ops."""
    state, _ = state_after("pdarts", 2, keep=(1.0, 0.5), skip_dropout=(0.0, 0.4), training={"epochs": 2})
    ((first,),) = state.past
    assert len(first["epochs"]) == len(first["choices"][0]["strengths"]) == 1
    assert [len(c["options"]) for c in first["choices"] if c["name"].endswith("/op")] == [4] * 5
    now = METHODS["pdarts"]().account(state.space, state.learners[0])
    assert [len(c["options"]) for c in now["choices"] if c["name"].endswith("/op")] == [2] * 5
