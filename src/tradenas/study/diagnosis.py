"""What the alphas of a differentiable search learnt, and what is lost when they are made an architecture.

    relaxed    the supernet under the mixture of its last alphas        no architecture: nobody can trade it
    path       the architecture of the alphas, with the shared weights  what discretisation leaves of it
    alone      the same, trained from scratch on the search's rows      what it is worth in the end

All three speak on the ranking rows, from which neither weights nor alphas learnt.  They choose nothing, but each is a
look at those rows: a trial of the stage `diagnostics`, unless the search or the coupling has counted it already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tradenas.atomic import write_json
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.nn import hard
from tradenas.search.base import Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import AlphaState
from tradenas.search.parts.parsimony import PARTS
from tradenas.seeds import seed_for
from tradenas.space import Architecture
from tradenas.study.bench import Bench
from tradenas.study.causes import restored
from tradenas.study.config import StudyConfig
from tradenas.study.coupling import trainings_alone
from tradenas.study.folder import RunFolder
from tradenas.study.searching import task_of
from tradenas.train.evaluate import Evaluator, Scores, Signals, by_regime, merit
from tradenas.train.store import cut
from tradenas.trials.ledger import Ledger, Trial
from tradenas.typing import FloatArray

__all__ = ["Heard", "diagnose", "difference"]

STAGE = "diagnostics"


@dataclass(frozen=True, eq=False, kw_only=True)
class Heard:
    """How somebody did on the ranking rows.

    Attributes:
        scores: on all of them.
        parts: name of a metric -> merit (more is better) on each of some consecutive parts, (K,).
    """

    scores: Scores
    parts: Mapping[str, FloatArray]

    @classmethod
    def of(cls, evaluator: Evaluator, found: Signals, metric: str, *, reach: int) -> Heard:
        """Scored by the metric that ranks, and by loss."""
        parts = {name: evaluator.parts_of(found, name, reach=reach, parts=PARTS) for name in (metric, "loss")}
        return cls(scores=by_regime(evaluator.scores_of(found))[0], parts=parts)

    @classmethod
    def mean(cls, several: Sequence[Heard]) -> Heard:
        """Of several trainings of one architecture."""
        names = sorted(set.intersection(*({*h.scores} for h in several)))
        return cls(
            scores={n: float(np.mean([h.scores[n] for h in several])) for n in names},
            parts={n: np.mean([h.parts[n] for h in several], axis=0) for n in several[0].parts},
        )


def diagnose(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `search/diagnostics.json`; nothing where it is there, or where the search has no alphas.

    Nothing either once there is a verdict, whose count of trials is closed.
    """
    method = config.search
    if folder.diagnostics.exists() or folder.verdict.exists() or not isinstance(method, Differentiable):
        return
    bench = Bench.at(folder, config, ledger, events, folder.open_rows)
    torch.set_num_threads(config.runner.threads)
    task = task_of(
        config, bench.zones, cut(bench.data, bench.zones.search.stop), lambda *_: None, base=bench.folder.base
    )
    state = restored(bench, method, task)
    if state is None:
        return
    assert isinstance(state, AlphaState)
    own = [method.settled(task, state, learner) for learner in state.learners]
    alone = _alone(bench, task, own)
    supernets = [
        {
            "stages": [*past, method.account(state.space, learner)],
            "architecture": dict(own[i]),
            "digest": own[i].digest,
            "decided": len(learner.decided),
            "gap": _gap(bench, task, method, state, i, own[i], alone.get(own[i])),
        }
        for i, (past, learner) in enumerate(zip(state.past, state.learners, strict=True))
    ]
    kind: str = method.kind  # type: ignore[attr-defined]  # every registered method has its name
    write_json(folder.diagnostics, {"method": kind, "metric": config.rank_by, "supernets": supernets})


