"""Fronts of quality, work and memory: NSGA-II on a supernet, FBNet, MnasNet and random search at equal CPU seconds.

    python front.py                                    # under five minutes: one world, five seeds
    python front.py --worlds distant gated volume --seconds 40 --out front.json --svg front.svg    # for the record

Each method gets the same rows of a planted world and the same CPU seconds (timings that set the number of epochs, and
what follows, are not counted).  It hands in at most eight networks, the front of what it scored by its own means:
paths of its supernet, or networks that it trained.  All that is handed in is trained again from scratch, the same way
for all, and judged on fresh rows by correlation with the planted forecast itself, which is the share of the oracle's IC
that a network reaches, without the noise of returns.  Hypervolume is that of (share, multiply-accumulates, bytes of
weights and of remembered rows) up to (0, the dearest of the space, the dearest), both costs as logarithms between the
cheapest and the dearest of the space: 1 would be all of the oracle at the lowest price.  `all` is the front of the four
together.

Every network that was handed in is also compiled as C, as it was trained, and one more row of a stream is timed inside
C (least of 15 interleaved medians, the clock's own taken off: `us`).  A second hypervolume has these microseconds in
the place of multiply-accumulates, as logarithms between the cheapest and the dearest network of the space, timed beside
them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bars import Bar, draw
from worlds import Arena, arena

from tradenas.cost import Exponent, PriceList, cheapest, dearest
from tradenas.errors import DivergedError
from tradenas.formats.c.library import compile_library
from tradenas.formats.lower import lower
from tradenas.formats.program import Program
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.search.base import Candidate, Method, Scorer, Task, run_search
from tradenas.search.methods import SPOS, FBNet, MnasNet, RandomSearch
from tradenas.search.parts.front import hypervolume, pareto
from tradenas.search.parts.nsga2 import NSGA2
from tradenas.search.parts.penalty import Penalty
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Chain
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation, Training

SPACE = Chain(
    depths=(1, 2, 3),
    ops=("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "residual", "gated"),
    widths=(4, 8, 16, 32),
    activations=("relu",),
    norms=("none",),
    dropouts=(0.0,),
    lookbacks=(5, 10, 20, 50),
    groups=("trend", "momentum", "volatility", "volume", "shape"),
)
#: At the usual strength of 0.08 the best of 200 scores on so few rows is mostly luck (standard error of an IC: 0.016).
BARS, FRESH, STRENGTH, HANDED_IN = 20_000, 30_000, 0.15, 8
TRAINING = Training(epochs=12)
#: How the judged networks are trained, and by how many seeds, whose mean they are.
FINAL, SEEDS = Training(epochs=20), 2
PENALTIES = (0.002, 0.01)
METHODS = ("nsga2", "fbnet", "mnasnet", "random")
NAMES = {"nsga2": "NSGA-II on a supernet", "fbnet": "FBNet", "mnasnet": "MnasNet", "random": "random search"}


def cpu() -> float:
    return time.process_time()


@dataclass(frozen=True)
class Ground:
    """A world, its task, and what networks cost there, between 0 (cheapest) and 1 (dearest)."""

    arena: Arena
    task: Task
    prices: PriceList
    ends: dict[str, tuple[float, float]]

    def costs(self, a: Architecture) -> tuple[float, float]:
        both = {"macs": self.prices.one("macs", a), "bytes": memory(self.prices, a)}
        low_high = [self.ends[name] for name in both]
        logs = zip(both.values(), low_high, strict=True)
        return tuple(float(np.log(v / lo) / np.log(hi / lo)) for v, (lo, hi) in logs)  # type: ignore[return-value]


def memory(prices: PriceList, a: Architecture) -> float:
    return prices.one("weight_bytes", a) + prices.one("state_bytes", a)


def ground(world: str, seed: int) -> Ground:
    a, space = arena(world, seed, bars=BARS, fresh=FRESH, strength=STRENGTH), SPACE.space()
    network = Network(space, Layout(groups=a.data.groups, transforms=a.data.transforms))
    prices = PriceList.of_network(network)
    scorer = Scorer(
        evaluator=Evaluator(data=a.data, train=a.fold.train, valid=a.fold.valid, rule=Rule(), costs=Costs()),
        metric="ic",
        on_trial=lambda *_, **__: None,
    )
    task = Task(space=space, data=a.data, train=a.fold.train, scorer=scorer, seed=seed, prices=prices)
    held = prices.costs["weight_bytes"] + prices.costs["state_bytes"]  # type: ignore[operator]
    ends = {
        name: (cost.exact(cheapest(cost)), cost.exact(dearest(cost)))  # type: ignore[arg-type, attr-defined]
        for name, cost in {"macs": prices.costs["macs"], "bytes": held}.items()
    }
    return Ground(a, task, prices, ends)


def run(method: Method[Any], task: Task) -> list[Candidate]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return run_search(method, task, Path(folder), save_every_s=1e9)
        except DivergedError:
            return []


def epochs_in(method: Any, task: Task, seconds: float) -> int:
    """Epochs of a supernet that fit into so many CPU seconds: the second one is timed."""
    state = method.init(task)
    method.epoch(task, state, 0)
    began = cpu()
    method.epoch(task, state, 1)
    return max(2, int(seconds / (cpu() - began)))


def nsga2(g: Ground, seconds: float) -> list[Candidate]:
    def made(epochs: int, ranked: int) -> SPOS:
        find = NSGA2(population=20, objectives=("merit", "macs", "weight_bytes"))
        return SPOS(training=Optimisation(epochs=epochs, batch=256, lr=3e-3), find=find, num_ranked=ranked)

    some = [g.task.space.sample(rng_for(0, "timed", i)) for i in range(12)]
    network = g.task.network()
    g.task.scorer.paths([network], some[:4])
    began = cpu()
    g.task.scorer.paths([network], some[4:])
    ranked = max(20, min(400, int(0.3 * seconds / ((cpu() - began) / 8)) // 20 * 20))
    return run(made(epochs_in(made(2, 20), g.task, 0.7 * seconds), ranked), g.task)


def fbnet(g: Ground, seconds: float) -> list[Candidate]:
    def made(epochs: int, weight: float) -> FBNet:
        return FBNet(
            training=Optimisation(epochs=epochs, batch=256, lr=3e-3),
            num_ranked=10,
            eigenvalue_every=0,
            penalty=Penalty(cost="macs", form="log", weight=weight),
        )

    each = seconds / len(PENALTIES)
    epochs = epochs_in(made(2, PENALTIES[0]), g.task, 0.95 * each)
    return [c for weight in PENALTIES for c in run(made(epochs, weight), g.task)]


def alone(g: Ground, method: Any, seconds: float) -> list[Candidate]:
    """A method that trains one network an epoch, until its time is up."""
    state, began = method.init(g.task), cpu()
    for epoch in itertools.count():
        method.epoch(g.task, state, epoch)
        if cpu() - began >= seconds:
            return method.finish(g.task, state)  # type: ignore[no-any-return]
    raise AssertionError


def mnasnet(g: Ground, seconds: float) -> list[Candidate]:
    exponents = (Exponent(cost="macs"), Exponent(cost="weight_bytes"))
    return alone(g, MnasNet(training=TRAINING, num_trained=10_000, exponents=exponents), seconds)


def random(g: Ground, seconds: float) -> list[Candidate]:
    return alone(g, RandomSearch(training=TRAINING, num_trained=2_000), seconds)


def handed_in(g: Ground, candidates: Sequence[Candidate]) -> list[Architecture]:
    """The first front by the method's own scores, the best score and the least crowded first."""
    scored = {c.architecture: c.scores["ic"] for c in candidates if "ic" in c.scores}
    some = list(scored)
    if not some:
        return []
    fronts, apart_N = pareto(np.array([(-scored[a], *g.costs(a)) for a in some]))
    order = sorted(range(len(some)), key=lambda i: (fronts[i], -apart_N[i], -scored[some[i]]))
    best = max(range(len(some)), key=lambda i: scored[some[i]])
    first = [best, *(i for i in order if fronts[i] == 0 and i != best)]
    return [some[i] for i in first[:HANDED_IN]]


