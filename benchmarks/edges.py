"""Differentiable methods in worlds whose best op on an edge is known: how often do they end with it?

    python benchmarks/edges.py                       # four worlds, every method, ten seeds
    python benchmarks/edges.py --worlds ema12 --methods darts 'darts:{"order": 2}' --seeds 3

A world: two columns of noise; the next return is `strength` parts an op of the first, made by hand, and noise.  The
network is one edge with eight ops between a stem and a head; its input filters see one row only, so that the op on the
edge has to remember.  `ema12` and `difference5` are ops without weights; in `motif`, x[t] + x[t-1] - 2 x[t-2], only
`conv3` can be right, and it has to be learnt.  In `conv3`, x[t] - 2 x[t-1] + x[t-2], the convolution is right and
`difference` gets 0.87 of it without learning anything.

A row: seeds in which the method ends with the planted op, with a 95 % interval (Wilson 1927); in how many it would have
after some epoch; what it ended with; IC on fresh rows of its choice trained from scratch, with the standard deviation
over seeds, and as a share of what the planted op gets so trained; CPU seconds of a search without that training.  Below
a world: IC of every op trained alone, first three seeds.

One setting for all methods, `EDGE` below, chosen by plain DARTS on seeds 100 to 102, which are not reported.  Each
method keeps its own constants, except PC-DARTS, which sees half of the eight channels, not a quarter.  RobustDARTS is
left out: its rule stops no search before epoch 22, so that it is DARTS here.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from darts import world

from tradenas.atomic import write_text
from tradenas.search.base import METHODS, Scorer, Task
from tradenas.space import Architecture, Cell, Graph
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation, Training

OPS = ("skip", "dense", "conv3", "ema4", "ema12", "difference", "difference5", "max5")
#: Of each world the op that is best in it; of other worlds, which are named after their op, that op.
BEST = {"motif": "conv3"}
METHODS_SHOWN = (
    "darts", 'darts:{"order": 2}', 'darts:{"select": "perturbation"}', "fairdarts", "dartsplus", "pdarts",
    "darts_minus", 'pcdarts:{"parts": 2}', "gdas",
)  # fmt: skip
#: Rows between those that may be learnt from and the fresh ones.
APART = 60


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network and how it is searched; the weights move by SGD with momentum, as in the papers.

    Attributes:
        rows: that may be learnt from: in the search half of them by weights, half by alphas.
        fresh: rows that judge.
        alpha_lr: the authors' 3e-4 belongs to 20,000 steps; here are a few hundred.
    """

    cell: Cell
    rows: int
    strength: float
    epochs: int
    lr: float
    alpha_lr: float = 1e-2
    batch: int = 128
    segment: int = 32
    weight_decay: float = 3e-4
    clip: float = 5.0
    fresh: int = 4000


def cell(**changes: Any) -> Cell:
    """Inputs that see one row, eight channels."""
    return Cell(**{"lookbacks": (1,), "transforms": ("raw",), "widths": (8,), "norms": ("batch",), **changes})


EDGE = Setting(
    cell=cell(ops=OPS, inputs=1, nodes=1, take=0, cells=(1,), norms=("none",)), rows=3000, strength=0.3,
    epochs=15, lr=0.05, alpha_lr=3e-2, batch=256,
)  # fmt: skip
#: Of the final networks, whichever method chose them.
ALONE = Training(epochs=20, batch=128, segment=32, lr=5e-3, patience=0)


def arena(kind: str, setting: Setting, seed: int) -> Task:
    """One world and what is searched in it."""
    rows = setting.rows + APART + setting.fresh
    data = world(kind, rows=rows, strength=setting.strength, seed=seed)
    train, fresh = Span(0, setting.rows), Span(setting.rows + APART, rows - 2)
    evaluator = Evaluator(data=data, train=train, valid=fresh, rule=Rule(), costs=Costs())
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_, **__: None)
    return Task(space=setting.cell.space(), data=data, train=train, scorer=scorer, seed=seed)


@dataclass(frozen=True)
class Found:
    """What a search ended with, what it would have ended with after each epoch, and its CPU seconds."""

    architecture: Architecture
    trail: tuple[Architecture, ...]
    seconds: float


