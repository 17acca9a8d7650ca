"""CPU to equal validation loss, segments against windows, on real candles: what targets are worth, not how many.

One causal network (three layers of conv3, 32 wide, filters of 47 rows) learns the volatility of the next half hour of
BTCUSD, minute by minute: a label that can be learnt, so that losses tell trainings apart.  Three ways to train it,
each from the same weights with AdamW at a constant rate:

    windows    plain PyTorch (`plain.py`): (B, C, T), 64 rows a target, targets in random order
    cone       our layers, one target a segment: windows of which only the rows that the target hangs on are computed
    segments   S consecutive targets share their history

Each way tries the same number of settings (batch or S, learning rate) with the same CPU budget, on one seed; its best
one then runs on other seeds, and is compared.  Losses are of one pass over the validation rows, off the clock.  Marks
lie at shares of the way from the constant forecast to the best loss that all ways reached.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from speed.figure import Figure
from speed.plain import Plain
from speed.world import LAYOUT, market, real
from tradenas.features import Target
from tradenas.nn import Mode, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.fit import mean_loss
from tradenas.train.loss import Objective
from tradenas.train.moves import adamw, clipped
from tradenas.train.segments import Segments
from tradenas.train.stream import stream

WINDOW = 64
SPACE = Chain(
    depths=(3,), ops=("conv3",), widths=(32,), activations=("relu",), norms=("none",), dropouts=(0.0,), lookbacks=(47,)
).space()
ONE = SPACE.smallest()
#: Batch in targets, S, learning rate.
SETTINGS = {
    "windows": [(b, 1, lr) for b in (64, 256, 1024) for lr in (3e-3, 1e-2)],
    "cone": [(b, 1, lr) for b in (64, 256, 1024) for lr in (3e-3, 1e-2)],
    "segments": [(s * n, s, lr) for s, n in ((16, 32), (64, 16), (256, 4)) for lr in (3e-3, 1e-2)],
}
SHORT = {"windows": [1, 3], "cone": [1, 3], "segments": [0, 3]}
MARKS = (0.5, 0.7, 0.85)
#: CPU seconds and validation loss, from the first step on.
Curve = list[tuple[float, float]]


class Trial:
    """One training in one way, on a budget of CPU seconds."""

    def __init__(self, data, train: Span, valid: Span) -> None:
        self.data, self.train, self.valid = data, train, valid
        self.objective = Objective.fitted(data, train)
        self.x_TF = torch.from_numpy(np.ascontiguousarray(data.x_TF))
        self.reach = Network(SPACE, LAYOUT).reach()
        self.y_T = torch.from_numpy(self.objective.labels(data).astype(np.float32))
        learnable = data.learnable(WINDOW)
        self.rows = np.flatnonzero(learnable[: train.stop])

    def run(self, way: str, setting: tuple[int, int, float], *, seed: int, budget: float) -> Curve:
        batch, length, lr = setting
        network = Network(SPACE, LAYOUT, seed=seed)
        model = Plain(network, ONE) if way == "windows" else network
        weights = list(model.parameters())
        optimizer = adamw([(weights, 1e-2)], lr=lr, betas=(0.9, 0.99))
        losses = self.windows(model, batch, seed) if way == "windows" else self.segments(network, batch, length, seed)
        curve, spent, due = [(0.0, self.loss(model))], 0.0, budget / 40
        began = time.process_time()
        for loss in losses:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            clipped(weights, 1.0)
            optimizer.step()
            if spent + time.process_time() - began >= due:
                spent += time.process_time() - began
                curve.append((spent, self.loss(model)))
                due, began = spent + max(budget / 40, 0.1 * spent), time.process_time()
                if spent >= budget:
                    break
        return curve

    def windows(self, model: Plain, batch: int, seed: int) -> Iterator[Tensor]:
        features = self.x_TF.shape[1]
        all_ = self.x_TF.as_strided((len(self.x_TF) - WINDOW + 1, WINDOW * features), (features, 1))
        for epoch in itertools.count():
            order = torch.from_numpy(rng_for(seed, "windows", epoch).permutation(self.rows))
            for at in order.split(batch):
                x_BTF = all_.index_select(0, at - WINDOW + 1).view(len(at), WINDOW, features)
                yield (model(x_BTF.transpose(1, 2).contiguous()) - self.y_T[at]).square().mean()

    def segments(self, network: Network, batch: int, length: int, seed: int) -> Iterator[Tensor]:
        source = Segments(self.data, self.train, reach=self.reach, length=length, objective=self.objective)
        for epoch in itertools.count():
            for x_BTF, y_BS, weight_BS in source.epoch(rng_for(seed, "segments", epoch), targets=batch):
                signal_BS = network(x_BTF, {}, Mode(training=True, scored=length))
                yield self.objective.loss(signal_BS, y_BS, weight_BS)

    def loss(self, model: Plain | Network) -> float:
        if isinstance(model, Network):
            output = stream(model, self.x_TF, {}, self.valid, reach=self.reach)
        else:
            with torch.no_grad():
                part = self.x_TF[self.valid.start - WINDOW + 1 : self.valid.stop].t()[None]
                output = model.rows(part)[0, WINDOW - 1 :].numpy()
        return mean_loss(self.objective, self.data, self.valid, output, WINDOW)


def until(curve: Curve, loss: float) -> float:
    """CPU seconds until a loss was first reached."""
    return next((spent for spent, reached in curve if reached <= loss), float("inf"))


def figures(full: bool) -> Iterator[Figure]:
    target = Target(kind="volatility", horizon=30)
    data, what = real(130_000, target), "BTCUSD minutes of 2017"
    if data is None:
        data, what = market(40_000), "a planted market: no real candles here"
    cut = int(0.77 * len(data))
    trial = Trial(data, Span(0, cut), Span(cut + 200, len(data)))
    budget = dict.fromkeys(SETTINGS, 40.0 if full else 12.0)
    tried = {
        way: [
            (s, trial.run(way, s, seed=0, budget=budget[way]))
            for i, s in enumerate(settings)
            if full or i in SHORT[way]
        ]
        for way, settings in SETTINGS.items()
    }
    silent = np.zeros(len(trial.valid), np.float32)
    start = mean_loss(trial.objective, data, trial.valid, silent, WINDOW)
    # marks lie below what even the worst of the ways reaches with its best setting
    reached = max(min(loss for _, curve in runs for _, loss in curve) for runs in tried.values())
    if reached >= 0.98 * start:
        yield Figure.of("CPU to equal validation loss", [float("nan")], bar=8, note=f"{what}: nothing was learnt of it")
        return
    best: dict[str, tuple[int, int, float]] = {}
    mark = start - MARKS[1] * (start - reached)
    for way, runs in tried.items():
        best[way] = min(runs, key=lambda run: until(run[1], mark))[0]
    seeds = range(1, 4)
    curves = {way: [trial.run(way, s, seed=seed, budget=budget[way]) for seed in seeds] for way, s in best.items()}
    for share in MARKS:
        loss = start - share * (start - reached)
        spent = {way: [until(c, loss) for c in runs] for way, runs in curves.items()}
        note = "; ".join(f"{w} {best[w]} {statistics.median(s):.2g} s" for w, s in spent.items())
        for slow in ("windows", "cone"):
            if not all(np.isfinite(spent[slow] + spent["segments"])):  # in its budget: the ratio is at least this
                note += f"; {slow} did not get there with every seed in {budget[slow]:.0f} s, which is counted"
            ratios = [
                min(a, budget[slow]) / min(b, budget["segments"])
                for a, b in zip(spent[slow], spent["segments"], strict=True)
            ]
            yield Figure.of(
                f"CPU to {share:.0%} of the loss that can be learnt ({loss:.4f}): {slow} / segments", ratios,
                bar=8 if slow == "windows" else None, note=f"{what}, {len(ratios)} seeds; (batch, S, lr): {note}",
            )  # fmt: skip
    low = {way: [min(loss for _, loss in c) for c in runs] for way, runs in curves.items()}
    yield Figure.of(
        "least loss in the same CPU time: segments / windows",
        [a / b for a, b in zip(low["segments"], low["windows"], strict=True)], at_least=False,
        note=f"{budget['windows']:.0f} s each, constant forecast {start:.3f}",
    )  # fmt: skip