def judged(g: Ground, a: Architecture, seed: int, programs: dict[str, Program]) -> dict[str, float]:
    """Trained again on the rows of the search, and held against the planted forecast on fresh rows."""
    template, signals, reach = g.task.network(), [], 1
    for s in range(SEEDS):
        try:
            fitted = fit(template, a, g.arena.data, g.arena.search, training=FINAL, seed=seed + 100 + s)
        except DivergedError:
            continue
        signals.append(fitted.signals(g.arena.data, g.arena.fresh))
        reach = fitted.reach
        programs.setdefault(a.digest, simplify(lower(fitted.network, fitted.moments)))
    if not signals:
        return {"share": 0.0, "ic": 0.0}
    mean_T = np.mean(signals, axis=0)
    return {"share": g.arena.truth(mean_T, g.arena.fresh, reach), "ic": g.arena.ic(mean_T, g.arena.fresh, reach)}


def timed(g: Ground, programs: dict[str, Program]) -> dict[str, float]:
    """Microseconds of one more row of each network in C, and of the ends of the space (`least`, `most`)."""
    ends = {"least": cheapest(g.prices.costs["macs"]), "most": dearest(g.prices.costs["macs"])}  # type: ignore[arg-type]
    for name, a in ends.items():
        network = g.task.network().standalone(a, seed=0)
        with torch.no_grad():
            network.inputs.taps.fill_(0.01)  # all open, as they may be
        programs[name] = simplify(lower(network))
    with tempfile.TemporaryDirectory() as folder:
        members = compile_library({f"n_{name}": [program] for name, program in programs.items()}, folder)
        rounds = []
        for _ in range(15):
            clock = float(np.median(members["n_least"].nanoseconds(200, streaming=None)))
            rounds.append([float(np.median(m.nanoseconds(200, streaming=True))) - clock for m in members.values()])
    return dict(zip(programs, (np.min(rounds, axis=0) / 1e3).tolist(), strict=True))


