"""Our finders and the ENAS controller on a foreign benchmark: best of 100, 300 and 500 cells of NAS-Bench-201.

    python benchmarks/nasbench201.py [--seeds 200] [--only random "aging, 1 child"]

Random search is held against its exact mean, evolution against regularised evolution (P = 50, S = 10, 200 seeds) as
measured with other code on the same table.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from search import nasbench201 as bench
from tradenas.search.parts.aging import Aging
from tradenas.search.parts.controller import Controller, Policy, Reinforce
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.find import find
from tradenas.search.parts.nsga2 import NSGA2
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.typing import FloatArray

AT = (100, 300, 500)
#: Mean and standard deviation over 200 seeds of regularised evolution, at as many evaluations.
REFERENCE = {100: (93.827, 0.205), 300: (94.041, 0.090), 500: (94.055, 0.073)}
FINDERS = {
    "random": Uniform(),
    "evolution": Evolution(),
    "evolution, 10 a generation": Evolution(population=10),
    "aging, 1 child": Aging(population=50, tournament=10, children=1),
    "aging, 10 children": Aging(population=50, tournament=10, children=10),
    "nsga2": NSGA2(population=20),
}
POLICIES = {"enas, lr 1e-3": Policy(), "enas, lr 1e-2": Policy(lr=1e-2)}


def best_so_far(accuracies: list[float]) -> FloatArray:
    return np.maximum.accumulate(np.array(accuracies))[[n - 1 for n in AT]]


def by_finder(name: str, seed: int) -> FloatArray:
    history = find(FINDERS[name], bench.SPACE, bench.score, num=max(AT), merit=lambda v: v["accuracy"], seed=seed)
    return best_so_far(list(history.merits))


def by_controller(name: str, seed: int) -> FloatArray:
    """Updates of ten drawn cells; one that was drawn before costs no evaluation."""
    policy = POLICIES[name]
    learner = Reinforce(Controller(bench.SPACE, policy, seed=seed))
    known: dict[object, float] = {}
    for step in range(2000):
        drawn = learner.controller.draw(policy.samples, rng_for(seed, "cells", step))
        for cell, scores in zip(drawn, bench.score(drawn), strict=True):
            known.setdefault(cell, scores["accuracy"])
        if len(known) >= max(AT):
            break
        learner.update(drawn, [known[cell] / 100 for cell in drawn])
    found = list(known.values())
    return best_so_far(found + [min(found)] * (max(AT) - len(found)))


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", nargs="*", choices=[*FINDERS, *POLICIES], default=[*FINDERS, *POLICIES])
    arguments = parser.parse_args()
    bench.table()
    print(f"| search | seeds | {' | '.join(f'best of {n}' for n in AT)} | s a search |")
    print(f"| --- | --- | {' | '.join('---' for _ in AT)} | --- |")
    exact = [bench.exact_mean_of_best(bench.table().values(), n) for n in AT]
    print(f"| random, exactly | | {' | '.join(f'{m:.3f} +- {s:.3f}' for m, s in exact)} | |")
    told = " | ".join(f"{m:.3f} +- {s:.3f}" for m, s in REFERENCE.values())
    print(f"| regularised evolution, reference | 200 | {told} | |")
    for name in arguments.only:
        run = by_finder if name in FINDERS else by_controller
        began = time.perf_counter()
        best_SK = np.stack([run(name, seed) for seed in range(arguments.seeds)])
        took = (time.perf_counter() - began) / arguments.seeds
        cells = [f"{m:.3f} +- {s:.3f}" for m, s in zip(best_SK.mean(0), best_SK.std(0, ddof=1), strict=True)]
        print(f"| {name} | {arguments.seeds} | {' | '.join(cells)} | {took:.2f} |", flush=True)


if __name__ == "__main__":
    main()
