"""Fits many networks of one architecture at once: seeds, folds, markets of the same layout.

A tiny network spends most of a step outside the arithmetic: in calls.  N networks of one shape whose weights carry one
more axis in front do the same arithmetic in as many calls as one of them (SPEED 5).  Every network keeps its own rows,
batches, dropout, learning rate, clipping, held-out rows and last epoch, so what comes out is what `tradenas.train.fit`
makes of each, up to the order in which sums are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import OPS, Mode, Moments, Network, Op
from tradenas.nn.ops import CrossAsset
from tradenas.seeds import rng_for, seed_for
from tradenas.space import Architecture
from tradenas.splits import Span, holdout
from tradenas.train.fit import MOMENT_ROWS, SCALE_ROWS, Fitted, fit
from tradenas.train.loop import MAX_SKIPPED, Training
from tradenas.train.loss import Objective
from tradenas.train.panel import Market, Panel, features_of
from tradenas.train.segments import Batch, Segments, gather
from tradenas.train.stack import Stack
from tradenas.train.stream import CHUNK, measure
from tradenas.typing import FloatArray, IntArray

__all__ = ["Job", "can_stack", "fit_stacked", "pays", "stackable", "stream_stacked"]

#: Targets in a step times squared channels, from which on a step is products, and a stack saves no calls worth saving.
#: One by one over together, 3 and 8 networks of a chain in compiled code (CPU time, docs/results/speed.md): 1.3 and 1.8
#: for 16 channels, 1.4 and 1.9 for 32, 1.15 and 1.3 for 64, 1.1 and 1.1 for 128, with 1,024 targets.
ARITHMETIC = 1024 * 64**2


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """One network of a stack: where it learns and what it is seeded with; as in `fit`."""

    data: Market
    train: Span
    seed: int
    weight_T: FloatArray | None = None


def stackable(network: Network) -> bool:
    """Whether every op of a network runs with stacked weights; recurrent ones and those that mix markets do not."""
    return all(module.stackable and module.assets == 1 for module in network.modules() if isinstance(module, Op))


def can_stack(architecture: Mapping[str, Any]) -> bool:
    """The same of an architecture that is not built: where this says no, its networks go one by one."""
    kinds = [OPS[picked] for picked in architecture.values() if isinstance(picked, str) and picked in OPS]
    return all(kind.stackable and not issubclass(kind, CrossAsset) for kind in kinds)


def pays(architecture: Mapping[str, Any], *, batch: int) -> bool:
    """Whether a stack of such networks saves so much of a core that they should not rather have a core each.

    Args:
        batch: targets in a step.
    """
    widest = max((int(picked) for name, picked in architecture.items() if name.endswith("/width")), default=1)
    return can_stack(architecture) and batch * widest**2 < ARITHMETIC


def fit_stacked(
    template: Network,
    architecture: Architecture,
    jobs: Sequence[Job],
    *,
    training: Training,
    device: torch.device | str = "cpu",
) -> list[Fitted | DivergedError]:
    """Trains one architecture once for each job, all together; equal to `fit` job by job up to rounding.

    Of panels the rows of all markets are a network's batch, as in `fit`.  A single job, an architecture with an op that
    is recurrent or mixes markets, and a training in bf16 go through `fit` one by one.

    Returns:
        For each job what `fit` would have given, or the error it would have raised: one network that diverges must
        not take the others with it.

    Raises:
        ConfigError: no jobs, or jobs whose targets are of different kinds or whose tables have other columns.
    """
    kinds = {(job.data.kind, features_of(job.data).shape[-1], _assets(job.data)) for job in jobs}
    if len(kinds) != 1:
        raise ConfigError("fit_stacked.jobs", got=f"{len(kinds)} kinds of target and table", expected="one")
    networks = [template.standalone(architecture, seed=job.seed).to(device) for job in jobs]
    if len(jobs) == 1 or training.bf16 or not stackable(networks[0]):
        return [_alone(template, architecture, job, training, device) for job in jobs]
    run = _Run(architecture, jobs, networks, training, device)
    for epoch in range(training.epochs):
        run.train(epoch)
        if training.holdout:
            run.hold_out(epoch)
        run.part(epoch)
        if not run.lanes:
            break
    return run.fitted()


def _alone(
    template: Network, architecture: Architecture, job: Job, training: Training, device: torch.device | str
) -> Fitted | DivergedError:
    try:
        return fit(
            template, architecture, job.data, job.train,
            training=training, seed=job.seed, device=device, weight_T=job.weight_T,
        )  # fmt: skip
    except DivergedError as error:
        return error


@dataclass(eq=False, kw_only=True)
class _Lane:
    """One network of the stack: where it learns, and how far it has come."""

    job: Job
    network: Network
    objective: Objective
    learn: Span
    valid: Span | None
    best_epoch: int
    segments: Segments = field(init=False)
    offset: int = field(init=False)  # of its market's rows in the features that all lanes gather from
    labelled: int = field(init=False)  # of its rows in their labels and weights
    usable_V: Tensor = field(init=False)
    labels_V: Tensor = field(init=False)
    weight_V: Tensor = field(init=False)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = math.inf
    weights_P: Tensor | None = None
    skipped_in_a_row: int = 0
    error: DivergedError | None = None

    @property
    def starts(self) -> list[int]:
        """Where each market's rows begin in that table."""
        return [self.offset + a * len(self.job.data) for a in range(self.segments.assets)]

    def fail(self, place: str, got: str, fix: str) -> None:
        self.error = DivergedError(place, got=got, expected="finite numbers", fix=fix)


