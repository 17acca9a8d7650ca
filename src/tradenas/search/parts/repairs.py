"""Repairs of a trained supernet, one cause each: what they change in the scores says which cause was at work.

    longer    the shared weights are trained on, by the same kind of steps              cures under-training
    private   each path goes on alone with a copy of the weights                        cures sharing altogether
    refitted  only the head of each path is fitted anew, in closed form, on training rows: ridge towards the shared head

The last follows from what co-adaptation is (Bender et al. 2018, one-shot models; METHODS 4.6): a part that was trained
beside many others has learnt to expect their average.  Where the ops of a path are sound and only what reads them
expects another path, a new reading repairs the score; where it does not, the ops themselves are at fault.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from tradenas.nn import Mode, Network, hard
from tradenas.search.base import Task
from tradenas.seeds import rng_for, seed_for
from tradenas.space import Architecture
from tradenas.splits import Span
from tradenas.train.evaluate import Scores
from tradenas.train.loop import Optimisation, Pass, Plan, optimizer_for, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.panel import features_of
from tradenas.train.segments import Segments
from tradenas.train.stream import CHUNK, measure
from tradenas.typing import BoolArray, FloatArray

__all__ = ["longer", "private", "refit_head", "refitted", "uniform_paths"]

#: Ridge penalties on offer, a row and a unit of variance of a feature; the last leaves the head as it is.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, np.inf)
#: Share of the training rows, the latest, by which the penalty is chosen.
HELD_OUT = 0.2

#: The passes of an epoch of training on.
MorePasses = Callable[[Network, int], Plan]


def uniform_paths(task: Task) -> MorePasses:
    """One path a step, drawn uniformly."""

    def more(network: Network, epoch: int) -> Plan:
        def plan(step: int) -> Sequence[Pass]:
            architecture = task.space.sample(rng_for(task.seed, "causes", "paths", epoch, step))
            return [Pass(mixture=hard(network.space, architecture), reach=network.reach(architecture))]

        return plan

    return more


def longer(
    task: Task,
    network: Network,
    architectures: Sequence[Architecture],
    *,
    training: Optimisation,
    epochs: int,
    more: MorePasses | None = None,
    teacher: Network | None = None,
) -> list[Scores]:
    """Scores of the paths after a copy of the supernet was trained on for some epochs, from the peak rate to 0 again.

    Args:
        training: of the supernet.
        more: passes of the steps, None for uniform paths.
        teacher: what passes learn from besides labels, if the method has one.
    """
    copied, again = copy.deepcopy(network), replace(training, epochs=epochs)
    objective, segments = _rows(task, network.reach(), training.segment)
    optimizer = optimizer_for(copied, again)
    for epoch in range(epochs):
        planned = (more or uniform_paths(task))(copied, epoch)
        train_epoch(
            copied, optimizer, segments, objective, again,
            epoch=epoch, seed=task.seed, stream="causes/longer", plan=planned, teacher=teacher,
        )  # fmt: skip
    return task.scorer.evaluator.score_paths(copied, architectures)


def private(
    task: Task, network: Network, architectures: Sequence[Architecture], *, training: Optimisation, epochs: int
) -> list[Scores]:
    """Scores of the paths after each was trained on by itself, with a copy of its weights, for some epochs."""
    again, scores = replace(training, epochs=epochs), []
    for architecture in architectures:
        alone = network.inherit(network.space.fix(architecture)).to(task.device)
        objective, segments = _rows(task, alone.reach(architecture), training.segment)
        optimizer = optimizer_for(alone, again)
        for epoch in range(epochs):
            train_epoch(
                alone, optimizer, segments, objective, again,
                epoch=epoch, seed=seed_for(task.seed, architecture.digest), stream="causes/private",
            )  # fmt: skip
        scores += task.scorer.evaluator.score_paths(alone, [architecture])
    return scores


def refitted(task: Task, network: Network, architectures: Sequence[Architecture]) -> list[Scores]:
    """Scores of the paths after each got a head of its own."""
    return [
        task.scorer.evaluator.score_paths(refit_head(task, network, architecture), [architecture])[0]
        for architecture in architectures
    ]


def refit_head(task: Task, network: Network, architecture: Architecture) -> Network:
    """A copy of one path whose head is fitted to the training rows, everything before it left as it is.

    The penalty is chosen on the latest fifth of the training rows, among them the one that changes nothing, so that a
    head that was right already stays.
    """
    alone = network.inherit(network.space.fix(architecture)).to(task.device)
    reach = alone.reach(architecture)
    objective = Objective.fitted(task.data, task.train)
    h_TC, output_T = _features(task, alone, architecture, reach)
    usable_T = task.data.learnable(reach)[..., task.train.slice]
    y_T = objective.labels(task.data)[..., task.train.slice]
    late = len(task.train) - int(HELD_OUT * len(task.train))
    early_T, late_T = usable_T.copy(), usable_T.copy()
    early_T[..., max(0, late - task.data.purge_rows - reach) :] = False
    late_T[..., :late] = False
    head = alone.heads[str(architecture["depth"])]
    if early_T.sum() <= h_TC.shape[-1] + 1 or not late_T.any():
        return alone

    def loss(change_C: FloatArray, rows_T: BoolArray) -> float:
        signal = torch.from_numpy(output_T[rows_T] + h_TC[rows_T] @ change_C)
        label = torch.from_numpy(y_T[rows_T])
        return float(objective.loss(signal, label, torch.ones_like(label)))

    tried = [(loss(_ridge(h_TC, output_T, y_T, early_T, p, objective.kind), late_T), -p) for p in PENALTIES]
    change_C = _ridge(h_TC, output_T, y_T, usable_T, -min(tried)[1], objective.kind)
    with torch.no_grad():
        head.weight.add_(torch.from_numpy(change_C[:-1]).to(head.weight))  # type: ignore[arg-type, operator]
        head.bias.add_(float(change_C[-1]))  # type: ignore[operator]
    return alone


def _features(task: Task, alone: Network, architecture: Architecture, reach: int) -> tuple[FloatArray, FloatArray]:
    """What the head reads on every training row, a column of ones behind it, and what the network says there.

    (T, C + 1) and (T,), or (A, T, C + 1) and (A, T) of a panel.
    """
    span = task.train
    first = max(0, span.start - reach + 1)
    x = torch.from_numpy(np.array(features_of(task.data)[..., first : span.stop, :], np.float32)).to(task.device)
    x_ATF = x[None] if x.ndim == 2 else x
    inner = Span(span.start - first, span.stop - first)
    moments = measure(alone, x, {}, inner, reach=reach) if "batch" in architecture.values() else None
    read: list[torch.Tensor] = []
    handle = alone.heads[str(architecture["depth"])].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    h, said = [], []
    try:
        with torch.inference_mode():
            for at in range(inner.start, inner.stop, CHUNK):
                stop, back = min(at + CHUNK, inner.stop), max(0, at - reach + 1)
                read.clear()
                output_AT = alone(x_ATF[:, back:stop], {}, Mode(moments=moments))
                h.append(read[0][:, at - back :].double().cpu().numpy())
                said.append(output_AT[:, at - back :].double().cpu().numpy())
    finally:
        handle.remove()
    h_ATC, said_AT = np.concatenate(h, axis=1), np.concatenate(said, axis=1)
    h_ATC = np.concatenate([h_ATC, np.ones((*said_AT.shape, 1))], axis=2)
    return (h_ATC[0], said_AT[0]) if x.ndim == 2 else (h_ATC, said_AT)


def _ridge(
    h_TC: FloatArray, output_T: FloatArray, y_T: FloatArray, rows_T: BoolArray, penalty: float, kind: str
) -> FloatArray:
    """The change of the head that lowers its loss on some rows, held back by the penalty (the bias is free of it).

    Squared error in one step; cross-entropy by Newton's (iteratively reweighted least squares, eight steps).
    """
    if np.isinf(penalty):
        return np.zeros(h_TC.shape[-1])
    h_NC, output_N, y_N = (torch.from_numpy(values_T[rows_T]) for values_T in (h_TC, output_T, y_T))
    size_C = h_NC.var(dim=0, correction=0)
    hold_C = penalty * len(h_NC) * torch.where(size_C > 0, size_C, 1.0)
    hold_C[-1] = 1e-9
    change_C = torch.zeros(h_NC.shape[1], dtype=torch.float64)
    for _ in range(8 if kind == "binary" else 1):
        signal_N = output_N + h_NC @ change_C
        if kind == "binary":
            chance_N = torch.sigmoid(signal_N)
            weight_N, error_N = (chance_N * (1 - chance_N)).clamp_min(1e-6), y_N - chance_N
        else:
            weight_N, error_N = torch.ones_like(y_N), y_N - signal_N
        curve_CC = (h_NC * weight_N[:, None]).T @ h_NC + torch.diag(hold_C)
        change_C = change_C + torch.linalg.solve(curve_CC, h_NC.T @ error_N - hold_C * change_C)
    return np.asarray(change_C.numpy())


def _rows(task: Task, reach: int, segment: int) -> tuple[Objective, Segments]:
    objective = Objective.fitted(task.data, task.train)
    return objective, Segments(
        task.data, task.train, reach=reach, length=segment, objective=objective, device=task.device
    )
