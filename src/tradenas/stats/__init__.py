"""Could this be luck?  Statistics on daily net P&L and on rankings; NumPy only, the rest imported when called."""

from __future__ import annotations

from tradenas.stats.best import Chance, chance_of_best, chance_with_interval, k_for_chance
from tradenas.stats.bootstrap import Interval, block_length, bootstrap_interval
from tradenas.stats.confidence_set import ConfidenceSet, confidence_set
from tradenas.stats.overfitting import PBO, effective_trials, pbo
from tradenas.stats.paired import SharpeDifference, sharpe_difference
from tradenas.stats.rankers import RankInterval, rank_interval
from tradenas.stats.ranks import (
    RankAgreement,
    borda,
    kendall,
    mean_rank,
    of_ceiling,
    regret,
    spearman,
    tau_ceiling,
    tau_change,
    tau_within_top,
    top_k_overlap,
)
from tradenas.stats.sharpe import (
    annual_scale,
    deflated_sharpe,
    expected_max_sharpe,
    max_drawdown,
    min_track_record_length,
    probabilistic_sharpe,
    serial_correlation_sharpe,
    sharpe,
    sharpe_deviation,
    sharpes,
)
from tradenas.stats.superiority import Superiority, compare, stepm, superiority

__all__ = [
    "PBO",
    "Chance",
    "ConfidenceSet",
    "Interval",
    "RankAgreement",
    "RankInterval",
    "SharpeDifference",
    "Superiority",
    "annual_scale",
    "block_length",
    "bootstrap_interval",
    "borda",
    "chance_of_best",
    "chance_with_interval",
    "compare",
    "confidence_set",
    "deflated_sharpe",
    "effective_trials",
    "expected_max_sharpe",
    "k_for_chance",
    "kendall",
    "max_drawdown",
    "mean_rank",
    "min_track_record_length",
    "of_ceiling",
    "pbo",
    "probabilistic_sharpe",
    "rank_interval",
    "regret",
    "serial_correlation_sharpe",
    "sharpe",
    "sharpe_deviation",
    "sharpe_difference",
    "sharpes",
    "spearman",
    "stepm",
    "superiority",
    "tau_ceiling",
    "tau_change",
    "tau_within_top",
    "top_k_overlap",
]