def one(world: str, seed: int, seconds: float) -> dict[str, Any]:
    g = ground(world, seed)
    searches: dict[str, Callable[[Ground, float], list[Candidate]]] = {
        "nsga2": nsga2, "fbnet": fbnet, "mnasnet": mnasnet, "random": random
    }  # fmt: skip
    known: dict[Architecture, dict[str, float]] = {}
    told: dict[str, Any] = {"world": world, "seed": seed, "methods": {}}
    points: dict[str, list[tuple[float, float, float]]] = {}
    programs: dict[str, Program] = {}
    some_of: dict[str, list[Architecture]] = {}
    for name in METHODS:
        began = cpu()
        candidates = searches[name](g, seconds)
        spent, some = cpu() - began, handed_in(g, candidates)
        for a in some:
            if a not in known:
                known[a] = judged(g, a, seed, programs)
        some_of[name] = some
        points[name] = [(-known[a]["share"], *g.costs(a)) for a in some]
        told["methods"][name] = {
            "seconds": spent,
            "scored": len(candidates),
            "networks": [
                {**known[a], "macs": g.prices.one("macs", a), "bytes": memory(g.prices, a), "what": a.describe()}
                for a in some
            ],
        }
    us = timed(g, programs)
    low, high = us["least"], us["most"]
    told["us"] = {"least": low, "most": high}
    on_device: dict[str, list[tuple[float, float, float]]] = {}
    for name, some in some_of.items():
        on_device[name] = []
        networks = told["methods"][name]["networks"]
        for a, network, (loss, _, held) in zip(some, networks, points[name], strict=True):
            network["us"] = us.get(a.digest, high)
            on_device[name].append((loss, float(np.log(max(network["us"], low) / low) / np.log(high / low)), held))
    for kind, each in (("hypervolume", points), ("hypervolume_us", on_device)):
        each["all"] = [p for name in METHODS for p in each[name]]
        for name, own in each.items():
            volume = hypervolume(np.array(own), [0.0, 1.0, 1.0]) if own else 0.0
            told["methods"].setdefault(name, {})[kind] = volume
    told["oracle_ic"] = g.arena.oracle(g.arena.fresh, 100)
    return told


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{'world':10} {'method':9} {'hypervolume':>20} {'best share':>11} {'handed in':>10} {'scored':>7} {'CPU s':>6}"
    ]
    for world in dict.fromkeys(r["world"] for r in rows):
        own = [r["methods"] for r in rows if r["world"] == world]
        for name in (*METHODS, "all"):
            volumes = np.array([m[name]["hypervolume"] for m in own])
            spread = volumes.std(ddof=1) if len(volumes) > 1 else 0.0
            line = f"{world:10} {name:9} {volumes.mean():8.3f} +- {spread:.3f} [{volumes.min():.2f}]"
            if name != "all":
                best = np.mean([max((n["share"] for n in m[name]["networks"]), default=0.0) for m in own])
                counts = [np.mean([f(m[name]) for m in own]) for f in (_handed, _scored, _spent)]
                line += f" {best:8.2f} {counts[0]:10.1f} {counts[1]:9.0f} {counts[2]:6.1f}"
            timed_V = np.array([m[name]["hypervolume_us"] for m in own])
            spread = timed_V.std(ddof=1) if len(timed_V) > 1 else 0.0
            lines.append(f"{line}   with us: {timed_V.mean():.3f} +- {spread:.3f}")
        for other in METHODS[1:]:
            gaps = np.array([m["nsga2"]["hypervolume"] - m[other]["hypervolume"] for m in own])
            error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else float("nan")
            ahead = f"ahead in {(gaps > 0).sum()}/{len(gaps)}"
            lines.append(f"{'':10} nsga2 - {other}: {gaps.mean():+.3f}, s.e. {error:.3f}, {ahead}")
    return "\n".join(lines)


