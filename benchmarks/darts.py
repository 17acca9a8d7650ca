"""Differentiable methods in worlds whose best op is known: how often do the alphas choose it?

    python benchmarks/darts.py --seeds 5 --worlds ema12 difference --methods darts gdas 'darts:{"order": 2}'

A world: two columns of noise; the next return is `strength` parts an op of the first, made by hand, and noise.  The
input filters see one row only, so that an op has to remember.  Two networks: `edge`, one edge, the op on it is the
answer; `cell`, two nodes that take two ways each, where the answer is right if the planted op stands on a way that
lives.

A row: share of seeds in which the alphas' own architecture has the planted op; mean share of skips in it; mean IC of it
as a path; mean IC of the best of the scored candidates; CPU seconds of a search.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tradenas.nn.ops.filters import ema_taps
from tradenas.search.base import METHODS, Scorer, Task
from tradenas.search.methods import DARTS  # noqa: F401  (methods register themselves)
from tradenas.search.parts.learner import Alphas
from tradenas.seeds import rng_for
from tradenas.space import Cell, Graph
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Optimisation

VOLATILITY, HOUR_MS, START_MS = 0.005, 3_600_000, 1_735_689_600_000
OPS = ("skip", "dense", "conv3", "ema4", "ema12", "difference", "max5")
DRIVERS = {
    "ema12": lambda x: np.convolve(x, ema_taps(12).numpy())[: len(x)],
    "ema4": lambda x: np.convolve(x, ema_taps(4).numpy())[: len(x)],
    "difference": lambda x: np.diff(x, prepend=0.0),
    "conv3": lambda x: np.convolve(x, [1.0, -2.0, 1.0])[: len(x)],
    "difference5": lambda x: np.convolve(x, [1.0, 0.0, 0.0, 0.0, 0.0, -1.0])[: len(x)],
    "motif": lambda x: np.convolve(x, [1.0, 1.0, -2.0])[: len(x)],
    "late": lambda x: np.convolve(x, [0.0] * 5 + [1.0] * 4)[: len(x)],
    "max5": lambda x: np.array([x[max(0, t - 4) : t + 1].max() for t in range(len(x))]),
}
NETWORKS = {
    "edge": {"inputs": 1, "nodes": 1, "take": 0, "cells": (1,)},
    "cell": {"inputs": 2, "nodes": 2, "take": 2, "cells": (1,)},
    "deep": {"inputs": 2, "nodes": 2, "take": 2, "cells": (3,)},
}


def world(kind: str, *, rows: int, strength: float, seed: int) -> Dataset:
    """Returns that hang on an op of the first column, known at the row before."""
    rng = rng_for(seed, "world", kind)
    x_TF = rng.standard_normal((rows, 2))
    driver_T = DRIVERS[kind](x_TF[:, 0])
    z_T = strength * (driver_T - driver_T.mean()) / driver_T.std()
    z_T += np.sqrt(1 - strength**2) * rng.standard_normal(rows)
    bar_return_T = np.expm1(VOLATILITY * z_T)
    bar_return_T[-2:] = np.nan
    past_T = VOLATILITY * np.concatenate([[0.0], z_T[:-1]])
    return Dataset(
        x_TF=x_TF.astype(np.float32), y_T=np.log1p(bar_return_T).astype(np.float32), ready_T=np.ones(rows, bool),
        gap_T=np.zeros(rows, bool), volatility_T=np.full(rows, VOLATILITY), past_return_T=past_T,
        bar_return_T=bar_return_T, realised_T=START_MS + HOUR_MS * np.arange(2, rows + 2), names=("driver", "noise"),
        groups=("test", "test"), transforms=("raw",), kind="regression", days_per_year=365,
    )  # fmt: skip


def one(kind: str, network: str, planted: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """One search."""
    data = world(planted, rows=arguments.rows, strength=arguments.strength, seed=seed)
    cell = Cell(
        ops=("zero", *OPS) if arguments.zero else OPS, widths=(8,), lookbacks=(1,), transforms=("raw",),
        norms=(arguments.norm,), follow=arguments.follow, **NETWORKS[network],
    )  # fmt: skip
    train = Span(0, int(0.75 * arguments.rows))
    valid = Span(train.stop + 60, arguments.rows - 2)
    evaluator = Evaluator(data=data, train=train, valid=valid, rule=Rule(), costs=Costs())
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
    task = Task(space=cell.space(), data=data, train=train, scorer=scorer, seed=seed)
    training = Optimisation(epochs=arguments.epochs, batch=256, segment=64, lr=arguments.lr)
    name, _, settings = kind.partition(":")
    own: dict[str, object] = json.loads(settings or "{}")
    if own.get("order") == 2:
        own["optimizer_kind"] = "sgd"
        training = replace(training, lr=0.05)
    method = METHODS[name]
    default = method().alphas  # type: ignore[attr-defined]
    alphas: Alphas = replace(default, lr=arguments.alpha_lr)
    made = method(training=training, alphas=alphas, num_ranked=8, **own)  # type: ignore[call-arg]
    began, last = time.process_time(), None
    state = made.init(task)
    for epoch in range(made.num_epochs()):
        log = made.epoch(task, state, epoch)
        last = log if "entropy" in log else last
    chosen = made.stands_for(state.space, state.learners[0])
    by = {c.architecture: c.scores.get("ic", 0.0) for c in state.scored}  # without a live edge it says nothing
    live = Graph.of(chosen, chosen["cell/output"]).live_edges(chosen)
    return {
        "found": float(any(e.op == planted for e in live)),
        "skips": sum(e.op == "skip" for e in live) / max(1, len(live)),
        "own_ic": by[chosen],
        "best_ic": max(by.values()),
        "entropy": (last or {}).get("entropy", float("nan")),
        "seconds": time.process_time() - began,
    }


def main() -> None:
    """Prints a table, and writes it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["darts", "gdas"])
    parser.add_argument("--worlds", nargs="+", default=["ema12", "difference"])
    parser.add_argument("--networks", nargs="+", default=["edge"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="so that a choice can be checked on other seeds")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--strength", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--alpha-lr", type=float, default=3e-2)
    parser.add_argument("--norm", default="none", choices=["none", "layer", "batch"])
    parser.add_argument("--follow", default="each", choices=["each", "sum"], help="where norm and activation stand")
    parser.add_argument("--zero", action="store_true", help="an edge may also be closed")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table, seeds = [], range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for planted in arguments.worlds:
        for network in arguments.networks:
            for kind in arguments.methods:
                rows = [one(kind, network, planted, seed, arguments) for seed in seeds]
                mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
                table.append({"world": planted, "network": network, "method": kind, "seeds": rows, **mean})
                figures = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
                print(f"{planted:10s} {network:5s} {kind:12s} {figures}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
