"""The one training loop: a supernet's step is one pass or several under mixtures, a standalone network's has none."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import Mixture, Mode, Network, native
from tradenas.seeds import rng_for, seed_for
from tradenas.train.loss import Objective
from tradenas.train.moves import adamw, clipped, forget
from tradenas.train.segments import Batch, Segments

__all__ = ["Optimisation", "Pass", "Plan", "Training", "accumulate", "optimizer_for", "train_epoch"]

MAX_SKIPPED = 20


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One forward and backward; a step adds up the gradients of its passes, clips them and moves the weights once.

    Attributes:
        mixture: which paths run.
        reach: rows that the pass reads; it gets no more history than that.
        labels: weight of the loss against the labels.
        teacher: weight of the loss against the teacher's signal, which gets no gradient.
        dropout: whether the path's dropout is drawn.
        part: (i, n) for the i-th of n shares of the batch's segments; None for the whole batch.
        taught: the path through the teacher that this pass learns from; None where the teacher is a single network.
        alone: takes the batch, sets the gradients of the weights and returns the loss, in place of all of the above; a
            pass alone in its step (a CUDA graph, `search.parts.captured`).
    """

    mixture: Mixture
    reach: int
    labels: float = 1.0
    teacher: float = 0.0
    dropout: bool = True
    part: tuple[int, int] | None = None
    taught: Mixture | None = None
    alone: Callable[[Batch], Tensor] | None = None


#: The passes of each step of an epoch.
Plan = Callable[[int], Sequence[Pass]]


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are moved; the same for supernets and standalone networks.

    Attributes:
        epochs: passes over the training rows.
        lr: peak learning rate of AdamW; it warms up over the first 5 % of the steps and falls to 0 as a cosine.
        weight_decay: decoupled, on weights of two axes or more.
        tap_l1: L1 penalty on the taps of the lookback filters, in units of the learning rate.
        segment: consecutive targets that share their history (S).
        batch: targets in a step; `batch // segment` segments.
        clip: largest norm of the gradient.
    """

    epochs: int = 20
    lr: float = 3e-3
    weight_decay: float = 1e-2
    tap_l1: float = 0.5
    segment: int = 64
    batch: int = 1024
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "segment", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name}", got=getattr(self, name), expected="1 or more")
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"training.{name}", got=getattr(self, name), expected="a number above 0")
        for name in ("weight_decay", "tap_l1"):
            if getattr(self, name) < 0:
                raise ConfigError(f"training.{name}", got=getattr(self, name), expected="0 or more")

    def lr_at(self, step: float, total: int) -> float:
        """The learning rate of one step out of `total`."""
        warm = max(1.0, 0.05 * total)
        if step < warm:
            return self.lr * (step + 1) / (warm + 1)
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, total - warm))))


@dataclass(frozen=True, kw_only=True)
class Training(Optimisation):
    """How a standalone network is fitted: the same, and when it has had enough.

    Attributes:
        epochs: passes over the training rows, at most.
        holdout: share of the training rows, the latest ones, that the network does not learn but is stopped by: the
            epoch with the least loss there is kept.  0 learns all rows and keeps the last epoch.
        patience: epochs without a better loss there after which it stops; 0 goes through all epochs.
        bf16: whether its layers learn in bf16 where a table of this machine, measured when it is first asked for, says
            that the network is faster so: with convolutions of about 256 channels.  It speaks in float32.
    """

    holdout: float = 0.2
    patience: int = 6
    bf16: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.holdout < 1.0:
            raise ConfigError("training.holdout", got=self.holdout, expected="a share from 0 up to but not with 1")
        if self.patience < 0:
            raise ConfigError("training.patience", got=self.patience, expected="0 or more")


def optimizer_for(network: Network, training: Optimisation) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) without decay on gains, shifts and biases.

    A weight that no gradient reached in a step (another path's) is not moved, neither by momentum nor by decay.
    """
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    return adamw([(matrices, training.weight_decay), (vectors, 0.0)], lr=training.lr, betas=(0.9, 0.99))


