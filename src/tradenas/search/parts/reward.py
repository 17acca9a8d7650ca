"""One number of quality and cost: the objective of MnasNet (Tan et al., CVPR 2019, arXiv:1807.11626, eq. 2-3).

    objective   Q(a) prod_c (cost_c(a) / target_c)^w_c                                  eq. 2
    w           `below` where the cost is at its target or less, `above` otherwise      eq. 3
    Q           exp(quality / scale)

The paper's quality is an accuracy, which is positive.  A Sharpe ratio or an IC may be negative, and a negative number
times (cost / target)^w with w < 0 would be *larger* for what costs more.  So quality is mapped to a positive number
first.  The exponential is the one map under which a fixed gain of quality is worth the same factor wherever it is had:

    log objective   quality / scale + sum_c w_c log(cost_c / target_c)

rises in quality and, with w <= 0, falls in cost, for any sign of either.  What it trades is plain: with w = -0.07 half
the cost is worth 0.07 log 2 = 4.9 % of `scale`.  With quality = log accuracy and scale = 1 it is the paper's product.
"""

from __future__ import annotations

import math

from tradenas.errors import ConfigError
from tradenas.search.base import Task
from tradenas.space import Architecture
from tradenas.train.evaluate import Scores, merit

__all__ = ["SCALES", "log_objective", "objective", "scale_of", "worth"]

#: Quality that is worth a factor of e, by metric: what would be a large difference between two candidates.
SCALES: dict[str, float] = {
    "sharpe": 1.0, "accuracy": 0.02, "profit_factor": 0.1, "ic": 0.02, "rank_ic": 0.02, "loss": 0.01
}  # fmt: skip
#: Logs of objectives lie within this, so that none overflows.
MOST = 300.0


def log_objective(quality: float, log_factor: float, *, scale: float) -> float:
    """What to rank by: more is better, `-inf` for a quality that is not finite.

    Args:
        quality: more is better; of any sign.
        log_factor: of the costs (`PriceList.log_factor`).
        scale: quality that is worth a factor of e.

    Raises:
        ConfigError: a scale that is not above 0.

    >>> dear, cheap = -0.07 * math.log(2.0), 0.0
    >>> log_objective(-0.5, dear, scale=1.0) < log_objective(-0.5, cheap, scale=1.0)
    True
    """
    if not 0.0 < scale < math.inf:
        raise ConfigError("budget.scale", got=scale, expected="a number above 0")
    return quality / scale + log_factor if math.isfinite(quality) else -math.inf


def objective(quality: float, log_factor: float, *, scale: float) -> float:
    """The objective itself, a reward above 0; 0 for a quality that is not finite.

    >>> round(objective(math.log(0.75), -0.07 * math.log(2.0), scale=1.0), 6), round(0.75 * 2.0**-0.07, 6)
    (0.714478, 0.714478)
    """
    log = log_objective(quality, log_factor, scale=scale)
    return math.exp(min(max(log, -MOST), MOST)) if log > -math.inf else 0.0


def scale_of(metric: str, scale: float = 0.0) -> float:
    """The scale of a metric, also of one regime, unless one is given."""
    return scale or SCALES[metric.partition("/")[0]]


def worth(task: Task, architecture: Architecture, scores: Scores) -> float:
    """What a candidate is ranked by: its merit, or where costs take part in the objective the log of that."""
    metric, prices = task.scorer.metric, task.prices
    quality = merit(scores, metric)
    if prices is None or not prices.exponents:
        return quality
    return log_objective(quality, prices.log_factor(architecture), scale=scale_of(metric, prices.scale))
