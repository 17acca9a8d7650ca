"""Four markets, one of which goes ahead of the others by three bars: do searches choose an op that mixes assets?

    python benchmarks/leader.py --seeds 10

The world is `planted_panel`: who leads is drawn; nothing else forecasts anything, so a space of per-asset ops has an
oracle of 0.  The network is one small cell (`--nodes`, each takes one way), whose edges choose among per-asset and
cross-asset ops; its input filters see one row, so that an op has to remember.  Every method has the same epochs over
the same rows, ranks 16 paths, and what it puts first is trained from fresh weights and judged on rows after.

A row: share of seeds in which what it chose mixes assets on a live edge, and in which that is `leader`; of those, in
which the trained op names the right leader and the right lag for all followers; the share of the oracle's IC on fresh
rows, which is the correlation with the planted mean, followers only, with its standard deviation over seeds and its
least; CPU seconds of a search.  `alphas` is the same for the alphas' own architecture, before any path was scored.
Below: `leader` on every edge (what the retrained op can do), and the last method in the per-asset space.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tradenas.data.synthetic import PlantedPanel, planted_panel
from tradenas.features import Target, build_table
from tradenas.nn import Network
from tradenas.nn.ops import Leader
from tradenas.search.base import METHODS, Scorer, Task, run_search
from tradenas.search.methods import DARTS  # noqa: F401  (methods register themselves)
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.search.parts.uniform import Uniform
from tradenas.space import CROSS_ASSET, Architecture, Cell, Graph
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.build import build_panel
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation, Training
from tradenas.train.panel import Panel

PER_ASSET = ("skip", "dense", "conv3", "ema4", "difference")
CROSS = ("cross_attention", "correlation", "leader", "market")
SMALL = {
    "cells": (1,), "inputs": 1, "take": 1, "widths": (8,), "lookbacks": (1,), "transforms": ("zscore",),
    "norms": ("none",), "activations": ("tanh",),
}  # fmt: skip
INDICATORS = ("log_return_1", "range_1", "volume_ratio_20")
GAP = 40


@dataclass(frozen=True, eq=False)
class Arena:
    """A planted panel, cut: rows to search on (weights, then ranks), and fresh ones."""

    planted: PlantedPanel
    data: Panel
    train: Span
    valid: Span
    fresh: Span

    @property
    def followers(self) -> list[int]:
        return [a for a, leader in enumerate(self.planted.leader_of) if leader is not None]

    def share(self, signal_AT: np.ndarray, reach: int) -> float:
        """Correlation with the planted mean on fresh rows, averaged over the followers."""
        usable_AT = self.data.usable(reach)[:, self.fresh.slice]
        found = []
        for a in self.followers:
            said, mean = signal_AT[a][usable_AT[a]], self.planted.worlds[a].expected_T[self.fresh.slice][usable_AT[a]]
            found.append(float(np.corrcoef(said, mean)[0, 1]) if said.std() > 0 else 0.0)
        return float(np.mean(found))


def arena(seed: int, *, bars: int, strength: float) -> Arena:
    """As many fresh bars as there are to search on."""
    world = planted_panel(bars=2 * bars, seed=seed, strength=strength)
    tables = [build_table(c, indicators=INDICATORS, transforms=("zscore",)) for c in world.candles]
    data, _ = build_panel(world.candles, tables, Target(kind="forward_return"))
    first = int(data.ready_T.argmax())
    stop = int(0.75 * bars)
    return Arena(world, data, Span(first, stop), Span(stop + GAP, bars), Span(bars + GAP, 2 * bars - 2))


def live_ops(architecture: Architecture) -> list[str]:
    return [edge.op for edge in Graph.of(architecture, architecture["cell/output"]).live_edges(architecture)]


def searched(kind: str, cell: Cell, a: Arena, seed: int, arguments: argparse.Namespace) -> tuple[Architecture, dict]:
    """The first of the ranked paths, and the alphas' own where there are any."""
    evaluator = Evaluator(data=a.data, train=a.train, valid=a.valid, rule=Rule(), costs=Costs())
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
    task = Task(space=cell.space(a.data.indicators), data=a.data, train=a.train, scorer=scorer, seed=seed)
    name, _, text = kind.partition(":")
    settings = {
        "find": Uniform(),
        "num_ranked": min(16, cell.space().size()),
        "supernets": 1,
        "parsimony": 0.0,
        **json.loads(text or "{}"),
    }
    if issubclass(METHODS[name], Differentiable):
        default: Alphas = METHODS[name]().alphas  # type: ignore[attr-defined]
        settings |= {"alphas": type(default)(**{**vars(default), "lr": arguments.alpha_lr}), "eigenvalue_every": 0}
    method = METHODS[name](
        training=Optimisation(epochs=arguments.epochs, batch=arguments.batch, segment=64, lr=arguments.lr), **settings
    )
    began = time.process_time()
    own: dict[str, object] = {}
    if isinstance(method, Differentiable):
        state = method.init(task)
        for epoch in range(method.num_epochs()):
            method.epoch(task, state, epoch)
        candidates = method.finish(task, state)
        own = {"alphas": live_ops(method.stands_for(state.space, state.learners[0]))}
    else:
        with tempfile.TemporaryDirectory() as folder:
            candidates = run_search(method, task, Path(folder))
    return candidates[0].architecture, {**own, "seconds": time.process_time() - began}


