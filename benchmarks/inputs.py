"""Does the joint search over inputs and network end with what was planted?

    python benchmarks/inputs.py --seeds 10

Two worlds in which one column at one lag forecasts the next bar: `echo` (volume, 17 bars before the last: a lookback of
20 is the least that reaches it) and `distant` (the move 37 bars before: 50).  Seven indicators that know nothing of it
stand beside the planted one, each with a switch of its own; lookback, transform and the layers are searched with them.
A seed counts as found where the first candidate has the planted indicator on and the least lookback that reaches.
Printed for each number of standard errors within which the simplest candidate is taken (0: the best as it is).
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table
from tradenas.search.base import Scorer, Task
from tradenas.search.methods import SPOS
from tradenas.search.parts.parsimony import simplest_first, simplify
from tradenas.space import Chain
from tradenas.splits import Span, holdout
from tradenas.train.backtest import Costs, Rule
from tradenas.train.build import build_dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Optimisation

#: The planted indicator, the least lookback that reaches its lag, and indicators that do not know it.
WORLDS = {
    "echo": (
        "volume_ratio_20", 20,
        ("log_return_1", "rsi_14", "sma_ratio_20", "macd_histogram", "upper_wick", "lower_wick", "skew_20"),
    ),
    "distant": (
        "log_return_1", 50,
        ("volume_ratio_20", "volatility_20", "range_1", "atr_ratio_14", "bollinger_width_20", "upper_wick",
         "lower_wick"),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--bars", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--ranked", type=int, default=200)
    parser.add_argument("--errors", type=float, nargs="+", default=[0.0, 2.0])
    parser.add_argument("--metrics", nargs="+", default=["rank_ic"])
    parser.add_argument("--out", type=Path, default=Path("runs/inputs.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for world in options.worlds:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            rows += one(world, seed, options)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(rows, indent=1))
    for world, metric, errors in product(options.worlds, options.metrics, options.errors):
        told = [r for r in rows if (r["world"], r["metric"], r["errors"]) == (world, metric, errors)]
        both = sum(r["lookback_found"] and r["feature_found"] for r in told)
        print(
            f"{world}, {metric}, {errors:g} errors: found {both} of {len(told)} (lookback "
            f"{sum(r['lookback_found'] for r in told)}, indicator {sum(r['feature_found'] for r in told)}); "
            f"distractors off {np.mean([r['distractors_off'] for r in told]):.0%}, "
            f"scores {np.mean([r['scored'] for r in told]):.0f}"
        )


def one(world: str, seed: int, options: argparse.Namespace) -> list[dict]:
    """One search of one world: the first candidate at each number of standard errors."""
    planted_name, least, others = WORLDS[world]
    chain = Chain(
        depths=(1, 2), ops=("skip", "dense", "conv3", "separable3", "gated"), widths=(8, 16),
        activations=("relu", "tanh"), norms=("none", "layer"), dropouts=(0.0,), lookbacks=(5, 10, 20, 50, 100),
        transforms=("zscore", "rank"), features=(planted_name, *others),
    )  # fmt: skip
    began = time.process_time()
    candles = planted(world, bars=options.bars, seed=seed).candles
    table = build_table(candles, indicators=chain.features, transforms=chain.transforms)
    data = build_dataset(candles, table, Target(kind="forward_return"))
    fold = holdout(Span(int(data.ready_T.argmax()), len(data) - 2), 0.25, purge=2, embargo=120)
    evaluator = Evaluator(data=data, train=fold.train, valid=fold.valid, rule=Rule(), costs=Costs())
    space = chain.space(data.indicators)
    method, found = (
        SPOS(training=Optimisation(epochs=options.epochs, batch=512, lr=1e-3), num_ranked=options.ranked),
        [],
    )
    state = None
    for metric in options.metrics:
        scorer = Scorer(evaluator=evaluator, metric=metric, on_trial=lambda *_: None)
        task = Task(space=space, data=data, train=fold.train, scorer=scorer, seed=seed)
        first_epoch = method.training.epochs if state else 0  # one training serves them all
        state = state or method.init(task)
        state.scored = []
        for epoch in range(first_epoch, method.num_epochs()):
            method.epoch(task, state, epoch)
        ranked = method.finish(task, state)
        for errors in options.errors:
            more, all_scored = [], ranked
            if errors:
                more = simplify(space, scorer, state.networks, ranked[0], errors=errors, seen=ranked)
                all_scored = simplest_first(scorer, state.networks, scorer.best_first([*ranked, *more]), errors=errors)
            first = all_scored[0].architecture
            off = [first[f"input/feature/{name}"] == "off" for name in others]
            found.append({
                "world": world, "seed": seed, "metric": metric, "errors": errors, "architecture": dict(first),
                "lookback": first["input/lookback"], "lookback_found": first["input/lookback"] == least,
                "feature_found": first[f"input/feature/{planted_name}"] == "on", "distractors_off": float(np.mean(off)),
                "scored": len(ranked) + len(more), "score": all_scored[0].scores[metric],
                "seconds": time.process_time() - began,
            })  # fmt: skip
            print(json.dumps({k: v for k, v in found[-1].items() if k != "architecture"}), flush=True)
    return found


if __name__ == "__main__":
    main()
