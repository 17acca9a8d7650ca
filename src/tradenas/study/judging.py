"""Last stage but the report: the vault is opened, once, and what was chosen is judged."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl

from tradenas.atomic import canonical_json, write_json
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.space import Architecture
from tradenas.splits import Span
from tradenas.splits.vault import Vault
from tradenas.study.bench import Bench
from tradenas.study.config import StudyConfig
from tradenas.study.folder import RunFolder
from tradenas.study.markets import scores_by_market
from tradenas.study.regime_record import vault_record
from tradenas.study.retraining import jobs_for, voices_of, write_daily
from tradenas.study.routing import ROUTED, route
from tradenas.study.strategies import Speaker, Strategy, Traded, best_of, rows_of, trade, zone_scores
from tradenas.train.backtest import Costs
from tradenas.train.panel import Panel
from tradenas.trials.jobs import JobSpec, add_input, read_result
from tradenas.trials.ledger import Ledger
from tradenas.trials.retrain import WEIGHTS, plain
from tradenas.trials.verdict import FLAT, Verdict, judge

__all__ = ["judge_study"]

#: Kinds of strategies that may become the champion.
CONTENDERS = ("finalist", ROUTED)
SWEEP_BPS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 15.0, 20.0)


def judge_study(folder: RunFolder, config: StudyConfig, ledger: Ledger, events: Events, *, again: bool = False) -> None:
    """Writes `verdict.json`, and the vault's figures into strategies and daily P&L.

    Args:
        again: look a second time, on record; everything after carries the watermark.

    Raises:
        VaultError: the vault was opened before for another judgement.
    """
    if folder.verdict.exists() and not again:
        return
    record = folder.read(folder.strategies)
    rows = record["strategies"]
    champion = best_of(rows, CONTENDERS, config.metric)
    best_baseline = best_of(rows, ("baseline",), config.metric) if any(r["kind"] == "baseline" for r in rows) else FLAT
    subject = hashlib.sha256(
        canonical_json({"strategies": [(r["name"], r["jobs"]) for r in rows], "champion": champion}).encode()
    ).hexdigest()
    zones = Bench.at(folder, config, ledger, events, folder.open_rows).zones
    opened = Vault(zones.vault, ledger).open(
        f"judge {champion} and {len(rows) - 1} others chosen on the selection zone", subject=subject, again=again
    )
    folder.verdict.unlink(missing_ok=True)  # a look without its watermark must not outlive the next one
    bench = Bench.at(folder, config, ledger, events, folder.all_rows)
    traded, voices, each = speak_in_vault(bench, rows, opened)
    names = [r["name"] for r in rows]
    for row, scores in zip(rows, zone_scores(traded, reps=config.trials.reps, seed=config.seed), strict=True):
        row["vault"] = scores
        for seed, result in zip(row["seeds"], each[row["name"]], strict=True):
            seed["vault"] = result.scores
    if isinstance(bench.data, Panel):
        for row, one in zip(rows, traded, strict=True):
            found = scores_by_market(bench.data, one, reps=config.trials.reps, seed=config.seed)
            row["markets"] = {**row["markets"], "vault": found}
    write_daily(folder, rows_of("vault", names, traded))
    verdict = ruled(bench, rows, traded, champion, best_baseline, opened.watermark)
    for row in rows:  # one figure, one interval: the verdict's stands everywhere
        if row["name"] in (champion, best_baseline):
            said = verdict.net_sharpe if row["name"] == champion else verdict.baseline_sharpe
            row["vault"] |= {"sharpe": said.value, "sharpe_low": said.low, "sharpe_high": said.high}
    if "regimes" in record:
        record["regimes"] = vault_record(bench, opened, record["regimes"], rows, traded, voices)
    write_json(folder.strategies, record)
    at = names.index(champion)
    told = verdict.to_json()
    told |= {
        "champion": {"name": champion, "digest": rows[at]["digest"]},
        "costs": {
            "taker_bps": config.costs.taker_bps,
            "slippage_bps": config.costs.slippage_bps,
            **({"funding": True} if config.data.funding else {}),
        },
        "band": config.rule.band,
        "rule": config.rule.kind,
        **cost_sweep(bench, opened, voices[champion][0]),
    }
    if "regimes" in record:
        told["why"] = [*verdict.why, *record["regimes"]["words"]]
        told["regimes"] = record["regimes"]["zones"]["vault"]["comparison"]
    write_json(folder.verdict, told)


def speak_in_vault(
    bench: Bench, rows: list[dict[str, Any]], span: Span
) -> tuple[list[Traded], dict[str, list[Speaker]], dict[str, list[Traded]]]:
    """Every strategy, with the weights it had on the selection zone, traded on the vault's rows."""
    specs: dict[str, list[JobSpec]] = {}
    strategies = {r["name"]: _strategy(r) for r in rows}
    for row in rows:
        strategy = strategies[row["name"]]
        if strategy.kind == ROUTED:
            specs[strategy.name] = []
        elif strategy.architecture is None:
            specs[strategy.name] = jobs_for(bench, strategy, span, "vault")
        else:
            specs[strategy.name] = [_speak_job(bench, strategy.architecture, job, span) for job in row["jobs"]]
    outcomes = bench.run("vault", [spec for jobs in specs.values() for spec in jobs])
    traded, each = [], {}
    voices: dict[str, list[Speaker]] = {}
    for row in rows:  # the router comes last: it speaks with the voices of the others
        strategy, done = strategies[row["name"]], [outcomes[s.id] for s in specs[row["name"]]]
        if strategy.kind == ROUTED:
            spoken = route(bench.market, span, row["settings"], voices)
        elif strategy.architecture is None:
            spoken = voices_of(bench, strategy, done, "vault", span)
        else:
            if any(o.result is None or o.folder is None for o in done):
                raise DivergedError(strategy.name, got=done[0].error, expected="signals in the vault")
            signals = [np.load(o.folder / "vault.npy", allow_pickle=False) for o in done if o.folder]
            known = [np.load(bench.jobs_folder / job / "calibration.npy", allow_pickle=False) for job in row["jobs"]]
            about = read_result(bench.jobs_folder / row["jobs"][0], row["jobs"][0])
            spoken = bench.voices(signals, known, about, regime=strategy.regime, span=span)
        results = [bench.trade(span, voice) for voice in spoken]
        traded.append(results[0])
        voices[strategy.name] = spoken
        each[strategy.name] = results[1:] if len(results) > 1 else results
    return traded, voices, each


