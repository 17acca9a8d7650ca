"""An op for each column: do searches choose the planted one, and what is the choice worth?

    python benchmarks/columns.py --seeds 10

Six columns; the next return is `strength` parts an op of one column (of five, in `mixed`), made by its textbook
definition, and noise.  Nine options a column (eight ops and `drop`), one dense layer of eight units, filters of one
row: what has to remember, or to squeeze, is the op.

    world        the column                                 what the return hangs on
    difference   a random walk                              its last step
    log          exp of t(4) / 2: positive, heavy tails     its logarithm
    rank         exp(3z) on a level that swings e^2-fold    its rank in the last 100 rows
    std20        normal noise                               standard deviation of its last 20 rows
    ema12        normal noise                               its exponential average of span 12
    mixed        these five side by side, and one of noise  all five in equal parts

Printed for each world and method: share of driving columns whose op was found (chance: one in nine), share of noise
columns that were dropped, and IC on 10,000 fresh rows of the choice, trained from scratch, as a share of the oracle's.
Beside them the same network with `zscore` for all columns and with the planted ops; in `mixed` also with the best on
the ranking rows of the eight transforms shared by all columns, which is what the space without column ops offers.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tradenas.features import TRANSFORMS
from tradenas.features.ordering import rank_balance
from tradenas.nn import Layout, Network
from tradenas.search.base import METHODS, Scorer, Task
from tradenas.search.methods import DARTS  # noqa: F401  (methods register themselves)
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.evolution import Evolution
from tradenas.search.parts.learner import Alphas
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation, Training
from tradenas.typing import FloatArray

VOLATILITY, HOUR_MS, START_MS = 0.005, 3_600_000, 1_735_689_600_000
OPS = ("raw", "zscore", "log", "difference", "mean20", "std20", "rank", "ema12")
DRIVERS = ("difference", "log", "rank", "std20", "ema12")
COLUMNS, WINDOW, WARM, FRESH = 6, 100, 300, 10_000
CHAIN = {
    "depths": (1,), "ops": ("dense",), "widths": (8,), "activations": ("tanh",), "norms": ("none",), "dropouts": (0.0,),
    "lookbacks": (1,),
}  # fmt: skip


def planted(kind: str, rows: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A column, and what the return hangs on."""
    z_T = rng.standard_normal(rows)
    if kind == "difference":
        return np.cumsum(z_T), z_T
    if kind == "log":
        z_T = rng.standard_t(4, rows)
        return np.exp(0.5 * z_T), z_T
    if kind == "rank":
        column_T = np.exp(3.0 * z_T + 2.0 * np.sin(np.arange(rows) / 15.0))
        return column_T, rank_balance(column_T, WINDOW)
    if kind == "std20":
        windows = np.lib.stride_tricks.sliding_window_view(z_T, 20)
        return z_T, np.concatenate([np.full(19, np.nan), windows.std(axis=1)])
    return z_T, np.convolve(z_T, (1.0 - 2.0 / 13.0) ** np.arange(200))[:rows]


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """Columns under every op, the return, and what it hangs on."""

    data: Dataset
    driver_T: FloatArray
    answers: dict[str, str]


def world(kind: str, *, rows: int, strength: float, seed: int) -> World:
    """Driving columns first, then columns of the same kinds that drive nothing."""
    rng = rng_for(seed, "columns", kind)
    drivers = DRIVERS if kind == "mixed" else (kind,)
    total = rows + FRESH + WARM
    made = [planted(driver, total, rng) for driver in drivers]
    noise = [planted(DRIVERS[i % len(DRIVERS)], total, rng)[0] for i in range(COLUMNS - len(drivers))]
    raw = [column for column, _ in made] + noise
    x_TF = np.column_stack([TRANSFORMS[op](window=WINDOW)(column_T) for op in OPS for column_T in raw])[WARM:]
    parts = [driver_T[WARM:] for _, driver_T in made]
    driver_T = np.sum([(p - p.mean()) / p.std() for p in parts], axis=0)
    driver_T /= driver_T.std()
    z_T = strength * driver_T + np.sqrt(1 - strength**2) * rng.standard_normal(len(driver_T))
    bar_return_T = np.expm1(VOLATILITY * z_T)
    bar_return_T[-2:] = np.nan
    rows = len(z_T)
    data = Dataset(
        x_TF=x_TF.astype(np.float32), y_T=np.log1p(bar_return_T).astype(np.float32), ready_T=np.ones(rows, bool),
        gap_T=np.zeros(rows, bool), volatility_T=np.full(rows, VOLATILITY),
        past_return_T=VOLATILITY * np.concatenate([[0.0], z_T[:-1]]), bar_return_T=bar_return_T,
        realised_T=START_MS + HOUR_MS * np.arange(2, rows + 2), names=tuple(f"c{i}" for i in range(COLUMNS)),
        groups=("test",) * COLUMNS, transforms=OPS, kind="regression", days_per_year=365,
    )  # fmt: skip
    return World(data=data, driver_T=driver_T, answers={f"input/column/c{i}": op for i, op in enumerate(drivers)})


