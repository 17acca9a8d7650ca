"""How long a column remembers where its series began: recursive indicators (Wilder's RSI, any EMA) have no last row.

A live feed starts where it starts, a backtest somewhere else; until the start is forgotten, the same column says two
things about one candle.  Here a function is started late at several rows and compared with itself started at the
first.  The rows until both agree for good are the warm-up that it needs; of a window of 20 rows they are 19, exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError
from tradenas.features.replay import rows_first
from tradenas.typing import FloatArray

__all__ = ["StartUp", "start_up", "start_up_or_raise"]

LEAST = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class StartUp:
    """What is left of the start, row by row.

    Attributes:
        error_T: largest difference between a late start and the whole series, this many rows after the late start, in
            standard deviations of the column; infinite where only one of them has a number.
        tolerance: difference that is taken for none.
    """

    error_T: FloatArray
    tolerance: float

    @property
    def rows(self) -> int | None:
        """Rows until the start is forgotten for good: the warm-up to declare; None where it never is in these rows."""
        found = self._last
        return found if found < 0.95 * len(self.error_T) else None

    @property
    def _last(self) -> int:
        above = np.flatnonzero(self.error_T > self.tolerance)
        return int(above[-1]) + 1 if len(above) else 0

    def left(self, warmup: int) -> float:
        """The largest difference after a warm-up of so many rows, in standard deviations of the column."""
        return float(self.error_T[warmup:].max()) if warmup < len(self.error_T) else 0.0


def start_up(
    function: Callable[[Candles], npt.NDArray[Any]], candles: Candles, *, starts: int = 8, tolerance: float = 0.01
) -> StartUp:
    """Start `function` late at several rows of `candles`, and compare with what it says of the whole series.

    Args:
        function: candles -> array whose first axis is T, one column or several; causal (see `replay_or_raise`).
        candles: at least 64; a late start is followed for half of them, so that no more than that can be measured.
        starts: how many late starts; the worst counts.
        tolerance: difference that is taken for none, in standard deviations of the column.

    Raises:
        ConfigError: too few candles, or a result that has not one row a candle.
    """
    rows = len(candles)
    if rows < LEAST:
        raise ConfigError("start_up", got=f"{rows} candles", expected=f"at least {LEAST}")
    span = rows // 2
    whole_TC = rows_first(function(candles), rows)
    spread_C = _spread(whole_TC)
    error_T = np.zeros(span)
    for start in np.unique(np.linspace(1, rows - span, starts).astype(int)).tolist():
        late_TC = rows_first(function(candles[start : start + span]), span)
        there_TC = whole_TC[start : start + span]
        same_TC = (late_TC == there_TC) | (np.isnan(late_TC) & np.isnan(there_TC))
        with np.errstate(invalid="ignore", divide="ignore"):
            apart_TC = np.where(same_TC, 0.0, np.abs(late_TC - there_TC) / spread_C)
        error_T = np.maximum(error_T, np.where(np.isnan(apart_TC), np.inf, apart_TC).max(axis=1))
    return StartUp(error_T=error_T, tolerance=tolerance)


def start_up_or_raise(
    function: Callable[[Candles], npt.NDArray[Any]], candles: Candles, *, place: str, warmup: int | None = None
) -> StartUp:
    """`start_up`, refusing a column that never forgets its start, or one that declares a warm-up too short.

    Raises:
        ConfigError: names the warm-up that it needs, and what is left of the start after the one declared.
    """
    found = start_up(function, candles)
    if found.rows is None:
        raise ConfigError(
            f"{place}, start-up",
            got=f"a value that still depends on where the series began after {len(found.error_T):,} rows",
            expected="a start that is forgotten within half of the candles",
            fix="use a window or a decaying average in place of a sum or a mean over all that came before, or check it "
            "on more candles",
        )
    if warmup is not None and found.rows > warmup:
        raise ConfigError(
            f"{place}, start-up",
            got=f"a warm-up of {warmup} rows, after which {found.left(warmup):.2g} standard deviations are left of it",
            expected=f"a warm-up of {found.rows} rows or more ({found.tolerance:.0%} left)",
            fix=f"declare warmup={found.rows}",
        )
    return found


def _spread(whole_TC: FloatArray) -> FloatArray:
    """Standard deviation of each column over its finite rows; 0 where it has none."""
    finite_TC = np.isfinite(whole_TC)
    count_C = np.maximum(finite_TC.sum(axis=0), 1)
    kept_TC = np.where(finite_TC, whole_TC, 0.0)
    mean_C = kept_TC.sum(axis=0) / count_C
    spread_C: FloatArray = np.sqrt((np.where(finite_TC, whole_TC - mean_C, 0.0) ** 2).sum(axis=0) / count_C)
    return spread_C
