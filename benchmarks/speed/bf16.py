"""What bf16 is worth on this CPU: layer by layer, in whole trainings, and what it does to a ranking.

    python benchmarks/speed/bf16.py                    # dense and conv3, widths 16 to 256, 256 to 16,384 rows
    python benchmarks/speed/bf16.py --ranking FILE     # a file of 5-minute candles of BTCUSDT; 3 seeds

Layers: an op with its bias and ReLU, forward and backward, as PyTorch runs it in float32, and with inputs and weights
cast to bf16 in front of the op and its output cast back (`casts`); `inside` leaves the casts of inputs and outputs
away, the limit of a network that is all bf16.  Trainings: an epoch of `fit` in float32, compiled where there is a
compiler, against the same with every layer in bf16, and with the layers that the table of this machine names
(`Training.bf16`).
Candidates run in turns; ratios of CPU time, median over rounds, above 1 where bf16 is faster.

The ranking is of networks 128 and 256 wide, each trained alone by three seeds in float32 and in bf16 (every layer,
whether it gains or not): Kendall's tau of both with one seed beside that of two seeds in float32.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from turns import turns
from worlds import candles_arena

from speed.figure import Figure
from speed.world import LAYOUT, market
from tradenas.nn import Layout, Network
from tradenas.nn.elastic import ElasticConv, ElasticLinear
from tradenas.nn.half import HalfTable, half_table
from tradenas.search.parts.evolution import sample_distinct
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.stats import kendall
from tradenas.train import fit as fitting
from tradenas.train.loop import Training

WIDTHS, ROWS, SEGMENTS = (16, 32, 64, 128, 256), (256, 1024, 4096, 16384), 8
WAYS = ("float32", "casts", "inside")
#: A table by which every layer is in bf16.
EVERY = HalfTable(gains={("dense", 1, 1): 99.0, ("conv3", 1, 1): 99.0}, machine={})


def steps(op: str, width: int, rows: int) -> dict[str, Callable[[], None]]:
    """One forward and backward of a layer in each of the three ways."""
    layer = ElasticLinear(width, width) if op == "dense" else ElasticConv(width, width, 3)
    layer.reset(torch.Generator().manual_seed(0))
    x_BTC = torch.randn(SEGMENTS, rows // SEGMENTS, width, generator=torch.Generator().manual_seed(1))
    bf16 = torch.bfloat16

    def run(way: str) -> None:
        layer.bf16 = way == "casts"
        if way != "inside":
            y_BTC = layer(x_BTC.detach().requires_grad_(), width)
        elif op == "dense":
            y_BTC = F.linear(x_BTC.to(bf16).requires_grad_(), layer.weight.to(bf16), layer.bias.to(bf16))
        else:
            x_BC1T = F.pad(x_BTC.to(bf16).requires_grad_(), (0, 0, 2, 0)).transpose(1, 2).unsqueeze(2)
            kernel = layer.weight.to(bf16).contiguous(memory_format=torch.channels_last)
            y_BTC = F.conv2d(x_BC1T, kernel, layer.bias.to(bf16)).squeeze(2).transpose(1, 2)
        F.relu(y_BTC).sum().backward()
        layer.zero_grad()

    return {way: lambda way=way: run(way) for way in WAYS}


def measured(op: str, width: int, rows: int, *, rounds: int) -> tuple[float, float, float]:
    """Milliseconds in float32, and how many times as fast bf16 is with casts and without."""
    repeats = max(1, min(40, int(1e8 / (rows * width * width * (1 if op == "dense" else 3)))))
    took = turns(steps(op, width, rows), rounds, repeats=dict.fromkeys(WAYS, repeats))
    casts, inside = (statistics.median(took.ratios("float32", way)) for way in ("casts", "inside"))
    return took.best("float32"), casts, inside


def epoch(template: Network, table: HalfTable | None, batch: int) -> Callable[[], object]:
    """An epoch of a training by a table."""
    training = Training(epochs=1, holdout=0.0, patience=0, batch=batch, bf16=table is not None)
    return lambda: trained(template, template.space.smallest(), market(12_000), Span(200, 4_000), training, 0, table)


def trained(template, architecture, data, span, training, seed, table):
    """`fit`, whose table is this one."""
    before, fitting.half_table = fitting.half_table, lambda threads: table
    try:
        return fitting.fit(template, architecture, data, span, training=training, seed=seed)
    finally:
        fitting.half_table = before


def figures(full: bool) -> Iterator[Figure]:
    own = half_table(1)
    for op, width, batch in itertools.product(("dense", "conv3"), (64, 128, 256) if full else (64, 256), (1024, 4096)):
        space = Chain(
            depths=(3,), ops=(op,), widths=(width,), activations=("relu",), norms=("none",), dropouts=(0.0,),
            lookbacks=(20,),
        ).space()  # fmt: skip
        template = Network(space, LAYOUT)
        runs = {"float32": None, "every": EVERY, "table": own}
        took = turns({way: epoch(template, table, batch) for way, table in runs.items()}, 5 if full else 3)
        template.halve(own, rows=batch)
        yield Figure.of(
            f"epoch of {op}, 3 layers of {width}, {batch:,} targets a step: float32 / bf16 by the table",
            took.ratios("float32", "table"),
            note=f"it says {'bf16' if template.bf16 else 'float32'}; all in bf16 {took.over('float32', 'every')}",
        )  # fmt: skip


def ranking(file: Path, *, networks: int = 12, seeds: int = 3) -> None:
    """What is left of an order, and of IC, when layers learn in bf16."""
    one = candles_arena(file, "BTCUSDT", rows=30_000, volatility=True)
    space = Chain(
        depths=(1, 2), ops=("dense", "conv3", "conv5", "residual", "gated"), widths=(128, 256),
        activations=("relu", "tanh"), norms=("none", "layer"), dropouts=(0.0,), lookbacks=(5, 20),
    ).space()  # fmt: skip
    template = Network(space, Layout(groups=one.data.groups, transforms=one.data.transforms))
    ic_WSN = np.zeros((2, seeds, networks))
    for n, a in enumerate(sample_distinct(space, networks, seed=0, stream="bf16")):
        for seed, bf16 in itertools.product(range(seeds), (False, True)):
            training = Training(epochs=6, patience=2, bf16=bf16)
            fitted = trained(template, a, one.data, one.search, training, seed, EVERY)
            ic_WSN[int(bf16), seed, n] = one.ic(fitted.signals(one.data, one.selection), one.selection, fitted.reach)
    plain_SN, half_SN = ic_WSN
    same = [kendall(plain_SN[s], half_SN[s]).tau for s in range(seeds)]
    pairs = list(itertools.combinations(range(seeds), 2))
    other = [kendall(plain_SN[s], plain_SN[t]).tau for s, t in pairs]
    crossed = [kendall(plain_SN[s], half_SN[t]).tau for s, t in pairs]
    apart, between = np.abs(half_SN - plain_SN), [np.abs(plain_SN[s] - plain_SN[t]).mean() for s, t in pairs]
    for what, each in (("one seed, float32 and bf16", same), ("two seeds, float32", other), ("one of each", crossed)):
        print(f"tau, {what}: {np.mean(each):.2f} ({min(each):.2f} to {max(each):.2f})")
    print(f"IC: float32 {plain_SN.mean():.4f}, bf16 {half_SN.mean():.4f}; one seed apart {apart.mean():.4f}", end="")
    print(f" (at most {apart.max():.4f}), two seeds in float32 {np.mean(between):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranking", type=Path, help="file of candles")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.ranking:
        ranking(options.ranking)
        return
    print("PyTorch's float32 / bf16, with casts (without); milliseconds of float32\n")
    print(f"| op | width | {' | '.join(f'{n:,} rows' for n in ROWS)} |\n| --- | --- |{' --- |' * len(ROWS)}")
    for op, width in itertools.product(("dense", "conv3"), WIDTHS):
        each = [measured(op, width, rows, rounds=5) for rows in ROWS]
        print(f"| {op} | {width} | {' | '.join(f'{c:.2f} ({i:.2f}), {ms:.2f}' for ms, c, i in each)} |", flush=True)


if __name__ == "__main__":
    main()
