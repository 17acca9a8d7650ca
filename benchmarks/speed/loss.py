"""CPU to equal validation loss, segments against windows, on real candles: what targets are worth, not how many.

One causal network (three layers of conv3, 32 wide, filters of 47 rows) learns the volatility of the next half hour of
BTCUSD, minute by minute: a label that can be learnt, so that losses tell trainings apart.  Three ways to train it,
each from the same weights with AdamW at a constant rate:

    windows    plain PyTorch (`plain.py`): (B, C, T), 64 rows a target, targets in random order
    cone       our layers, one target a segment: windows of which only the rows that the target hangs on are computed
    segments   S consecutive targets share their history

Segments are trained as `fit` trains them (compiled where there is a compiler), windows as everyone writes them.
Settings are chosen by successive halving (Jamieson & Talwalkar, AISTATS 2016), for each way by the same rule from the
same number of them on one seed: all run for the seconds of the first rung, the third with the least loss so far goes
on to the next.  The best then runs on other seeds, and is compared.  Losses are of one pass over the validation rows,
off the clock.  Marks lie at shares of the way from the constant forecast to the best loss that all ways reached.
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
from tradenas.train.moves import AdamW, clipped
from tradenas.train.segments import Segments
from tradenas.train.stream import stream

WINDOW = 64
SPACE = Chain(
    depths=(3,), ops=("conv3",), widths=(32,), activations=("relu",), norms=("none",), dropouts=(0.0,), lookbacks=(47,)
).space()
ONE = SPACE.smallest()
RATES = (1e-3, 3e-3, 1e-2)
#: Batch in targets, S, learning rate.
SETTINGS = {
    "windows": [(b, 1, lr) for b in (64, 256, 1024) for lr in RATES],
    "cone": [(b, 1, lr) for b in (64, 256, 1024) for lr in RATES],
    "segments": [(s * n, s, lr) for s, n in ((16, 8), (16, 32), (64, 16)) for lr in RATES],
}
#: Which of them `make bench` tries, and the CPU seconds after which the best third goes on; then of the runs compared.
SHORT = {"windows": [0, 1], "cone": [2, 5], "segments": [4, 7]}
RUNGS, BUDGET = {True: (1.0, 3.0, 9.0), False: (4.0, 9.0)}, {True: 12.0, False: 9.0}
MARKS = (0.5, 0.7, 0.85)
#: CPU seconds and validation loss, from the first step on.
Curve = list[tuple[float, float]]
Setting = tuple[int, int, float]


class Trial:
    """Where trainings learn and are judged."""

    def __init__(self, data, train: Span, valid: Span) -> None:
        self.data, self.train, self.valid = data, train, valid
        self.objective = Objective.fitted(data, train)
        self.x_TF = torch.from_numpy(np.ascontiguousarray(data.x_TF))
        self.reach = Network(SPACE, LAYOUT).reach()
        self.y_T = torch.from_numpy(self.objective.labels(data).astype(np.float32))
        learnable = data.learnable(WINDOW)
        self.rows = np.flatnonzero(learnable[: train.stop])

    def run(self, way: str, setting: Setting, *, seed: int) -> Run:
        return Run(self, way, setting, seed)

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


class Run:
    """One training in one way, which goes on for as many CPU seconds as it is given."""

    def __init__(self, trial: Trial, way: str, setting: Setting, seed: int) -> None:
        batch, length, lr = setting
        network = Network(SPACE, LAYOUT, seed=seed)
        self.trial, self.model = trial, Plain(network, ONE) if way == "windows" else network
        self.weights = list(self.model.parameters())
        self.optimizer = (torch.optim.AdamW if way == "windows" else AdamW)(
            self.weights, lr=lr, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
        )
        if way == "windows":
            self.losses = trial.windows(self.model, batch, seed)
        else:
            self.losses = trial.segments(network, batch, length, seed)
        self.curve: Curve = [(0.0, trial.loss(self.model))]

    def until(self, budget: float) -> Curve:
        """Its curve up to so many seconds since its first step; a point every eighth more."""
        spent = self.curve[-1][0]
        while spent < budget:
            due, began = min(budget, max(0.04, 1.12 * spent)), time.process_time()
            while spent + time.process_time() - began < due:
                loss = next(self.losses)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if isinstance(self.model, Plain):
                    torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
                else:
                    clipped(self.weights, 1.0)
                self.optimizer.step()
            spent += time.process_time() - began
            self.curve.append((spent, self.trial.loss(self.model)))
        return self.curve

    @property
    def least(self) -> float:
        return min(loss for _, loss in self.curve)


def halved(trial: Trial, way: str, settings: list[Setting], rungs: tuple[float, ...]) -> tuple[Setting, Run]:
    """The best of some settings, and how it went."""
    runs = {setting: trial.run(way, setting, seed=0) for setting in settings}
    for seconds in rungs:
        for run in runs.values():
            run.until(seconds)
        best = sorted(runs, key=lambda s: runs[s].least)[: max(1, len(runs) // 3)]
        runs = {setting: runs[setting] for setting in best}
    (found,) = list(runs.items())[:1]
    return found


def until(curve: Curve, loss: float) -> float:
    """CPU seconds until a loss was reached and held: the median of a look and the two before it, as losses jump."""
    looks = [found for _, found in curve]
    held = ((curve[i][0], statistics.median(looks[i - 2 : i + 1])) for i in range(2, len(curve)))
    return next((spent for spent, reached in held if reached <= loss), float("inf"))


def figures(full: bool) -> Iterator[Figure]:
    target = Target(kind="volatility", horizon=30)
    data, what = real(130_000, target), "BTCUSD minutes of 2017"
    if data is None:
        data, what = market(40_000), "a planted market: no real candles here"
    cut = int(0.77 * len(data))
    trial = Trial(data, Span(0, cut), Span(cut + 200, len(data)))
    budget = BUDGET[full]
    best: dict[str, Setting] = {}
    chosen: dict[str, Run] = {}
    for way, settings in SETTINGS.items():
        if full and way == "cone":  # no rival, and the record is long
            continue
        tried = settings if full else [settings[i] for i in SHORT[way]]
        best[way], chosen[way] = halved(trial, way, tried, RUNGS[full])
    silent = np.zeros(len(trial.valid), np.float32)
    start = mean_loss(trial.objective, data, trial.valid, silent, WINDOW)
    # marks lie below what even the worst of the ways reaches with its best setting
    reached = max(run.least for run in chosen.values())
    if reached >= 0.98 * start:
        yield Figure.of("CPU to equal validation loss", [float("nan")], bar=8, note=f"{what}: nothing was learnt of it")
        return
    seeds, ways = range(1, 4), [way for way in best if way != "segments"]
    curves = {way: [trial.run(way, s, seed=seed).until(budget) for seed in seeds] for way, s in best.items()}
    for share in MARKS:
        loss = start - share * (start - reached)
        spent = {way: [until(c, loss) for c in runs] for way, runs in curves.items()}
        note = "; ".join(f"{w} {best[w]} {statistics.median(s):.2g} s" for w, s in spent.items())
        for slow in ways:
            if not all(np.isfinite(spent[slow] + spent["segments"])):  # in its budget: the ratio is at least this
                note += f"; {slow} did not get there with every seed in {budget:.0f} s, which is counted"
            ratios = [min(a, budget) / min(b, budget) for a, b in zip(spent[slow], spent["segments"], strict=True)]
            yield Figure.of(
                f"CPU to {share:.0%} of the loss that can be learnt ({loss:.4f}): {slow} / segments", ratios,
                bar=8 if slow == "windows" else None, note=f"{what}, {len(ratios)} seeds; (batch, S, lr): {note}",
            )  # fmt: skip
    low = {way: [min(loss for _, loss in c) for c in runs] for way, runs in curves.items()}
    yield Figure.of(
        "least loss in the same CPU time: segments / windows",
        [a / b for a, b in zip(low["segments"], low["windows"], strict=True)], at_least=False,
        note=f"{budget:.0f} s each, constant forecast {start:.3f}",
    )  # fmt: skip
