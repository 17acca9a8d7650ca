"""What is known beside the candles, each value with the moment at which it became known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tradenas.data.rows import frozen, iso
from tradenas.errors import CandleError
from tradenas.typing import FloatArray, IntArray

__all__ = ["AGES", "Series"]

#: A value this many usual steps old says nothing any more, unless the user says otherwise.
AGES = 3


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Series:
    """Values that come at their own moments: funding rates, order-book snapshots, whatever else a model may read.

    `known_at_ms` is when a value could be read, not what it speaks of.  A funding rate is known when it is settled (the
    rate that an exchange predicts before that is another series); a candle of another market is known when it closes;
    a snapshot is known when it arrived.

    Attributes:
        name: how features and errors call it.
        known_at_ms: int64 ms UTC, strictly increasing.
        value: float64, finite.
        max_age_ms: age from which on a value is too old to be used; 0 takes 3 of the series' usual steps.  What is
            usual is learnt from the whole series, as the gaps of candles are: it decides which rows are left out, never
            what stands in the others, and a slice keeps it.
        line: line of each row in the text file it came from, for errors; None where there is none.

    Raises:
        CandleError: names the first bad row.

    >>> series = Series(name="funding_rate", known_at_ms=np.array([0, 28_800_000]), value=np.array([1e-4, -2e-4]))
    >>> series.usual_step_ms, series.max_age_ms
    (28800000, 86400000)
    """

    name: str
    known_at_ms: IntArray
    value: FloatArray
    max_age_ms: int = 0
    line: IntArray | None = None
    usual_step_ms: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        times = np.array(self.known_at_ms, dtype=np.int64)
        values = np.array(self.value, dtype=np.float64)
        if times.ndim != 1 or times.shape != values.shape or not len(times):
            raise CandleError(
                self.name, got=f"{times.shape} times and {values.shape} values", expected="as many of both"
            )
        back = np.flatnonzero(np.diff(times) <= 0)
        if len(back):
            row = int(back[0]) + 1
            raise CandleError(
                self._where(row),
                got=f"{iso(int(times[row]))} after {iso(int(times[row - 1]))}",
                expected="strictly increasing times",
                fix="sort the rows, and keep the last of those that carry the same stamp",
                row=row,
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            row = int(bad[0])
            raise CandleError(
                self._where(row), got=str(values[row]), expected="a finite number", fix="leave the row out", row=row
            )
        if self.max_age_ms < 0:
            raise CandleError(self.name, got=f"a longest age of {self.max_age_ms} ms", expected="0 or more")
        steps = np.diff(times)
        # Nine steps in ten are no longer than the usual one: an outage is not usual, a change of interval may be.
        usual = int(np.quantile(steps, 0.9, method="higher")) if len(steps) else 0
        for name, made in (("known_at_ms", frozen(times)), ("value", frozen(values)), ("usual_step_ms", usual)):
            object.__setattr__(self, name, made)
        object.__setattr__(self, "max_age_ms", self.max_age_ms or AGES * usual)

    def _where(self, row: int) -> str:
        return f"{self.name}, row {row}" + ("" if self.line is None else f" (line {int(self.line[row])})")

    def __len__(self) -> int:
        return len(self.known_at_ms)

    def __repr__(self) -> str:
        span = f"{iso(int(self.known_at_ms[0]))} .. {iso(int(self.known_at_ms[-1]))}"
        return f"Series({self.name!r}, {len(self)} values, {span})"

    def until(self, time_ms: int) -> Series:
        """What was known at a moment, that very millisecond included.

        Raises:
            CandleError: nothing was.
        """
        count = int(np.searchsorted(self.known_at_ms, time_ms, side="right"))
        return Series(
            name=self.name, known_at_ms=self.known_at_ms[:count], value=self.value[:count], max_age_ms=self.max_age_ms
        )

    def rows_known(self, times_ms: IntArray) -> IntArray:
        """Row of the last value known at each moment, -1 before the first.

        A value stamped with the very millisecond of a moment is known then: a candle whose close_time is 08:00:00.000
        and a settlement at 08:00:00.000 end together, and the decision comes after both.
        """
        rows: IntArray = np.searchsorted(self.known_at_ms, times_ms, side="right").astype(np.int64) - 1
        return rows
