"""Third stage: the best candidates from scratch, beside baselines and random architectures, on the selection zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes, write_json
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.search.base import Candidate
from tradenas.search.parts.affordable import affordable
from tradenas.search.parts.evolution import sample_distinct
from tradenas.splits import Span
from tradenas.study.agreement import Shortlist, shortlist
from tradenas.study.bench import Bench
from tradenas.study.config import StudyConfig
from tradenas.study.coupling import couple
from tradenas.study.folder import RunFolder
from tradenas.study.markets import scores_by_market
from tradenas.study.regime_record import selection_record
from tradenas.study.routing import ROUTED, parts_of, route, routed_row, specialists
from tradenas.study.searching import found, search_fold
from tradenas.study.strategies import Speaker, Strategy, Traded, distinct_networks, rows_of, zone_scores
from tradenas.train.evaluate import merit
from tradenas.train.panel import Panel
from tradenas.trials.baselines import BASELINES
from tradenas.trials.jobs import JobDone, JobSpec
from tradenas.trials.ledger import Ledger, Trial
from tradenas.trials.retrain import plain

__all__ = ["retrain", "write_daily"]


def retrain(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `coupling.json`, then `retrain/{daily.parquet,strategies.json}`; nothing where they are there."""
    if folder.strategies.exists() and folder.coupling.exists():
        return
    bench = Bench.at(folder, config, ledger, events, folder.open_rows)
    if not folder.coupling.exists():
        write_json(folder.coupling, couple(bench))
    if folder.strategies.exists():
        return
    finalists = finalists_of(bench)
    strategies = network_strategies(bench, finalists.taken) + tuned_baselines(bench)
    specs = {s.name: jobs_for(bench, s, bench.zones.selection, "selection") for s in strategies}
    outcomes = bench.run("retrain", [spec for jobs in specs.values() for spec in jobs])
    told: list[dict[str, Any]] = []
    traded, names, spoken = [], [], {}
    for strategy in strategies:
        seeds = range(len(specs[strategy.name]))
        done = [outcomes[spec.id] for spec in specs[strategy.name]]
        try:
            voices = voices_of(bench, strategy, done, "selection", bench.zones.selection)
            results = [bench.trade(bench.zones.selection, voice) for voice in voices]
        except DivergedError as error:
            bench.ledger.record("retrain", strategy.name, digest=_digest(strategy), error=str(error))
            events.write("failed", stage="retrain", name=strategy.name, error=str(error))
            continue
        bench.ledger.record_many(_trials(strategy, results))
        each = results[1:] if len(results) > 1 else results
        traded.append(results[0])
        names.append(strategy.name)
        spoken[strategy.name] = voices
        told.append(
            {
                "name": strategy.name,
                "kind": strategy.kind,
                "digest": _digest(strategy),
                "architecture": None if strategy.architecture is None else dict(strategy.architecture),
                "params": next((d.result["parameters"] for d in done if d.result and "parameters" in d.result), None),
                "macs": next((d.result["macs"] for d in done if d.result and "macs" in d.result), None),
                **({} if strategy.architecture is None else {"costs": bench.prices.of(strategy.architecture)}),
                "settings": None if strategy.params is None else dict(strategy.params),
                "supernet_score": strategy.supernet_score,
                "tried": strategy.tried,
                "jobs": [spec.id for spec in specs[strategy.name]],
                "seeds": [{"seed": s, "selection": r.scores, "vault": None} for s, r in zip(seeds, each, strict=False)],
                "vault": None,
                **({} if strategy.regime is None else {"regime": strategy.regime}),
                **({"reads": BASELINES[strategy.name].reads} if strategy.kind == "baseline" else {}),
            }
        )
    _score(config, told, traded)
    if isinstance(bench.data, Panel):
        for row, one in zip(told, traded, strict=True):
            row["markets"] = {"selection": scores_by_market(bench.data, one, reps=config.trials.reps, seed=config.seed)}
    record: dict[str, Any] = {"strategies": told, "finalists": finalists}
    if config.regimes.enabled:
        record["regimes"] = _routed(bench, told, traded, spoken)
        names.append(ROUTED)
    write_daily(folder, rows_of("selection", names, traded))
    write_json(folder.strategies, record)


