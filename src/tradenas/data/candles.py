"""Immutable OHLCV candles of one market: what everything after the reader may rely on."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradenas.data.calendars import DAY_MS, Calendar, Holes, detect_calendar, find_holes
from tradenas.data.gate import check_names, check_rows, infer_interval
from tradenas.data.rows import COLUMNS, PRICES, Rows, as_rows, frozen, interval_name, iso
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["Candles"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Candles:
    """Candles of one market, checked once and never changed: finite, ordered, on one grid, closed.

    The constructor copies its arrays, runs the strict gate and freezes them; `from_arrays` also infers the interval
    and the calendar.  Holes in time are allowed and marked by `gap_before`; whether there are too many of them is a
    question for `tradenas.data.audit`.

    Attributes:
        symbol: name of the market.
        interval_ms: length of a bar in milliseconds.
        calendar: `24/7`, or `sessions` for a market that closes at night or at weekends.
        open_time: int64 ms UTC at which each candle opens, strictly increasing.
        open, high, low, close: prices, positive.
        volume: in units of the base coin or shares, not negative.
        turnover: in quote currency, or None.

    Raises:
        CandleError: names the first bad row, its column and value, and what to do.

    >>> day = 86_400_000
    >>> candles = Candles.from_arrays(
    ...     symbol="X", open_time=[0, day, 2 * day], open=[1, 2, 3], high=[2, 3, 4], low=[1, 2, 3], close=[2, 3, 4],
    ...     volume=[5, 5, 5])
    >>> candles
    Candles('X', 3 x 1d, 1970-01-01T00:00:00Z .. 1970-01-04T00:00:00Z, 24/7)
    >>> candles[1:].close.tolist()
    [3.0, 4.0]
    """

    symbol: str
    interval_ms: int
    calendar: Calendar
    open_time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    turnover: FloatArray | None = None

    def __post_init__(self) -> None:
        self._admit(int(time.time() * 1000))

    def _admit(self, now_ms: int) -> None:
        check_names(self.symbol, self.interval_ms, self.calendar)
        rows = as_rows({name: getattr(self, name) for name in COLUMNS}, place=self.symbol)
        check_rows(rows, self.interval_ms, now_ms)
        object.__setattr__(self, "open_time", frozen(rows.open_time))
        for name, column in rows.columns().items():
            object.__setattr__(self, name, frozen(column))

    @classmethod
    def from_arrays(
        cls,
        *,
        symbol: str,
        open_time: npt.ArrayLike,
        open: npt.ArrayLike,  # noqa: A002
        high: npt.ArrayLike,
        low: npt.ArrayLike,
        close: npt.ArrayLike,
        volume: npt.ArrayLike,
        turnover: npt.ArrayLike | None = None,
        interval_ms: int | None = None,
        calendar: Calendar | None = None,
        now_ms: int | None = None,
    ) -> Candles:
        """Candles from columns, through the strict gate.

        Args:
            symbol: name of the market.
            open_time: milliseconds UTC (integers, or datetime64) at which each candle opens.
            open: first price.
            high: highest price.
            low: lowest price.
            close: last price.
            volume: base volume.
            turnover: quote volume, None where it is not known.
            interval_ms: length of a bar; None takes the median step and checks every stamp against it.
            calendar: None detects it: `24/7` where bars exist on Saturdays and Sundays in bulk, else `sessions`.
            now_ms: candles that close after it are refused; None is the clock of this machine.

        Raises:
            CandleError: the first fault, with its row.
        """
        given = {"open_time": open_time, "open": open, "high": high, "low": low, "close": close, "volume": volume}
        rows = as_rows({**given, "turnover": turnover}, place=symbol)
        return cls.from_rows(rows, symbol=symbol, interval_ms=interval_ms, calendar=calendar, now_ms=now_ms)

    @classmethod
    def from_rows(
        cls,
        rows: Rows,
        *,
        symbol: str,
        interval_ms: int | None = None,
        calendar: Calendar | None = None,
        now_ms: int | None = None,
    ) -> Candles:
        """Candles from `Rows`, whose place and line numbers errors then name."""
        if not len(rows):
            raise CandleError(rows.place, got="no rows", expected="at least one candle")
        interval = infer_interval(rows.open_time, rows.place) if interval_ms is None else interval_ms
        check_names(symbol, interval, calendar)
        now = int(time.time() * 1000) if now_ms is None else now_ms
        check_rows(rows, interval, now)
        return cls._trusted(
            symbol=symbol,
            interval_ms=int(interval),
            calendar=calendar or detect_calendar(rows.open_time, interval),
            open_time=frozen(rows.open_time),
            turnover=None if rows.turnover is None else frozen(rows.turnover),
            **{name: frozen(getattr(rows, name)) for name in (*PRICES, "volume")},
        )

    @classmethod
    def _trusted(cls, **values: Any) -> Candles:
        """Candles whose arrays have been through the gate already."""
        candles = object.__new__(cls)
        for field in fields(cls):
            object.__setattr__(candles, field.name, values[field.name])
        return candles

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, rows: slice) -> Candles:
        """Consecutive rows, as views.

        Raises:
            CandleError: the index is not a slice of step 1.
        """
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise CandleError(
                "Candles[...]",
                got=repr(rows),
                expected="a slice of consecutive rows",
                fix="use candles[a:b]; for longer bars use tradenas.data.resample",
            )
        part = self._trusted(
            symbol=self.symbol,
            interval_ms=self.interval_ms,
            calendar=self.calendar,
            **{name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in COLUMNS},
        )
        # What is usual for a market is learned from all of its rows, so a slice keeps the gaps of the whole.
        gap = self.gap_before[rows].copy()
        gap[:1] = False
        part.__dict__["gap_before"] = frozen(gap)
        return part

    def __repr__(self) -> str:
        span = f"{iso(int(self.open_time[0]))} .. {iso(int(self.close_time[-1]))}, " if len(self) else ""
        return f"Candles({self.symbol!r}, {len(self)} x {interval_name(self.interval_ms)}, {span}{self.calendar})"

    @property
    def close_time(self) -> IntArray:
        """When each candle closes and a decision on it may be taken: open_time + interval_ms."""
        return self.open_time + self.interval_ms

    @property
    def days_per_year(self) -> int:
        """365 for a market that never closes, 252 for one with sessions: the factor under every annual Sharpe."""
        return 365 if self.calendar == "24/7" else 252

    @cached_property
    def bars_per_year(self) -> float:
        """Bars in a year: by the clock for 24/7, 252 times the usual bars of a trading day for sessions."""
        if self.calendar == "24/7" or self.interval_ms > DAY_MS or not len(self):
            return 365.0 * DAY_MS / self.interval_ms
        return 252.0 * float(np.median(np.unique(self.open_time // DAY_MS, return_counts=True)[1]))

    @cached_property
    def holes(self) -> Holes:
        """Steps longer than one bar, with the bars they lack."""
        return find_holes(self.open_time, self.interval_ms, self.calendar)

    @cached_property
    def gap_before(self) -> BoolArray:
        """True at row i where no window may span from i-1 to i; row 0 is False.  See `calendars.find_holes`."""
        gap = np.zeros(len(self), bool)
        gap[self.holes.row] = self.holes.gap
        frozen_gap: BoolArray = frozen(gap)
        return frozen_gap

    @cached_property
    def sha256(self) -> str:
        """Digest of symbol, interval, calendar and every value: equal for equal candles on every machine."""
        digest = hashlib.sha256(
            f"tradenas-candles-1\n{self.symbol}\n{self.interval_ms}\n{self.calendar}\n{len(self)}\n".encode()
        )
        for name in COLUMNS:
            column = getattr(self, name)
            digest.update(f"{name} {'absent' if column is None else column.dtype.str[1:]}\n".encode())
            if column is not None:
                digest.update(np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def equals(self, other: object) -> bool:
        """The same market with the same values, bit for bit."""
        return isinstance(other, Candles) and self.sha256 == other.sha256
