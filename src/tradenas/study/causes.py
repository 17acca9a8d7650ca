"""Why the ranking of a study's supernet errs, measured at the weights that its search left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from tradenas.errors import DivergedError
from tradenas.nn import Network
from tradenas.search.base import Candidate, Task
from tradenas.search.checkpoint import load
from tradenas.search.parts.causes import causes
from tradenas.search.parts.oneshot import OneShot
from tradenas.search.parts.supernet import SupernetState
from tradenas.seeds import seed_for
from tradenas.space import Architecture, Chain
from tradenas.study.bench import Bench
from tradenas.study.searching import task_of
from tradenas.train.evaluate import Scores, by_regime
from tradenas.train.loop import Plan
from tradenas.train.store import cut
from tradenas.typing import FloatArray

__all__ = ["why"]


def why(bench: Bench, points: Sequence[tuple[Candidate, list[float]]], alone_N: FloatArray) -> dict[str, Any] | None:
    """The causes for `coupling.json`; None where the search has no supernet of a chain, or nothing may be spent.

    Of several supernets the first is looked at.  The study goes on without causes where training on leaves the finite
    numbers: they explain a ranking and choose no architecture.  Every score on the way is a trial all the same: it is a
    look at the rows that rank, and the tau beside it can set how many candidates are retrained.

    Args:
        points: architectures with their scores alone, one a seed.
        alone_N: merit of each when trained alone, more is better.
    """
    config, method = bench.config, bench.config.search
    if not config.trials.causes.paths or len(points) < 3 or not isinstance(method, OneShot):
        return None
    if not isinstance(config.space, Chain):  # parts are told apart by the layers of a chain
        return None
    torch.set_num_threads(config.runner.threads)
    task = task_of(
        config, bench.zones, cut(bench.data, bench.zones.search.stop), lambda *_: None, base=bench.folder.base
    )
    state = restored(bench, method, task)
    if state is None:
        return None
    task = replace(task, space=state.network.space)  # of a search in stages, what the last one has weights for

    def more(network: Network, epoch: int) -> Plan:
        """The method's own passes, as in its last epoch."""
        seed = seed_for(config.seed, "causes", epoch)
        return method.plan(task, state, network, epoch=method.training.epochs - 1, seed=seed)

    def look(architecture: Architecture, repair: str, scores: Scores) -> None:
        finite = {name: value for name, value in by_regime(scores)[0].items() if math.isfinite(value)}
        key = f"{architecture.digest}/{repair}"
        bench.ledger.record("causes", key, digest=architecture.digest, params={"repair": repair}, scores=finite)

    with bench.events.span("causes"):
        try:
            found = causes(
                task,
                state.network,
                [c.architecture for c, _ in points],
                training=method.training,
                budget=config.trials.causes,
                alone_N=alone_N,
                updates={n: [c / len(state.networks) for c in counts] for n, counts in state.updates.items()},
                more=more,
                teacher=state.teacher,
                reps=config.trials.reps,
                on_look=look,
            )
        except DivergedError as error:
            bench.events.warn("causes", str(error))
            return None
    return asdict(found)


def restored(bench: Bench, method: OneShot, task: Task) -> SupernetState | None:
    """The state that the search ended with."""
    saved = load(bench.folder.path / "search", owner=bench.config.digest)
    if saved is None:
        return None
    state = method.init(task)
    state.restore(saved[0], saved[1]["state"])
    return state
