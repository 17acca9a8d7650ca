"""Does the shared-weight ranking tell the truth?  Kendall tau of supernet against standalone, beside its ceiling.

    python benchmarks/coupling.py --world volume --architectures 100 --out coupling.json
    python benchmarks/coupling.py --candles bybit.parquet --symbol BTCUSDT --resample 60 --out coupling.json

One supernet ranks N random architectures on validation rows; each is then trained alone 2 x S times on the same
training rows and scored on the same validation rows.  tau is the supernet's scores against the mean of the first S;
the ceiling is the tau of the first S against the second S, what training noise alone allows.  The report has the
whole set and, because a search only lives off the top, the best half by the first S.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from worlds import SPACE, arena

from tradenas.data import Repairs, read_candles, resample
from tradenas.features import Target, build_table
from tradenas.nn import Layout, Network
from tradenas.search.base import Scorer, Task
from tradenas.search.methods import SPOS
from tradenas.search.parts.evolution import sample_distinct
from tradenas.splits import Fold, Span, holdout
from tradenas.stats import kendall, regret, spearman, tau_ceiling, top_k_overlap
from tradenas.train.backtest import Costs, Rule
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Training

METRICS = ("ic", "loss", "sharpe")


def market(options: argparse.Namespace) -> tuple[str, Dataset, Fold]:
    if options.world:
        a = arena(options.world, options.seed, fresh=0)
        return f"planted:{options.world}", a.data, a.fold
    repairs = Repairs(fill_gaps_bars=options.fill_gaps)
    candles, _ = read_candles(options.candles, symbol=options.symbol or None, repairs=repairs)
    if options.resample:
        candles = resample(candles, options.resample * 60_000)
    data = build_dataset(candles, build_table(candles), Target(kind="forward_return"))
    search = Span(int(data.ready_T.argmax()), int(len(data) * 0.8))
    return f"{candles.symbol} {options.resample or ''}", data, holdout(search, 0.3, purge=2, embargo=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world")
    parser.add_argument("--candles", type=Path)
    parser.add_argument("--symbol")
    parser.add_argument("--resample", type=int, default=0)
    parser.add_argument("--fill-gaps", type=int, default=0)
    parser.add_argument("--architectures", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2, help="S: standalone trainings on each side")
    parser.add_argument("--supernet-epochs", type=int, nargs="+", default=[40])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("coupling.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, data, fold = market(options)
    space = SPACE.space()
    evaluator = Evaluator(data=data, train=fold.train, valid=fold.valid, rule=Rule(), costs=Costs())
    drawn = sample_distinct(space, options.architectures, seed=options.seed, stream="coupling")
    supernets: dict[int, list[dict[str, float]]] = {}
    for epochs in options.supernet_epochs:
        began = time.perf_counter()
        scorer = Scorer(evaluator=evaluator, metric="ic", on_trial=lambda *_: None)
        task = Task(space=space, data=data, train=fold.train, scorer=scorer, seed=options.seed)
        method = SPOS(training=Training(epochs=epochs, batch=512, lr=1e-3), num_ranked=1)
        state = method.init(task)
        for epoch in range(epochs):
            method.train(task, state, epoch)
        supernets[epochs] = evaluator.score_paths(state.network, drawn)
        print(f"{name}: supernet of {epochs} epochs and ranking {time.perf_counter() - began:.0f} s", flush=True)
    template = Network(space, Layout(groups=data.groups, transforms=data.transforms))
    began, alone = time.perf_counter(), []
    for n, architecture in enumerate(drawn):
        row = []
        for s in range(2 * options.seeds):
            fitted = fit(template, architecture, data, fold.train, training=Training(epochs=30), seed=100 + s)
            row.append(evaluator.score_fitted(fitted, architecture))
        alone.append(row)
        if n % 10 == 9:
            print(f"{n + 1} architectures alone, {time.perf_counter() - began:.0f} s", flush=True)
    told = {"market": name, "num": len(drawn), "seeds": options.seeds, "results": []}
    for metric in METRICS:
        sign = -1.0 if metric == "loss" else 1.0
        alone_NS = sign * np.array([[r[metric] for r in row] for row in alone])
        first, second = alone_NS[:, : options.seeds], alone_NS[:, options.seeds :]
        truth = first.mean(1)
        top = truth >= np.median(truth)
        ceiling, ceiling_top = tau_ceiling(first.T, second.T), tau_ceiling(first[top].T, second[top].T)
        for epochs, scores in supernets.items():
            shared = sign * np.array([s[metric] for s in scores])
            tau, tau_top = kendall(shared, truth), kendall(shared[top], truth[top])
            row = {
                "metric": metric,
                "epochs": epochs,
                "tau": [tau.tau, tau.low, tau.high],
                "ceiling": [ceiling.tau, ceiling.low, ceiling.high],
                "tau_best_half": [tau_top.tau, tau_top.low, tau_top.high],
                "ceiling_best_half": [ceiling_top.tau, ceiling_top.low, ceiling_top.high],
                "spearman": spearman(shared, truth),
                "top10_overlap": top_k_overlap(shared, truth, 10),
                "regret": regret(shared, truth),
                "range": [float(truth.min()), float(truth.max())],
            }
            told["results"].append(row)
            print(json.dumps({k: np.round(v, 3).tolist() if not isinstance(v, str) else v for k, v in row.items()}))
    told["architectures"] = [dict(a) for a in drawn]
    told["alone"], told["supernet"] = alone, {str(k): v for k, v in supernets.items()}
    options.out.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