def train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    segments: Segments,
    objective: Objective,
    training: Optimisation,
    *,
    epoch: int,
    seed: int,
    stream: str,
    plan: Plan | None = None,
    teacher: Network | None = None,
) -> dict[str, float]:
    """One pass over the segments; returns the mean loss and how many steps were skipped.

    Every random choice comes from (seed, stream, epoch, step), so a resumed run needs no generator state.  A step
    whose loss or gradient is not finite is skipped and counted: one exploding path must not take the shared weights
    with it.

    Args:
        plan: the passes of each step of this epoch, or None for a standalone network.  A pass that reads less than
            the longest gets no more history than it reads.
        teacher: a frozen network whose signal passes may learn from: of one architecture, or of several with each
            pass naming its path.  None has passes learn from the first one of their step (in-place distillation, Yu &
            Huang 2019, arXiv:1903.05134).

    Raises:
        DivergedError: 20 steps in a row were skipped.
    """
    network.train()
    per_epoch = segments.steps(targets=training.batch)
    total = training.epochs * per_epoch
    generator = torch.Generator(device=segments.x_TF.device)
    alone, weights = [Pass(mixture={}, reach=segments.reach)], list(network.parameters())
    summed, rows, skipped, in_a_row = 0.0, 0.0, 0, 0
    for step, batch in enumerate(segments.epoch(rng_for(seed, stream, "batches", epoch), targets=training.batch)):
        for group in optimizer.param_groups:
            group["lr"] = training.lr_at(min(epoch * per_epoch + step, (epoch + 1) * per_epoch - 1), total)
        generator.manual_seed(seed_for(seed, stream, "dropout", epoch, step))
        passes = plan(step) if plan else alone
        forget(weights)
        value = accumulate(network, batch, passes, segments, objective, generator, teacher)
        norm = clipped(weights, training.clip)
        if not (math.isfinite(value) and math.isfinite(norm)):
            skipped, in_a_row = skipped + 1, in_a_row + 1
            if in_a_row >= MAX_SKIPPED:
                raise DivergedError(
                    f"{stream}, epoch {epoch}, step {step}",
                    got=f"{MAX_SKIPPED} steps in a row without a finite loss",
                    expected="finite numbers",
                    fix="lower training.lr or training.clip, and look at the features' sizes",
                )
            continue
        in_a_row = 0
        optimizer.step()
        network.inputs.shrink(training.tap_l1 * float(optimizer.param_groups[0]["lr"]))
        weight = float(batch.weight_BS.sum())
        summed, rows = summed + value * weight, rows + weight
    network.eval()
    if not rows:
        raise DivergedError(
            f"{stream}, epoch {epoch}",
            got=f"no step out of {skipped} with a finite loss",
            expected="finite numbers",
            fix="lower training.lr or training.clip, and look at the features' sizes",
        )
    return {"loss": summed / rows, "skipped": float(skipped)}


def accumulate(
    network: Network,
    batch: Batch,
    passes: Sequence[Pass],
    segments: Segments,
    objective: Objective,
    generator: torch.Generator,
    teacher: Network | None,
) -> float:
    """Adds the gradients of a step's passes to the weights; returns the mean of the passes' losses."""
    length, value = segments.length, 0.0
    taught_BS: Tensor | None = None
    told: dict[int, Tensor] = {}
    for one in passes:
        if one.alone is not None:
            return float(one.alone(batch))
        if teacher is not None and one.teacher:
            if id(one.taught) not in told:
                told[id(one.taught)] = _taught(teacher, batch.x_BTF, one.taught, segments)
            taught_BS = told[id(one.taught)]
        rows = _share(len(batch.x_BTF), one.part, segments.assets)
        mode = Mode(training=True, generator=generator if one.dropout else None, scored=length)
        x_BTF = batch.x_BTF[rows, segments.reach - one.reach :]
        weight_BS = batch.weight_BS[rows]
        terms = [(one.labels, batch.y_BS[rows])] if one.labels else []
        if one.teacher and taught_BS is not None:
            terms.append((one.teacher, objective.taught(taught_BS[rows])))
        call = native.call_of(network, x_BTF, one.mixture, mode)
        if call is not None and call.learns:
            signal_BS = call.forward()
            found = [objective.gradient(signal_BS, target_BS, weight_BS, share) for share, target_BS in terms]
            call.pull(functools.reduce(torch.add, [g_BS for _, g_BS in found]))
            value += sum(loss for loss, _ in found) / len(passes)
        else:
            signal_BS = network(x_BTF, one.mixture, mode)[:, -length:]
            losses = [share * objective.loss(signal_BS, target_BS, weight_BS) for share, target_BS in terms]
            loss = functools.reduce(torch.add, losses)
            loss.backward()  # type: ignore[no-untyped-call]
            value += float(loss.detach()) / len(passes)
        if taught_BS is None and teacher is None:
            taught_BS = signal_BS.detach() if one.part is None else None
    return value


def _taught(teacher: Network, x_BTF: Tensor, path: Mixture | None, segments: Segments) -> Tensor:
    """What a frozen teacher says of a batch: nothing dropped, batch norms over the batch like the student's."""
    mode = Mode(training=True, scored=segments.length)
    with torch.no_grad():
        return teacher(x_BTF[:, segments.reach - teacher.reach() :], path, mode)[:, -segments.length :]  # type: ignore[no-any-return]


def _share(rows: int, part: tuple[int, int] | None, assets: int = 1) -> slice:
    """The segments of one share, whole ones; a batch with fewer segments than shares gives some of them twice."""
    if part is None:
        return slice(None)
    at, shares = part
    num = rows // assets
    first = at * num // shares
    return slice(first * assets, max(first + 1, (at + 1) * num // shares) * assets)
