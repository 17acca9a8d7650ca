"""When a differentiable search has gone on long enough, and which epoch's architecture is kept.

    eigenvalue  e = largest eigenvalue of the Hessian of L_valid in the alphas, see `curvature`     RobustDARTS
                A_c = mean of e over 5 measurements around c, those there are at the beginning      (Zela et al. 2020,
                stop when A_c / A_(c-4) > 1.3; keep the architecture of the EARLIER epoch, c - 4    arXiv:1909.09656)
    skips       stop when a cell has 2 skips                                                        DARTS+ (Liang et al.
    ranking     stop when the order of the ops that learn has been the same for 10 epochs           2019, 1909.06035)

Each rule is a pure function of what was measured so far: a resumed search asks it again.  Constants of the eigenvalue
rule are those of the authors' code (args.py, EVLocalAvg), where the paper says 0.75 = 1 / 1.33.  Departure: a ratio to
an average that is not above 0 says nothing and stops nothing, while the authors' code divides.  The criteria of DARTS+
keep the epoch at which they stop.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tradenas.errors import DivergedError

__all__ = [
    "Stop",
    "eigenvalue_stop",
    "local_averages",
    "ranking",
    "ranking_stop",
    "skip_stop",
]


@dataclass(frozen=True)
class Stop:
    """The end of a search.

    Attributes:
        at: epoch at which it was known.
        keep: epoch whose architecture is taken.
        why: the figures, in words.
    """

    at: int
    keep: int
    why: str


def local_averages(values: Sequence[float], *, window: int = 5) -> list[float]:
    """Mean of `window` measurements around each one; the first ones have fewer before them.

    Measurements at the end wait for those after them, so the list is window // 2 shorter.

    >>> local_averages([1.0, 2.0, 3.0, 4.0, 10.0, 5.0])
    [2.0, 2.5, 4.0, 4.8]
    """
    half = window // 2
    return [
        math.fsum(part) / len(part)
        for c in range(len(values) - half)
        if (part := values[max(0, c - half) : c + half + 1])
    ]


def eigenvalue_stop(
    epochs: Sequence[int],
    values: Sequence[float],
    *,
    window: int = 5,
    back: int = 4,
    ratio: float = 1.3,
    not_before: int = 10,
) -> Stop | None:
    """RobustDARTS: the curvature in the alphas has begun to rise, so the architecture from before the rise is kept.

    Args:
        epochs: when each eigenvalue was measured (the authors: every second epoch).
        values: the dominant eigenvalues.
        window: measurements in a local average.
        back: measurements between the two averages compared.
        ratio: rise that ends the search.
        not_before: no epoch earlier than this is kept.

    Returns:
        The first stop in the sequence, or None.

    Raises:
        DivergedError: an eigenvalue is not finite.
    """
    if not all(map(math.isfinite, values)):
        raise DivergedError("dominant eigenvalue", got=str(list(values)), expected="finite numbers")
    averages = local_averages(values, window=window)
    for now in range(back, len(averages)):
        then = now - back
        if epochs[then] >= not_before and averages[then] > 0 and averages[now] / averages[then] > ratio:
            why = f"eigenvalue {averages[then]:.3g} to {averages[now]:.3g} from epoch {epochs[then]} to {epochs[now]}"
            return Stop(at=epochs[now + window // 2], keep=epochs[then], why=why)
    return None


def skip_stop(counts: Sequence[int], *, limit: int = 2) -> Stop | None:
    """DARTS+, criterion 1: the first epoch whose discretised cell has `limit` skips or more.

    Args:
        counts: skips in the cell of each epoch; of several kinds of cells, the one with the most.
    """
    for epoch, count in enumerate(counts):
        if count >= limit:
            return Stop(at=epoch, keep=epoch, why=f"{count} skips in a cell")
    return None


def ranking(
    alphas: Mapping[str, Tensor], options: Mapping[str, Sequence[Hashable]], *, weightless: Collection[Hashable]
) -> tuple[tuple[Hashable, ...], ...]:
    """The options of each choice, strongest first, without those that learn nothing (skip, pooling, zero).

    >>> ranking({"edge0/op": torch.tensor([0.1, 0.9, 0.5])}, {"edge0/op": ("dense", "skip", "conv3")},
    ...         weightless=("skip",))
    (('conv3', 'dense'),)
    """
    found = []
    for name, alpha in alphas.items():
        order = torch.sort(alpha.detach(), descending=True, stable=True).indices.tolist()
        found.append(tuple(o for i in order if (o := options[name][i]) not in weightless))
    return tuple(found)


def ranking_stop(rankings: Sequence[Hashable], *, patience: int = 10) -> Stop | None:
    """DARTS+, criterion 2: the first epoch that ends `patience` epochs with one and the same ranking.

    Args:
        rankings: of each epoch, from `ranking`.
        patience: epochs, the current one included.
    """
    run = 0
    for epoch, now in enumerate(rankings):
        run = run + 1 if epoch and now == rankings[epoch - 1] else 1
        if run >= patience:
            return Stop(at=epoch, keep=epoch, why=f"one ranking for {patience} epochs")
    return None
