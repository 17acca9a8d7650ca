"""Does the supernet's ranking tell the truth?  Measured in every study, on the search zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradenas.errors import DivergedError
from tradenas.search.parts.standalone import Standalone
from tradenas.space import Architecture
from tradenas.study.agreement import agreement, unmeasured
from tradenas.study.bench import Bench
from tradenas.study.causes import why
from tradenas.study.searching import evaluator_of, found, search_fold
from tradenas.study.untrained import proxies
from tradenas.train.evaluate import METRICS, merit
from tradenas.train.store import cut
from tradenas.trials.jobs import JobSpec
from tradenas.trials.ledger import Trial

__all__ = ["couple", "trainings_alone"]


def trainings_alone(bench: Bench, architectures: Sequence[Architecture]) -> dict[tuple[Architecture, int], JobSpec]:
    """Trainings from scratch on the rows that trained the search's weights, speaking of those that rank.

    Jobs are told by what they are, so that an architecture asked for twice is trained once.
    """
    config, fold = bench.config, search_fold(bench.config, bench.zones)
    rows: dict[str, Any] = {"train": fold.train, "signals": {"valid": fold.valid}}
    return {
        (a, seed): bench.network_job(a, space=config.space, **rows, seed=1000 + config.seed + seed)
        for a in architectures
        for seed in range(config.trials.coupling_seeds)
    }


def couple(bench: Bench) -> dict[str, Any]:
    """Does the supernet's ranking tell the truth?  Candidates over the whole ranking, trained alone, on its own rows.

    The ceiling is the agreement of two such trainings with each other: no ranking can agree with them better.
    """
    config = bench.config
    candidates = [c for c in found(bench.folder) if merit(c.scores, config.rank_by) > float("-inf")]
    count = min(config.trials.coupling, len(candidates))
    if count < 3 or isinstance(config.search, Standalone):
        return unmeasured(config)
    chosen = [candidates[i] for i in np.unique(np.linspace(0, len(candidates) - 1, count).round().astype(int))]
    fold, seeds = search_fold(config, bench.zones), range(config.trials.coupling_seeds)
    specs = trainings_alone(bench, [c.architecture for c in chosen])
    outcomes = bench.run("coupling", list(specs.values()))
    evaluator = evaluator_of(config, bench.zones, cut(bench.data, bench.zones.search.stop))
    points, trials = [], []
    for candidate in chosen:
        alone: list[float] = []
        for seed in seeds:
            outcome = outcomes[specs[candidate.architecture, seed].id]
            key = f"{candidate.architecture.digest}/{seed}"
            try:
                voice = bench.together([outcome], "valid")[0]
                usable_T = bench.data.usable(voice.reach)[..., fold.valid.slice]
                scores = evaluator.trade(voice.signal_T, voice.scale, usable_T)
            except DivergedError as error:
                trials.append(Trial(stage="coupling", key=key, digest=candidate.architecture.digest, error=str(error)))
                continue
            heard = evaluator.known(voice.signal_T, voice.scale, reach=voice.reach)  # on the rows that rank, as paths
            scores = {k: v for k, v in (scores | heard.losses).items() if np.isfinite(v)}
            trials.append(
                Trial(stage="coupling", key=key, digest=candidate.architecture.digest, seed=seed, scores=scores)
            )
            if merit(scores, config.rank_by) > float("-inf"):
                alone.append(scores[config.rank_by])
        if len(alone) == len(seeds):
            points.append((candidate, alone))
    bench.ledger.record_many(trials)
    if len(points) < 3:
        return unmeasured(config, len(points))
    alone_N = METRICS[config.rank_by] * np.array([np.mean(scores) for _, scores in points])
    return {
        **agreement(config, candidates, points),
        "proxies": proxies(bench, [c.architecture for c, _ in points], alone_N),
        "causes": why(bench, points, alone_N),
    }
