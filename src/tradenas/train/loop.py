"""The one training loop: supernets pass a fresh mixture for each step, standalone networks none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import Mixture, Mode, Network
from tradenas.seeds import rng_for, seed_for
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments

__all__ = ["Optimisation", "Training", "optimizer_for", "train_epoch"]

MAX_SKIPPED = 20


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
    """

    holdout: float = 0.2
    patience: int = 6

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
    groups = [
        {"params": matrices, "weight_decay": training.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=training.lr, betas=(0.9, 0.99), foreach=True)


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
    path: Callable[[int], tuple[Mixture, int]] | None = None,
) -> dict[str, float]:
    """One pass over the segments; returns the mean loss and how many steps were skipped.

    Every random choice comes from (seed, stream, epoch, step), so a resumed run needs no generator state.  A step
    whose loss or gradient is not finite is skipped and counted: one exploding path must not take the shared weights
    with it.

    Args:
        path: mixture and reach of each step of this epoch, or None for a standalone network.  A path that reads
            less than the longest gets no more history than it reads.

    Raises:
        DivergedError: 20 steps in a row were skipped.
    """
    network.train()
    per_epoch = segments.steps(targets=training.batch)
    total = training.epochs * per_epoch
    generator = torch.Generator(device=segments.x_TF.device)
    summed, rows, skipped, in_a_row = 0.0, 0.0, 0, 0
    for step, batch in enumerate(segments.epoch(rng_for(seed, stream, "batches", epoch), targets=training.batch)):
        for group in optimizer.param_groups:
            group["lr"] = training.lr_at(min(epoch * per_epoch + step, (epoch + 1) * per_epoch - 1), total)
        generator.manual_seed(seed_for(seed, stream, "dropout", epoch, step))
        mode = Mode(training=True, generator=generator, scored=segments.length)
        mixture, reach = path(step) if path else (None, segments.reach)
        signal_BT = network(batch.x_BTF[:, segments.reach - reach :], mixture, mode)
        loss = objective.loss(signal_BT[:, -segments.length :], batch.y_BS, batch.weight_BS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip, foreach=True)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
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