def _score(config: StudyConfig, rows: Sequence[dict[str, Any]], traded: Sequence[Traded]) -> None:
    for row, scores in zip(rows, zone_scores(traded, reps=config.trials.reps, seed=config.seed), strict=True):
        row["selection"] = scores


def _routed(
    bench: Bench, told: list[dict[str, Any]], traded: list[Traded], spoken: dict[str, list[Speaker]]
) -> dict[str, Any]:
    """Puts the router beside the strategies that it is made of; returns what is recorded of the regimes."""
    config, zone = bench.config, bench.zones.selection
    parts = parts_of(told, config.metric)
    spoken[ROUTED] = route(bench.market, zone, parts, spoken)
    together, *alone = [bench.trade(zone, voice) for voice in spoken[ROUTED]]
    seeds = [{"seed": s, "selection": r.scores, "vault": None} for s, r in enumerate(alone)]
    told.append({**routed_row(told, parts), "seeds": seeds})
    traded.append(together)
    _score(config, told, traded)
    bench.ledger.record("retrain", ROUTED, params=parts, scores=dict(together.scores))
    return selection_record(bench, told, traded, spoken, parts)


def _digest(strategy: Strategy) -> str | None:
    return None if strategy.architecture is None else strategy.architecture.digest


def _trials(strategy: Strategy, results: Sequence[Traded]) -> list[Trial]:
    """The strategy itself is the trial; its single trainings are not (seeds are not choices)."""
    return [
        Trial(
            stage="retrain",
            key=strategy.name,
            digest=_digest(strategy),
            architecture=None if strategy.architecture is None else dict(strategy.architecture),
            params=dict(strategy.params or {}),
            scores=dict(results[0].scores),
        )
    ]


def finalists_of(bench: Bench) -> Shortlist:
    """How many candidates are retrained, and with what chance the best is among them."""
    ranked = ranked_candidates(bench)
    return shortlist(
        bench.config, bench.folder.read(bench.folder.coupling), len(distinct_networks(ranked, len(ranked)))
    )


def ranked_candidates(bench: Bench) -> list[Candidate]:
    """Those with a score, best first, at the size at which they are to be traded."""
    return [c for c in full_size_candidates(bench) if merit(c.scores, bench.config.rank_by) > float("-inf")]


def full_size_candidates(bench: Bench) -> list[Candidate]:
    """What the search found, and how it scored, with the architectures that will be trained."""
    return [replace(c, architecture=bench.config.full_size(c.architecture)) for c in found(bench.folder)]


def network_strategies(bench: Bench, count: int) -> list[Strategy]:
    """The best `count` candidates, as many random architectures as asked for, and the specialists of each regime."""
    config, candidates = bench.config, full_size_candidates(bench)
    ranked = ranked_candidates(bench)
    finalists = [
        Strategy(
            name=f"finalist {i}",
            kind="finalist",
            architecture=c.architecture,
            supernet_score=c.scores.get(config.rank_by),
        )
        for i, c in enumerate(distinct_networks(ranked, count), start=1)
    ]
    prices = bench.prices
    drawn = sample_distinct(
        affordable(config.full_space.space(bench.data.indicators), replace(prices, rule="reject")),
        config.trials.random,
        seed=config.seed,
        stream="random architectures",
        seen=[s.architecture for s in finalists if s.architecture],
        allowed=prices.fits,
    )
    randoms = [Strategy(name=f"random {i}", kind="random", architecture=a) for i, a in enumerate(drawn, 1)]
    return finalists + randoms + specialists(config, candidates)


