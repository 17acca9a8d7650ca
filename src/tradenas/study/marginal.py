"""What each option of the space is worth, measured at the weights that the search left."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from tradenas.atomic import write_json
from tradenas.events import Events
from tradenas.search.base import Candidate
from tradenas.search.checkpoint import load
from tradenas.search.parts.marginal import contrasts, effects
from tradenas.search.parts.oneshot import OneShot
from tradenas.search.parts.parsimony import part_merits
from tradenas.space import Architecture
from tradenas.splits import Zones
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.searching import found, task_of
from tradenas.train.evaluate import Scores, by_regime
from tradenas.train.store import cut, load_dataset
from tradenas.trials.ledger import Ledger, Trial
from tradenas.typing import FloatArray

__all__ = ["measure_inputs"]

#: Architectures scored between two steps of the bar.
STEP = 32


def measure_inputs(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `search/inputs.json`; nothing where it is there, where nothing is asked for, or without shared weights.

    It chooses nothing, but every score is a look at the ranking rows and is counted as a trial.
    """
    method, count = config.search, config.trials.marginal
    if folder.inputs.exists() or not count or not isinstance(method, OneShot):
        return
    saved = load(folder.path / "search", owner=config.digest)
    if saved is None:
        return
    torch.set_num_threads(config.runner.threads)
    zones = Zones.from_description(folder.read(folder.data)["zones"])
    data = cut(load_dataset(folder.open_rows), zones.search.stop)
    task = task_of(config, zones, data, lambda *_: None, base=folder.base)
    state = method.init(task)
    state.restore(saved[0], saved[1]["state"])
    searched = state.network.space  # of a search in stages, what the last one has weights for
    best, drawn = found(folder)[0].architecture, contrasts(searched, count, seed=config.seed)
    wanted = sorted({a for each in drawn.values() for c in each for a in c.values()} | {best}, key=lambda a: a.digest)
    known = {c.architecture for c in found(folder)}
    merits: dict[Architecture, FloatArray] = {}
    with events.span("marginal", len(wanted)):
        for start in range(0, len(wanted), STEP):
            some = wanted[start : start + STEP]
            scored = task.scorer.paths(state.networks, [a for a in some if a not in known])
            ledger.record_many([_trial(c) for c in scored])
            merits |= dict(zip(some, part_merits(task.scorer, state.networks, some), strict=True))
            events.progress.advance("marginal", start + len(some))
    record: dict[str, Any] = {
        "metric": config.rank_by,
        "drawn": count,
        "scored": sum(a not in known for a in wanted),
        "read": state.network.inputs.read(best),
        "indicators": len(task.data.names),
        "chosen": dict(best),
        "effects": [asdict(e) for e in effects(drawn, merits, reps=config.trials.reps, seed=config.seed)],
    }
    write_json(folder.inputs, record)


def _trial(candidate: Candidate) -> Trial:
    digest = candidate.architecture.digest
    scores: Scores = by_regime(candidate.scores)[0]
    return Trial(stage="marginal", key=digest, digest=digest, architecture=dict(candidate.architecture), scores=scores)
