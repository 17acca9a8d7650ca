"""Third stage: the best candidates from scratch, beside baselines and random architectures, on the selection zone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes, write_json
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.search.parts.evolution import sample_distinct
from tradenas.space import Architecture
from tradenas.splits import Span, Zones
from tradenas.stats import kendall, spearman, tau_ceiling, top_k_overlap
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.searching import evaluator_of, found, search_fold
from tradenas.study.strategies import Speaker, Strategy, Traded, ensemble, rows_of, trade, zone_scores
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import METRICS, merit
from tradenas.train.store import cut, load_dataset
from tradenas.trials.baselines import BASELINES
from tradenas.trials.jobs import JobDone, JobSpec, add_input
from tradenas.trials.ledger import Ledger, Trial
from tradenas.trials.retrain import plain
from tradenas.trials.runner import InlineRunner, ProcessRunner, Runner

__all__ = ["Bench", "retrain", "runner_of", "write_daily"]


def runner_of(config: StudyConfig) -> Runner:
    """Who does the jobs of a study."""
    if config.runner.kind == "inline":
        return InlineRunner()
    return ProcessRunner(config.runner.workers or os.cpu_count() or 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Bench:
    """What the retraining and judging stages share: the data, the zones, and a way to run jobs."""

    folder: RunFolder
    config: StudyConfig
    ledger: Ledger
    events: Events
    data: Dataset
    zones: Zones
    dataset_sha: str

    @classmethod
    def at(cls, folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events, dataset: Path) -> Bench:
        """Opens one of the two dataset files, and lays it where jobs find it."""
        zones = Zones.from_description(folder.read(folder.data)["zones"])
        sha = add_input(folder.path / "retrain" / "jobs", dataset)
        return cls(
            folder=folder,
            config=config,
            ledger=ledger,
            events=events,
            data=load_dataset(dataset),
            zones=zones,
            dataset_sha=sha,
        )

    @property
    def jobs_folder(self) -> Path:
        return self.folder.path / "retrain" / "jobs"

    def run(self, stage: str, specs: Sequence[JobSpec]) -> dict[str, JobDone]:
        """Runs jobs under a progress bar."""
        done = 0
        with self.events.span(stage, len({s.id for s in specs})):

            def tell(outcome: JobDone) -> None:
                nonlocal done
                done += 1
                self.events.progress.advance(stage, done, outcome.error or "")
                self.events.write("job", stage=stage, id=outcome.id, status=outcome.status, error=outcome.error)

            return runner_of(self.config).run(specs, ledger=self.ledger, folder=self.jobs_folder, on_done=tell)

    def network_job(self, architecture: Architecture, *, train: Span, signals: dict[str, Span], seed: int) -> JobSpec:
        """The training of one network."""
        return JobSpec(
            kind="fit_network",
            params={
                "space": plain(self.config.space),
                "architecture": dict(architecture),
                "training": plain(self.config.trials.training),
                "train": [train.start, train.stop],
                "signals": {name: [span.start, span.stop] for name, span in signals.items()},
            },
            inputs={"dataset": self.dataset_sha},
            seed=seed,
            threads=self.config.runner.threads,
        )

    def together(self, outcomes: Sequence[JobDone], name: str) -> list[Speaker]:
        """The trainings of one architecture: all as one first, then each alone."""
        ok = [o for o in outcomes if o.result is not None and o.folder is not None]
        if not ok:
            why = outcomes[0].error if outcomes else "no training"
            raise DivergedError(name, got=why, expected="at least one training that ends")
        reach, calibration = int(ok[0].result["reach"]), Span(*ok[0].result["calibration"])  # type: ignore[index]
        usable_C = self.data.usable(reach)[calibration.slice]
        signals = [np.load(o.folder / f"{name}.npy", allow_pickle=False) for o in ok if o.folder]
        known = [np.load(o.folder / "calibration.npy", allow_pickle=False) for o in ok if o.folder]
        pairs = zip(signals, known, strict=True)
        return [
            ensemble(signals, known, usable_C, reach),
            *(ensemble([s], [k], usable_C, reach) for s, k in pairs),
        ]

    def trade(self, span: Span, voice: Speaker) -> Traded:
        """Trades one voice by the rule and costs of the study."""
        return trade(self.data, span, voice, rule=self.config.rule, costs=self.config.costs, train=self.zones.search)

    def key_of(self, architecture: Architecture, seed: int) -> tuple[str, int]:
        return architecture.digest, seed


def retrain(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events) -> None:
    """Writes `coupling.json`, then `retrain/{daily.parquet,strategies.json}`; nothing where they are there."""
    if folder.strategies.exists() and folder.coupling.exists():
        return
    bench = Bench.at(folder, config, ledger, events, folder.open_rows)
    if not folder.coupling.exists():
        write_json(folder.coupling, couple(bench))
    if folder.strategies.exists():
        return
    strategies = network_strategies(bench) + tuned_baselines(bench)
    specs = {s.name: jobs_for(bench, s, bench.zones.selection, "selection") for s in strategies}
    outcomes = bench.run("retrain", [spec for jobs in specs.values() for spec in jobs])
    told, traded, names = [], [], []
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
        told.append(
            {
                "name": strategy.name,
                "kind": strategy.kind,
                "digest": _digest(strategy),
                "architecture": None if strategy.architecture is None else dict(strategy.architecture),
                "params": next((d.result["parameters"] for d in done if d.result and "parameters" in d.result), None),
                "macs": next((d.result["macs"] for d in done if d.result and "macs" in d.result), None),
                "settings": None if strategy.params is None else dict(strategy.params),
                "supernet_score": strategy.supernet_score,
                "tried": strategy.tried,
                "jobs": [spec.id for spec in specs[strategy.name]],
                "seeds": [{"seed": s, "selection": r.scores, "vault": None} for s, r in zip(seeds, each, strict=False)],
                "vault": None,
            }
        )
    for row, scores in zip(told, zone_scores(traded, reps=config.trials.reps, seed=config.seed), strict=True):
        row["selection"] = scores
    write_daily(folder, rows_of("selection", names, traded))
    write_json(folder.strategies, {"strategies": told})


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


def network_strategies(bench: Bench) -> list[Strategy]:
    """The best candidates, and as many random architectures as asked for."""
    config, candidates = bench.config, found(bench.folder)
    ranked = [c for c in candidates if merit(c.scores, config.rank_by) > float("-inf")]
    finalists = [
        Strategy(
            name=f"finalist {i}",
            kind="finalist",
            architecture=c.architecture,
            supernet_score=c.scores.get(config.rank_by),
        )
        for i, c in enumerate(distinct_networks(ranked, config.trials.top_k), start=1)
    ]
    drawn = sample_distinct(
        config.space.space(),
        config.trials.random,
        seed=config.seed,
        stream="random architectures",
        seen=[s.architecture for s in finalists if s.architecture],
    )
    return finalists + [Strategy(name=f"random {i}", kind="random", architecture=a) for i, a in enumerate(drawn, 1)]


def distinct_networks(ranked: Sequence[Any], count: int) -> list[Any]:
    """The best `count` candidates that are different networks when they speak.

    A dropout rate does not show in the shared weights: architectures that differ in nothing else score alike to the
    last bit, and one of them is enough.
    """
    seen, chosen = set(), []
    for candidate in ranked:
        sight = Architecture({k: v for k, v in candidate.architecture.items() if not k.endswith("/dropout")}).digest
        if sight not in seen:
            seen.add(sight)
            chosen.append(candidate)
    return chosen[:count]


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
            bench.network_job(strategy.architecture, train=bench.zones.search, signals={name: span}, seed=seed)
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
        return bench.together(done, name)
    outcome = done[0]
    if outcome.result is None or outcome.folder is None:
        raise DivergedError(strategy.name, got=outcome.error, expected="a training that ends")
    signal_T = np.load(outcome.folder / "signal.npy", allow_pickle=False)
    assert len(signal_T) == len(span)
    return [
        Speaker(
            signal_T=signal_T,
            scale=outcome.result["scale"],
            banded=outcome.result["banded"],
            reach=bench.zones.embargo,
        )
    ]


def couple(bench: Bench) -> dict[str, Any]:
    """Does the supernet's ranking tell the truth?  Candidates over the whole ranking, trained alone, on its own rows.

    The ceiling is the agreement of two such trainings with each other: no ranking can agree with them better.
    """
    config = bench.config
    candidates = [c for c in found(bench.folder) if merit(c.scores, config.rank_by) > float("-inf")]
    count = min(config.trials.coupling, len(candidates))
    if count < 3 or config.search.kind == "random_search":  # type: ignore[attr-defined]
        return {"metric": config.rank_by, "num": 0, "points": [], "ceiling": None}
    chosen = [candidates[i] for i in np.unique(np.linspace(0, len(candidates) - 1, count).round().astype(int))]
    fold, seeds = search_fold(config, bench.zones), range(config.trials.coupling_seeds)
    specs = {
        bench.key_of(c.architecture, seed): bench.network_job(
            c.architecture, train=fold.train, signals={"valid": fold.valid}, seed=1000 + config.seed + seed
        )
        for c in chosen
        for seed in seeds
    }
    outcomes = bench.run("coupling", list(specs.values()))
    evaluator = evaluator_of(config, bench.zones, cut(bench.data, bench.zones.search.stop))
    points, trials = [], []
    for candidate in chosen:
        alone: list[float] = []
        for seed in seeds:
            outcome = outcomes[specs[bench.key_of(candidate.architecture, seed)].id]
            key = f"{candidate.architecture.digest}/{seed}"
            try:
                voice = bench.together([outcome], "valid")[0]
                usable_T = bench.data.usable(voice.reach)[fold.valid.slice]
                scores = evaluator.trade(voice.signal_T, voice.scale, usable_T)
            except DivergedError as error:
                trials.append(Trial(stage="coupling", key=key, digest=candidate.architecture.digest, error=str(error)))
                continue
            scores = {k: v for k, v in scores.items() if np.isfinite(v)}
            if outcome.result is not None:
                scores["loss"] = min(log.get("valid_loss", log["loss"]) for log in outcome.result["history"])
            trials.append(
                Trial(stage="coupling", key=key, digest=candidate.architecture.digest, seed=seed, scores=scores)
            )
            if merit(scores, config.rank_by) > float("-inf"):
                alone.append(scores[config.rank_by])
        if len(alone) == len(seeds):
            points.append((candidate, alone))
    bench.ledger.record_many(trials)
    return _coupling(config, points)


def _coupling(config: StudyConfig, points: Sequence[tuple[Any, list[float]]]) -> dict[str, Any]:
    if len(points) < 3:
        return {"metric": config.rank_by, "num": len(points), "points": [], "ceiling": None}
    sign = METRICS[config.rank_by]
    supernet_N = np.array([sign * c.scores[config.rank_by] for c, _ in points])
    alone_NS = sign * np.array([scores for _, scores in points])
    reps, seed = config.trials.reps, config.seed
    agreement = kendall(supernet_N, alone_NS.mean(axis=1), reps=reps, seed=seed)
    ceiling = None
    if alone_NS.shape[1] >= 2:
        half = alone_NS.shape[1] // 2
        most = tau_ceiling(alone_NS[:, :half].T, alone_NS[:, half:].T, reps=reps, seed=seed)
        ceiling = {"tau": most.tau, "tau_low": most.low, "tau_high": most.high}
    return {
        "metric": config.rank_by,
        "num": len(points),
        "tau": agreement.tau,
        "tau_low": agreement.low,
        "tau_high": agreement.high,
        "spearman": spearman(supernet_N, alone_NS.mean(axis=1)),
        "top5_overlap": top_k_overlap(supernet_N, alone_NS.mean(axis=1), min(5, len(points))),
        "ceiling": ceiling,
        "points": [
            {
                "digest": c.architecture.digest,
                "supernet": c.scores[config.rank_by],
                "standalone": float(np.mean(scores)),
                "seeds": scores,
            }
            for c, scores in points
        ],
    }


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
