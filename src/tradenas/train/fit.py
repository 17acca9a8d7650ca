"""Fits one standalone network from scratch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tradenas.errors import DivergedError
from tradenas.nn import Moments, Network
from tradenas.nn.half import half_table
from tradenas.space import Architecture
from tradenas.splits import Span, holdout
from tradenas.train.loop import Training, optimizer_for, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.panel import Market, features_of
from tradenas.train.segments import Segments, tensor_of
from tradenas.train.stream import measure, stream
from tradenas.typing import BoolArray, Float32Array, FloatArray

__all__ = ["Fitted", "fit"]

#: Latest training rows on which batch-norm moments are measured, and, without a holdout, the size of a signal.
MOMENT_ROWS, SCALE_ROWS = 16_384, 4_096


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A standalone network with what it needs to speak.

    Attributes:
        network: over a space of one architecture.
        moments: of its batch norms, measured on training rows; empty without batch norms.
        objective: the units of its signal.
        reach: rows that one signal reads.
        history: training and validation loss of each epoch.
        best_epoch: whose weights these are.
        calibration: latest training rows, on which the usual size of a signal is to be measured; the held-out ones
            where there are any, as the network does not know those by heart.
    """

    network: Network
    moments: Moments
    objective: Objective
    reach: int
    history: tuple[dict[str, float], ...]
    best_epoch: int
    calibration: Span

    def signals(self, data: Market, span: Span) -> FloatArray:
        """Signals for the rows of `span`, (A, rows) of a panel; mask them with `data.usable(self.reach)`."""
        x = _rows(data, span, self.reach)
        offset = max(0, span.start - self.reach + 1)
        inner = Span(span.start - offset, span.stop - offset)
        output = stream(self.network, x, {}, inner, reach=self.reach, moments=self.moments or None)
        return self.objective.signal(output.astype(float), data, span)


def fit(
    template: Network,
    architecture: Architecture,
    data: Market,
    train: Span,
    *,
    training: Training,
    seed: int,
    device: torch.device | str = "cpu",
    weight_T: FloatArray | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Fitted:
    """Trains one architecture from fresh weights.

    Args:
        template: any network over the search space; nothing of it is used but its space and layout.
        train: rows that may be used, to learn from and, the last `training.holdout` of them, to stop by.
        seed: of weights, batches and dropout.
        weight_T: weight of each row of the data, in the loss and in the loss by which training stops; None is 1.
        on_epoch: told of every epoch and its losses; what it raises ends the training (a pruner's way to stop one).

    Raises:
        DivergedError: losses left the finite numbers, on the rows learnt from or on those held out.
    """
    network = template.standalone(architecture, seed=seed).to(device)
    reach = network.reach(architecture)
    learn, valid = train, None
    if training.holdout:
        fold = holdout(train, training.holdout, purge=data.purge_rows, embargo=reach)
        learn, valid = fold.train, fold.valid
    objective = Objective.fitted(data, learn)
    segments = Segments(
        data, learn, reach=reach, length=training.segment, objective=objective, device=device, weight_T=weight_T
    )
    optimizer = optimizer_for(network, training)
    history: list[dict[str, float]] = []
    best, best_epoch, best_weights = math.inf, training.epochs - 1, None
    moments_from = Span(max(learn.start, learn.stop - MOMENT_ROWS), learn.stop)
    batch_norm = "batch" in architecture.values()
    half = half_table(torch.get_num_threads()) if training.bf16 else None
    for epoch in range(training.epochs):
        network.halve(half, rows=training.batch)
        log = train_epoch(network, optimizer, segments, objective, training, epoch=epoch, seed=seed, stream="fit")
        network.halve(None)
        if valid is not None:
            moments = measure(network, segments.x, {}, moments_from, reach=reach) if batch_norm else None
            output = stream(network, segments.x, {}, valid, reach=reach, moments=moments)
            log["valid_loss"] = mean_loss(objective, data, valid, output, reach, weight_T)
            if log["valid_loss"] < best:
                best, best_epoch = log["valid_loss"], epoch
                best_weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
        history.append(log)
        if on_epoch is not None:
            on_epoch(epoch, log)
        if valid is not None and training.patience and epoch - best_epoch >= training.patience:
            break
    if valid is not None and best_weights is None:
        raise DivergedError(
            f"held-out rows {valid.start} to {valid.stop}",
            got=f"no finite loss in {len(history)} epochs",
            expected="finite numbers",
            fix="lower training.lr, and look at the features' sizes and gaps there",
        )
    if best_weights is not None:
        network.load_state_dict(best_weights)
    return Fitted(
        network=network,
        moments=measure(network, segments.x, {}, moments_from, reach=reach) if batch_norm else {},
        objective=objective,
        reach=reach,
        history=tuple(history),
        best_epoch=best_epoch,
        calibration=valid or Span(max(train.start, train.stop - SCALE_ROWS), train.stop),
    )


def mean_loss(
    objective: Objective,
    data: Market,
    span: Span,
    output: Float32Array,
    reach: int,
    weight_T: FloatArray | BoolArray | None = None,
) -> float:
    """Mean loss of what a network said of the labelled rows of a span, over all rows of all markets alike.

    Args:
        output: (rows,), or (A, rows) of a panel.
        weight_T: of each row of the data; None is 1.
    """
    usable = data.learnable(reach)[..., span.slice]
    if weight_T is not None:
        usable &= weight_T[..., span.slice] > 0
    if not usable.any():
        return math.inf
    label = torch.from_numpy(objective.labels(data, span)[usable])
    said = torch.from_numpy(output[usable].astype(float))
    weight = torch.ones_like(label)
    if weight_T is not None:
        weight = torch.from_numpy(np.broadcast_to(weight_T[..., span.slice], usable.shape)[usable].astype(float))
    return float(objective.loss(said, label, weight))


def _rows(data: Market, span: Span, reach: int) -> torch.Tensor:
    return tensor_of(features_of(data)[..., max(0, span.start - reach + 1) : span.stop, :])
