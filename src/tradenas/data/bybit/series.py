"""What is asked for (`Series`) and what comes back (`Bars`): names, grids and plain columns."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import FloatArray, IntArray

__all__ = ["CATEGORIES", "COLUMNS", "INTERVALS_MS", "Bars", "Series", "as_ms", "checked_symbol", "iso", "month_range"]

CATEGORIES = ("linear", "inverse", "spot")
COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
_MINUTE_MS = 60_000
_DAY_MS = 1440 * _MINUTE_MS
INTERVALS_MS = {
    **{code: int(code) * _MINUTE_MS for code in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720")},
    "D": _DAY_MS,
    "W": 7 * _DAY_MS,
}
_WEEK_OFFSET_MS = 4 * _DAY_MS  # 1970-01-05 was a Monday; weekly bars open on Monday 00:00 UTC


def checked_symbol(category: str, symbol: str) -> tuple[str, str]:
    """The two names that go into every request and folder, or `ConfigError`."""
    if category not in CATEGORIES:
        raise ConfigError("category", got=category, expected=f"one of {', '.join(CATEGORIES)}")
    if not re.fullmatch(r"[A-Z0-9]{1,40}(-[A-Z0-9]{1,20})*", symbol, re.ASCII):
        raise ConfigError("symbol", got=symbol, expected="upper case letters and digits", fix="write BTCUSDT")
    return category, symbol


@dataclass(frozen=True, kw_only=True)
class Series:
    """One candle series of one market.

    Args:
        category: `linear` (USDT and USDC contracts), `inverse` or `spot`.
        symbol: upper case, `BTCUSDT`.
        interval: Bybit's code: minutes `1 3 5 15 30 60 120 240 360 720`, or `D`, `W`.

    >>> Series(category="linear", symbol="BTCUSDT", interval="15").name
    'linear-BTCUSDT-15'
    """

    category: str
    symbol: str
    interval: str

    def __post_init__(self) -> None:
        checked_symbol(self.category, self.symbol)
        if self.interval not in INTERVALS_MS:
            raise ConfigError(
                "interval",
                got=self.interval,
                expected=f"one of {', '.join(INTERVALS_MS)}",
                fix="a month (M) has no fixed length: fetch D and aggregate",
            )

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.category}-{self.symbol}-{self.interval}"

    @property
    def step_ms(self) -> int:
        """The length of a candle."""
        return INTERVALS_MS[self.interval]

    @property
    def _offset_ms(self) -> int:
        return _WEEK_OFFSET_MS if self.interval == "W" else 0

    def floor(self, time_ms: int) -> int:
        """The open time of the candle that contains `time_ms`."""
        return time_ms - (time_ms - self._offset_ms) % self.step_ms

    def ceil(self, time_ms: int) -> int:
        """The first open time at or after `time_ms`."""
        return time_ms + (self._offset_ms - time_ms) % self.step_ms

    def grid(self, first: int, last: int) -> IntArray:
        """All open times from `first` to `last`, both included."""
        return np.arange(first, last + 1, self.step_ms, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Bars:
    """Plain columns of consecutive candles: `open_time` int64 ms UTC and `values_TC` in the order of `COLUMNS`.

    Volume is in base coin and turnover in quote coin, whatever the category.
    """

    open_time: IntArray
    values_TC: FloatArray

    @classmethod
    def empty(cls) -> Bars:
        """No candles."""
        return cls(np.empty(0, np.int64), np.empty((0, len(COLUMNS))))

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, rows: slice) -> Bars:
        return Bars(self.open_time[rows], self.values_TC[rows])

    def __add__(self, later: Bars) -> Bars:
        return Bars(
            np.concatenate([self.open_time, later.open_time]), np.concatenate([self.values_TC, later.values_TC])
        )

    @property
    def first(self) -> int:
        """The open time of the oldest candle."""
        return int(self.open_time[0])

    @property
    def last(self) -> int:
        """The open time of the newest candle."""
        return int(self.open_time[-1])

    def digest(self) -> str:
        """SHA-256 over all columns."""
        whole = hashlib.sha256(np.ascontiguousarray(self.open_time, "<i8").tobytes())
        whole.update(np.ascontiguousarray(self.values_TC, "<f8").tobytes())
        return whole.hexdigest()


def as_ms(when: str | int | datetime, place: str) -> int:
    """A moment as ms UTC: ISO text (UTC unless it says otherwise), a datetime with a zone, or ms.

    >>> as_ms("2025-01-01", "start")
    1735689600000
    >>> as_ms("2025-01-01T02:00+02:00", "start")
    1735689600000
    """
    if isinstance(when, str):
        try:
            parsed = datetime.fromisoformat(when.strip())
        except ValueError as error:
            raise ConfigError(place, got=when, expected="an ISO date", fix="write 2025-01-01") from error
        when = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ConfigError(place, got=when, expected="a datetime with a time zone", fix="add tzinfo=timezone.utc")
        when = round(when.timestamp() * 1000)
    if isinstance(when, bool) or not isinstance(when, int) or not 0 <= when < 10**13:
        raise ConfigError(place, got=when, expected="a date, or ms since 1970 (13 digits)")
    if 0 < when < 10**11:
        raise ConfigError(place, got=when, expected="ms since 1970 (13 digits)", fix="multiply seconds by 1000")
    return when


def iso(time_ms: int) -> str:
    """Ms UTC as text for messages."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")


def month_range(first: int, stop: int) -> list[tuple[str, int, int]]:
    """The calendar months (UTC) that [first, stop) touches, as (YYYY-MM, start ms, stop ms).

    >>> [name for name, _, _ in month_range(as_ms("2024-12-31", ""), as_ms("2025-02-01", ""))]
    ['2024-12', '2025-01']
    """
    month = datetime.fromtimestamp(first / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = []
    while round(month.timestamp() * 1000) < stop:
        following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        found.append((f"{month:%Y-%m}", round(month.timestamp() * 1000), round(following.timestamp() * 1000)))
        month = following
    return found
