"""Time columns of every usual kind to int64 ms UTC; the kind is stated, and two in one column are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradenas.errors import CandleError
from tradenas.typing import BoolArray, IntArray

__all__ = ["Stamps", "from_epoch", "from_text"]

# (lowest magnitude, name, multiplier, divisor): seconds are 1973 .. 5138, and so is each unit after them.
UNITS = ((10**8, "s", 1_000, 1), (10**11, "ms", 1, 1), (10**14, "us", 1, 1_000), (10**17, "ns", 1, 1_000_000))
CLOCK = (
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?\s*$"
)
YEAR_FIRST = r"^\s*(?P<year>\d{4})[-/.]?(?P<b>\d{2})[-/.]?(?P<c>\d{2})" + CLOCK
YEAR_LAST = r"^\s*(?P<b>\d{1,2})(?P<mark>[./-])(?P<c>\d{1,2})[./-](?P<year>\d{4})" + CLOCK
NUMBER = r"^\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*$"
PIECE_ROWS = 1 << 16
ZERO_ZONES = ("Z", "UTC", "GMT", "+00:00", "+0000", "-00:00", "-0000")

Where = Callable[[int], str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Stamps:
    """Parsed times: `time_ms`, the `unit` they were in, and the time `zone` in words."""

    time_ms: IntArray
    unit: str
    zone: str


def from_epoch(values: IntArray, where: Where, *, zone: str = "UTC, as numbers since 1970 are") -> Stamps:
    """Numbers since 1970 in s, ms, us or ns; the unit is told by their size and must be one for the whole column.

    Raises:
        CandleError: two units in one column, a number too small to be a time after 1973, or a part of a millisecond.

    >>> from_epoch(np.array([1_704_067_200, 1_704_067_260]), str).unit
    's'
    """
    if len(values) and bool(((values >= 19_000_101) & (values <= 22_001_231)).all()):  # 20240131 is a date
        return _from_dates(values, where)
    kind = np.digitize(values, [low for low, *_ in UNITS])
    if (kind == 0).any():
        row = int(np.flatnonzero(kind == 0)[0])
        raise CandleError(
            where(row),
            got=str(values[row]),
            expected="seconds, ms, us or ns since 1970, after 1973",
            fix="correct the time column, or name another one with columns={'open_time': ...}",
            row=row,
        )
    other = np.flatnonzero(kind != kind[0])
    if other.size:
        row, first = int(other[0]), UNITS[int(kind[0]) - 1][1]
        raise CandleError(
            where(row),
            got=f"{values[row]}, which is in {UNITS[int(kind[row]) - 1][1]}, after rows in {first}",
            expected="one time unit in the whole column",
            fix="convert the stamps to one unit (Binance spot archives turn from ms to us on 2025-01-01)",
            row=row,
        )
    _, unit, multiplier, divisor = UNITS[int(kind[0]) - 1]
    _whole(values % divisor == 0, values, where)
    return Stamps(time_ms=values * multiplier // divisor, unit=unit, zone=zone)


def from_text(texts: Any, where: Where) -> Stamps:
    """Times as text: numbers since 1970, ISO 8601, or day and month before the year where their order is certain.

    Args:
        texts: a pyarrow string array (or chunked array).
        where: the place of a row, for errors.

    Raises:
        CandleError: a row that does not read like the others, two time zones, or an uncertain order of day and month.
    """
    pieces = _pieces(texts)
    digits = _matches(pieces, NUMBER)
    if 2 * np.count_nonzero(digits) > len(digits):
        _all_read(digits, texts, where, "a number since 1970, as in the other rows")
        values = [_whole_numbers(piece, _after(where, first)) for first, piece in pieces]
        return from_epoch(np.concatenate(values), where)
    pattern, month, day = YEAR_FIRST, "b", "c"
    good = _matches(pieces, pattern)
    if 2 * np.count_nonzero(good) <= len(good):
        pattern = YEAR_LAST
        good = _matches(pieces, pattern)
    _all_read(good, texts, where, "a time such as 2024-01-31T12:00:00Z, or a number since 1970")
    if pattern == YEAR_LAST:
        month, day = _order([_fields(piece, pattern) for _, piece in pieces], where)
    zone = _fields(pieces[0][1][:1], pattern)["zone"][0].as_py()
    parts = [_from_fields(_fields(piece, pattern), month, day, zone, _after(where, first)) for first, piece in pieces]
    return Stamps(time_ms=np.concatenate(parts), unit="text", zone=_offset(zone)[1])


def _pieces(texts: Any) -> list[tuple[int, Any]]:
    """Short arrays with the row each begins at: text in parts is many times larger than the times in it."""
    import pyarrow as pa

    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    pieces, first = [], 0
    for chunk in chunks:
        pieces += [(first + at, chunk[at : at + PIECE_ROWS]) for at in range(0, len(chunk), PIECE_ROWS)]
        first += len(chunk)
    return pieces


def _after(where: Where, first: int) -> Where:
    return lambda row: where(first + row)


def _matches(pieces: list[tuple[int, Any]], pattern: str) -> BoolArray:
    import pyarrow.compute as pc

    return np.concatenate([np.asarray(pc.match_substring_regex(piece, pattern)) for _, piece in pieces])


def _all_read(good: BoolArray, texts: Any, where: Where, expected: str) -> None:
    bad = np.flatnonzero(~good)
    if bad.size:
        row = int(bad[0])
        raise CandleError(
            where(row),
            got=repr(texts[row].as_py())[:60],
            expected=expected,
            fix="correct the row; a file must write all of its times in one way",
            row=row,
        )


def _whole(good: BoolArray, values: Any, where: Where) -> None:
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise CandleError(where(row), got=str(values[row]), expected="a whole number of milliseconds", row=row)


def _whole_numbers(texts: Any, where: Where) -> IntArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts)
    try:
        return np.asarray(pc.cast(texts, pa.int64()))
    except pa.ArrowInvalid:
        values = np.asarray(pc.cast(texts, pa.float64()))
    exact = (np.abs(values) < 2**53) & (values == np.floor(values))
    _all_read(exact, texts, where, "a whole number since 1970 that fits 53 bits where it is written with a point")
    return values.astype(np.int64)


def _fields(texts: Any, pattern: str) -> dict[str, Any]:
    import pyarrow.compute as pc

    found = pc.extract_regex(texts, pattern)
    return {name: found.field(name) for name in re.findall(r"\?P<(\w+)>", pattern)}


def _numbers(texts: Any) -> IntArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.cast(pc.if_else(pc.equal(texts, ""), "0", texts), pa.int64()))


def _order(pieces: list[dict[str, Any]], where: Where) -> tuple[str, str]:
    """Which of the two numbers before the year is the month, which the day."""
    b = np.concatenate([_numbers(parts["b"]).astype(np.int8) for parts in pieces])
    c = np.concatenate([_numbers(parts["c"]).astype(np.int8) for parts in pieces])
    if (b > 12).any() and (c > 12).any():
        row = max(int(np.argmax(b > 12)), int(np.argmax(c > 12)))  # the first that contradicts a row before it
        raise CandleError(where(row), got="day and month in another order than before", expected="one order", row=row)
    if (c > 12).any():
        return "b", "c"
    if (b > 12).any() or pieces[0]["mark"][0].as_py() == ".":
        return "c", "b"
    raise CandleError(
        where(0),
        got="dates that read as day/month and as month/day",
        expected="an order that is certain",
        fix="write dates as 2024-01-31",
        row=0,
    )


def _from_fields(parts: dict[str, Any], month: str, day: str, zone: str, where: Where) -> IntArray:
    """Milliseconds UTC; every row must be in the time zone of the first."""
    import pyarrow.compute as pc

    zones = pc.dictionary_encode(parts["zone"])
    names = zones.dictionary.to_pylist()
    other = [code for code, name in enumerate(names) if name != zone and not {name, zone} <= set(ZERO_ZONES)]
    if other:
        row = int(np.flatnonzero(np.isin(np.asarray(zones.indices), other))[0])
        raise CandleError(
            where(row),
            got=f"time zone {parts['zone'][row].as_py() or 'not stated'!r} after rows with {zone or 'none'!r}",
            expected="one time zone in the whole column",
            fix="convert the stamps to UTC",
        )
    offset_ms = _offset(zone)[0]
    y, m, d = _numbers(parts["year"]), _numbers(parts[month]), _numbers(parts[day])
    hour, minute, second = (_numbers(parts[name]) for name in ("hour", "minute", "second"))
    nanos = _numbers(pc.utf8_rpad(parts["fraction"], 9, "0"))
    good = (m >= 1) & (m <= 12) & (d >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    months = (y - 1970) * 12 + np.clip(m, 1, 12) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    length = ((months + 1).astype("datetime64[M]").astype("datetime64[D]") - first).astype(np.int64)
    good &= d <= length
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        clock = f"{y[row]}-{m[row]:02}-{d[row]:02} {hour[row]:02}:{minute[row]:02}:{second[row]:02}"
        raise CandleError(where(row), got=clock, expected="a time that exists", fix="correct the row")
    _whole(nanos % 1_000_000 == 0, nanos, where)
    seconds = ((first.astype(np.int64) + d - 1) * 24 + hour) * 3600 + minute * 60 + second
    time_ms: IntArray = seconds * 1000 + nanos // 1_000_000 - offset_ms
    return time_ms


def _offset(zone: str) -> tuple[int, str]:
    """An offset in ms, and how to say it."""
    if not zone:
        return 0, "none stated, taken as UTC"
    if zone in ZERO_ZONES:
        return 0, "UTC, as stated"
    sign = -1 if zone[0] == "-" else 1
    minutes = sign * (int(zone[1:3]) * 60 + int(zone[-2:]))
    return minutes * 60_000, f"{zone}, converted to UTC"


def _from_dates(values: IntArray, where: Where) -> Stamps:
    """Dates written as the number 20240131."""
    import pyarrow as pa

    texts = pa.array([str(value) for value in values.tolist()])
    time_ms = _from_fields(_fields(texts, YEAR_FIRST), "b", "c", "", where)
    return Stamps(time_ms=time_ms, unit="date", zone=_offset("")[1])
