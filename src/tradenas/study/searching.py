"""Second stage: the search, on the search zone alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tradenas.atomic import write_json
from tradenas.cost import PriceList
from tradenas.events import Events
from tradenas.nn import Network
from tradenas.search.base import Candidate, OnTrial, Scorer, Task, run_search
from tradenas.search.parts.supernet import candidates_from, candidates_to
from tradenas.space import Architecture
from tradenas.splits import Fold, Zones, holdout
from tradenas.study.budget import budgeted, objectives_of, price_list
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.front import front_of, rule_of
from tradenas.train.evaluate import Evaluator, Scores, by_regime, merit
from tradenas.train.panel import Market
from tradenas.train.store import cut, load_dataset
from tradenas.trials.ledger import Ledger, Trial

__all__ = ["evaluator_of", "found", "search", "search_fold", "task_of"]

FLUSH = 64


class _Counting:
    """Puts every score that the method sees into the ledger, some at a time.

    The score of an architecture in a regime is a trial of its own: with R regimes each candidate is looked at 1 + R
    times, and something will look good in one of them by luck.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.waiting: list[Trial] = []

    def __call__(self, architecture: Architecture, scores: Scores, error: str | None, look: str = "") -> None:
        digest, (whole, parts) = architecture.digest, by_regime(scores)
        key = f"{digest}/{look}" if look else digest
        trial = Trial(
            stage="search",
            key=key,
            digest=digest,
            architecture=dict(architecture),
            scores=None if error else whole,
            error=error,
        )
        self.waiting.append(trial)
        self.waiting += [
            Trial(stage="regimes", key=f"{key}/{name}", digest=digest, params={"regime": name}, scores=own)
            for name, own in parts.items()
        ]
        if len(self.waiting) >= FLUSH:
            self.flush()

    def flush(self) -> None:
        self.ledger.record_many(self.waiting)
        self.waiting.clear()


def search_fold(config: StudyConfig, zones: Zones) -> Fold:
    """Rows that train the search's weights, and later rows that rank its candidates."""
    return holdout(zones.search, config.zones.valid, purge=zones.purge, embargo=zones.embargo)


def evaluator_of(config: StudyConfig, zones: Zones, data: Market) -> Evaluator:
    """Scores on the ranking rows of the search zone."""
    fold = search_fold(config, zones)
    return Evaluator(data=data, train=fold.train, valid=fold.valid, rule=config.rule, costs=config.costs)


def task_of(config: StudyConfig, zones: Zones, data: Market, on_trial: OnTrial, *, base: Path = Path()) -> Task:
    """What the search may look at.

    Args:
        data: up to the end of the search zone.
        base: where relative paths of the study start.
    """
    return Task(
        space=config.space.space(data.indicators),
        data=data,
        train=search_fold(config, zones).train,
        scorer=Scorer(evaluator=evaluator_of(config, zones, data), metric=config.rank_by, on_trial=on_trial),
        seed=config.seed,
        prices=price_list(config, data.layout, data.indicators, base=base),
    )


def search(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `search/candidates.json`; nothing where it is there."""
    if folder.candidates.exists():
        return
    torch.set_num_threads(config.runner.threads)
    zones = Zones.from_description(folder.read(folder.data)["zones"])
    data = cut(load_dataset(folder.open_rows), zones.search.stop)
    counting = _Counting(ledger)
    task = task_of(config, zones, data, counting, base=folder.base)
    space = task.space
    candidates = run_search(
        config.search, task, folder.path / "search", events=events, owner=config.digest, before_save=counting.flush
    )
    network = Network(space, data.layout)
    prices = task.price_list()
    told = [
        {
            **plain,
            "rank": rank,
            "digest": c.architecture.digest,
            "params": network.count(c.architecture).parameters,
            "costs": prices.of(c.architecture),
        }
        for rank, (plain, c) in enumerate(zip(candidates_to(candidates), candidates, strict=True), start=1)
    ]
    record: dict[str, Any] = {
        "method": config.search.kind,  # type: ignore[attr-defined]  # every registered method has its name
        "metric": config.rank_by,
        "space_size": space.size(),
        "num_scored": len(candidates) + (_beyond(ledger, prices) if prices.rule == "dominance" else 0),
        "num_params_max": sum(p.numel() for p in network.parameters()),
        "seconds": round(_spent(events), 1),
        "candidates": told,
        "trace": _trace(ledger, config.rank_by),
    }
    if budgeted(config):
        objectives = objectives_of(config, prices)
        rule = rule_of(prices, parsimony=getattr(config.search, "parsimony", 0.0))
        write_json(folder.front, front_of(candidates, prices, objectives, metric=config.rank_by, rule=rule))
    write_json(folder.candidates, record)


def _beyond(ledger: Ledger, prices: PriceList) -> int:
    """Architectures that were scored although they are beyond a limit: trials, and no candidates."""
    scored = {t.digest: t.architecture for t in ledger.trials("search") if t.architecture is not None}
    return sum(not prices.fits(Architecture.from_plain(a)) for a in scored.values())


def _spent(events: Events) -> float:
    """Seconds that the epochs of the search took, over all sessions; one that was lost and done again counts once."""
    epochs = {e["epoch"]: e["seconds"] for e in events.read() if e["kind"] == "epoch" and e["stage"] == "search"}
    return float(sum(epochs.values()))


def _trace(ledger: Ledger, metric: str) -> list[dict[str, float | None]]:
    """The best score after each trial, in the order in which they were made; only where it rose."""
    best, trace = float("-inf"), []
    trials = ledger.trials("search")
    for scored, trial in enumerate(trials, start=1):
        value = merit({k: v for k, v in (trial.scores or {}).items() if v is not None}, metric)
        if value > best or scored == len(trials):
            best = max(best, value)
            trace.append({"scored": scored, "best": best if best > float("-inf") else None})
    return trace


def found(folder: RunFolder) -> list[Candidate]:
    """The candidates that the search left, best first."""
    return candidates_from(folder.read(folder.candidates)["candidates"])
