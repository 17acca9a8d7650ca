"""What bits and sparsity cost: one network trained in planted worlds at each precision, judged against the truth.

    python benchmarks/quantised.py --seeds 3                      # the table, about 20 minutes on one core
    python benchmarks/quantised.py --worlds motif --seeds 2 --nets wide --rows 8000 --precisions float 4/5 4/5/0.75
    python benchmarks/quantised.py --worlds FILE.parquet --symbol BTCUSDT --epochs 6 --target volatility

A network of fixed layers (wide: 2,300 parameters of three convolutions; deep: separable, residual and gated layers)
learns the first bars of a world with a planted forecast and speaks on fresh ones.  `truth` is the correlation of what
it says with the conditional mean, which is the share of the oracle's IC without the noise of returns; `change` is its
distance to the float network of the same seed in points (1 point = 0.01), mean and standard error over worlds and
seeds; `right` the share of rows on which it says up where the conditional mean is above 0, and its distance.
A precision is weights/activations/sparsity.  On candles of a file, where nobody knows the conditional mean, the last
fifth judges by what came: `truth` is the IC there, and `right` the share of bars whose sign was told (of volatility,
whether it is above its mean), a forecast that is strong enough to be lost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tradenas.data import Candles, read_candles, resample
from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table
from tradenas.nn import Layout, Network
from tradenas.space import Architecture, Chain
from tradenas.splits import Span
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset
from tradenas.train.fit import Fitted
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked

BARS, FRESH, GAP, STRENGTH = 30_000, 30_000, 120, 0.2
INDICATORS = ["log_return_1", "log_return_5", "rsi_14", "volatility_20", "range_1", "volume_ratio_20",
              "signed_volume_20", "body"]  # fmt: skip
NETS = {
    "wide": {"depths": (3,), "widths": (16,), "ops": ("conv3",)},
    "deep": {"depths": (3,), "widths": (16,), "ops": ("separable3", "residual", "gated")},
}
PRECISIONS = (
    "float", "8/8", "6/6", "4/5", "3/4", "ternary/5", "binary/5", "6/6/0.5", "6/6/0.75", "4/5/0.5", "4/5/0.75",
    "ternary/5/0.75", "float/float/0.75",
)  # fmt: skip


def space(net: str) -> Chain:
    """All precisions that are asked for by name."""
    return Chain(
        **NETS[net], lookbacks=(8,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        weight_bits=("float", "8", "6", "4", "3", "2", "ternary", "binary"),
        activation_bits=("float", "8", "7", "6", "5", "4", "3"), sparsities=(0.0, 0.5, 0.75, 0.9),
    )  # fmt: skip


def architecture(net: str, precision: str) -> Architecture:
    """The layers of a net at a precision."""
    weights, activations, sparsity = (*precision.split("/"), *("float", "float", "0.0")[precision.count("/") + 1 :])
    ops = NETS[net]["ops"]
    want = {f"layer{i}/op": ops[i % len(ops)] for i in range(3)}
    want |= {"quant/weights": weights, "quant/activations": activations, "quant/sparsity": float(sparsity)}
    return space(net).space().walk(lambda c: want.get(c.name, c.options[0]))


def of_world(world: str, options: argparse.Namespace) -> tuple[list[Job], list[np.ndarray], Span]:
    """A market for each seed, the conditional mean of its returns, and the rows that judge."""
    jobs, truths = [], []
    for seed in range(options.seeds):
        made = planted(world, bars=options.rows + FRESH, seed=seed, strength=STRENGTH)
        jobs.append(Job(data=dataset(made.candles), train=Span(300, options.rows), seed=seed))
        truths.append(made.expected_T)
    return jobs, truths, Span(options.rows + GAP, options.rows + FRESH)


def of_candles(file: str, options: argparse.Namespace) -> tuple[list[Job], list[np.ndarray], Span]:
    """One market for all seeds, what came, and its last fifth."""
    candles = read_candles(file, symbol=options.symbol)[0]
    data = dataset(resample(candles, options.resample * 60_000) if options.resample else candles, options.target)
    split = int(0.8 * len(data))
    jobs = [Job(data=data, train=Span(300, split), seed=seed) for seed in range(options.seeds)]
    came_T = data.bar_return_T if options.target == "forward_return" else data.y_T.astype(float)
    return jobs, [came_T] * options.seeds, Span(split + GAP, len(data))


def dataset(candles: Candles, target: str = "forward_return") -> Dataset:
    """Eight z-scored columns, and the return of the next bar, or the volatility of the next ones."""
    table = build_table(candles, indicators=INDICATORS, transforms=["zscore"])
    own = Target(kind="volatility", horizon=12) if target == "volatility" else Target(kind="forward_return")
    return build_dataset(candles, table, own)


def judged(fitted: Fitted, job: Job, expected_T: np.ndarray, span: Span) -> tuple[float, float]:
    """Correlation with the conditional mean, and the share of rows with its sign, on fresh rows."""
    signal = fitted.signals(job.data, span)
    rows = job.data.usable(fitted.reach)[span.slice] & np.isfinite(expected_T[span.slice])
    truth = expected_T[span.slice][rows] - fitted.objective.centre
    return float(np.corrcoef(signal[rows], truth)[0, 1]), float(((signal[rows] > 0) == (truth > 0)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["motif", "gated", "volume"])
    parser.add_argument("--nets", nargs="+", default=list(NETS))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--target", default="forward_return", choices=("forward_return", "volatility"))
    parser.add_argument("--resample", type=int, default=0, help="minutes")
    parser.add_argument("--rows", type=int, default=BARS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = Training(epochs=options.epochs, lr=options.lr)
    found: list[dict[str, Any]] = []
    for world in options.worlds:
        jobs, truths, fresh = of_candles(world, options) if Path(world).exists() else of_world(world, options)
        layout = Layout(groups=jobs[0].data.groups, transforms=jobs[0].data.transforms)
        for net in options.nets:
            template = Network(space(net).space(), layout)
            for precision in options.precisions:
                a, began = architecture(net, precision), time.perf_counter()
                for job, truth_T, fitted in zip(
                    jobs, truths, fit_stacked(template, a, jobs, training=training), strict=True
                ):
                    if isinstance(fitted, Exception):
                        print(f"{world} {net} {precision} seed {job.seed}: {fitted}")
                        continue
                    truth, right = judged(fitted, job, truth_T, fresh)
                    found.append({
                        "world": world, "net": net, "precision": precision, "seed": job.seed, "truth": truth,
                        "right": right, "parameters": template.count(a).parameters, "epoch": fitted.best_epoch,
                        "seconds": (time.perf_counter() - began) / len(jobs),
                    })  # fmt: skip
                own = [row for row in found if (row["world"], row["net"], row["precision"]) == (world, net, precision)]
                said = "  ".join(f"{row['truth']:.3f}" for row in own)
                print(f"{world:8} {net:5} {precision:15} truth {said}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    report(found)


def report(found: list[dict[str, Any]]) -> None:
    """The table: means, and paired distances to float with their standard errors."""
    by: dict[tuple[str, str], dict[tuple[str, int], dict[str, Any]]] = defaultdict(dict)
    for row in found:
        by[row["net"], row["precision"]][row["world"], row["seed"]] = row
    print(
        f"\n{'net':6}{'precision':16}{'truth':>7}{'change':>8}{'+-':>6}{'right':>8}{'change':>8}{'+-':>6}{'epoch':>7}"
    )
    for (net, precision), rows in by.items():
        line = f"{net:6}{precision:16}"
        for what, width in (("truth", 7), ("right", 8)):
            base = by.get((net, "float"), {})
            apart = np.array([100 * (row[what] - base[key][what]) for key, row in rows.items() if key in base])
            error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else float("nan")
            line += f"{np.mean([row[what] for row in rows.values()]):{width}.3f}{apart.mean():8.2f}{error:6.2f}"
        print(f"{line}{np.mean([row['epoch'] for row in rows.values()]):7.1f}")


if __name__ == "__main__":
    main()
