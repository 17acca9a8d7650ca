"""Columns that are not candles yet: what readers produce, repairs change and the gate looks into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np

from tradenas.data.calendars import DAY_MS
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["COLUMNS", "PRICES", "Rows", "as_rows", "frozen", "interval_name", "iso"]

PRICES = ("open", "high", "low", "close")
COLUMNS = ("open_time", *PRICES, "volume", "turnover")
UNITS = ((7 * DAY_MS, "w"), (DAY_MS, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms"))


def interval_name(interval_ms: int) -> str:
    """A bar length for people.

    >>> interval_name(300_000), interval_name(86_400_000)
    ('5min', '1d')
    """
    size, unit = next((size, unit) for size, unit in UNITS if interval_ms % size == 0)
    return f"{interval_ms // size}{unit}"


@dataclass(kw_only=True)
class Rows:
    """Columns that are not candles yet.

    Attributes:
        open_time: int64 ms UTC, in file order.
        line: line of each row in the text file it came from, None where there is none.
        place: what errors call it: a symbol or a file name.
    """

    open_time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    turnover: FloatArray | None = None
    line: IntArray | None = None
    place: str = "candles"

    def __len__(self) -> int:
        return len(self.open_time)

    def columns(self) -> dict[str, FloatArray]:
        """The float columns by name."""
        names = (*PRICES, "volume", *(() if self.turnover is None else ("turnover",)))
        return {name: getattr(self, name) for name in names}

    def take(self, which: BoolArray | IntArray) -> Rows:
        """The chosen rows, in the chosen order."""
        return Rows(
            open_time=self.open_time[which],
            line=None if self.line is None else self.line[which],
            place=self.place,
            **{name: column[which] for name, column in self.columns().items()},
        )

    def where(self, row: int) -> str:
        """Place of a row: `btc.csv, row 4 (line 6)`."""
        return f"{self.place}, row {row}" + ("" if self.line is None else f" (line {int(self.line[row])})")

    def refuse(self, bad: BoolArray | IntArray, column: str, got: str, expected: str, fix: str) -> NoReturn:
        """Raise for the first of the bad rows; `got` may use {value}."""
        rows = np.flatnonzero(bad) if bad.dtype == bool else bad
        row = int(rows[0])
        value = iso(int(self.open_time[row])) if column == "open_time" else repr(float(getattr(self, column)[row]))
        more = f" (and {len(rows) - 1} more such rows)" if len(rows) > 1 else ""
        place = f"{self.where(row)}, column {column!r}"
        raise CandleError(place, got=got.format(value=value) + more, expected=expected, fix=fix, row=row)


def iso(time_ms: int) -> str:
    """A stamp a person can read.

    >>> iso(1_704_067_200_000)
    '2024-01-01T00:00:00Z'
    """
    try:
        text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
    return text


def as_rows(columns: dict[str, Any], place: str) -> Rows:
    """Fresh arrays of the right kind and one length, not yet looked into."""
    stamps = np.asarray(columns["open_time"])
    if stamps.dtype.kind == "M":
        stamps = stamps.astype("datetime64[ms]").astype(np.int64)
    if stamps.dtype.kind not in "iu":
        raise CandleError(
            f"{place}, column 'open_time'",
            got=f"dtype {stamps.dtype}",
            expected="whole milliseconds since 1970 UTC",
            fix="use an int64 or datetime64 array",
        )
    arrays: dict[str, Any] = {"open_time": np.array(stamps, dtype=np.int64)}
    for name in (*PRICES, "volume", "turnover"):
        if name == "turnover" and columns[name] is None:
            continue
        try:
            arrays[name] = np.array(columns[name], dtype=np.float64) + 0.0  # no negative zeros
        except (TypeError, ValueError) as error:
            raise CandleError(f"{place}, column {name!r}", got=str(error), expected="numbers") from None
    for name, column in arrays.items():
        if column.ndim != 1 or len(column) != len(stamps):
            raise CandleError(
                f"{place}, column {name!r}", got=f"shape {column.shape}", expected=f"({len(stamps)},) as open_time"
            )
    return Rows(place=place, **arrays)


def frozen(array: Any) -> Any:
    """A view that nobody can make writeable again."""
    array.setflags(write=False)
    return array.view()
