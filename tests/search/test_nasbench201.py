"""A foreign benchmark through our `SearchSpace` and finders: the NAS-Bench-201 table of `analog-nasbench`.

Facts of the table, then random search against its exact mean and evolution against published-elsewhere figures.
`benchmarks/nasbench201.py` does the same with 200 seeds.
"""

from __future__ import annotations

import math
import pickle
from importlib import metadata

import numpy as np
import pytest
import torch

from search import nasbench201 as bench
from tradenas.search.parts.aging import Aging
from tradenas.search.parts.controller import Controller, Policy, Reinforce
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.find import find
from tradenas.search.parts.nsga2 import NSGA2
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.space import Architecture


def installed():
    try:
        metadata.distribution("analog-nasbench")
    except metadata.PackageNotFoundError:
        return False
    return True


needs_table = pytest.mark.skipif(not installed(), reason="analog-nasbench is not installed (it is in the extra 'dev')")
#: Mean and standard deviation over 200 seeds, regularised evolution with P = 50 and S = 10 (METHODS 5.4).
REFERENCE = {100: (93.827, 0.205), 300: (94.041, 0.090), 500: (94.055, 0.073)}


def best_of(finder, seed, at):
    history = find(finder, bench.SPACE, bench.score, num=max(at), merit=lambda v: v["accuracy"], seed=seed)
    assert len(set(history.architectures)) == max(at)
    return [max(history.merits[:n]) for n in at]


def test_exact_mean_of_the_best_by_hand():
    mean, deviation = bench.exact_mean_of_best([4.0, 1.0, 3.0, 2.0], 2)
    assert mean == pytest.approx((2 * 1 + 3 * 2 + 4 * 3) / 6)  # of six pairs 2 is best of one, 3 of two, 4 of three
    assert deviation == pytest.approx(math.sqrt((4 * 1 + 9 * 2 + 16 * 3) / 6 - mean**2))
    assert bench.exact_mean_of_best([4.0, 1.0, 3.0], 3) == (4.0, 0.0)
    assert bench.exact_mean_of_best([4.0, 1.0, 3.0, 2.0], 1)[0] == pytest.approx(2.5)


def test_the_reader_builds_nothing_but_the_two_classes():
    for thing in (print, np.float64(1.0), Architecture({"a": 1})):
        with pytest.raises(pickle.UnpicklingError, match="is none of Architecture, DriftMeasurement"):
            bench.read(pickle.dumps({(0,): thing}))


@needs_table
def test_the_table_is_the_one_that_is_known():
    cells = bench.whole()
    assert len(cells) == bench.SPACE.size() == 5**6 == len(bench.table())
    accuracies = [accuracy for _, accuracy in cells]
    assert bench.table()[2, 2, 0, 2, 3, 2] == max(accuracies) == 94.0664
    assert np.median(accuracies) == pytest.approx(90.41, abs=0.005)
    assert sum(a >= 93.5 for a in accuracies) == 102
    assert sum(a == 10.0 for a in accuracies) == 341
    assert all((accuracy == 10.0) != bench.connected(cell) for cell, accuracy in cells)
    means = {n: round(bench.exact_mean_of_best(accuracies, n)[0], 3) for n in (10, 50, 100, 300, 1000)}
    assert means == {10: 92.747, 50: 93.344, 100: 93.502, 300: 93.69, 1000: 93.848}


@needs_table
def test_random_search_is_where_chance_puts_it():
    """Within three standard errors of the exact mean, at each number of cells."""
    seeds, at = 40, (10, 50, 100)
    found_SK = np.array([best_of(Uniform(), seed, at) for seed in range(seeds)])
    for n, mean in zip(at, found_SK.mean(axis=0), strict=True):
        exact, deviation = bench.exact_mean_of_best(bench.table().values(), n)
        assert abs(mean - exact) < 3 * deviation / math.sqrt(seeds), n


@needs_table
@pytest.mark.parametrize(
    ("finder", "at"),
    [
        (Aging(population=50, tournament=10, children=1), (100, 300)),
        (Aging(population=50, tournament=10), (100, 300)),
        (Evolution(population=10), (100,)),
    ],
    ids=["aging, as published", "aging, 10 children", "evolution"],
)
def test_evolution_is_as_good_as_the_reference(finder, at):
    """No worse than two standard errors below it at the same number of cells, and far better than chance."""
    seeds = 8
    found_SK = np.array([best_of(finder, seed, at) for seed in range(seeds)])
    for n, mean in zip(at, found_SK.mean(axis=0), strict=True):
        reference, deviation = REFERENCE[n]
        assert mean > reference - 2 * deviation * math.sqrt(1 / seeds + 1 / 200), n
        assert mean > bench.exact_mean_of_best(bench.table().values(), n)[0] + 0.1


@needs_table
def test_nsga2_trades_accuracy_for_weights():
    """What its front holds is beaten by few of all cells, in both objectives at once."""
    finder = NSGA2(population=20)
    history = find(finder, bench.SPACE, bench.score, num=300, merit=lambda v: v["accuracy"], seed=0)
    front = [i for i, f in enumerate(finder.fronts(history)) if f == 0]
    params = [history.values["params"][i] for i in front]
    assert min(params) == 0.0
    assert max(params) >= 20.0
    cells, accuracies = zip(*bench.whole(), strict=True)
    every = list(zip(accuracies, (s["params"] for s in bench.score(cells)), strict=True))
    for i in front:
        better = sum(a > history.merits[i] and p <= history.values["params"][i] for a, p in every)
        assert better < 0.05 * len(every)


@needs_table
def test_the_controller_draws_better_cells_than_chance():
    """After 40 updates the mean of what it draws is far above that of the table, and no cell is cut off."""
    torch.set_num_threads(1)
    policy = Policy(lr=1e-2, size=32)
    learner = Reinforce(Controller(bench.SPACE, policy, seed=0))
    for step in range(40):
        drawn = learner.controller.draw(policy.samples, rng_for(0, "cells", step))
        learner.update(drawn, [scores["accuracy"] / 100 for scores in bench.score(drawn)])
    drawn = learner.controller.draw(300, rng_for(0, "after"))
    mean = np.mean([scores["accuracy"] for scores in bench.score(drawn)])
    everywhere = np.mean(list(bench.table().values()))
    assert mean > everywhere + 4.0
    assert len(set(drawn)) > 50
