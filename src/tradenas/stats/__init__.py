"""Could this be luck?  Statistics on daily net P&L and on rankings; NumPy only, the rest imported when called."""

from __future__ import annotations

from tradenas.stats.bootstrap import Interval, block_length, bootstrap_interval
from tradenas.stats.overfitting import PBO, effective_trials, pbo
from tradenas.stats.ranks import (
    RankAgreement,
    borda,
    kendall,
    mean_rank,
    regret,
    spearman,
    tau_ceiling,
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
    "Interval",
    "RankAgreement",
    "Superiority",
    "annual_scale",
    "block_length",
    "bootstrap_interval",
    "borda",
    "compare",
    "deflated_sharpe",
    "effective_trials",
    "expected_max_sharpe",
    "kendall",
    "max_drawdown",
    "mean_rank",
    "min_track_record_length",
    "pbo",
    "probabilistic_sharpe",
    "regret",
    "serial_correlation_sharpe",
    "sharpe",
    "sharpe_deviation",
    "sharpes",
    "spearman",
    "stepm",
    "superiority",
    "tau_ceiling",
    "top_k_overlap",
]