def search(kind: str, task: Task, setting: Setting) -> Found:
    """One search by `method` or `method:{settings as JSON}`."""
    name, _, settings = kind.partition(":")
    method = METHODS[name]
    training = Optimisation(
        epochs=setting.epochs, batch=setting.batch, segment=setting.segment, lr=setting.lr,
        weight_decay=setting.weight_decay, clip=setting.clip,
    )  # fmt: skip
    alphas = replace(method().alphas, lr=setting.alpha_lr)  # type: ignore[attr-defined]
    own = {"training": training, "alphas": alphas, "optimizer_kind": "sgd", "num_ranked": 1}
    made = method(**{**own, **json.loads(settings or "{}")})
    began, trail = time.process_time(), []
    state = made.init(task)
    for epoch in range(made.num_epochs()):
        made.epoch(task, state, epoch)
        trail.append(made.chosen(state.space, state.learners[0].now()))
    return Found(made.finish(task, state)[0].architecture, tuple(trail), time.process_time() - began)


def retrained(task: Task, architecture: Architecture) -> float:
    """IC on fresh rows of a network trained from scratch on all rows that may be learnt from."""
    fitted = fit(task.network(), architecture, task.data, task.train, training=ALONE, seed=task.seed)
    return task.scorer.fitted(fitted, architecture).scores["ic"]


def ops_of(architecture: Architecture) -> list[str]:
    """On the edges that matter."""
    return [e.op for e in Graph.of(architecture, architecture["cell/output"]).live_edges(architecture)]


def with_ops(architecture: Architecture, op: str) -> Architecture:
    """The same with one op on all its edges."""
    return Architecture({n: op if n.endswith("/op") else picked for n, picked in architecture.items()})


def wilson(hits: int, of: int) -> tuple[float, float]:
    """A 95 % interval of a share.

    >>> [round(end, 2) for end in wilson(10, 10)], [round(end, 2) for end in wilson(5, 10)]
    ([0.72, 1.0], [0.24, 0.76])
    """
    z = 1.959963984540054
    middle = (hits + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(hits * (of - hits) / of + z * z / 4)
    return middle - half, middle + half


class Judge:
    """IC of architectures trained from scratch, each once."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, str], float] = {}

    def __call__(self, task: Task, architecture: Architecture) -> float:
        key = task.seed, architecture.digest
        if key not in self.known:
            self.known[key] = retrained(task, architecture)
        return self.known[key]

    def op(self, task: Task, op: str) -> float:
        """Of a cell with one op everywhere."""
        return self(task, task.space.check(with_ops(task.space.smallest(), op)))


def recovery(kind: str, planted: str, seeds: range, judge: Judge) -> dict[str, Any]:
    """One method in one world."""
    rows, answer = [], BEST.get(planted, planted)
    for seed in seeds:
        task = arena(planted, EDGE, seed)
        found = search(kind, task, EDGE)
        rows.append({
            "op": ops_of(found.architecture)[0], "ic": judge(task, found.architecture), "truth": judge.op(task, answer),
            "trail": [ops_of(then)[0] for then in found.trail], "seconds": found.seconds,
        })  # fmt: skip
    hits = sum(row["op"] == answer for row in rows)
    ic, truth_ic = ([row[what] for row in rows] for what in ("ic", "truth"))
    return {
        "world": planted, "method": kind, "hits": hits, "interval": wilson(hits, len(rows)),
        "once": sum(answer in row["trail"] for row in rows),
        "ic": float(np.mean(ic)), "spread": float(np.std(ic, ddof=min(1, len(rows) - 1))),
        "of_truth": float(np.mean(ic) / np.mean(truth_ic)),
        "seconds": float(np.mean([row["seconds"] for row in rows])), "seeds": rows,
    }  # fmt: skip


def main() -> None:
    """Prints a table, and writes it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS_SHOWN))
    parser.add_argument("--worlds", nargs="+", default=["ema12", "difference5", "motif", "conv3"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds, table = range(arguments.first_seed, arguments.first_seed + arguments.seeds), []
    for planted in arguments.worlds:
        judge = Judge()
        for kind in arguments.methods:
            row = recovery(kind, planted, seeds, judge)
            table.append(row)
            low, high = row["interval"]
            ops = " ".join(f"{n} {op}" for op, n in Counter(one["op"] for one in row["seeds"]).most_common())
            print(
                f"| {planted} | {kind} | {row['hits']} of {len(seeds)} ({low:.2f} to {high:.2f}) | {row['once']} | "
                f"{ops} | {row['ic']:.3f} ± {row['spread']:.3f} | {row['of_truth']:.2f} | {row['seconds']:.1f} |",
                flush=True,
            )
            if arguments.out:
                write_text(arguments.out, json.dumps(table, indent=1))
        few = [arena(planted, EDGE, seed) for seed in seeds[:3]]
        alone = {op: np.mean([judge.op(task, op) for task in few]) for op in OPS}
        print(f"{planted}, ops alone: " + ", ".join(f"{op} {ic:.3f}" for op, ic in alone.items()), flush=True)


if __name__ == "__main__":
    main()
