"""50 networks of one shape trained together, against the same networks one after another as everyone trains them.

One after another is plain PyTorch: an `nn.Module` each (`plain.py`), Adam, batches of 256 targets in random order; a
network that looks back gets windows of 64 rows in (B, C, T).  Together is `fit_stacked`: segments, one batched product a
layer, AdamW on a matrix of weights, with all that a real retraining does.  Equal numbers of targets; what a target of a
segment is worth beside one of a window is what `loss.py` measures.  A few networks are timed one after another, as
each takes as long; 50 of them together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from speed.figure import Figure
from speed.plain import Plain
from speed.world import LAYOUT, market
from torch import nn
from turns import turns

from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked

NETS, BATCH, WINDOW, EPOCHS = 50, 256, 64, 4
#: Name, op, lookback, width, layers, mark.
SHAPES = (
    ("tiny MLP 12-32-32-1", "dense", 1, 32, 2, 10.0),
    ("conv3, 3 layers of 32, filters of 47 rows", "conv3", 47, 32, 3, 50.0),
)


class Rows(nn.Sequential):
    """A small MLP on the columns of a row."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


def figures(full: bool) -> Iterator[Figure]:
    data = market(5_000)
    train = Span(200, len(data) - 200)
    x_TF = torch.from_numpy(np.ascontiguousarray(data.x_TF))
    training = Training(epochs=EPOCHS, batch=BATCH, segment=64, holdout=0.0, patience=0)
    for name, op, lookback, width, layers, bar in SHAPES:
        space = Chain(
            depths=(layers,), ops=(op,), widths=(width,), activations=("relu",), norms=("none",), dropouts=(0.0,),
            lookbacks=(lookback,),
        ).space()  # fmt: skip
        one, template = space.smallest(), Network(space, LAYOUT)
        reach = template.reach()
        rows = np.flatnonzero(data.learnable(reach)[: train.stop] & (np.arange(train.stop) >= train.start))
        y_T = torch.from_numpy(np.nan_to_num(data.y_T.astype(np.float32)))
        window = 1 if lookback == 1 else WINDOW
        all_ = x_TF.as_strided((len(x_TF) - window + 1, window * x_TF.shape[1]), (x_TF.shape[1], 1))

        def alone(seed: int, *, steps: int | None = None) -> None:
            model = Rows(x_TF.shape[1], width) if window == 1 else Plain(template.standalone(one, seed=seed), one)
            optimizer = torch.optim.Adam(model.parameters(), 3e-3)
            order = torch.from_numpy(rng_for(seed, "order").permutation(rows))
            for at in order.split(BATCH)[:steps]:
                x = all_.index_select(0, at - window + 1)
                x = x if window == 1 else x.view(len(at), window, -1).transpose(1, 2).contiguous()
                optimizer.zero_grad()
                (model(x).view(-1) - y_T[at]).square().mean().backward()
                optimizer.step()

        jobs = [Job(data=data, train=train, seed=seed) for seed in range(NETS)]
        few, steps = (5, None) if window == 1 else (1, 5)
        share = 1.0 if steps is None else len(range(0, len(rows), BATCH)) / steps
        took = turns(
            {
                "alone": lambda: [alone(seed, steps=steps) for seed in range(few)],
                "together": lambda: fit_stacked(template, one, jobs, training=training),
            },
            9 if full else 4,
        )
        ratios = [r * NETS / few * share * EPOCHS for r in took.ratios("alone", "together")]
        yield Figure.of(
            f"{NETS} networks against one after another in PyTorch, {name}", ratios, bar=bar,
            note=f"{took.best('together') / 1e3 / EPOCHS:.2f} s an epoch of {len(rows)} targets for all {NETS}",
        )  # fmt: skip
