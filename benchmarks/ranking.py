"""Which search method orders architectures as their own trainings do?  Measured against the truth table.

    python benchmarks/ranking.py run --out runs/ranking.jsonl                  # all methods, worlds, 5 seeds; resumable
    python benchmarks/ranking.py run --methods spos:epochs=300 --worlds volume --seeds 8
    python benchmarks/ranking.py report --out runs/ranking.jsonl --figure docs/figures/ranking.svg

`run` trains a method's supernet with each seed on the table's rows and scores all 1,248 paths with the shared weights;
proxies score untrained networks.  One line a run, so that it can be killed and gone on with.  `report` holds the
orders against the table: Kendall's tau, over all and within the best quarter, as it is and divided by the tau that one
set of trainings has with another; what the five it likes best leave on the table (regret), on the rows that were
ranked on and on later ones; and the same for as many random trainings as the method cost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from truth import setting
from truth.measures import Measured, held_against
from truth.paths import outputs_of_paths, scores_of_outputs
from truth.table import Table

from tradenas.search import methods as _methods  # noqa: F401  (methods register themselves)
from tradenas.search.base import METHODS, Method, Scorer, Task
from tradenas.search.parts.proxies import PROXIES, proxy_scores
from tradenas.seeds import rng_for
from tradenas.train.fit import fit
from tradenas.train.loop import Optimisation
from tradenas.train.store import cut

#: Epochs are set so that methods cost about the same: a step of `fairnas` has 6 paths, one of `sandwich` 4.
DEFAULTS = (
    "spos:epochs=120", "path_dropout:epochs=60", "fairnas:epochs=20", "sandwich:epochs=30",
    "sandwich:epochs=30,distil=0.0", "progressive:epochs=100", "once_for_all:epochs=48",
)  # fmt: skip
#: The learning rate was chosen on `volume`, seed 0, from 1e-3, 4e-3 and 1e-2.
SUPERNET = {"lr": 1e-2, "batch": 512}


def method_of(spec: str) -> tuple[Method[Any], str]:
    """A method from `name:setting=value,...`, with settings of the training and of the method alike, and the choice
    named by `split`, if any: a supernet is trained for each of its options apart (few-shot NAS, Zhao et al. 2021,
    arXiv:2006.06863).
    """
    name, _, rest = spec.partition(":")
    settings = {k: plain(v) for k, v in (pair.split("=") for pair in rest.split(",") if pair)}
    split = settings.pop("split", "")
    training = {f.name for f in fields(Optimisation)}
    own = {k: v for k, v in settings.items() if k not in training}
    shared = SUPERNET | {k: v for k, v in settings.items() if k in training}
    return METHODS[name](training=Optimisation(**shared), num_ranked=1, **own), split


def plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def task_of(world: setting.World, seed: int) -> Task:
    data = cut(world.data, world.fold.valid.stop)
    evaluator = setting.evaluator(data, world.fold.train, world.fold.valid)
    scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
    return Task(space=setting.space(), data=data, train=world.fold.train, scorer=scorer, seed=seed)


def one_run(spec: str, world: setting.World, seed: int) -> dict[str, Any]:
    """Scores of all architectures by one method with one seed, in the order of the space."""
    architectures = tuple(setting.space())
    task, began = task_of(world, seed), time.process_time()
    if spec in PROXIES:
        values = proxy_scores(task, architectures, spec, seed)
        finite = [v if np.isfinite(v) else -1e30 for v in values]
        return {"seconds": time.process_time() - began, "scores": {"proxy": finite}}
    method, split = method_of(spec)
    options = [[option] for option in task.space[split].options] if split else [None]
    output_NV = np.zeros((len(architectures), len(world.fold.valid)), np.float32)
    dropped: list[int] = []
    spent = 0.0
    for kept in options:
        part = task if kept is None else replace(task, space=task.space.restrict({split: kept}))
        mine = [n for n, a in enumerate(architectures) if kept is None or a[split] in kept]
        began = time.process_time()
        state = method.init(part)
        for epoch in range(method.num_epochs()):
            method.epoch(part, state, epoch)
        spent += time.process_time() - began
        said = [outputs_of_paths(network, tuple(architectures[n] for n in mine), world) for network in state.networks]
        output_NV[mine] = np.mean(said, axis=0)
        dropped += [n for n in mine if not holds(state.space, architectures[n])]
    scores = {name: np.round(v, 7).tolist() for name, v in scores_of_outputs(output_NV, world).items()}
    return {"seconds": spent, "scores": scores, "dropped": dropped}


def holds(space: Any, architecture: Any) -> bool:
    """Whether a space that was shrunk still has an architecture."""
    return all(architecture[c.name] in c.options for c in space.choices if c.name in architecture)


def price(world: setting.World) -> float:
    """CPU seconds of one standalone training, not stacked, on this machine now: the mean over eight architectures."""
    rng, spent = rng_for(0, "ranking", "price"), []
    for _ in range(8):
        architecture, began = setting.space().sample(rng), time.process_time()
        fit(setting.template(), architecture, world.data, world.fold.train, training=setting.RECIPE, seed=0)
        spent.append(time.process_time() - began)
    return float(np.mean(spent[1:]))


def run(options: argparse.Namespace) -> None:
    done = {(r["method"], r["world"], r["seed"]) for r in lines(options.out)}
    for name in options.worlds:
        world = setting.world(name)
        each = price(world)
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for spec in options.methods:
                if (spec, name, seed) in done or (spec in ("params", "macs") and seed):
                    continue
                row = {"method": spec, "world": name, "seed": seed, "training_s": each, **one_run(spec, world, seed)}
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{name} seed {seed} {spec}: {row['seconds']:.1f} s", flush=True)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; one that was cut off by a kill is not there."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def report(options: argparse.Namespace) -> None:
    table = Table.load(options.table) if options.table else Table.load()
    order = [table.index(a) for a in setting.space()]
    runs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in lines(options.out):
        runs[row["world"], row["method"]].append(row)
    for name in table.worlds:
        for metric in options.metrics:
            measured = [
                one
                for (world, spec), rows in sorted(runs.items())
                if world == name
                for one in held_against(table, name, metric, spec, rows, order)
            ]
            if measured:
                print(f"\n### {name}, {metric}\n\n{Measured.head()}")
                for one in sorted(measured, key=lambda m: -m.tau):
                    print(one.line())
            if measured and options.figure and metric == options.metrics[0]:
                from truth.figure import draw

                draw(
                    options.figure.with_stem(f"{options.figure.stem}_{name}"),
                    name,
                    metric,
                    measured,
                    ceiling=table.ceiling(name, metric).one_against_rest,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, default=Path("runs/ranking.jsonl"))
    parser.add_argument("--methods", nargs="+", default=DEFAULTS)
    parser.add_argument("--worlds", nargs="+", default=list(setting.WORLDS["chain"]))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--metrics", nargs="+", default=["ic", "rank_ic", "loss"])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    {"run": run, "report": report}[options.what](options)


if __name__ == "__main__":
    main()
