"""Found IC / oracle IC on planted worlds: one-shot search, random search of standalone nets and LightGBM, equal time.

    python benchmarks/planted.py --worlds reversal momentum --seeds 3 --out planted.json

Each method gets the candles of the first 30,000 bars; 60,000 fresh bars judge.  The one-shot search runs as in a
study (supernet, 200 ranked, top 5 retrained, best of the selection rows speaks as the mean of its 3 seeds); what that
took is the time the other two get: random search trains standalone networks until then and lets the best of the
selection rows speak as the mean of 3 seeds; LightGBM tries settings on the same rows until then.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from worlds import SPACE, Arena, arena

from tradenas.nn import Layout, Network
from tradenas.search.base import Scorer, Task, run_search
from tradenas.search.methods import SPOS
from tradenas.search.parts.evolution import Evolution, sample_distinct
from tradenas.space import Architecture
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.trials.baselines import BASELINES, fit_forecast

TRAINING = Training(epochs=30)
SEEDS = 3


def speak(a: Arena, architecture: Architecture, seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Signals on selection and fresh rows, as the mean of several trainings."""
    template = Network(SPACE.space(), Layout(groups=a.data.groups, transforms=a.data.transforms))
    fits = [fit(template, architecture, a.data, a.search, training=TRAINING, seed=seed + s) for s in range(SEEDS)]
    rows = {"selection": a.selection, "fresh": a.fresh}
    return {n: np.mean([f.signals(a.data, r) for f in fits], axis=0) for n, r in rows.items()}, fits[0].reach


def best(a: Arena, found: list[tuple[dict[str, np.ndarray], int]]) -> dict[str, float]:
    signals, reach = max(found, key=lambda f: a.ic(f[0]["selection"], a.selection, f[1]))
    oracle = a.oracle(a.fresh, reach)
    return {
        "ic": a.ic(signals["fresh"], a.fresh, reach),
        "oracle": oracle,
        "truth": a.truth(signals["fresh"], a.fresh, reach),
    }


def one_shot(a: Arena, seed: int, folder: Path) -> dict[str, float]:
    scorer = Scorer(
        evaluator=Evaluator(data=a.data, train=a.fold.train, valid=a.fold.valid, rule=Rule(), costs=Costs()),
        metric="ic",
        on_trial=lambda *_: None,
    )
    task = Task(space=SPACE.space(), data=a.data, train=a.fold.train, scorer=scorer, seed=seed)
    began = time.perf_counter()
    candidates = run_search(SPOS(find=Evolution(population=50)), task, folder)
    search_s = time.perf_counter() - began
    seen, top = set(), []
    for c in candidates:
        sight = tuple(v for k, v in c.architecture.items() if not k.endswith("dropout"))
        if sight not in seen:
            seen.add(sight)
            top.append(c.architecture)
    result = best(a, [speak(a, architecture, seed) for architecture in top[:5]])
    return {**result, "seconds": time.perf_counter() - began, "search_seconds": search_s}


def random_nets(a: Arena, seed: int, budget_s: float) -> dict[str, float]:
    """The last SEEDS - 1 trainings of the winner are part of the budget."""
    template = Network(SPACE.space(), Layout(groups=a.data.groups, transforms=a.data.transforms))
    began, tried, scored = time.perf_counter(), 0, []
    for architecture in sample_distinct(SPACE.space(), 1000, seed=seed, stream="equal time"):
        once = time.perf_counter()
        f = fit(template, architecture, a.data, a.search, training=TRAINING, seed=seed)
        scored.append((a.ic(f.signals(a.data, a.selection), a.selection, f.reach), tried, architecture))
        tried += 1
        spent, each = time.perf_counter() - began, time.perf_counter() - once
        if spent + SEEDS * max(each, spent / tried) > budget_s:
            break
    result = best(a, [speak(a, max(scored)[2], seed)])
    return {**result, "seconds": time.perf_counter() - began, "tried": tried}


def boosted(a: Arena, seed: int, budget_s: float) -> dict[str, float]:
    began, tried, found = time.perf_counter(), 0, []
    rows = {"selection": a.selection, "fresh": a.fresh}
    for name in ("lightgbm", "lightgbm_window"):
        for params in BASELINES[name].configurations(40, seed, reach=50, transforms=a.data.transforms):
            if time.perf_counter() - began > budget_s * (0.5 if name == "lightgbm" else 1.0) and tried:
                break
            signals = {
                n: fit_forecast(BASELINES[name], a.data, a.search, r, params=params, seed=seed, reach=50).signal_T
                for n, r in rows.items()
            }
            found.append((signals, 50))
            tried += 1
    return {**best(a, found), "seconds": time.perf_counter() - began, "tried": tried}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["reversal", "momentum", "motif", "distant", "volume", "gated"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("planted.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in options.worlds:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            a = arena(kind, seed)
            folder = Path("runs") / "bench-planted" / f"{kind}-{seed}-{time.time_ns()}"
            row = {"world": kind, "seed": seed, "one_shot": one_shot(a, seed, folder)}
            row["random"] = random_nets(a, seed, row["one_shot"]["seconds"])
            row["lightgbm"] = boosted(a, seed, row["one_shot"]["seconds"])
            rows.append(row)
            options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            told = "  ".join(
                f"{m} {row[m]['ic'] / row[m]['oracle']:.2f} (truth {row[m]['truth']:.2f}, {row[m]['seconds']:.0f} s)"
                for m in ("one_shot", "random", "lightgbm")
            )
            print(f"{kind:9} seed {seed}  oracle {row['one_shot']['oracle']:.3f}  {told}", flush=True)


if __name__ == "__main__":
    main()
