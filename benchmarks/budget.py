"""Searching under a limit: what shared weights should be trained on, and whether to score what is beyond the limit.

    python benchmarks/budget.py train [--seeds 4] [--worlds volume] [--share 0.1]    # some minutes
    python benchmarks/budget.py rank  [--seeds 40]                                     # some minutes

`train`: supernets whose steps draw from the whole space, and from what fits alone, held against the truth table of
standalone trainings (`truth/`): Kendall's tau among the architectures that fit, and what the five that the order likes
best leave on the table (IC).  The limit is on parameters, so that a share of the space's draws meets it.

`rank`: NAS-Bench-201 under a limit on weights.  `reject` scores only what fits; `dominance` scores the rest too and
ranks it behind (Deb's rule).  Best accuracy that fits after 50, 100 and 200 scores, mean and spread over seeds, beside
the best there is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ranking import method_of, task_of
from truth import setting
from truth.paths import outputs_of_paths, scores_of_outputs
from truth.table import Table

from search import nasbench201 as bench
from tradenas.cost import PriceList, prices
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.find import Finder, find
from tradenas.search.parts.nsga2 import NSGA2
from tradenas.search.parts.uniform import Uniform
from tradenas.seeds import rng_for
from tradenas.space import Architecture

METHODS = ("spos:epochs=40", "sandwich:epochs=10,distil=0.0,supernets=1")
AT = (50, 100, 200)
FINDERS: dict[str, Finder] = {
    "random": Uniform(population=20),
    "evolution": Evolution(population=20),
    "nsga2": NSGA2(population=20, objectives=("merit", "params")),
}


def limited(share: float) -> tuple[PriceList, np.ndarray]:
    """A limit on parameters that a share of drawn architectures meets, and who meets it, in the order of the space."""
    space = setting.space()
    listed = PriceList(costs=prices(setting.template()))
    rng = rng_for(0, "budget", "limit")
    sizes = sorted(listed.one("parameters", space.sample(rng)) for _ in range(2000))
    found = listed.limited(parameters=sizes[int(share * len(sizes))])
    return found, np.array([found.fits(a) for a in space])


def train(options: argparse.Namespace) -> None:
    table, (listed, fits_N) = Table.load(), limited(options.share)
    print(f"limit {listed.limits['parameters']:.0f} parameters: {fits_N.sum()} of {len(fits_N)} architectures fit")
    row = {a.digest: n for n, a in enumerate(table.architectures)}
    order = [row[a.digest] for a in setting.space()]
    for name in options.worlds:
        world = setting.world(name)
        truth_N = table.scores(name, "ic").mean(axis=1)[order]
        for spec in METHODS:
            taus: dict[str, list[float]] = {"all": [], "fitting": []}
            regrets: dict[str, list[float]] = {"all": [], "fitting": []}
            for seed in range(options.seeds):
                for drawn in taus:
                    task, began = task_of(world, seed), time.process_time()
                    method, _ = method_of(spec)
                    state = method.init(task)
                    state.prices = replace(listed, train=drawn)
                    for epoch in range(method.training.epochs):
                        method.epoch(task, state, epoch)
                    said = outputs_of_paths(state.networks[0], tuple(setting.space()), world)
                    scores_N = scores_of_outputs(said, world)["ic"]
                    tau = kendalltau(scores_N[fits_N], truth_N[fits_N]).statistic
                    best = np.argsort(-scores_N[fits_N])[:5]
                    taus[drawn].append(tau)
                    regrets[drawn].append(truth_N[fits_N].max() - truth_N[fits_N][best].max())
                    print(f"{name} {spec} seed {seed} {drawn}: tau {tau:.3f}, regret {regrets[drawn][-1]:.4f}, "
                          f"{time.process_time() - began:.0f} s", flush=True)  # fmt: skip
            for drawn, each in taus.items():
                told = f"{np.mean(each):.3f} ({np.std(each, ddof=1):.3f}) | {np.mean(regrets[drawn]):.4f} |"
                print(f"| {name} | {spec.partition(':')[0]} | {drawn} | {told}", flush=True)


def weights(cell: Architecture) -> float:
    return float(sum(bench.WEIGHTS.get(str(op), 0.0) for op in cell.values()))


def rank(options: argparse.Namespace) -> None:
    every = bench.whole()
    for limit in (20.0, 9.0, 2.0):
        inside = [accuracy for cell, accuracy in every if weights(cell) <= limit]
        print(f"limit {limit:g}: {len(inside) / len(every):.1%} fit, best {max(inside):.3f}")

        def over(cell: Architecture, limit: float = limit) -> float:
            return max(0.0, weights(cell) / limit - 1.0)

        for name, finder in FINDERS.items():
            rules: dict[str, dict[str, Callable[[Architecture], object]]] = {
                "reject": {"allowed": lambda cell: over(cell) == 0.0},
                "dominance": {"violation": over},
            }
            for rule, kind in rules.items():
                found = []
                for seed in range(options.seeds):
                    history = find(finder, bench.SPACE, bench.score, num=max(AT), merit=lambda v: v["accuracy"],
                                   seed=seed, **kind)  # type: ignore[arg-type]  # fmt: skip
                    kept = [
                        m if over(a) == 0.0 else -np.inf
                        for a, m in zip(history.architectures, history.merits, strict=True)
                    ]
                    found.append(np.maximum.accumulate(kept)[[n - 1 for n in AT]])
                found_SN = np.array(found)
                none = float(np.isinf(found_SN[:, -1]).mean())
                told = " | ".join(
                    f"{np.mean(c[np.isfinite(c)]):.3f} ({np.std(c[np.isfinite(c)]):.3f})" for c in found_SN.T
                )
                print(f"| {limit:g} | {name} | {rule} | {told} | {none:.0%} without any |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "rank"))
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--worlds", nargs="+", default=["volume"])
    parser.add_argument("--share", type=float, default=0.1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.seeds = options.seeds or {"train": 4, "rank": 40}[options.what]
    {"train": train, "rank": rank}[options.what](options)


if __name__ == "__main__":
    main()
