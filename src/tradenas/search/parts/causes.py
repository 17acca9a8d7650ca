"""Why does a supernet rank otherwise than standalone training does?  Three causes, measured, and what to do about each.

    under-training   the shared weights have not arrived: training them on lifts the paths' scores      repairs.longer
    interference     paths pull shared weights apart: gradients that cancel                             interference
    co-adaptation    parts have learnt to expect the average path: a head of its own repairs a path     repairs.refitted

For each a finding by the thresholds of `parts.findings`.  The causes are not shares of a whole: training on also
undoes some co-adaptation, and interference is one reason why training does not arrive.

They choose no architecture, but every score after a repair is a look at the ranking rows: `on_look` is told of it, so
that a study counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.base import Task
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.findings import Finding, Repair, Updates, coadapted, interfering, undertrained
from tradenas.search.parts.interference import Estimate, Interference, interference
from tradenas.search.parts.repairs import MorePasses, longer, private, refitted
from tradenas.search.parts.travel import travels
from tradenas.seeds import rng_for
from tradenas.space import Architecture
from tradenas.stats import kendall, tau_change
from tradenas.train.evaluate import Scores, merit
from tradenas.train.loop import Optimisation
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from tradenas.typing import FloatArray

__all__ = ["CauseBudget", "Causes", "Finding", "OnLook", "Repair", "Updates", "causes"]

#: Told of an architecture, the repair that it was scored after, and its scores.
OnLook = Callable[[Architecture, str, Scores], None]

#: What a signal that knows nothing scores; loss: see `_nothing`.
NOTHING = {"sharpe": 0.0, "accuracy": 0.5, "profit_factor": 1.0, "ic": 0.0, "rank_ic": 0.0}


@dataclass(frozen=True, kw_only=True)
class CauseBudget:
    """How much is spent on finding out why a supernet errs; for 12 architectures about a dozen standalone trainings.

    Attributes:
        paths: uniformly drawn paths whose gradients are compared; 0 measures no cause at all.
        rows: training rows behind each of a path's two gradients.
        epochs: for which the shared weights, and the measured architectures alone, are trained on.
    """

    paths: int = 16
    rows: int = 2048
    epochs: int = 2

    def __post_init__(self) -> None:
        for name, low in (("paths", 0), ("rows", 1), ("epochs", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"causes.{name}", got=getattr(self, name), expected=f"{low} or more")
        if self.paths == 1:
            raise ConfigError("causes.paths", got=1, expected="0, or 2 and more: interference takes two")


@dataclass(frozen=True, kw_only=True)
class Causes:
    """All that was measured, and the three findings."""

    epochs: int
    updates: Updates
    longer: Repair
    private: Repair
    refitted: Repair
    gradients: Interference | None
    undertraining: Finding
    interference: Finding
    coadaptation: Finding


def causes(
    task: Task,
    network: Network,
    architectures: Sequence[Architecture],
    *,
    training: Optimisation,
    budget: CauseBudget | None = None,
    alone_N: FloatArray | None = None,
    updates: Mapping[str, Sequence[float]] | None = None,
    more: MorePasses | None = None,
    teacher: Network | None = None,
    reps: int = 1000,
    on_look: OnLook = lambda *_: None,
) -> Causes:
    """Measures the three causes at the weights of a trained supernet, which stay as they are.

    Args:
        task: of the search; its scorer's metric is what is ranked by.
        network: a trained supernet.
        architectures: three or more of its paths.
        training: of the supernet.
        budget: what may be spent.
        alone_N: merit (more is better) of each architecture trained alone, where it is known.
        updates: how often each option of each choice was trained in this supernet; expected numbers otherwise.
        more: passes of the steps by which it is trained on, None for uniform paths.
        teacher: what those passes learn from besides labels, if the method has one.
        reps: resamples behind intervals.
        on_look: told of every new score; those of the supernet as it is were counted by the search.

    Raises:
        ConfigError: fewer than three architectures, or no budget.
    """
    budget = budget or CauseBudget()
    if len(architectures) < 3:
        raise ConfigError("causes", got=f"{len(architectures)} architectures", expected="3 or more")
    if not budget.paths:
        raise ConfigError("causes.paths", got=0, expected="2 or more")
    before = task.scorer.evaluator.score_paths(network, architectures)
    after: dict[str, Callable[[], list[Scores]]] = {
        "longer": lambda: longer(
            task, network, architectures, training=training, epochs=budget.epochs, more=more, teacher=teacher
        ),
        "private": lambda: private(task, network, architectures, training=training, epochs=budget.epochs),
        "refitted": lambda: refitted(task, network, architectures),
    }
    repaired: dict[str, Repair] = {}
    for name, repair in after.items():
        scored = repair()
        for architecture, scores in zip(architectures, scored, strict=True):
            on_look(architecture, name, scores)
        repaired[name] = _repair(task, before, scored, alone_N, reps)
    drawn = sample_distinct(task.space, budget.paths, seed=task.seed, stream="causes")
    gradients = interference(task, network, drawn, rows=budget.rows, segment=training.segment)
    had = _updates(task, network, training, updates)
    return Causes(
        epochs=budget.epochs,
        updates=had,
        longer=repaired["longer"],
        private=repaired["private"],
        refitted=repaired["refitted"],
        gradients=gradients,
        undertraining=undertrained(repaired["longer"], had, training, budget.epochs),
        interference=interfering(gradients, repaired["private"]),
        coadaptation=coadapted(repaired["refitted"]),
    )


def _repair(
    task: Task, before: Sequence[Scores], after: Sequence[Scores], alone_N: FloatArray | None, reps: int
) -> Repair:
    metric, nothing = task.scorer.metric, _nothing(task)
    merits_2N = np.array([[merit(s, metric) for s in scores] for scores in (before, after)])
    finite_N = np.isfinite(merits_2N).all(axis=0)
    old_N, new_N = merits_2N[:, finite_N]
    if len(old_N) < 3:
        nowhere = Estimate(value=0.0, low=-1.0, high=1.0)
        return Repair(new=None, same_order=nowhere, gain=None if alone_N is None else nowhere)
    order = kendall(old_N, new_N, reps=reps, seed=task.seed)
    gain = None
    if alone_N is not None:
        change = tau_change(old_N, new_N, np.asarray(alone_N)[finite_N], reps=reps, seed=task.seed)
        gain = Estimate(value=change.tau, low=change.low, high=change.high)
    return Repair(
        new=_new(old_N - nothing, new_N - nothing, reps=reps, seed=task.seed),
        same_order=Estimate(value=order.tau, low=order.low, high=order.high),
        gain=gain,
    )


def _nothing(task: Task) -> float:
    """Merit of a signal that is 0 everywhere, on the rows that rank."""
    metric, evaluator = task.scorer.metric, task.scorer.evaluator
    if metric != "loss":
        return NOTHING[metric]
    labels_V = evaluator.objective.labels(task.data)[..., evaluator.valid.slice]
    labels_V = labels_V[np.isfinite(labels_V)]
    return -float(np.log(2.0) if evaluator.objective.kind == "binary" else np.mean(labels_V**2))


def _new(old_N: FloatArray, new_N: FloatArray, *, reps: int, seed: int) -> Estimate | None:
    """1 - mean before / mean after, both resampled on the same architectures; None unless the mean after is above 0."""
    count_RN = rng_for(seed, "causes", "new").multinomial(len(old_N), np.full(len(old_N), 1 / len(old_N)), size=reps)
    above_R, below_R = count_RN @ old_N, count_RN @ new_N
    if new_N.mean() <= 0 or np.quantile(below_R, 0.025) <= 0:
        return None
    known_R = below_R > 0
    low, high = np.quantile(1 - above_R[known_R] / below_R[known_R], [0.025, 0.975])
    return Estimate(value=float(1 - old_N.mean() / new_N.mean()), low=float(low), high=float(high))


def _updates(
    task: Task, network: Network, training: Optimisation, counted: Mapping[str, Sequence[float]] | None
) -> Updates:
    objective = Objective.fitted(task.data, task.train)
    segments = Segments(task.data, task.train, reach=network.reach(), length=training.segment, objective=objective)
    steps = training.epochs * segments.steps(targets=training.batch)
    parts = travels(task.space, task.network(), training, steps)
    if counted is not None:
        real = {
            f"{name} = {option}": float(count)
            for name, counts in counted.items()
            for option, count in zip(task.space[name].options, counts, strict=True)
        }
        whole = {p.part: p.reach / p.updates for p in parts}
        parts = [
            replace(p, updates=real[p.part], reach=real[p.part] * whole[p.part]) if p.part in real else p for p in parts
        ]
    had = sorted(p.updates for p in parts)
    rarest = min(parts, key=lambda p: (p.updates, p.part))
    return Updates(
        rarest=rarest.part,
        fewest=rarest.updates,
        median=float(np.median(had)),
        steps=steps,
        stuck=sum(p.stuck for p in parts),
        parts=len(parts),
    )
