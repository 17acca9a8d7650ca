"""How one network is trained without tradenas: PyTorch modules in (B, C, T), a window of rows for each target.

Written as well as such code is written: windows are strided views gathered into one buffer, no `Dataset` in Python and
no workers; a window is as long as the architecture reads and no longer; AdamW in one fused call; evaluation in large
batches.  Architecture, first weights, labels, rows, loss, rates, penalty on the taps, clipping and early stopping are
those of `tradenas.train.fit`, so that both ways fit the same networks by the same recipe.  What differs is what
tradenas is for: rows that neighbouring targets share are computed once a target here, and a dropout is drawn for every
value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from speed.plain import Plain
from tradenas.errors import DivergedError
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Architecture
from tradenas.splits import Span, holdout
from tradenas.train.dataset import Dataset
from tradenas.train.fit import mean_loss
from tradenas.train.loop import Training
from tradenas.train.loss import Objective

__all__ = ["BATCH", "Textbook", "Windows", "fit_textbook", "same"]

#: Targets in a step and in a pass of evaluation; the former was the best of 64, 256 and 1,024 (docs/results/speed.md).
BATCH, EVALUATED = 256, 2048


class Windows:
    """Windows of `length` rows, gathered into one buffer that every batch overwrites; (B, F, length)."""

    def __init__(self, x_TF: Tensor, length: int) -> None:
        rows, features = x_TF.shape
        self.length, self.features = length, features
        self.all_ = x_TF.as_strided((rows - length + 1, length * features), (features, 1))
        self.buffer = torch.empty(0)

    def ending_at(self, row_B: Tensor) -> Tensor:
        if len(self.buffer) < len(row_B):
            self.buffer = torch.empty(len(row_B), self.all_.shape[1])
        x_BW = torch.index_select(self.all_, 0, row_B - self.length + 1, out=self.buffer[: len(row_B)])
        return x_BW.view(len(row_B), self.length, self.features).transpose(1, 2).contiguous()


@dataclass(frozen=True, kw_only=True, eq=False)
class Textbook:
    """What `fit_textbook` made; what `race.Course` asks of a `Fitted`."""

    model: Plain
    open_F: Tensor
    objective: Objective
    reach: int
    history: tuple[dict[str, float], ...]

    def signals(self, data: Dataset, span: Span) -> np.ndarray:
        """Signals for the rows of `span`, a window each; rows without a whole window before them hold 0."""
        x_TF = torch.from_numpy(np.array(data.x_TF[: span.stop])) * self.open_F
        rows = np.arange(max(span.start, self.reach - 1), span.stop)
        output = np.zeros(len(span))
        output[rows - span.start] = said(self.model, Windows(x_TF, self.reach), rows)
        return self.objective.signal(output, data, span)


def said(model: nn.Module, windows: Windows, rows: np.ndarray) -> np.ndarray:
    """What a network says at some rows."""
    model.eval()
    with torch.no_grad():
        parts = [model(windows.ending_at(at)) for at in torch.from_numpy(rows).split(EVALUATED)]
    return torch.cat(parts).numpy()


def fit_textbook(
    template: Network,
    architecture: Architecture,
    data: Dataset,
    train: Span,
    *,
    training: Training,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Textbook:
    """Trains one architecture of a chain from fresh weights; arguments are those of `tradenas.train.fit`."""
    training = replace(training, batch=BATCH)
    alone = template.standalone(architecture, seed=seed)
    share_F = alone.inputs.share_open({})
    open_F = torch.ones(len(data.groups)) if share_F is None else share_F
    model, reach = Plain(alone, architecture), alone.reach(architecture)
    fold = holdout(train, training.holdout, purge=data.purge_rows, embargo=reach)
    objective = Objective.fitted(data, fold.train)
    x_TF = torch.from_numpy(np.array(data.x_TF[: train.stop])) * open_F
    windows = Windows(x_TF, reach)
    y_T = torch.from_numpy(np.nan_to_num(objective.labels(data)).astype(np.float32))
    learnable = np.flatnonzero(data.learnable(reach))
    rows = learnable[(learnable >= fold.train.start) & (learnable < fold.train.stop)]
    valid = np.arange(fold.valid.start, fold.valid.stop)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": training.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=training.lr, betas=(0.9, 0.99), fused=True,
    )  # fmt: skip
    steps = -(-len(rows) // BATCH)
    history: list[dict[str, float]] = []
    best, best_epoch, best_weights = math.inf, 0, None
    torch.manual_seed(seed)  # of nn.Dropout
    for epoch in range(training.epochs):
        model.train()
        for step, at in enumerate(torch.from_numpy(rng_for(seed, "textbook", epoch).permutation(rows)).split(BATCH)):
            for group in optimizer.param_groups:
                group["lr"] = training.lr_at(epoch * steps + step, training.epochs * steps)
            optimizer.zero_grad()
            y_B = y_T[at]
            objective.loss(model(windows.ending_at(at)), y_B, torch.ones_like(y_B)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), training.clip)
            optimizer.step()
            _shrink(model.bank.conv.weight, training.tap_l1 * float(optimizer.param_groups[0]["lr"]))
        output = np.zeros(len(valid), np.float32)
        output[:] = said(model, windows, valid)
        log = {"valid_loss": mean_loss(objective, data, fold.valid, output, reach)}
        if log["valid_loss"] < best:
            best, best_epoch = log["valid_loss"], epoch
            best_weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        history.append(log)
        if on_epoch is not None:
            on_epoch(epoch, log)
        if training.patience and epoch - best_epoch >= training.patience:
            break
    if best_weights is None:
        raise DivergedError("held-out rows", got="no finite loss", expected="finite numbers")
    model.load_state_dict(best_weights)
    return Textbook(model=model, open_F=open_F, objective=objective, reach=reach, history=tuple(history))


def same(template: Network, *, networks: int = 20) -> float:
    """The largest difference between what both ways say with the same weights, of some networks of a chain."""
    rng, apart = rng_for(0, "same"), 0.0
    for seed in range(networks):
        architecture = template.space.sample(rng)
        alone = template.standalone(architecture, seed=seed)
        with torch.no_grad():
            alone.inputs.taps.normal_(std=0.1)
            x_BTF = torch.randn(3, alone.reach(architecture), len(template.layout.groups))
            share_F = alone.inputs.share_open({})
            closed_BTF = x_BTF if share_F is None else x_BTF * share_F
            said_B = Plain(alone, architecture).eval()(closed_BTF.transpose(1, 2))
            apart = max(apart, float((alone(x_BTF)[:, -1] - said_B).abs().max()))
    return apart


def _shrink(taps: Tensor, amount: float) -> None:
    """The lasso's step: towards 0 by `amount`, not past it."""
    with torch.no_grad():
        taps.copy_(torch.sign(taps) * (taps.abs() - amount).clamp_min(0.0))
