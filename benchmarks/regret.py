"""What differentiable searches leave on the table: their choice against every cell of a small space, trained alone.

    python benchmarks/truth/build.py --space cell --out runs/cells      # makes benchmarks/truth/cells.parquet
    python benchmarks/regret.py run --out runs/regret.jsonl             # all methods, 3 markets, 3 seeds; resumable
    python benchmarks/regret.py run --methods darts 'darts:{"order": 2}' --worlds volume --seeds 5
    python benchmarks/regret.py report --out runs/regret.jsonl

The space: 343 cells (two nodes, three edges, seven ops), each trained alone from three seeds on Bybit's BTC and two
planted markets.  A run: one search.  `own` is what the alphas stand for, without a look at a score; `five` are the five
that its shared weights rank highest among all paths, of which the table says the best, as a retraining would.  Regret:
truth (mean over seeds, rank IC of the validation rows) of the best cell less that of the choice; `later` the same on
rows that no method sees, of the same choice.  Beside it random search at the same cost in standalone trainings: so many
drawn, one seed each, the best one for `own`, the best five looked at again for `five`.  One set of settings for all.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ranking import holds, lines
from scipy.stats import kendalltau
from truth import setting
from truth.measures import half_width
from truth.table import CELLS, Table

from tradenas.search import methods as _methods  # noqa: F401  (methods register themselves)
from tradenas.search.base import METHODS, Method
from tradenas.search.parts.differentiable import Differentiable
from tradenas.seeds import rng_for
from tradenas.train.evaluate import merit
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation

METRIC = "rank_ic"
RETRAINED = 5
METHODS_HERE = (
    "darts", 'darts:{"order": 2}', "pcdarts", "fairdarts", "gdas", "dartsplus", "robust_darts", "darts_minus", "pdarts",
    "spos", "fairnas", "sandwich",
)  # fmt: skip
TRAINING = Optimisation(epochs=30, lr=1e-2, batch=512, segment=128)
#: Of stochastic gradient descent, which is what second order unrolls.
SGD_LR = 5e-2
ALPHA_LR = 3e-2


def method_of(spec: str) -> Method[Any]:
    """A method from its name and, after a colon, settings of its own as JSON."""
    name, _, text = spec.partition(":")
    own = json.loads(text or "{}")
    training = TRAINING
    if own.get("order") == 2:
        own, training = {"optimizer_kind": "sgd", **own}, replace(training, lr=SGD_LR)
    made = METHODS[name](training=training, num_ranked=1, **own)
    return replace(made, alphas=replace(made.alphas, lr=ALPHA_LR)) if isinstance(made, Differentiable) else made


def one_run(spec: str, table: Table, world: str, seed: int) -> dict[str, Any]:
    """One search, the choice of its alphas, and the scores of all cells as paths of its shared weights."""
    task = table.task(world, seed=seed, metric=METRIC)
    method, began = method_of(spec), time.process_time()
    state = method.init(task)
    for epoch in range(method.num_epochs()):
        method.epoch(task, state, epoch)
    seconds = time.process_time() - began
    own = None
    if isinstance(method, Differentiable):
        own = table.index(method.stands_for(state.space, state.learners[0]))
    inside = [n for n, a in enumerate(table.architectures) if holds(state.space, a)]
    scored = task.scorer.evaluator.score_paths(state.network, [table.architectures[n] for n in inside])
    merits = dict(zip(inside, (merit(s, METRIC) for s in scored), strict=True))
    return {"seconds": seconds, "own": own, "merits": [merits.get(n) for n in range(len(table))]}


def price(table: Table, world: str) -> float:
    """CPU seconds of one standalone training on this machine now: the mean over eight cells."""
    market, rng, spent = table.world(world), rng_for(0, "regret", "price"), []
    for _ in range(9):
        architecture, began = setting.space("cell").sample(rng), time.process_time()
        fit(
            setting.template("cell"), architecture, market.data, market.fold.train, training=setting.RECIPE, seed=0
        )  # fmt: skip
        spent.append(time.process_time() - began)
    return float(np.mean(spent[1:]))


def run(options: argparse.Namespace, table: Table) -> None:
    done = {(r["method"], r["world"], r["seed"]) for r in lines(options.out)}
    for world in options.worlds:
        each = None
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for spec in options.methods:
                if (spec, world, seed) in done:
                    continue
                each = each or price(table, world)
                row = {"method": spec, "world": world, "seed": seed, "training_s": each}
                row |= one_run(spec, table, world, seed)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{world} seed {seed} {spec}: {row['seconds']:.1f} s", flush=True)


@dataclass(frozen=True)
class Truth:
    """The table's word on one market."""

    valid_N: np.ndarray
    later_N: np.ndarray
    scores_NS: np.ndarray

    @classmethod
    def of(cls, table: Table, world: str) -> Truth:
        return cls(
            table.truth(world, METRIC), table.truth(world, METRIC, zone="test"), table.scores(world, METRIC)
        )  # fmt: skip

    def regret(self, cell: int) -> tuple[float, float]:
        return float(self.valid_N.max() - self.valid_N[cell]), float(self.later_N.max() - self.later_N[cell])

    def best_of(self, cells: np.ndarray) -> int:
        return int(cells[np.argmax(self.valid_N[cells])])

    def at_random(self, trainings: float, *, retrained: int, draws: int = 2000) -> tuple[float, float]:
        """Mean regrets of random search: the best `retrained` of so many trainings, of these the best by truth."""
        rng, num = rng_for(0, "regret", "random"), min(len(self.valid_N), max(1, round(trainings)))
        found = []
        for _ in range(draws):
            drawn = rng.choice(len(self.valid_N), size=num, replace=False)
            seen = self.scores_NS[drawn, rng.integers(self.scores_NS.shape[1])]
            found.append(self.regret(self.best_of(drawn[np.argsort(-seen)[:retrained]])))
        return tuple(np.mean(found, axis=0))  # type: ignore[return-value]