class _Run:
    """All lanes, those still running, and their stack, row by row in the same order."""

    def __init__(
        self,
        architecture: Architecture,
        jobs: Sequence[Job],
        networks: Sequence[Network],
        training: Training,
        device: torch.device | str,
    ) -> None:
        self.training, self.device = training, device
        self.reach = networks[0].reach(architecture)
        self.batch_norm = "batch" in architecture.values()
        self.dropout = any(name.endswith("/dropout") and picked != 0.0 for name, picked in architecture.items())
        self.all = [self._lane(job, network) for job, network in zip(jobs, networks, strict=True)]
        self._attach()
        self.stack, self.lanes = Stack(networks), list(self.all)

    def _lane(self, job: Job, network: Network) -> _Lane:
        learn, valid = job.train, None
        if self.training.holdout:
            fold = holdout(job.train, self.training.holdout, purge=job.data.purge_rows, embargo=self.reach)
            learn, valid = fold.train, fold.valid
        objective = Objective.fitted(job.data, learn)
        last = self.training.epochs - 1
        return _Lane(job=job, network=network, objective=objective, learn=learn, valid=valid, best_epoch=last)

    def _attach(self) -> None:
        """Segments for every lane, those of one market and span once, and tables of all to gather from.

        Features are one table of the markets below each other; those of one market are that market's own, not a copy.
        """
        made: dict[tuple[int, Span, int], tuple[Segments, int, int]] = {}
        tables: dict[int, tuple[Tensor, int]] = {}  # by where they lie in memory: features, and their first row
        for lane in self.all:
            data, weight_T = lane.job.data, lane.job.weight_T
            key = (id(data), lane.learn, id(weight_T))
            if key not in made:
                segments = Segments(
                    data,
                    lane.learn,
                    reach=self.reach,
                    length=self.training.segment,
                    objective=lane.objective,
                    device=self.device,
                    weight_T=weight_T,
                )
                before = sum(len(table) for table, _ in tables.values())
                _, offset = tables.setdefault(features_of(data).ctypes.data, (segments.x_TF, before))
                made[key] = segments, offset, sum(len(other.columns[1]) for other, *_ in made.values())
            lane.segments, lane.offset, lane.labelled = made[key]
            if lane.valid is not None:
                weight_V = (
                    np.ones(len(lane.valid)) if weight_T is None else weight_T[..., lane.valid.slice].astype(float)
                )
                usable = data.learnable(self.reach)[..., lane.valid.slice] & (weight_V > 0)
                weight = np.broadcast_to(weight_V, usable.shape)[usable]
                lane.usable_V, lane.weight_V = torch.from_numpy(usable), torch.from_numpy(weight)
                lane.labels_V = torch.from_numpy(lane.objective.labels(data, lane.valid)[usable])
        self.x_TF = _joined([table for table, _ in tables.values()])
        self.y_T, self.weight_T = (_joined([made[key][0].columns[n] for key in made]) for n in (1, 2))

    def train(self, epoch: int) -> None:
        """One pass of every lane over its own rows; a lane with fewer batches than others waits for them."""
        training, lanes, num = self.training, self.lanes, len(self.lanes)
        self.stack.network.train()
        cuts = [
            lane.segments.of_markets(*lane.segments.cut(rng_for(lane.job.seed, "fit", "batches", epoch)))
            for lane in lanes
        ]
        per_epoch = [lane.segments.steps(targets=training.batch) for lane in lanes]
        per_batch = max(1, training.batch // (training.segment * lanes[0].segments.assets))
        generators = tuple(torch.Generator(device=self.x_TF.device) for _ in lanes)
        summed, rows, skipped = np.zeros(num), np.zeros(num), np.zeros(num)
        per_batch *= lanes[0].segments.assets
        for step in range(max(-(-len(first) // per_batch) for first, _ in cuts)):
            batch, present = self._batch(cuts, step * per_batch, per_batch)
            lr_N = [
                training.lr_at(min(epoch * each + step, (epoch + 1) * each - 1), training.epochs * each)
                for each in per_epoch
            ]
            if self.dropout:
                for lane, generator in zip(lanes, generators, strict=True):
                    generator.manual_seed(seed_for(lane.job.seed, "fit", "dropout", epoch, step))
            mode = Mode(
                training=True,
                generators=generators,
                scored=training.segment,
                present=present if min(present) < max(present) else (),
            )
            loss_N, norm_N = self.stack.learn(batch, mode, lanes[0].objective)
            has_N = torch.tensor(present, device=loss_N.device) > 0
            finite_N = torch.isfinite(loss_N) & torch.isfinite(norm_N)
            goes_N = has_N & finite_N
            self.stack.step(lr_N, norm_N, goes_N, training)
            weight_N = batch.weight_BS.sum((1, 2)).cpu().numpy()
            goes, losses = goes_N.cpu().numpy(), loss_N.double().cpu().numpy()
            summed[goes] += (losses * weight_N)[goes]
            rows[goes] += weight_N[goes]
            if not goes.all():
                lost = has_N.cpu().numpy() & ~goes
                skipped += lost
                self._count_skipped(lost, goes, epoch, step)
        self.stack.network.eval()
        for row, lane in enumerate(lanes):
            if rows[row]:
                lane.history.append({"loss": float(summed[row] / rows[row]), "skipped": float(skipped[row])})
            elif lane.error is None:
                got = f"no step out of {int(skipped[row])} with a finite loss"
                lane.fail(f"fit, epoch {epoch}", got, "lower training.lr or training.clip, and look at the features")

    def _count_skipped(self, lost: np.ndarray, goes: np.ndarray, epoch: int, step: int) -> None:
        for row, lane in enumerate(self.lanes):
            lane.skipped_in_a_row = (
                lane.skipped_in_a_row + 1 if lost[row] else 0 if goes[row] else lane.skipped_in_a_row
            )
            if lane.skipped_in_a_row >= MAX_SKIPPED and lane.error is None:
                got = f"{MAX_SKIPPED} steps in a row without a finite loss"
                lane.fail(f"fit, epoch {epoch}, step {step}", got, "lower training.lr or training.clip")

    def _batch(
        self, cuts: Sequence[tuple[IntArray, IntArray]], at: int, per_batch: int
    ) -> tuple[Batch, tuple[int, ...]]:
        """The next batch of every lane, (N, B, ...); lanes with fewer segments get some without weight."""
        length = self.training.segment
        parts = [(first[at : at + per_batch], covered[at : at + per_batch]) for first, covered in cuts]
        present = tuple(len(first) for first, _ in parts)
        most = max(present)
        first_NB = np.full((len(parts), most), self.reach - 1)
        covered_NB = np.full((len(parts), most), length)
        for row, (first, covered) in enumerate(parts):
            first_NB[row, : len(first)] = first
            covered_NB[row, : len(first)] = covered
        read_NB, first_NB = (
            first_NB + np.array([[getattr(lane, table)] for lane in self.lanes]) for table in ("offset", "labelled")
        )
        batch = gather(
            self.x_TF, self.y_T, self.weight_T, first_NB.ravel(), covered_NB.ravel(),
            history=self.reach - 1, length=length, read=read_NB.ravel(),
        )  # fmt: skip
        return Batch(*(part.view(len(parts), most, *part.shape[1:]) for part in batch)), present

    def hold_out(self, epoch: int) -> None:
        """Loss of every lane on its held-out rows; the weights of the best epoch so far are kept."""
        lanes = [lane for lane in self.lanes if lane.valid is not None]
        moments = self._moments() if self.batch_norm else None
        spans = [(lane.starts, lane.valid) for lane in lanes if lane.valid is not None]
        outputs = stream_stacked(self.stack.network, self.x_TF, spans, reach=self.reach, moments=moments)
        for row, (lane, output_V) in enumerate(zip(lanes, outputs, strict=True)):
            if lane.error is not None:
                continue
            loss = math.inf
            if len(lane.labels_V):
                said = output_V.cpu().view(lane.usable_V.shape)[lane.usable_V].double()
                loss = float(lane.objective.loss(said, lane.labels_V, lane.weight_V))
            lane.history[-1]["valid_loss"] = loss
            if loss < lane.best:
                lane.best, lane.best_epoch = loss, epoch
                lane.weights_P = self.stack.weights_NP[row].clone()

    def _moments(self) -> Moments:
        """Batch-norm moments of every lane, each measured by itself, stacked."""
        each: list[Moments] = []
        for row, lane in enumerate(self.lanes):
            self.stack.unload(self.stack.weights_NP[row], lane.network)
            each.append(self._measured(lane))
        return {
            name: (torch.stack([m[name][0] for m in each]), torch.stack([m[name][1] for m in each])) for name in each[0]
        }

    def _measured(self, lane: _Lane) -> Moments:
        learn = lane.learn
        rows = Span(max(learn.start, learn.stop - MOMENT_ROWS), learn.stop)
        return measure(lane.network, lane.segments.x, {}, rows, reach=self.reach)

    def part(self, epoch: int) -> None:
        """Takes the lanes that have had enough out of the stack."""
        training, patience = self.training, self.training.patience if self.training.holdout else 0
        done = [
            lane.error is not None
            or epoch == training.epochs - 1
            or bool(patience and epoch - lane.best_epoch >= patience)
            for lane in self.lanes
        ]
        for row, lane in enumerate(self.lanes):
            if done[row] and lane.valid is None:
                lane.weights_P = self.stack.weights_NP[row].clone()
        if any(done):
            self.stack.keep([not d for d in done])
            self.lanes = [lane for lane, d in zip(self.lanes, done, strict=True) if not d]

    def fitted(self) -> list[Fitted | DivergedError]:
        return [self._fitted(lane) for lane in self.all]

    def _fitted(self, lane: _Lane) -> Fitted | DivergedError:
        if lane.error is None and lane.weights_P is None and lane.valid is not None:
            place = f"held-out rows {lane.valid.start} to {lane.valid.stop}"
            got = f"no finite loss in {len(lane.history)} epochs"
            lane.fail(place, got, "lower training.lr, and look at the features' sizes and gaps there")
        if lane.error is not None:
            return lane.error
        assert lane.weights_P is not None
        self.stack.unload(lane.weights_P, lane.network)
        train = lane.job.train
        return Fitted(
            network=lane.network.eval(),
            moments=self._measured(lane) if self.batch_norm else {},
            objective=lane.objective,
            reach=self.reach,
            history=tuple(lane.history),
            best_epoch=lane.best_epoch,
            calibration=lane.valid or Span(max(train.start, train.stop - SCALE_ROWS), train.stop),
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _assets(data: Market) -> int:
    return data.assets if isinstance(data, Panel) else 1


def stream_stacked(
    network: Network,
    x_TF: Tensor,
    spans: Sequence[tuple[Sequence[int], Span]],
    *,
    reach: int,
    moments: Moments | None = None,
    chunk: int = CHUNK,
) -> list[Tensor]:
    """Signals of N stacked networks, each (A, rows) for its own rows of one table; as `tradenas.train.stream.stream`.

    Args:
        x_TF: the tables of all markets below each other.
        spans: for each network the rows where the tables of its markets begin, and rows counted from there.
    """
    features = x_TF.shape[1]
    most = max(span.stop - span.start for _, span in spans)
    assets = len(spans[0][0])
    outputs = [x_TF.new_empty(assets, span.stop - span.start) for _, span in spans]
    with torch.inference_mode():
        for at in range(0, most, chunk):
            size = min(chunk, most - at)
            x_NATF = x_TF.new_zeros(len(spans), assets, reach - 1 + size, features)
            for row, (starts, span) in enumerate(spans):
                first, stop = span.start + at, min(span.start + at + size, span.stop)
                if first < stop:
                    back = max(0, first - reach + 1)
                    lead = reach - 1 - (first - back)
                    for a, start in enumerate(starts):
                        x_NATF[row, a, lead : lead + stop - back] = x_TF[start + back : start + stop]
            signal_NAT = network(x_NATF, {}, Mode(moments=moments or None, scored=size))[..., -size:]
            for row, (_, span) in enumerate(spans):
                stop = min(size, span.stop - span.start - at)
                if stop > 0:
                    outputs[row][:, at : at + stop] = signal_NAT[row, :, :stop]
    return outputs