def judged(cell: Cell, architecture: Architecture, a: Arena, seed: int, arguments: argparse.Namespace) -> dict:
    """Trained alone on the search's rows, and heard on fresh ones."""
    template = Network(cell.space(a.data.indicators), a.data.layout)
    training = Training(epochs=arguments.fit_epochs, batch=arguments.batch, segment=64, lr=arguments.lr)
    fitted = fit(template, architecture, a.data, Span(a.train.start, a.valid.stop), training=training, seed=seed)
    told = [
        all(
            (lead.leader, lead.lag) == (a.planted.leader_of[lead.asset], a.planted.lag)
            for lead in op.leads()
            if lead.asset in a.followers
        )
        for op in fitted.network.modules()
        if isinstance(op, Leader)
    ]
    return {
        "ops": live_ops(architecture),
        "share": a.share(fitted.signals(a.data, a.fresh), fitted.reach),
        "right": any(told) if told else None,
    }


def one(kind: str, cell: Cell, a: Arena, seed: int, arguments: argparse.Namespace) -> dict:
    if kind == "leader alone":
        found = cell.space(a.data.indicators).walk(
            lambda c: "leader" if c.name.endswith("/op") else tuple(range(c.take)) if c.take > 1 else c.options[0]
        )
        return judged(cell, found, a, seed, arguments)
    architecture, told = searched(kind, cell, a, seed, arguments)
    return {**judged(cell, architecture, a, seed, arguments), **told}


def summed(rows: list[dict]) -> dict[str, float]:
    """One line of the table."""
    share = np.array([row["share"] for row in rows])
    right = [row["right"] for row in rows if row["right"] is not None]
    told = {
        "mixes": np.mean([bool(set(row["ops"]) & set(CROSS_ASSET)) for row in rows]),
        "leader": np.mean(["leader" in row["ops"] for row in rows]),
        "right": np.mean(right) if right else float("nan"),
        "share": share.mean(), "sd": share.std(ddof=1) if len(share) > 1 else 0.0, "least": share.min(),
        "seconds": np.mean([row.get("seconds", 0.0) for row in rows]),
    }  # fmt: skip
    if "alphas" in rows[0]:
        told["alphas mix"] = np.mean([bool(set(row["alphas"]) & set(CROSS_ASSET)) for row in rows])
        told["alphas leader"] = np.mean(["leader" in row["alphas"] for row in rows])
    return {name: float(value) for name, value in told.items()}


def main() -> None:
    """Prints a table, and writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["darts", "pcdarts", "fairdarts", "gdas", "spos", "sandwich"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--bars", type=int, default=3000)
    parser.add_argument("--strength", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fit-epochs", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--alpha-lr", type=float, default=3e-2)
    parser.add_argument("--out", type=Path, default=Path("leader.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    last = arguments.methods[-1]
    both, alone = (Cell(ops=ops, nodes=arguments.nodes, **SMALL) for ops in (PER_ASSET + CROSS, PER_ASSET))
    wanted = [(kind, kind, both) for kind in [*arguments.methods, "leader alone"]] + [
        (f"{last}, per asset", last, alone)
    ]
    found: dict[str, list[dict]] = {name: [] for name, _, _ in wanted}
    for seed in range(arguments.seeds):  # what is there when time runs out is a table
        a = arena(seed, bars=arguments.bars, strength=arguments.strength)
        for name, kind, cell in wanted:
            found[name].append(one(kind, cell, a, seed, arguments))
        table = {name: {"seeds": rows, **summed(rows)} for name, rows in found.items()}
        arguments.out.write_text(json.dumps(table, indent=1), encoding="utf-8")
        print(f"\n{seed + 1} seeds")
        for name, rows in found.items():
            print(f"{name:20s}", " ".join(f"{key} {value:.2f}" for key, value in summed(rows).items()), flush=True)


if __name__ == "__main__":
    main()
