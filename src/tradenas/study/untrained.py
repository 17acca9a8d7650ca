"""Rankers that cost nothing, beside the supernet: does a number of the untrained network rank as well?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradenas.nn import Network
from tradenas.search.parts.proxies import PROXIES, proxy_batch, scores_of
from tradenas.space import Architecture
from tradenas.stats import kendall
from tradenas.study.bench import Bench
from tradenas.study.searching import search_fold
from tradenas.typing import FloatArray

__all__ = ["proxies"]


def proxies(bench: Bench, architectures: Sequence[Architecture], alone_N: FloatArray) -> dict[str, dict[str, float]]:
    """Kendall tau of every zero-cost proxy with what the architectures score when trained alone.

    Proxies see the rows that the search's weights learn from, and no others.

    Args:
        alone_N: merit of each architecture, more is better.

    Returns:
        By proxy: `tau`, `tau_low`, `tau_high`.  One that tells all architectures alike is left out.
    """
    config, data = bench.config, bench.data
    template = Network(config.space.space(data.indicators), data.layout, seed=config.seed)
    train = search_fold(config, bench.zones).train
    batch = proxy_batch(data, train, reach=template.reach(), seed=config.seed)
    told = {}
    for name in PROXIES:
        score_N = np.array(scores_of(template, batch, architectures, name, seed=config.seed))
        score_N = np.maximum(score_N, np.finfo(float).min)  # what cannot be told is last, and tied
        if len(set(score_N.tolist())) > 1:
            found = kendall(score_N, alone_N, reps=config.trials.reps, seed=config.seed)
            told[name] = {"tau": found.tau, "tau_low": found.low, "tau_high": found.high}
    return told