def _strategy(row: dict[str, Any]) -> Strategy:
    architecture = None if row["architecture"] is None else Architecture.from_plain(row["architecture"])
    return Strategy(
        name=row["name"],
        kind=row["kind"],
        architecture=architecture,
        params=row["settings"],
        regime=row.get("regime"),
    )


def _speak_job(bench: Bench, architecture: Architecture, job: str, span: Span) -> JobSpec:
    about = read_result(bench.jobs_folder / job, job)
    return JobSpec(
        kind="speak",
        params={
            "space": plain(bench.config.full_space),
            "architecture": dict(architecture),
            "objective": about["objective"],
            "signals": {"vault": [span.start, span.stop]},
        },
        inputs={
            "dataset": bench.dataset_sha,
            "weights": add_input(bench.jobs_folder, bench.jobs_folder / job / WEIGHTS),
        },
        threads=bench.config.runner.threads,
    )


def ruled(
    bench: Bench, rows: list[dict[str, Any]], traded: list[Traded], champion: str, best_baseline: str, mark: str | None
) -> Verdict:
    """The verdict on daily P&L."""
    config = bench.config
    names = [r["name"] for r in rows]
    best = traded[names.index(champion)].result
    net = {name: t.result.net_DN[:, 0] for name, t in zip(names, traded, strict=True)}
    finalists = [r["name"] for r in rows if r["kind"] in CONTENDERS]
    baselines = [r["name"] for r in rows if r["kind"] == "baseline"]
    days = len(next(iter(net.values())))
    selection = (
        pl.read_parquet(bench.folder.daily)
        .filter(pl.col("zone") == "selection")
        .pivot(on="name", index="day", values="net")
        .sort("day")
        .fill_null(0.0)
    )
    return judge(
        vault_DK=np.column_stack([net[n] for n in finalists]),
        finalists=finalists,
        baselines_DB=np.column_stack([net[n] for n in baselines]) if baselines else np.zeros((days, 0)),
        baselines=baselines,
        champion=champion,
        best_baseline=best_baseline,
        hold="hold" if "hold" in baselines else None,
        selection_DN=selection.select(names).to_numpy(),
        selection_names=names,
        trials_by_stage=bench.ledger.count_by_stage(),
        days_per_year=bench.data.days_per_year,
        gross_D=best.gross_DN[:, 0],
        funding_D=None if best.funding_DN is None else best.funding_DN[:, 0],
        reps=config.trials.reps,
        seed=config.seed,
        watermark=mark or config.costs.brand,
    )


def cost_sweep(bench: Bench, span: Span, voice: Speaker) -> dict[str, Any]:
    """The champion's vault at other costs; positions are the same, only what they cost changes.

    Funding is paid at all of them: break-even is what trading may cost once it is.
    """
    points = []
    for bps in SWEEP_BPS:
        one = trade(
            bench.data,
            span,
            voice,
            rule=bench.config.rule,
            costs=Costs(taker_bps=bps, slippage_bps=0.0),
            train=bench.zones.search,
        )
        points.append({"bps": bps, "sharpe": one.scores["sharpe"], "total_net": one.scores["total_net"]})
    free = points[0]["total_net"]
    slope = (free - points[-1]["total_net"]) / SWEEP_BPS[-1]
    return {"cost_sweep": points, "break_even_bps": free / slope if slope > 0 and free > 0 else None}