def _gap(
    bench: Bench, task: Task, method: Differentiable, state: AlphaState, at: int, own: Architecture, alone: Heard | None
) -> dict[str, Any]:
    """Relaxed, path and alone of one supernet, and the differences between them."""
    network, learner = state.networks[at], state.learners[at]
    evaluator, metric = task.scorer.evaluator, task.scorer.metric
    epoch = method.training.epochs - 1 if learner.stopped is None else learner.stopped.at
    method.plan(task, state, network, epoch=epoch, seed=seed_for(task.seed, STAGE))  # its mix learns of the epoch
    mixture = method.mixture(state.space, learner.now(), epoch=epoch, seed=None, decided=learner.decided)
    reach, shorter = network.reach(), network.reach(own)
    relaxed = Heard.of(evaluator, evaluator.hear(network, mixture, reach=reach), metric, reach=reach)
    heard = evaluator.hear(network, hard(network.space, own), reach=shorter)
    path = Heard.of(evaluator, heard, metric, reach=shorter)
    which = {"supernet": at}
    trials = [Trial(stage=STAGE, key=f"relaxed/{at}", params=which, scores=relaxed.scores)]
    if len(state.networks) > 1 or own not in {c.architecture for c in state.scored}:
        trials.append(
            Trial(stage=STAGE, key=f"path/{at}", digest=own.digest, architecture=dict(own), params=which,
                  scores=path.scores)
        )  # fmt: skip
    bench.ledger.record_many(trials)
    return {
        "relaxed": _told(relaxed, metric),
        "path": _told(path, metric),
        "alone": None if alone is None else _told(alone, metric),
        "discretisation": {name: difference(relaxed, path, name) for name in (metric, "loss")},
        "retraining": {} if alone is None else {name: difference(path, alone, name) for name in (metric, "loss")},
    }


def _alone(bench: Bench, task: Task, wanted: Sequence[Architecture]) -> dict[Architecture, Heard]:
    """Architectures trained from scratch like those of the coupling, whose trainings are not done again.

    None where no coupling is measured, and of an architecture none of whose trainings ended.
    """
    if not bench.config.trials.coupling:
        return {}
    counted = {trial.key for trial in bench.ledger.trials("coupling")}
    specs = trainings_alone(bench, wanted)
    outcomes = bench.run(STAGE, list(specs.values()))
    evaluator, heard = task.scorer.evaluator, dict[Architecture, list[Heard]]()
    for (architecture, seed), spec in specs.items():
        key = f"{architecture.digest}/{seed}"
        about: dict[str, Any] = {"stage": STAGE, "key": f"alone/{key}", "digest": architecture.digest, "seed": seed}
        try:
            voice = bench.together([outcomes[spec.id]], "valid")[0]
        except DivergedError as error:
            trial = Trial(**about, error=str(error))
        else:
            found = evaluator.known(voice.signal_T, voice.scale, reach=voice.reach)
            one = Heard.of(evaluator, found, task.scorer.metric, reach=voice.reach)
            heard.setdefault(architecture, []).append(one)
            trial = Trial(**about, scores=one.scores)
        if key not in counted:
            bench.ledger.record_many([trial])
    return {architecture: Heard.mean(several) for architecture, several in heard.items()}


def _told(heard: Heard, metric: str) -> dict[str, float | None]:
    return {name: heard.scores.get(name) for name in (metric, "loss")}


def difference(before: Heard, after: Heard, name: str) -> dict[str, float] | None:
    """What is gained in merit from the one to the other, with a 95 % interval; None where one has no such score.

    Both speak of the same rows, so the interval is that of their difference: Student's, over the parts that both have.
    """
    from scipy.special import stdtrit

    if name not in before.scores or name not in after.scores:
        return None
    value = merit(after.scores, name) - merit(before.scores, name)
    gained_K = after.parts[name] - before.parts[name]
    gained_K = gained_K[np.isfinite(gained_K)]
    if len(gained_K) < 2:
        return {"value": value}
    half = float(stdtrit(len(gained_K) - 1, 0.975) * gained_K.std(ddof=1) / len(gained_K) ** 0.5)
    return {"value": value, "low": value - half, "high": value + half}
