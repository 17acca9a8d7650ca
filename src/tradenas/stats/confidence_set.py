"""Which strategies cannot be told from the best one?  The model confidence set of Hansen, Lunde and Nason (2011).

By mean daily P&L.  It holds the best strategy with probability 1 - alpha, and all others that these days cannot tell
from it: a set of many says that the data are too few to choose, whatever the ranking.  Elimination and bootstrap are
those of `arch.bootstrap` (range statistic, studentised differences, stationary bootstrap).  Strategies with the same
P&L on every day stand or fall together: `arch` would divide by the spread of their difference, which is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError, MissingExtra
from tradenas.stats.bootstrap import block_length_default
from tradenas.stats.series import as_matrix

__all__ = ["ConfidenceSet", "confidence_set"]


@dataclass(frozen=True, kw_only=True)
class ConfidenceSet:
    """`held` are the names in the set, in the order given; `p` the p-value of each name: in the set where it is above
    alpha.
    """

    held: tuple[str, ...]
    p: dict[str, float]
    alpha: float


def confidence_set(
    daily_DK: npt.ArrayLike,
    *,
    names: Sequence[str],
    alpha: float = 0.1,
    block: int | None = None,
    reps: int = 1000,
    seed: int = 0,
) -> ConfidenceSet:
    """The strategies that cannot be told from the best by mean daily P&L.

    Args:
        daily_DK: daily net P&L, one column a strategy.
        names: of the columns.
        alpha: size: the set holds the best with probability 1 - alpha.
        block: mean block length in days; sqrt(D) by default.
        reps: bootstrap resamples.
        seed: the same seed gives the same set.

    Raises:
        ConfigError: names that do not match, NaN, or fewer than 8 days.

    Source: Hansen, Lunde and Nason (2011), The model confidence set, Econometrica 79, 453-497.

    >>> rng = np.random.default_rng(0)
    >>> daily = rng.normal(0, 0.01, size=(365, 3)) + np.array([0.0, 0.004, 0.0])
    >>> confidence_set(daily, names=("a", "b", "c"), reps=200).held
    ('b',)
    """
    daily_DK = as_matrix(daily_DK, "daily_DK", least=8)
    if len(names) != daily_DK.shape[1] or len(set(names)) != len(names):
        raise ConfigError("names", got=str(list(names)), expected=f"{daily_DK.shape[1]} different names, one a column")
    if not 0 < alpha < 1:
        raise ConfigError("alpha", got=alpha, expected="between 0 and 1")
    if reps < 2:
        raise ConfigError("reps", got=reps, expected="2 or more")
    days = len(daily_DK)
    length = block_length_default(days) if block is None else block
    if not 1 <= length <= days:
        raise ConfigError("block", got=block, expected=f"from 1 to {days} days")
    first, same_K = np.unique(_rounded(daily_DK), axis=1, return_index=True, return_inverse=True)[1:]
    same_K = same_K.reshape(-1)
    if len(first) == 1:
        p_J = np.ones(1)
    else:
        try:
            from arch.bootstrap import MCS
        except ImportError as error:
            raise MissingExtra.of("arch", extra="search") from error
        test = MCS(
            -daily_DK[:, first], size=alpha, reps=reps, block_size=length, bootstrap="stationary", method="R", seed=seed
        )
        test.compute()
        p_J = (1.0 + reps * test.pvalues["Pvalue"].sort_index().to_numpy(dtype=np.float64)) / (1.0 + reps)
    p = {name: float(p_J[same_K[k]]) for k, name in enumerate(names)}
    return ConfidenceSet(held=tuple(name for name in names if p[name] > alpha), p=p, alpha=alpha)


def _rounded(daily_DK: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Columns that differ by rounding only become the same."""
    size = float(np.abs(daily_DK).max()) or 1.0
    return np.round(daily_DK / (1e-12 * size))