def tuned_baselines(bench: Bench) -> list[Strategy]:
    """Baselines with the settings that did best on the search zone's own fold; every try is a trial."""
    config, fold = bench.config, search_fold(bench.config, bench.zones)
    metric = config.rank_by if config.rank_by != "loss" else "ic"
    specs = {
        name: JobSpec(
            kind="tune_baseline",
            params={
                "name": name,
                "budget": config.trials.tuning_budget,
                "train": [fold.train.start, fold.train.stop],
                "valid": [fold.valid.start, fold.valid.stop],
                "reach": bench.zones.embargo,
                "metric": metric,
                "rule": plain(config.rule),
                "costs": plain(config.costs),
            },
            inputs={"dataset": bench.dataset_sha},
            seed=config.seed,
            threads=config.runner.threads,
        )
        for name in config.trials.baselines
        if BASELINES[name]
    }
    outcomes = bench.run("baselines", list(specs.values()))
    strategies = []
    for name, spec in specs.items():
        outcome = outcomes[spec.id]
        if outcome.result is None:
            bench.ledger.record("tune", name, error=outcome.error or "failed")
            continue
        trials = [
            Trial(stage="tune", key=f"{name}/{i}", params={"baseline": name, **t["params"]}, **_outcome(t))
            for i, t in enumerate(outcome.result["trials"])
        ]
        bench.ledger.record_many(trials)
        strategies.append(
            Strategy(name=name, kind="baseline", params=outcome.result["params"], tried=outcome.result["tried"])
        )
    return strategies


def _outcome(trial: dict[str, Any]) -> dict[str, Any]:
    return {"error": trial["error"]} if "error" in trial else {"scores": trial["scores"]}


def jobs_for(bench: Bench, strategy: Strategy, span: Span, name: str) -> list[JobSpec]:
    """The trainings of one strategy on the whole search zone, speaking of one later zone."""
    if strategy.architecture is not None:
        return [
            bench.network_job(
                strategy.architecture,
                space=bench.config.full_space,
                train=bench.zones.search,
                signals={name: span},
                seed=seed,
                regime=strategy.regime,
            )
            for seed in range(bench.config.seed, bench.config.seed + bench.config.trials.seeds)
        ]
    return [
        JobSpec(
            kind="fit_baseline",
            params={
                "name": strategy.name,
                "params": dict(strategy.params or {}),
                "train": [bench.zones.search.start, bench.zones.search.stop],
                "predict": [span.start, span.stop],
                "reach": bench.zones.embargo,
            },
            inputs={"dataset": bench.dataset_sha},
            seed=bench.config.seed,
            threads=bench.config.runner.threads,
        )
    ]


def voices_of(bench: Bench, strategy: Strategy, done: Sequence[JobDone], name: str, span: Span) -> list[Speaker]:
    """What the trainings of a strategy say of a zone."""
    if strategy.architecture is not None:
        if strategy.regime is None:
            return bench.together(done, name)
        return bench.together(done, name, regime=strategy.regime, span=span)
    outcome = done[0]
    if outcome.result is None or outcome.folder is None:
        raise DivergedError(strategy.name, got=outcome.error, expected="a training that ends")
    signal_T = np.load(outcome.folder / "signal.npy", allow_pickle=False)
    assert signal_T.shape[-1] == len(span)
    scale = outcome.result["scale"]
    return [
        Speaker(
            signal_T=signal_T,
            scale=np.array(scale) if isinstance(scale, list) else scale,
            banded=outcome.result["banded"],
            reach=bench.zones.embargo,
        )
    ]


def write_daily(folder: RunFolder, columns: dict[str, list[Any]]) -> None:
    """Writes `daily.parquet`; a zone that is there already is kept, and one of the same name replaced."""
    import io

    import polars as pl

    frame = pl.DataFrame(columns)
    if folder.daily.exists():
        before = pl.read_parquet(folder.daily)
        frame = pl.concat([before.filter(~pl.col("zone").is_in(frame["zone"].unique().to_list())), frame])
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_bytes(folder.daily, buffer.getvalue())
