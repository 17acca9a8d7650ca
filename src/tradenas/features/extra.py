"""Series beside the candles as indicators: a row sees the last value that was known when its candle closed.

    known_at[i] <= close_time[t] < known_at[i + 1]   ->   x[t] = value[i]

A value stamped with the very millisecond of the close is seen, one stamped a millisecond later is not.  Where the last
value is older than the series' `max_age_ms`, the row is left out (`Indicator.fresh`), and so are rows before the first;
transforms run on over the value that stands, which is all that was known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradenas.data.candles import Candles
from tradenas.data.series import Series
from tradenas.features.indicators import Indicator
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["joined"]


def joined(series: Sequence[Series], *, group: str, age: bool = False) -> tuple[Indicator, ...]:
    """Indicators for `build_table`, one a series.

    Args:
        series: columns of one file.
        group: what they are switched on and off with.
        age: one more column: the age of the first series' value in its usual steps.

    >>> from tradenas.features.replay import probe_candles
    >>> candles = probe_candles(6)[:3]
    >>> known = Series(name="rate", known_at_ms=candles.close_time[:2], value=np.array([1.0, 2.0]))
    >>> joined([known], group="funding")[0](candles).tolist()
    [1.0, 2.0, 2.0]
    """
    columns = [_column(one, one.name, group, aged=False) for one in series]
    if age:
        columns.append(_column(series[0], f"{group}_age", group, aged=True))
    return tuple(columns)


def _column(series: Series, name: str, group: str, *, aged: bool) -> Indicator:
    def seen(candles: Candles) -> tuple[IntArray, IntArray]:
        """Row of the value that each candle sees at its close, -1 for none, and the value's age in ms."""
        rows = series.rows_known(candles.close_time)
        return rows, candles.close_time - series.known_at_ms[rows]

    def column(candles: Candles) -> FloatArray:
        rows, age_T = seen(candles)
        value_T = age_T / max(series.usual_step_ms, 1) if aged else series.value[rows]
        return np.where(rows >= 0, value_T, np.nan)

    def fresh(candles: Candles) -> BoolArray:
        rows, age_T = seen(candles)
        fresh_T: BoolArray = (rows >= 0) & (age_T <= series.max_age_ms)
        return fresh_T

    return Indicator(name=name, group=group, warmup=0, function=column, builtin=True, fresh=fresh)
