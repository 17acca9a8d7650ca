"""What every search method owes on several markets: it runs, and a panel of one market is that market to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance.test_methods import CHOICES, SPACES, small
from search.worlds import Told, market, task
from tradenas.search.base import METHODS, run_search
from tradenas.search.parts.repairs import refit_head
from tradenas.train.panel import Panel


def panel(*markets) -> Panel:
    shape = (len(markets), len(markets[0]))
    return Panel(
        symbols=tuple("ABC"[: len(markets)]),
        markets=markets,
        present_AT=np.ones(shape, bool),
        weight_AT=np.full(shape, 1 / len(markets)),
    )


QUICK = {"epochs": 4, "segment": 64, "batch": 1024}
#: One of each family: a path a step, several, alphas through the weights' step, a controller, networks alone.
FAMILIES = ("spos", "fairnas", "robust_darts", "pdarts", "random_search")


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_panel_of_one_market_is_searched_to_the_same_bits(kind, tmp_path):
    told = []
    for name, data in (("one", market()), ("panel", panel(market()))):
        tell = Told()
        run_search(small(kind, **QUICK), task(tell, choices=SPACES.get(kind, CHOICES), data=data), tmp_path / name)
        told.append(tell.trials)
    assert told[0] == told[1]


@pytest.mark.parametrize("kind", list(METHODS))
def test_it_searches_two_markets_at_once(kind, tmp_path):
    """One with a planted signal, one whose features say nothing of it: halves of what is scored."""
    told, other = Told(), market()
    other = replace(other, x_TF=np.roll(other.x_TF, 7, axis=0))
    data = panel(market(), other)
    candidates = run_search(small(kind, **QUICK), task(told, choices=SPACES.get(kind, CHOICES), data=data), tmp_path)
    assert candidates
    assert all(np.isfinite(list(c.scores.values())).all() for c in candidates)
    assert len({c.scores["ic"] for c in candidates}) > 1


def test_a_head_is_refitted_on_a_panel_as_on_its_market():
    choices = CHOICES
    tasks = [task(choices=choices, data=data) for data in (market(), panel(market()))]
    architecture = choices.sample(np.random.default_rng(3))
    shared = tasks[0].network()
    head = shared.inherit(choices.fix(architecture)).heads[str(architecture["depth"])].weight
    fitted = [refit_head(one, shared, architecture).heads[str(architecture["depth"])].weight for one in tasks]
    assert torch.equal(*fitted)
    assert not torch.equal(fitted[0], head)
