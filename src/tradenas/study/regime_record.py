"""What a study writes down of its regimes: their shares, who was best in each, and whether routing paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from tradenas.features import REGIMES
from tradenas.seeds import seed_for
from tradenas.splits import Span
from tradenas.stats import sharpe_difference
from tradenas.study.bench import Bench
from tradenas.study.regimes import shares
from tradenas.study.routing import ROUTED, UNKNOWN
from tradenas.study.searching import search_fold
from tradenas.study.strategies import Speaker, Traded

__all__ = ["selection_record", "vault_record"]

#: Figures of a strategy in a regime.
SHOWN = ("sharpe", "ic", "total_net")


def selection_record(
    bench: Bench,
    rows: Sequence[Mapping[str, Any]],
    traded: Sequence[Traded],
    voices: Mapping[str, Sequence[Speaker]],
    parts: Mapping[str, str],
) -> dict[str, Any]:
    """All that is known before the vault is opened."""
    config, fold = bench.config, search_fold(bench.config, bench.zones)
    record: dict[str, Any] = {
        "names": list(REGIMES),
        "metric": config.rank_by,
        "outside": config.regimes.outside,
        "single": parts[UNKNOWN],
        "router": dict(parts),
        "trials": {"regimes": bench.ledger.count("regimes"), "search": bench.ledger.count("search")},
        "zones": {
            "train": {"shares": shares(bench.market, fold.train)},
            "rank": {"shares": shares(bench.market, fold.valid)},
        },
    }
    return _with_zone(bench, record, "selection", bench.zones.selection, rows, traded, voices)


def vault_record(
    bench: Bench,
    span: Span,
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    traded: Sequence[Traded],
    voices: Mapping[str, Sequence[Speaker]],
) -> dict[str, Any]:
    """The same, with the vault's rows."""
    return _with_zone(bench, record, "vault", span, rows, traded, voices)


def _with_zone(
    bench: Bench,
    record: Mapping[str, Any],
    zone: str,
    span: Span,
    rows: Sequence[Mapping[str, Any]],
    traded: Sequence[Traded],
    voices: Mapping[str, Sequence[Speaker]],
) -> dict[str, Any]:
    daily = {row["name"]: one.result for row, one in zip(rows, traded, strict=True)}
    routed, single = daily[ROUTED], daily[record["single"]]
    found = sharpe_difference(
        routed.net_DN[:, 0],
        single.net_DN[:, 0],
        days_per_year=bench.data.days_per_year,
        reps=bench.config.trials.reps,
        seed=seed_for(bench.config.seed, "routed against single", zone),
    )
    comparison = {
        **asdict(found),
        "days": len(routed.days_D),
        "single": record["single"],
        "total_first": float(routed.net_DN.sum()),
        "total_second": float(single.net_DN.sum()),
        "call": "paid" if found.low > 0 else "not shown" if found.value > 0 else "did not pay",
    }
    told = {
        "shares": shares(bench.market, span),
        "scores": _scores(bench, span, rows, voices),
        "comparison": comparison,
    }
    return {**record, "zones": {**record["zones"], zone: told}, "words": _words(zone, comparison, record["trials"])}


def _scores(
    bench: Bench, span: Span, rows: Sequence[Mapping[str, Any]], voices: Mapping[str, Sequence[Speaker]]
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Strategy -> regime -> figures, traded on the rows of the regime and flat elsewhere; a specialist's in its own."""
    told: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in rows:
        if row["kind"] == "random":
            continue
        told[row["name"]] = {}
        for regime in REGIMES if row.get("regime") is None else [row["regime"]]:
            voice = replace(voices[row["name"]][0], rows_T=bench.market.in_regime(regime)[span.slice])
            scores = bench.trade(span, voice).scores
            told[row["name"]][regime] = {name: scores.get(name) for name in SHOWN}
    return told


def _words(zone: str, found: Mapping[str, Any], trials: Mapping[str, int]) -> list[str]:
    """For a trader: what routing made, what it would have made without, and how often one has looked to get there."""
    verdict = {
        "paid": "Routing paid: it was ahead by more than luck explains.",
        "not shown": "Routing is not shown to pay: it was ahead, but by no more than luck explains.",
        "did not pay": "Routing did not pay: one architecture for all regimes did at least as well.",
    }[found["call"]]
    return [
        f"{verdict} Specialists of {len(REGIMES)} regimes, each speaking in its own, made {found['total_first']:+.1%} "
        f"after costs in {found['days']} days of the {zone}, a Sharpe ratio of {found['first']:.2f}; the best single "
        f"architecture beforehand, {found['single']}, made {found['total_second']:+.1%} with {found['second']:.2f}. "
        f"The difference of {found['value']:+.2f} has a 95 % interval of {found['low']:+.2f} to {found['high']:+.2f}.",
        f"To rank by regime, {trials['regimes']:,} more scores were looked at beside the {trials['search']:,} of the "
        f"search, {len(REGIMES)} for each candidate; all are counted as trials.",
    ]
