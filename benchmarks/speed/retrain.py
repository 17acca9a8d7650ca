"""50 networks of one shape trained together, against the same networks one after another as everyone trains them.

One after another is plain PyTorch: an `nn.Module` each (`plain.py`), Adam, batches of 256 targets in random order; a
network that looks back gets windows of 64 rows in (B, C, T).  Together is `fit_stacked`: segments, one batched product
a layer, AdamW on a matrix of weights, with all that a real retraining does.  Equal numbers of targets; what a target of
a segment is worth beside one of a window is what `loss.py` measures.  A few networks are timed one after another, as
each takes as long; 50 of them together.

Then what a study makes of it: the jobs of its retraining one by one against in stacks, through the same runner.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from turns import turns

from speed.figure import Figure
from speed.plain import Plain
from speed.world import LAYOUT, market
from tradenas.events import Events
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.study import read_config
from tradenas.study.bench import Bench
from tradenas.study.folder import RunFolder
from tradenas.study.market import prepare
from tradenas.study.paths import split_jobs
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked
from tradenas.trials.jobs import JobSpec
from tradenas.trials.ledger import Ledger
from tradenas.trials.runner import InlineRunner, ProcessRunner
from tradenas.trials.stacks import stacks_of

NETS, BATCH, WINDOW, EPOCHS, ROWS = 50, 256, 64, 4, 5_000
#: As `runner.stack` has it.
STACK = 8
#: Name, op, lookback, width, layers, mark.
SHAPES = (
    ("tiny MLP 12-32-32-1", "dense", 1, 32, 2, 10.0),
    ("conv3, 3 layers of 32, filters of 47 rows", "conv3", 47, 32, 3, 50.0),
)


class Rows(nn.Sequential):
    """A small MLP on the columns of a row."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


class Alone:
    """One network after another in plain PyTorch."""

    def __init__(self, template: Network, *, lookback: int, width: int, train: Span) -> None:
        data = market(ROWS)
        self.template, self.one, self.width = template, template.space.smallest(), width
        self.x_TF = torch.from_numpy(np.ascontiguousarray(data.x_TF))
        learnable = data.learnable(template.reach())[: train.stop] & (np.arange(train.stop) >= train.start)
        self.rows = np.flatnonzero(learnable)
        self.y_T = torch.from_numpy(np.nan_to_num(data.y_T.astype(np.float32)))
        self.window, self.features = 1 if lookback == 1 else WINDOW, self.x_TF.shape[1]

    def epoch(self, seed: int, steps: int | None) -> None:
        """An epoch of one network, or its first steps."""
        window, features = self.window, self.features
        all_ = self.x_TF.as_strided((len(self.x_TF) - window + 1, window * features), (features, 1))
        flat = Rows(features, self.width) if window == 1 else None
        model = flat or Plain(self.template.standalone(self.one, seed=seed), self.one)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        order = torch.from_numpy(rng_for(seed, "order").permutation(self.rows))
        for at in order.split(BATCH)[:steps]:
            x = all_.index_select(0, at - window + 1)
            x = x if flat is not None else x.view(len(at), window, -1).transpose(1, 2).contiguous()
            optimizer.zero_grad()
            (model(x).view(-1) - self.y_T[at]).square().mean().backward()
            optimizer.step()


def figures(full: bool) -> Iterator[Figure]:
    for shape in SHAPES:
        yield against(*shape, rounds=9 if full else 4)
    yield from studies(rounds=5 if full else 3)