def picture(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Mean hypervolume by method, least to largest seed as whiskers; the front of all four as the line."""
    every = np.array([[r["methods"][name]["hypervolume"] for r in rows] for name in METHODS])
    bars = [
        Bar(NAMES[name], float(v.mean()), float(v.min()), float(v.max()), f"{v.mean():.3f}")
        for name, v in zip(METHODS, every, strict=True)
    ]
    whole = float(np.mean([r["methods"]["all"]["hypervolume"] for r in rows]))
    seconds = np.mean([r["methods"][name]["seconds"] for r in rows for name in METHODS])
    words = f"{len(rows)} planted worlds, about {seconds:.0f} CPU seconds a search; whiskers from least to largest"
    draw(path, "Hypervolume of quality, work and memory", words, bars, line=whole, line_text="all four together")


def _handed(m: dict[str, Any]) -> int:
    return len(m["networks"])


def _scored(m: dict[str, Any]) -> int:
    return int(m["scored"])


def _spent(m: dict[str, Any]) -> float:
    return float(m["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["distant"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="CPU seconds of each search")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parameter = torch.nn.Parameter(torch.zeros(1))
    torch.optim.AdamW([parameter]).zero_grad()  # the first optimiser loads half of torch
    rows = []
    for world in options.worlds:
        for seed in range(options.seeds):
            rows.append(one(world, seed, options.seconds))
            if options.out:
                options.out.write_text(json.dumps(rows, indent=1))
            print(table(rows[-1:]), flush=True)
    print(table(rows))
    if options.svg:
        picture(options.svg, rows)


if __name__ == "__main__":
    main()
