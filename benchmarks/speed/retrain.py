"""50 networks of one shape trained together, against the same networks one after another as everyone trains them.

One after another is plain PyTorch: an `nn.Module` each (`plain.py`), Adam, batches of 256 targets in random order; a
network that looks back gets windows of 64 rows in (B, C, T).  Together is `fit_stacked`: segments, one batched product
a layer, AdamW on a matrix of weights, with all that a real retraining does.  Equal numbers of targets; what a target of
a segment is worth beside one of a window is what `loss.py` measures.  A few networks are timed one after another, as
each takes as long; 50 of them together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from turns import turns

from speed.figure import Figure
from speed.plain import Plain
from speed.world import LAYOUT, market
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked

NETS, BATCH, WINDOW, EPOCHS, ROWS = 50, 256, 64, 4, 5_000
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
