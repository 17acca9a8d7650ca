"""Ops that mix assets are searched beside the others: on a panel every kind of search trains, ranks and names them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tradenas.nn import Network
from tradenas.search.base import METHODS, Scorer, Task, run_search
from tradenas.search.methods import DARTS  # noqa: F401  (methods register themselves)
from tradenas.search.parts.uniform import Uniform
from tradenas.space import CROSS_ASSET, Cell
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation, Training
from tradenas.train.panel import Panel
from train.datasets import make_dataset

CELL = Cell(cells=(1,), inputs=1, nodes=1, take=1, ops=("dense", *CROSS_ASSET), widths=(4,), lookbacks=(1,),
            transforms=("raw",), norms=("none",))  # fmt: skip
TRAIN, VALID = Span(0, 600), Span(640, 890)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def panel():
    markets = tuple(make_dataset(rows=900, features=2, transforms=("raw",), planted="noise", seed=s) for s in range(3))
    ones = np.ones((3, 900))
    return Panel(symbols=("a", "b", "c"), markets=markets, present_AT=ones > 0, weight_AT=ones / 3)


@pytest.mark.parametrize("kind", ["spos", "darts"])
def test_every_op_is_trained_and_ranked(panel, kind, tmp_path):
    evaluator = Evaluator(data=panel, train=TRAIN, valid=VALID, rule=Rule(), costs=Costs())
    looked = []
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda a, *_: looked.append(a))
    space = CELL.space(panel.indicators)
    task = Task(space=space, data=panel, train=TRAIN, scorer=scorer, seed=0)
    method = METHODS[kind](
        training=Optimisation(epochs=2, batch=384, segment=64), find=Uniform(), num_ranked=space.size()
    )
    candidates = run_search(method, task, tmp_path)
    assert {c.architecture["cell/edge0-1/op"] for c in candidates} == {"dense", *CROSS_ASSET}
    assert all(np.isfinite(c.scores["ic"]) for c in candidates)
    assert {a.digest for a in looked} == {c.architecture.digest for c in candidates}


def test_a_standalone_network_hears_all_markets(panel):
    space = CELL.space(panel.indicators)
    architecture = space.walk(lambda c: "leader" if c.name.endswith("/op") else c.options[0])
    fitted = fit(
        Network(space, panel.layout), architecture, panel, TRAIN, training=Training(epochs=2, batch=384), seed=0
    )
    before = fitted.signals(panel, VALID)
    other = Panel(
        symbols=panel.symbols,
        markets=(*panel.markets[:2], make_dataset(rows=900, features=2, transforms=("raw",), planted="noise", seed=9)),
        present_AT=panel.present_AT,
        weight_AT=panel.weight_AT,
    )
    assert (fitted.signals(other, VALID)[:2] != before[:2]).any()
