"""How much faster are N networks of one shape as a stack than one by one?  And which way to run a bank of filters?

    python benchmarks/stacked.py                 # ratio of CPU time, one process, one thread
    python benchmarks/stacked.py --filters       # forward and backward of a lookback bank: convolution, band matrices

Every figure is the median over rounds in which both ways take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table
from tradenas.nn import Layout, Network
from tradenas.nn.bank import filter_bank
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.build import build_dataset
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked

INDICATORS = ("log_return_1", "log_return_5", "volatility_20", "volume_ratio_20", "signed_volume_20", "body", "range_1")
SPACE = Chain(
    depths=(1, 2), ops=("dense", "conv3", "separable3", "dilated3", "residual", "gated"), widths=(8, 16, 32),
    activations=("relu",), norms=("none", "layer"), dropouts=(0.0,), lookbacks=(5, 20, 50, 100),
)  # fmt: skip
NETS = {
    "dense 16-16, lookback 5": ("dense", 16, 5),
    "dense 16-16, lookback 50": ("dense", 16, 50),
    "conv3 16-16, lookback 5": ("conv3", 16, 5),
    "conv3 16-16, lookback 50": ("conv3", 16, 50),
    "conv3 32-32, lookback 20": ("conv3", 32, 20),
    "separable3 16-16, lookback 20": ("separable3", 16, 20),
    "gated 16-16, lookback 20": ("gated", 16, 20),
}


def cpu(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def stacks(sizes: list[int], rounds: int, batch: int) -> None:
    candles = planted("volume", bars=6_000, strength=0.15).candles
    table = build_table(candles, indicators=INDICATORS)
    data = build_dataset(candles, table, Target(kind="forward_return"))
    space = SPACE.space()
    template = Network(space, Layout(groups=data.groups, transforms=data.transforms))
    training = Training(epochs=2, batch=batch, segment=64, patience=0)
    train = Span(300, 5_000)
    print("| network | " + " | ".join(f"N = {n}" for n in sizes) + " |")
    print("| --- |" + " --- |" * len(sizes))
    for name, (op, width, lookback) in NETS.items():
        want = {"depth": 2, "input/lookback": lookback} | {f"layer{i}/op": op for i in (0, 1)}
        want |= {f"layer{i}/width": width for i in (0, 1)}
        architecture = space.walk(lambda c, want=want: want.get(c.name, c.options[-1]))
        found = []
        for n in sizes:
            jobs = [Job(data=data, train=train, seed=seed) for seed in range(n)]
            few = jobs[: min(n, 5)]  # one by one takes as long for each

            def alone(jobs: list[Job] = few, a=architecture) -> None:
                for job in jobs:
                    fit(template, a, data, train, training=training, seed=job.seed)

            def stacked(jobs: list[Job] = jobs, a=architecture) -> None:
                fit_stacked(template, a, jobs, training=training)

            stacked()
            alone()
            ratios = [cpu(alone) / len(few) * n / cpu(stacked) for _ in range(rounds)]
            found.append(f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {name} | " + " | ".join(found) + " |", flush=True)


def convolution(x_BTF: torch.Tensor, taps_FL: torch.Tensor) -> torch.Tensor:
    x_BF1T = F.pad(x_BTF, (0, 0, taps_FL.shape[1] - 1, 0)).transpose(1, 2).unsqueeze(2)
    kernel = taps_FL.flip(1)[:, None, None, :].contiguous(memory_format=torch.channels_last)
    return F.conv2d(x_BF1T, kernel, groups=taps_FL.shape[0]).squeeze(2).transpose(1, 2)


def filters(rounds: int) -> None:
    print("| features | taps | batch x rows | convolution ms | band matrices ms |\n| --- | --- | --- | --- | --- |")
    for features in (8, 23):
        for taps in (5, 20, 50, 100):
            for batch, rows in ((16, 64), (1, 4096)):
                x_BTF = torch.randn(batch, rows + (taps if batch > 1 else 0), features)
                taps_FL = torch.randn(features, taps, requires_grad=True)

                def many(bank: Callable[..., torch.Tensor], x=x_BTF, w=taps_FL) -> None:
                    for _ in range(20):
                        bank(x, w).square().sum().backward()

                times = np.array(
                    [[cpu(lambda b=b: many(b)) / 20 * 1e3 for b in (convolution, filter_bank)] for _ in range(rounds)]
                )
                slow, fast = np.median(times, axis=0)
                print(f"| {features} | {taps} | {batch} x {rows} | {slow:.2f} | {fast:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 9, 50])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.filters:
        filters(options.rounds)
    else:
        stacks(options.sizes, options.rounds, options.batch)


if __name__ == "__main__":
    main()
