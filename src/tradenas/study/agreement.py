"""How far a ranking can be believed, in numbers: from the scores of the same architectures by supernet and alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tradenas.search.base import Candidate
from tradenas.search.parts.aggregate import merits_of
from tradenas.stats import (
    RankAgreement,
    chance_with_interval,
    k_for_chance,
    kendall,
    of_ceiling,
    rank_interval,
    regret,
    spearman,
    tau_ceiling,
    tau_within_top,
    top_k_overlap,
)
from tradenas.study.config import StudyConfig
from tradenas.study.strategies import distinct_networks
from tradenas.train.evaluate import METRICS, merit
from tradenas.typing import FloatArray

__all__ = ["Shortlist", "agreement", "shortlist", "unmeasured"]

Point = tuple[Candidate, list[float]]
#: Lengths of shortlists whose chance is written down.
LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)


def unmeasured(config: StudyConfig, num: int = 0) -> dict[str, Any]:
    """`coupling.json` where there is nothing to compare."""
    return {"metric": config.rank_by, "num": num, "points": [], "ceiling": None}


def agreement(config: StudyConfig, candidates: Sequence[Candidate], points: Sequence[Point]) -> dict[str, Any]:
    """`coupling.json`, less its causes.

    Args:
        candidates: all that were ranked, best first.
        points: some of them with their scores alone, one a seed.
    """
    metric, sign = config.rank_by, METRICS[config.rank_by]
    how = {"reps": config.trials.reps, "seed": config.seed}
    place = {c.architecture.digest: i for i, c in enumerate(candidates)}
    at = [place[c.architecture.digest] for c, _ in points]
    ranker_N = np.array(merits_of(candidates, metric, getattr(config.search, "aggregate", "mean_score")))[at]
    alone_NS = sign * np.array([scores for _, scores in points])
    alone_N = alone_NS.mean(axis=1)
    found = kendall(ranker_N, alone_N, **how)
    ceiling = ratio = None
    if alone_NS.shape[1] >= 2:
        half = alone_NS.shape[1] // 2
        first_SN, second_SN = alone_NS[:, :half].T, alone_NS[:, half:].T
        ceiling = tau_ceiling(first_SN, second_SN, **how)
        ratio = of_ceiling(ranker_N, first_SN, second_SN, **how)
    ranks, supernets = _supernets(config, candidates, at, alone_N)
    return {
        "metric": metric,
        "num": len(points),
        **_tau(found),
        "spearman": spearman(ranker_N, alone_N),
        "top5_overlap": top_k_overlap(ranker_N, alone_N, min(5, len(points))),
        "regret": regret(ranker_N, alone_N),
        "spread": float(np.ptp(alone_N)),
        "top_quarter": _told(tau_within_top(ranker_N, alone_N, **how)),
        "ceiling": None if ceiling is None else _tau(ceiling),
        "of_ceiling": _told(ratio),
        "supernets": supernets,
        "chances": _chances(found, len(distinct_networks(candidates, len(candidates)))),
        "points": [
            {
                "digest": c.architecture.digest,
                "supernet": c.scores[metric],
                "standalone": float(np.mean(scores)),
                "seeds": scores,
                **({} if ranks is None else {"rank_low": ranks[0][n], "rank_high": ranks[1][n]}),
            }
            for n, (c, scores) in zip(at, points, strict=True)
        ],
    }


def _tau(found: RankAgreement) -> dict[str, float]:
    return {"tau": found.tau, "tau_low": found.low, "tau_high": found.high}


def _told(found: RankAgreement | None) -> dict[str, Any] | None:
    return None if found is None else {**_tau(found), "num": found.num}


def _supernets(
    config: StudyConfig, candidates: Sequence[Candidate], at: Sequence[int], alone_N: FloatArray
) -> tuple[tuple[list[float], list[float]] | None, list[dict[str, Any]]]:
    """Of several supernets: the intervals of all candidates' ranks, and how well each supernet ranks by itself."""
    each_NM = np.array([[merit(s, config.rank_by) for s in c.each] for c in candidates])
    if each_NM.size == 0 or not np.isfinite(each_NM).all():
        return None, []
    interval = rank_interval(each_NM.T, reps=config.trials.reps, seed=config.seed)
    told = []
    for scores_N in each_NM[at].T:
        found = kendall(scores_N, alone_N, reps=config.trials.reps, seed=config.seed)
        told.append({**_tau(found), "spearman": spearman(scores_N, alone_N), "regret": regret(scores_N, alone_N)})
    return (interval.low_N.tolist(), interval.high_N.tolist()), told


def _chances(found: RankAgreement, num: int) -> list[dict[str, float]]:
    """The chance that shortlists of several lengths hold the true best of `num` candidates."""
    return [asdict(chance_with_interval(found, num, k)) for k in sorted({*(k for k in LENGTHS if k < num), num})]


class Shortlist(dict[str, Any]):
    """How many candidates become finalists, and what that is worth; a part of `strategies.json`."""

    @property
    def taken(self) -> int:
        return int(self["taken"])


def shortlist(config: StudyConfig, coupling: dict[str, Any], num: int) -> Shortlist:
    """The number of finalists out of `num` different networks: `top_k`, or as many as `hold_best` takes.

    Returns:
        `taken`, `of`, `asked` (hold_best), `chance`, `low`, `high` (None without a measured coupling) and `words`.
    """
    wanted = config.trials.hold_best
    measured = coupling.get("tau") is not None
    agreed = RankAgreement(
        tau=coupling.get("tau", 0.0),
        low=coupling.get("tau_low", 0.0),
        high=coupling.get("tau_high", 0.0),
        num=int(coupling["num"]),
    )
    taken, short = config.trials.top_k, ""
    if wanted and measured:
        needed = k_for_chance(agreed.tau, num, wanted) if num else 0
        taken = min(needed, config.trials.top_k_max)
        if needed > taken:
            short = f"; {_percent(wanted)} % was asked for and would take {needed} (trials.top_k_max = {taken})"
    elif wanted:
        short = f"; {_percent(wanted)} % was asked for, but the ranking could not be measured: trials.top_k decides"
    if taken > num:
        short += f"; {taken} were wanted, but there are no more"
        taken = num
    chance = chance_with_interval(agreed, num, taken) if measured and taken else None
    worth = "nobody knows whether the best is among them"
    if chance is not None:
        worth = f"holds the best with {_percent(chance.value)} % ({_percent(chance.low)}-{_percent(chance.high)} %)"
    return Shortlist(
        taken=taken,
        of=num,
        asked=wanted,
        chance=None if chance is None else chance.value,
        low=None if chance is None else chance.low,
        high=None if chance is None else chance.high,
        words=f"{taken} of {num} retrained: {worth}{short}",
    )


def _percent(chance: float) -> str:
    return f"{100 * chance:.0f}"
