"""What a trained thing says and earns: signals of several trainings as one, traded on a zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradenas.errors import DivergedError
from tradenas.space import Architecture, essential
from tradenas.splits import Span
from tradenas.stats import bootstrap_interval
from tradenas.train.backtest import Backtest, Costs, Rule
from tradenas.train.evaluate import merit
from tradenas.train.panel import Market, each
from tradenas.train.portfolio import Trade, flat, usual_size, volatility_of
from tradenas.train.portfolio import trade as traded
from tradenas.typing import BoolArray, FloatArray

__all__ = [
    "Speaker", "Strategy", "Traded", "best_of", "distinct_networks", "ensemble", "rows_of", "trade", "zone_scores",
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Speaker:
    """Signals on the rows of one zone, with the size they usually have on training rows.

    Attributes:
        signal_T: one signal a row; (A, T) of a panel.
        scale: mean |signal| on calibration rows; of each market of a panel.
        banded: whether the no-trade band applies.
        reach: rows that a signal reads.
        rows_T: rows on which it speaks; it is flat on all others.  None is all rows.
    """

    signal_T: FloatArray
    scale: float | FloatArray
    banded: bool
    reach: int
    rows_T: BoolArray | None = None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One line of the comparison: how it was made, and what each training of it is called in the job folder.

    Attributes:
        name: unique in a study.
        kind: `finalist`, `random` or `baseline`; with regimes also `specialist` (of one regime) and `routed` (between
            specialists).
        architecture: of a network.
        params: settings of a baseline; of a router, who speaks in which regime.
        tried: configurations that were tried to get it.
        supernet_score: what the search thought of it; in its regime, if it has one.
        regime: a specialist's.
    """

    name: str
    kind: str
    architecture: Architecture | None = None
    params: Mapping[str, Any] | None = None
    tried: int = 1
    supernet_score: float | None = None
    regime: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Traded:
    """What came of it on one zone; of a panel also in each market."""

    scores: dict[str, float]
    result: Backtest
    each: Trade | None = None


def ensemble(
    signals: Sequence[FloatArray], calibration: Sequence[FloatArray], usable_C: BoolArray, reach: int
) -> Speaker:
    """Several trainings of one architecture as one voice: the mean of their signals.

    Args:
        calibration: their signals on the calibration rows; the mean's size is measured there, which is smaller than
            the mean size where trainings disagree.

    Raises:
        DivergedError: a signal there is not finite.
    """
    scale = usual_size(np.mean(calibration, axis=0), usable_C)
    if not np.isfinite(scale).all():
        raise DivergedError("signals on the calibration rows", got=str(scale), expected="finite numbers")
    return Speaker(signal_T=np.mean(signals, axis=0), scale=scale, banded=True, reach=reach)


def trade(data: Market, span: Span, voice: Speaker, *, rule: Rule, costs: Costs, train: Span) -> Traded:
    """Trades signals over a zone, entered and left flat.

    Args:
        train: rows that set what an ordinary volatility is, for rules that target it.
    """
    rows = span.slice
    usable = data.usable(voice.reach)[..., rows]
    if voice.rows_T is not None:
        usable = usable & voice.rows_T
        if not usable.any():  # its regime did not come up: it stayed flat
            return Traded(scores={}, result=flat(data, span, costs=costs))
    rule = rule if voice.banded else rule.without_band()
    volatility = volatility_of(data, rule, train=train)
    centre = 0.5 if data.kind == "binary" else 0.0
    came = traded(
        data,
        span,
        voice.signal_T,
        usable=usable,
        scale=voice.scale,
        rule=rule,
        costs=costs,
        outcome=each(data, lambda m: m.y_T[rows].astype(float) - centre),
        volatility=None if volatility is None else volatility[..., rows],
    )
    scores = {k: v for k, v in came.scores.items() if np.isfinite(v)}
    return Traded(scores=scores, result=came.result, each=came)


def zone_scores(traded: Sequence[Traded], *, reps: int, seed: int) -> list[dict[str, float | None]]:
    """For each strategy of one zone the figures that the report shows, with bootstrap intervals of the Sharpe ratio.

    All strategies are resampled on the same days.
    """
    net_DN = np.concatenate([t.result.net_DN for t in traded], axis=1)
    interval = bootstrap_interval(net_DN, days_per_year=traded[0].result.days_per_year, reps=reps, seed=seed)
    told: list[dict[str, float | None]] = []
    for n, one in enumerate(traded):
        s = one.scores
        told.append(
            {
                "sharpe": float(interval.value_N[n]),
                "sharpe_low": float(interval.low_N[n]),
                "sharpe_high": float(interval.high_N[n]),
                "gross_sharpe": s.get("gross_sharpe"),
                "profit_factor": s.get("profit_factor"),
                "accuracy": s.get("accuracy"),
                "ic": s.get("ic"),
                "rank_ic": s.get("rank_ic"),
                "turnover_per_day": s.get("turnover"),
                "max_drawdown": s.get("max_drawdown"),
                "total_net": s.get("total_net"),
                "total_gross": s.get("total_gross"),
                **({"total_funding": s["total_funding"]} if "total_funding" in s else {}),
            }
        )
    return told


def rows_of(zone: str, names: Sequence[str], traded: Sequence[Traded]) -> dict[str, list[Any]]:
    """Columns of `daily.parquet` for one zone."""
    columns: dict[str, list[Any]] = {k: [] for k in ("zone", "name", "day", "net", "gross", "turnover")}
    for name, one in zip(names, traded, strict=True):
        days = one.result.days_D.tolist()
        columns["zone"] += [zone] * len(days)
        columns["name"] += [name] * len(days)
        columns["day"] += days
        columns["net"] += one.result.net_DN[:, 0].tolist()
        columns["gross"] += one.result.gross_DN[:, 0].tolist()
        columns["turnover"] += one.result.turnover_DN[:, 0].tolist()
        if one.result.funding_DN is not None:
            columns.setdefault("funding", []).extend(one.result.funding_DN[:, 0].tolist())
    return columns


def distinct_networks(ranked: Sequence[Any], count: int) -> list[Any]:
    """The best `count` candidates that are different networks when they speak.

    A dropout rate does not show in the shared weights: architectures that differ in nothing else score alike to the
    last bit, and one of them is enough.  Nor does an op on an edge of a cell that nothing hears.
    """
    seen, chosen = set(), []
    for candidate in ranked:
        essence = essential(candidate.architecture)
        sight = Architecture({k: v for k, v in essence.items() if not k.endswith("/dropout")}).digest
        if sight not in seen:
            seen.add(sight)
            chosen.append(candidate)
    return chosen[:count]


def best_of(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], metric: str) -> str:
    """The strategy of some kinds that did best on the selection zone; ties go to the simpler name."""
    mine = [r for r in rows if r["kind"] in kinds]
    if not mine:
        raise DivergedError(" or ".join(kinds), got="none that ended its training", expected="at least one")

    def value(row: Mapping[str, Any]) -> float:
        return merit({k: v for k, v in row["selection"].items() if v is not None}, metric)

    return str(max(sorted(mine, key=lambda r: str(r["name"])), key=value)["name"])
