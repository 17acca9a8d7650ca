"""Specialists of each regime, and the router that lets the one speak whose regime is known to rule.

Ranking, specialist and router are one chain: architectures are ranked by their scores on the rows of a regime, the
best are trained on those rows, one is chosen by what it earned on them in the selection zone, and it speaks on them.

The router is hard: at row t the specialist of the regime labelled at t speaks alone.  A blend by filtered
probabilities would let specialists speak on rows on which they were neither trained, nor ranked, nor chosen; the
price of hardness is a change of voice where the label changes, which the no-trade band holds down and costs show.
Where no regime is known (warm-up, gaps) or a regime has no specialist, the best finalist speaks.

Each specialist's signal is divided by its own usual size on its regime's calibration rows, so a signal of 1 is an
ordinary opinion whoever has it: networks trained on different rows have no common unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradenas.features import REGIMES
from tradenas.search.base import Candidate
from tradenas.splits import Span
from tradenas.study.config import StudyConfig
from tradenas.study.strategies import Speaker, Strategy, best_of, distinct_networks
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import merit

__all__ = ["ROUTED", "UNKNOWN", "parts_of", "route", "routed_row", "specialists"]

ROUTED, UNKNOWN = "routed", "unknown"


def specialists(config: StudyConfig, candidates: Sequence[Candidate]) -> list[Strategy]:
    """The best candidates of each regime's own ranking; none without regimes."""
    if not config.regimes.enabled:
        return []
    strategies = []
    for regime in REGIMES:
        metric = f"{config.rank_by}/{regime}"
        known = [c for c in candidates if merit(c.scores, metric) > float("-inf")]
        ranked = sorted(known, key=lambda c: (-merit(c.scores, metric), c.architecture.digest))
        strategies += [
            Strategy(
                name=f"{regime.replace('_', '-')} {i}",
                kind="specialist",
                architecture=c.architecture,
                supernet_score=c.scores[metric],
                regime=regime,
            )
            for i, c in enumerate(distinct_networks(ranked, config.regimes.top_k), start=1)
        ]
    return strategies


def parts_of(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, str]:
    """Who speaks in which regime: the specialist that did best on its rows of the selection zone."""
    single = best_of(rows, ("finalist",), metric)
    parts = {UNKNOWN: single}
    for regime in REGIMES:
        own = [row for row in rows if row.get("regime") == regime]
        parts[regime] = best_of(own, ("specialist",), metric) if own else single
    return parts


def route(
    data: Dataset, span: Span, parts: Mapping[str, str], voices: Mapping[str, Sequence[Speaker]]
) -> list[Speaker]:
    """The routed voice of a zone: of all trainings together first, then of the first, second ... training of each part.

    Args:
        parts: regime -> strategy; `unknown` -> who speaks where no regime is known.
        voices: of each strategy, together first and then each alone.
    """
    assert data.regime_T is not None
    label_T = data.regime_T[span.slice]
    spoken = []
    for number in range(min(len(voices[name]) for name in parts.values())):
        signal_T = _in_units(voices[parts[UNKNOWN]][number])
        for at, regime in enumerate(REGIMES):
            signal_T = np.where(label_T == at, _in_units(voices[parts[regime]][number]), signal_T)
        reach = max(voices[name][number].reach for name in parts.values())
        spoken.append(Speaker(signal_T=signal_T, scale=1.0, banded=True, reach=reach))
    return spoken


def _in_units(voice: Speaker) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Signals in units of their usual size; a voice that never says anything stays silent."""
    return voice.signal_T / voice.scale if voice.scale > 0 else np.zeros_like(voice.signal_T)


def routed_row(rows: Sequence[Mapping[str, Any]], parts: Mapping[str, str]) -> dict[str, Any]:
    """What is written down of the router, beside its scores: who speaks when, and by which trainings."""
    by_name = {row["name"]: row for row in rows}
    own = [by_name[name] for name in dict.fromkeys(parts.values())]
    sizes = {key: [row[key] for row in own if row[key] is not None] for key in ("params", "macs")}
    return {
        "name": ROUTED,
        "kind": ROUTED,
        "digest": None,
        "architecture": None,
        "params": sum(sizes["params"]) or None,
        "macs": max(sizes["macs"], default=None),
        "settings": dict(parts),
        "supernet_score": None,
        "tried": sum(row["kind"] == "specialist" for row in rows),
        "jobs": [job for row in own for job in row["jobs"]],
        "vault": None,
    }