def report(options: argparse.Namespace, table: Table) -> None:
    runs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in lines(options.out):
        runs[row["world"], row["method"]].append(row)
    for world in table.worlds:
        truth = Truth.of(table, world)
        spread = np.sort(truth.valid_N)[::-1]
        ceiling = table.ceiling(world, METRIC).one_against_rest
        print(
            f"\n### {world}: rank IC of the best cell {spread[0]:.3f}, tenth {spread[9]:.3f}, median "
            f"{np.median(spread):.3f}, worst {spread[-1]:.3f}; ceiling of tau {ceiling:.2f}\n"
        )
        names = (
            "method", "seeds", "cost in trainings", "own: regret (+-)", "later", "random at that cost", "later",
            "five: regret (+-)", "later", "random at that cost", "later", "tau / ceiling",
        )  # fmt: skip
        print(f"| {' | '.join(names)} |\n|{' --- |' * len(names)}")
        rows = [line_of(spec, found, truth, ceiling) for (w, spec), found in runs.items() if w == world]
        print("\n".join(text for _, text in sorted(rows)))


def line_of(spec: str, rows: list[dict[str, Any]], truth: Truth, ceiling: float) -> tuple[float, str]:
    cost = float(np.mean([r["seconds"] / r["training_s"] for r in rows]))
    own = [truth.regret(r["own"]) for r in rows if r["own"] is not None]
    merits = [np.array([-1e9 if m is None else m for m in r["merits"]], float) for r in rows]
    five = [truth.regret(truth.best_of(np.argsort(-m, kind="stable")[:RETRAINED])) for m in merits]
    taus = [float(kendalltau(m, truth.valid_N).statistic) for m in merits]
    alone, again = truth.at_random(cost, retrained=1), truth.at_random(cost, retrained=RETRAINED)
    own_text = f"{cells_of(own)} | {alone[0]:.4f} | {alone[1]:.4f}" if own else " | | | "
    five_text = f"{cells_of(five)} | {again[0]:.4f} | {again[1]:.4f}"
    text = f"| {spec} | {len(rows)} | {cost:.0f} | {own_text} | {five_text} | {np.mean(taus) / ceiling:.2f} |"
    return float(np.mean([r for r, _ in (own or five)])), text


def cells_of(regrets: list[tuple[float, float]]) -> str:
    now, later = zip(*regrets, strict=True)
    return f"{np.mean(now):.4f} ({half_width(now):.4f}) | {np.mean(later):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, default=Path("runs/regret.jsonl"))
    parser.add_argument("--table", type=Path, default=CELLS)
    parser.add_argument("--methods", nargs="+", default=METHODS_HERE)
    parser.add_argument("--worlds", nargs="+", default=list(setting.WORLDS["cell"]))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    {"run": run, "report": report}[options.what](options, Table.load(options.table))


if __name__ == "__main__":
    main()
