"""Several runs beside each other: what they found, where their settings differ, and what looking at all of them costs.

The best of several runs is the best of several looks.  Where runs were judged on the same days, one test puts their
champions together: Hansen's SPA against staying flat over the days that all of them share.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.errors import ConfigError
from tradenas.report.figures.ranks import tau_words
from tradenas.report.record import RunRecord, load_record
from tradenas.report.wording import DASH, count, decimal, interval, interval_name, pvalue, span
from tradenas.stats import superiority

__all__ = ["Comparison", "Together", "compare_runs"]

#: Fewer shared days than this are not tested.
LEAST_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Together:
    """The champions of the runs of one market in one test.

    Attributes:
        symbol: of the market.
        runs: names of the runs.
        days: vault days that all share.
        spa_p: chance of so good a best of them if none earned more than nothing; None with too few shared days.
    """

    symbol: str
    runs: tuple[str, ...]
    days: int
    spa_p: float | None

    @property
    def words(self) -> str:
        """What it means."""
        among = f"{len(self.runs)} champions of {self.symbol} were judged on {count(self.days)} shared days"
        if self.spa_p is None:
            return f"{among}: too few to test them together. The best of them is the best of {len(self.runs)} looks."
        return (
            f"{among}: if none of them earned more than nothing, the best would still look as good with probability "
            f"{pvalue(self.spa_p)} (SPA). Quote this, not the p-value of the best alone."
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `tradenas compare` shows.

    Attributes:
        runs: folder names.
        rows: for each figure its text in every run.
        changed: settings that are not the same everywhere, as `section.key`; `–` where a run has none.
        together: runs of one market in one test.
    """

    runs: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, tuple[str, ...]]
    together: tuple[Together, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": list(self.runs),
            "figures": {name: list(values) for name, values in self.rows.items()},
            "changed": {name: list(values) for name, values in self.changed.items()},
            "together": [{**vars(t), "runs": list(t.runs), "words": t.words} for t in self.together],
        }


def compare_runs(folders: Sequence[str | Path], *, reps: int = 1000, seed: int = 0) -> Comparison:
    """Reads run folders and puts them beside each other.

    Raises:
        ConfigError: fewer than two folders, or one of them twice.
        FolderError: one is no run folder.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2 or len({p.resolve() for p in paths}) < len(paths):
        raise ConfigError("compare", got=", ".join(map(str, paths)) or "nothing", expected="two or more different runs")
    records = [load_record(path) for path in paths]
    names = _names(paths)
    rows = [_figures(record) for record in records]
    settings = [_flat(tomllib.loads(record.study)) for record in records]
    keys = sorted({key for one in settings for key in one})
    changed = {key: tuple(str(one.get(key, DASH)) for one in settings) for key in keys}
    return Comparison(
        runs=names,
        rows={name: tuple(row[name] for row in rows) for name in rows[0]},
        changed={key: values for key, values in changed.items() if len(set(values)) > 1},
        together=tuple(_together(records, names, reps, seed)),
    )


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Folder names, with their parents where two are the same."""
    short = [path.resolve().name for path in paths]
    return tuple(name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True))


def _figures(record: RunRecord) -> dict[str, str]:
    found, champion, data = record.verdict, record.champion, record.data
    return {
        "verdict": found.verdict if found is not None else "none yet",
        "market": f"{data.symbol} {interval_name(data.interval_ms)}",
        "candles": f"{count(data.rows)}, {span(data.first_open, data.last_close)}",
        "search": record.search.method if record.search is not None else DASH,
        "champion": champion.name if champion is not None else DASH,
        "parameters": count(champion.params) if champion is not None else DASH,
        "net Sharpe": interval(found.net_sharpe) if found is not None else DASH,
        "best baseline": f"{interval(found.baseline_sharpe)} {found.best_baseline or ''}".strip() if found else DASH,
        "SPA p": pvalue(found.spa.p_consistent) if found is not None and found.spa is not None else DASH,
        "DSR": decimal(found.dsr, 3) if found is not None else DASH,
        "PBO": decimal(found.pbo, 3) if found is not None else DASH,
        "trials": count(record.ledger.total) if record.ledger is not None else DASH,
        "looks into the vault": count(record.ledger.looks) if record.ledger is not None else DASH,
        "supernet": tau_words(record.coupling) if record.coupling is not None else DASH,
    }


def _flat(plain: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    told: dict[str, Any] = {}
    for key, value in plain.items():
        told |= _flat(value, f"{place}{key}.") if isinstance(value, Mapping) else {f"{place}{key}": value}
    return told


def _together(records: Sequence[RunRecord], names: Sequence[str], reps: int, seed: int) -> list[Together]:
    by_market: dict[tuple[str, int], list[int]] = {}
    for i, record in enumerate(records):
        if record.verdict is not None and record.verdict.champion is not None and record.daily is not None:
            by_market.setdefault((record.data.symbol, record.data.interval_ms), []).append(i)
    told = []
    for (symbol, _), members in by_market.items():
        if len(members) < 2:
            continue
        series = [_vault(records[i]) for i in members]
        days = sorted(set.intersection(*(set(one) for one in series)))
        p = None
        if len(days) >= LEAST_DAYS:
            daily_DK = np.array([[one[day] for one in series] for day in days])
            p = superiority(daily_DK, reps=reps, seed=seed).p_consistent
        told.append(Together(symbol=symbol, runs=tuple(names[i] for i in members), days=len(days), spa_p=p))
    return told


def _vault(record: RunRecord) -> dict[int, float]:
    """Net P&L of the champion on each day of the vault."""
    assert record.verdict is not None
    assert record.verdict.champion is not None
    assert record.daily is not None
    found = record.daily.series.get(("vault", record.verdict.champion.name))
    return {} if found is None else dict(zip(found.day_D.tolist(), found.net_D.tolist(), strict=True))