@dataclass(frozen=True, eq=False, kw_only=True)
class Course:
    """One world of one seed, cut: rows to learn from, to rank on, and fresh ones."""

    world: World
    seed: int
    train: Span
    valid: Span
    fresh: Span
    arguments: argparse.Namespace

    def search(self, name: str) -> tuple[Architecture, int]:
        """What a method chooses, and how many candidates it scored.

        Differentiable ones give the alphas' own architecture, as their papers do.
        """
        a = self.arguments
        evaluator = Evaluator(data=self.world.data, train=self.train, valid=self.valid, rule=Rule(), costs=Costs())
        scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
        space = Chain(**CHAIN, column_ops=(*OPS, "drop")).space(self.world.data.indicators)
        task = Task(space=space, data=self.world.data, train=self.train, scorer=scorer, seed=self.seed)
        training = Optimisation(epochs=a.epochs, batch=256, segment=64, lr=a.lr)
        if issubclass(METHODS[name], Differentiable):
            alphas: Alphas = METHODS[name]().alphas
            changed = Alphas(**{**vars(alphas), "lr": a.alpha_lr})
            method = METHODS[name](training=training, alphas=changed, num_ranked=1)
        else:
            settings = {"supernets": 1, "parsimony": 0.0} if name == "sandwich" else {}
            find = Evolution(population=20, parents=8)
            method = METHODS[name](training=training, find=find, num_ranked=a.ranked, **settings)
        state = method.init(task)
        for epoch in range(method.num_epochs()):
            method.epoch(task, state, epoch)
        if isinstance(method, Differentiable):
            return method.chosen(space, state.learners[0].now()), 1
        return method.finish(task, state)[0].architecture, a.ranked

    def share(self, architecture: Architecture, chain: Chain, span: Span) -> float:
        """IC of a network trained from scratch, as a share of the driver's own."""
        data = self.world.data
        layout = Layout(groups=data.groups, transforms=data.transforms, names=data.names)
        training = Training(epochs=self.arguments.epochs, batch=256, segment=64, lr=self.arguments.lr)
        template = Network(chain.space(data.indicators), layout)
        fitted = fit(template, architecture, data, self.train, training=training, seed=self.seed)
        return self.ic(fitted.signals(data, span), span) / self.ic(self.world.driver_T[span.slice], span)

    def ic(self, signal_T: FloatArray, span: Span) -> float:
        return float(np.corrcoef(signal_T, self.world.data.bar_return_T[span.slice])[0, 1])


def one(kind: str, seed: int, arguments: argparse.Namespace) -> list[dict]:
    """All methods and rivals in one world of one seed."""
    found = world(kind, rows=arguments.rows, strength=arguments.strength, seed=seed)
    cut, rows = int(0.75 * arguments.rows), arguments.rows
    course = Course(
        world=found, seed=seed, train=Span(0, cut), valid=Span(cut + 5, rows), fresh=Span(rows + 5, rows + FRESH - 5),
        arguments=arguments,
    )  # fmt: skip
    own = Chain(**CHAIN, column_ops=(*OPS, "drop"))
    told = []

    def tell(name: str, architecture: Architecture, chain: Chain, began: float, *, scored: int = 0) -> None:
        ops = {n: o for n, o in architecture.items() if n.startswith("input/column/")}
        noise = [o == "drop" for n, o in ops.items() if n not in found.answers]
        right = [ops[n] == o for n, o in found.answers.items() if ops]
        searched = time.process_time() - began
        told.append({
            "world": kind, "seed": seed, "name": name, "ops": ops, "scored": scored, "seconds": searched,
            "found": float(np.mean(right)) if right else None, "dropped": float(np.mean(noise)) if noise else None,
            "share": course.share(architecture, chain, course.fresh),
        })  # fmt: skip

    for name in arguments.methods:
        began = time.process_time()
        architecture, scored = course.search(name)
        tell(name, architecture, own, began, scored=scored)
    rivals = {"zscore": "zscore"}
    shared = {op: Chain(**CHAIN, transforms=(op,)) for op in OPS}
    if kind == "mixed":
        merits = {op: course.share(c.space().smallest(), c, course.valid) for op, c in shared.items()}
        best = max(merits, key=lambda op: merits[op])
        rivals[f"shared {best}"] = best
    for name, op in rivals.items():
        tell(name, shared[op].space().smallest(), shared[op], time.process_time())
    planted_ops = own.space(found.data.indicators).walk(lambda c: found.answers.get(c.name, c.options[-1]))
    tell("planted", planted_ops, own, time.process_time())
    return told


def main() -> None:
    """Prints a table, and writes every run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["darts", "gdas", "fairdarts", "spos", "sandwich"])
    parser.add_argument("--worlds", nargs="+", default=[*DRIVERS, "mixed"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--strength", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--alpha-lr", type=float, default=3e-2)
    parser.add_argument("--ranked", type=int, default=200)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for kind in arguments.worlds:  # what was found so far is of all worlds, however early it is stopped
            rows += one(kind, seed, arguments)
            if arguments.out:
                arguments.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for kind in arguments.worlds:
        here = [r for r in rows if r["world"] == kind]
        for name in dict.fromkeys(r["name"].split()[0] for r in here):
            mine = [r for r in here if r["name"].split()[0] == name]
            keys = ("found", "dropped", "share", "seconds")
            said = {key: [r[key] for r in mine if r[key] is not None] for key in keys}
            words = " ".join(f"{key} {np.mean(v):6.2f}" if v else f"{key}    -  " for key, v in said.items())
            print(f"{kind:10s} {name:10s} {words} +- {np.std(said['share']):.2f}", flush=True)


if __name__ == "__main__":
    main()