def against(name: str, op: str, lookback: int, width: int, layers: int, bar: float, *, rounds: int) -> Figure:
    """One shape."""
    data = market(ROWS)
    train = Span(200, len(data) - 200)
    space = Chain(
        depths=(layers,), ops=(op,), widths=(width,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(lookback,),
    ).space()  # fmt: skip
    template = Network(space, LAYOUT)
    alone = Alone(template, lookback=lookback, width=width, train=train)
    training = Training(epochs=EPOCHS, batch=BATCH, segment=64, holdout=0.0, patience=0)
    jobs = [Job(data=data, train=train, seed=seed) for seed in range(NETS)]
    few, steps = (5, None) if alone.window == 1 else (1, 5)  # epochs of windows take long, and every step as long
    share = 1.0 if steps is None else len(range(0, len(alone.rows), BATCH)) / steps
    took = turns(
        {
            "alone": lambda: [alone.epoch(seed, steps) for seed in range(few)],
            "together": lambda: fit_stacked(template, space.smallest(), jobs, training=training),
        },
        rounds,
    )
    return Figure.of(
        f"{NETS} networks against one after another in PyTorch, {name}",
        [r * NETS / few * share * EPOCHS for r in took.ratios("alone", "together")], bar=bar,
        note=f"{took.best('together') / 1e3 / EPOCHS:.2f} s an epoch of {len(alone.rows)} targets for all {NETS}",
    )  # fmt: skip


def studies(*, rounds: int) -> Iterator[Figure]:
    """5 finalists x 3 seeds, and 15 splits of one of them (combinatorial folds), of the demo and of a longer market.

    Wall time is that of two workers, their start included; trainings of the demo take less than that.
    """
    alone, workers = ("CPU, in one process", time.process_time), ("wall time, two workers", time.perf_counter)
    longer = {"data.source": "planted:volume", "data.bars": 60_000, "trials.training.epochs": 4}
    for world, changes, clocks in (("demo, 5,000 rows", {}, [alone]), ("60,000 rows", longer, [alone, workers])):
        with tempfile.TemporaryDirectory() as folder:
            bench, finalists, splits = trainings(Path(folder), changes)
            for name, specs, (way, clock) in (
                *(("5 finalists x 3 seeds", finalists, by) for by in clocks),
                ("1 finalist x 15 splits", splits, alone),
            ):
                ways = {str(most): partial(work, bench, specs, most, way) for most in (1, STACK)}
                took = turns(ways, rounds, clock=clock)
                yield Figure.of(
                    f"{name} of a study one by one / in stacks, {world}: {way}",
                    took.ratios("1", str(STACK)),
                    note=f"{took.best('1') / 1e3:.1f} and {took.best(str(STACK)) / 1e3:.1f} s, "
                    f"{len(specs)} networks in {len(stacks_of(specs, STACK))} stacks",
                )


def trainings(folder: Path, changes: dict[str, Any]) -> tuple[Bench, list[JobSpec], list[JobSpec]]:
    """The jobs of a study that has data and no search: its finalists are drawn at random."""
    demo = Path(str(resources.files("tradenas.study") / "demos" / "sp500.toml"))
    config = read_config(demo, changes={"trials.paths.groups": 6, **changes})
    run = RunFolder.create(folder, config, base=folder, command="benchmarks/speed/retrain.py")
    prepare(run, config, Events(), base=folder)
    bench = Bench.at(run, config, Ledger(folder / "ledger.db"), Events(), run.open_rows)
    space, zones = config.space.space(bench.data.indicators), bench.zones
    drawn = [space.sample(rng_for(7, "finalists", i)) for i in range(5)]
    rows: dict[str, Any] = {"train": zones.search, "signals": {"selection": zones.selection}}
    finalists = [bench.network_job(a, space=config.space, **rows, seed=seed) for a in drawn for seed in range(3)]
    epochs = min(15, config.trials.training.epochs)
    return bench, finalists, split_jobs(bench, drawn[0], epochs=epochs)[1]


def work(bench: Bench, specs: list[JobSpec], most: int, way: str) -> None:
    """All jobs from scratch, in a folder that is new but for the dataset."""
    runner = InlineRunner(stack=most) if way.startswith("CPU") else ProcessRunner(2, stack=most)
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "jobs" / "inputs"
        inputs.mkdir(parents=True)
        os.link(bench.jobs_folder / "inputs" / bench.dataset_sha, inputs / bench.dataset_sha)
        with Ledger(Path(folder) / "ledger.db") as ledger:
            done = runner.run(specs, ledger=ledger, folder=Path(folder) / "jobs")
    assert all(one.status == "ok" for one in done.values())
