"""Do paths pull their shared weights apart?  Gradients of pairs of paths where both use the same weights.

    g_a(A)       gradient of path a's loss on training rows A, at the shared weights as they are, without dropout
    same rows    cos(g_a(A), g_b(A))                        what one step of both would add up; noise of A is in both
    other rows   cos(g_a(A), g_b(B))                        A and B disjoint: noise has no part in it but to shrink it
    floor        cos(g_a(A), g_a(B))                        one path with itself: all that noise leaves of a cosine
    agreement    mean(other rows) / mean(floor)             1: all pull one way; 0: they cancel; below 0: opposed

Sign conflicts of gradients as the measure of interference: Yu et al. (2020, arXiv:2001.06782, PCGrad); between paths
of a supernet: Zhang et al. (2020, arXiv:2001.01431), Hu et al. (2022, arXiv:2203.15207, GM-NAS).  Departure: the
cosine on the same rows is not the verdict, because a market's noise pulls all paths alike (it is reported beside).
A supernet at rest has gradients that add up to 0 over the paths: then either each is 0 (floor near 0: nothing is left
to learn), or they cancel (floor above 0, agreement near 0): interference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tradenas.nn import Mode, Network
from tradenas.search.base import Task
from tradenas.seeds import rng_for
from tradenas.space import Architecture
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from tradenas.typing import FloatArray, IntArray

__all__ = ["Conflict", "Estimate", "Interference", "Shared", "interference"]

BATCH = 512  # targets of one backward pass
KINDS = ("input filters", "layers", "heads")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One shared part: mean cosines over the pairs of paths that share it."""

    part: str
    pairs: int
    same_rows: float
    other_rows: float
    floor: float


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Gradients of pairs of paths at one kind of shared weights.

    Attributes:
        kind: `input filters`, `layers` or `heads`.
        pairs: pairs of paths that share such a weight.
        same_rows, other_rows, floor: mean cosine; see the module's head.
        negative: share of cosines on other rows that are below 0.
        negative_floor: the same of one path with itself, which noise alone makes.
        excess: `negative - negative_floor`.
        agreement: `other_rows / floor`; None where the floor is not above 0 beyond doubt, as nothing is left to learn.
    """

    kind: str
    pairs: int
    same_rows: Estimate
    other_rows: Estimate
    floor: Estimate
    negative: float
    negative_floor: float
    excess: Estimate
    agreement: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Interference:
    """What pairs of paths want of the weights they share.

    Intervals resample paths; their level is 95 % for the kinds together (Bonferroni).

    Attributes:
        paths: how many were looked at.
        kinds: kinds of shared weights, in the order of the network.
        parts: the shared parts, the one with the lowest cosine on other rows first.
    """

    paths: int
    kinds: tuple[Conflict, ...]
    parts: tuple[Shared, ...]


@dataclass(frozen=True)
class _Pair:
    a: int
    b: int
    part: str
    same: float
    other: float
    floor: float


def interference(
    task: Task,
    network: Network,
    architectures: Sequence[Architecture],
    *,
    rows: int = 2048,
    segment: int = 64,
    reps: int = 500,
) -> Interference | None:
    """Whether paths agree on where their shared weights should go; None where no two of them share any.

    Args:
        task: what is learnt, and from which rows.
        network: the supernet.
        architectures: paths; draw them as training does.
        rows: training rows behind each of a path's two gradients.
        segment: consecutive targets of a segment.
        reps: resamples behind the intervals.
    """
    objective = Objective.fitted(task.data, task.train)
    segments = Segments(
        task.data, task.train, reach=network.reach(), length=segment, objective=objective, device=task.device
    )
    first, covered = segments.cut(rng_for(task.seed, "causes", "rows"))
    half = max(1, min(len(first) // 2, rows // segment))
    halves = [(first[i : i + half], covered[i : i + half]) for i in (0, half)]
    gradients = [
        tuple(_gradient(network.inherit(network.space.fix(a)), a, segments, objective, *h) for h in halves)
        for a in architectures
    ]
    pairs = [
        found
        for a in range(len(gradients))
        for b in range(a + 1, len(gradients))
        for found in _compared(a, b, gradients[a], gradients[b])
    ]
    return _summed(pairs, len(architectures), reps=reps, seed=task.seed) if pairs else None


Gradient = dict[str, Tensor]


def _gradient(
    network: Network,
    architecture: Architecture,
    segments: Segments,
    objective: Objective,
    first: IntArray,
    covered: IntArray,
) -> Gradient:
    """Of one path's mean loss over some segments; its own slice of every weight."""
    reach, length, rows = network.reach(architecture), segments.length, 0.0
    network.zero_grad(set_to_none=True)
    step = max(1, BATCH // length)
    for at in range(0, len(first), step):
        batch = segments.batch(first[at : at + step], covered[at : at + step])
        mode = Mode(training=True, scored=length)
        signal_BS = network(batch.x_BTF[:, segments.reach - reach :], {}, mode)[:, -length:]
        weight = batch.weight_BS.sum()
        loss = objective.loss(signal_BS, batch.y_BS, batch.weight_BS) * weight
        loss.backward()  # type: ignore[no-untyped-call]
        rows += float(weight)
    return {n: p.grad.detach().double() / max(rows, 1.0) for n, p in network.named_parameters() if p.grad is not None}


def part_of(name: str) -> str:
    """The part of a network that a weight belongs to.

    >>> part_of("layers.0.ops.conv3.conv.weight"), part_of("heads.2.bias"), part_of("inputs.taps")
    ('layer0/op = conv3', 'head of depth 2', 'input filters')
    """
    if found := re.match(r"layers\.(\d+)\.(op|norm)s\.(\w+)\.", name):
        return f"layer{found[1]}/{found[2]} = {found[3]}"
    if found := re.match(r"heads\.(\d+)\.", name):
        return f"head of depth {found[1]}"
    return "input filters"


def _compared(a: int, b: int, of_a: tuple[Gradient, ...], of_b: tuple[Gradient, ...]) -> list[_Pair]:
    """Cosines of two paths on each part that both have, over the slice that both use."""
    parts: dict[str, list[str]] = {}
    for name in of_a[0]:
        if name in of_b[0]:
            parts.setdefault(part_of(name), []).append(name)
    found = []
    for part, names in parts.items():
        flat: list[list[Tensor]] = []
        for mine, theirs in ((of_a, of_b), (of_b, of_a)):
            cuts = [[_overlap(half[n], theirs[0][n]) for n in names] for half in mine]
            flat.append([torch.cat([piece.flatten() for piece in cut]) for cut in cuts])
        (a_A, a_B), (b_A, b_B) = flat
        cosines = [_cosine(a_A, b_A), _cosine(a_A, b_B), _cosine(a_B, b_A), _cosine(a_A, a_B), _cosine(b_A, b_B)]
        if None not in cosines:
            same, one, two, own_a, own_b = (float(c or 0.0) for c in cosines)
            found.append(_Pair(a, b, part, same, (one + two) / 2, (own_a + own_b) / 2))
    return found


def _overlap(mine: Tensor, theirs: Tensor) -> Tensor:
    return mine[tuple(slice(0, min(n, m)) for n, m in zip(mine.shape, theirs.shape, strict=True))]


def _cosine(x: Tensor, y: Tensor) -> float | None:
    """None where either does not pull at all (a closed unit), or is not finite."""
    size = float(x.norm() * y.norm())
    return float(x @ y) / size if size > 0.0 and np.isfinite(size) else None


def _kind(part: str) -> str:
    return "layers" if part.startswith("layer") else "heads" if part.startswith("head") else part


def _summed(pairs: Sequence[_Pair], num: int, *, reps: int, seed: int) -> Interference:
    kinds = list(dict.fromkeys(_kind(p.part) for p in sorted(pairs, key=lambda p: KINDS.index(_kind(p.part)))))
    counts_RN = rng_for(seed, "causes", "paths").multinomial(num, np.full(num, 1 / num), size=reps).astype(np.float64)
    parts = []
    for part in sorted({p.part for p in pairs}):
        here = [p for p in pairs if p.part == part]
        same, other, floor = (float(np.mean([getattr(p, n) for p in here])) for n in ("same", "other", "floor"))
        parts.append(Shared(part=part, pairs=len(here), same_rows=same, other_rows=other, floor=floor))
    return Interference(
        paths=num,
        kinds=tuple(
            _conflict(kind, [p for p in pairs if _kind(p.part) == kind], counts_RN, level=1 - 0.05 / len(kinds))
            for kind in kinds
        ),
        parts=tuple(sorted(parts, key=lambda p: (p.other_rows, p.part))),
    )


def _conflict(kind: str, pairs: Sequence[_Pair], counts_RN: FloatArray, *, level: float) -> Conflict:
    same_K, other_K, floor_K = (np.array([getattr(p, n) for p in pairs]) for n in ("same", "other", "floor"))
    weight_RK = counts_RN[:, [p.a for p in pairs]] * counts_RN[:, [p.b for p in pairs]]
    weight_RK = weight_RK[weight_RK.sum(axis=1) > 0]
    weight_RK /= weight_RK.sum(axis=1, keepdims=True)

    def estimate(value: float, values_R: FloatArray) -> Estimate:
        low, high = np.quantile(values_R, [(1 - level) / 2, (1 + level) / 2])
        return Estimate(value=value, low=float(low), high=float(high))

    def mean(values_K: FloatArray) -> Estimate:
        return estimate(float(values_K.mean()), weight_RK @ values_K)

    other, floor = mean(other_K), mean(floor_K)
    negative_K, chance_K = (other_K < 0).astype(float), (floor_K < 0).astype(float)
    agreement = None
    if floor.low > 0.0:
        agreement = estimate(other.value / floor.value, (weight_RK @ other_K) / (weight_RK @ floor_K))
    return Conflict(
        kind=kind,
        pairs=len({(p.a, p.b) for p in pairs}),
        same_rows=mean(same_K),
        other_rows=other,
        floor=floor,
        negative=float(negative_K.mean()),
        negative_floor=float(chance_K.mean()),
        excess=mean(negative_K - chance_K),
        agreement=agreement,
    )
