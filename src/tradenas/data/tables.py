"""Parquet and feather to rows: the metadata is weighed before a page is unpacked, and only needed columns are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tradenas.data.headers import Mapped, map_headers
from tradenas.data.repairs import MAX_ROWS
from tradenas.data.rows import Rows
from tradenas.data.stamps import Stamps, from_epoch, from_text
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MANIFEST", "Found", "choose_symbol", "nothing_found", "read_feather", "read_floats", "read_parquet", "read_stamps",
]  # fmt: skip

MAX_TABLE_BYTES = 2 * 2**30
MAX_COLUMNS = 1_000
BATCH_ROWS = 1 << 17
MANIFEST = b"tradenas"


@dataclass(kw_only=True)
class Found:
    """What a reader hands on: rows, which header was which, symbols seen, facts for the report, remarks."""

    rows: Rows
    mapped: Mapped
    symbols: list[str]
    facts: dict[str, Any]
    notes: list[str]


def choose_symbol(cells: pa.Array, wanted: str | None, seen: list[str], keep: BoolArray) -> BoolArray:
    """Rows of the wanted symbol; `seen` collects the names that occur among the rows to `keep`.

    Without a wanted symbol all rows pass, and the caller refuses when more than one was seen.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
    names = [str(name) for name in codes.dictionary.to_pylist()]
    index = np.asarray(pc.fill_null(codes.indices, -1))
    for code in np.unique(index[keep]):
        name = names[code] if code >= 0 else ""
        if name not in seen:
            seen.append(name)
    if len(seen) > 100_000:
        raise CandleError("symbol", got=f"{len(seen)} symbols", expected="at most 100,000")
    if wanted is None:
        return np.ones(len(index), bool)
    ours = [code for code, name in enumerate(names) if name == wanted]
    return np.isin(index, ours)


def nothing_found(place: str, names: list[str], symbol: str | None) -> CandleError:
    """The error for a file without rows, or without rows of the wanted symbol."""
    got = f"no rows of symbol {symbol!r}" if names else "no rows"
    expected = f"one of: {', '.join(sorted(names)[:40])}" if names else "at least one candle"
    return CandleError(place, got=got, expected=expected)


def read_parquet(path: Path, *, symbol: str | None, columns: Mapping[str, str] | None) -> Found:
    """Rows of a Parquet file.

    Raises:
        CandleError: too large by its metadata (rows x columns x 8; the sizes it states are not trusted), or broken.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            schema, num_rows = file.schema_arrow, file.metadata.num_rows
            mapped = _weigh(schema, num_rows, path.name, columns)
            batches = file.iter_batches(batch_size=BATCH_ROWS, columns=list(mapped.fields.values()), use_threads=False)
            return _collect(batches, schema, mapped, path.name, symbol)
    except CandleError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken(path, "Parquet", error) from None


def read_feather(path: Path, *, symbol: str | None, columns: Mapping[str, str] | None) -> Found:
    """Rows of a feather (Arrow IPC) file, such as freqtrade writes.

    Raises:
        CandleError: too large by its metadata, or broken.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        num_rows = ds.dataset(path, format="feather").count_rows()  # reads the metadata only
        with pa.memory_map(str(path)) as source:
            file = pa.ipc.open_file(source)
            mapped = _weigh(file.schema, num_rows, path.name, columns)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
            return _collect(batches, file.schema, mapped, path.name, symbol)
    except CandleError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken(path, "feather", error) from None


def _broken(path: Path, kind: str, error: Exception) -> CandleError:
    got = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    return CandleError(path.name, got=got, expected=f"a whole {kind} file", fix="download or write the file again")


def _weigh(schema: pa.Schema, num_rows: int, place: str, columns: Mapping[str, str] | None) -> Mapped:
    if len(schema.names) > MAX_COLUMNS:
        raise CandleError(place, got=f"{len(schema.names)} columns", expected=f"at most {MAX_COLUMNS}")
    mapped = map_headers(schema.names, place, columns)
    size = num_rows * len(mapped.fields) * 8
    if num_rows > MAX_ROWS or size > MAX_TABLE_BYTES:
        raise CandleError(
            place,
            got=f"{num_rows} rows ({size / 2**20:.0f} MiB as float64)",
            expected=f"at most {MAX_ROWS} rows and {MAX_TABLE_BYTES // 2**20} MiB",
            fix="split the file by time or by symbol",
        )
    return mapped


def _collect(batches: Iterator[Any], schema: pa.Schema, mapped: Mapped, place: str, symbol: str | None) -> Found:
    import pyarrow as pa

    kept: dict[str, list[Any]] = {name: [] for name in mapped.fields}
    names: list[str] = []
    done = 0
    for batch in batches:
        if "symbol" in kept:
            everything = np.ones(batch.num_rows, bool)
            ours = choose_symbol(batch.column(mapped.fields["symbol"]), symbol, names, everything)
            if not ours.all():
                batch = batch.filter(pa.array(ours))
        for field, header in mapped.fields.items():
            if field == "open_time":
                kept[field].append(batch.column(header))
            elif field != "symbol":
                kept[field].append(read_floats(batch.column(header), place, header, done))
        done += batch.num_rows
    if not done:
        raise nothing_found(place, names, symbol)
    header = mapped.fields["open_time"]
    stamps = read_stamps(pa.chunked_array(kept["open_time"]), lambda row: f"{place}, row {row}, column {header!r}")
    floats = {name: np.concatenate(kept.pop(name)) for name in list(kept) if name not in ("open_time", "symbol")}
    rows = Rows(open_time=stamps.time_ms, place=place, **floats)
    facts: dict[str, Any] = {"time_unit": stamps.unit, "time_zone": stamps.zone, "rows_read": done}
    if MANIFEST in (schema.metadata or {}):
        try:
            facts["manifest"] = json.loads(schema.metadata[MANIFEST])
        except (ValueError, RecursionError):
            raise CandleError(place, got="a manifest that is not JSON", expected="one by write_candles") from None
    return Found(rows=rows, mapped=mapped, symbols=names, facts=facts, notes=[])


def read_floats(column: pa.Array, place: str, header: str, done: int) -> FloatArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    from tradenas.data.text import parse_numbers

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.fill_null(column, "")
        return parse_numbers(column, ".", lambda row: f"{place}, row {done + row}, column {header!r}")
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise CandleError(f"{place}, column {header!r}", got=f"type {kind}", expected="numbers")
    values = pc.cast(column, pa.float64(), safe=False)  # an integer beyond 2**53 loses digits no price has
    return np.asarray(pc.fill_null(values, float("nan")))


def read_stamps(column: pa.ChunkedArray, where: Any) -> Stamps:
    """Stamps of whatever type the file holds them in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        row = int(np.argmax(np.asarray(pc.is_null(column))))
        raise CandleError(where(row), got="no time", expected="a time", fix="remove the row in the source", row=row)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return from_text(column, where)
    if pa.types.is_timestamp(kind):
        zone = f"{kind.tz}, converted to UTC" if kind.tz else "none stated, taken as UTC"
        values, factor = np.asarray(pc.cast(column, pa.int64())), {"s": 1_000, "ms": 1}.get(kind.unit)
        if factor is not None:
            return Stamps(time_ms=values * factor, unit=kind.unit, zone=zone)
        divisor = 1_000 if kind.unit == "us" else 1_000_000
        part = np.flatnonzero(values % divisor)
        if part.size:
            row = int(part[0])
            raise CandleError(where(row), got=str(column[row]), expected="a whole number of milliseconds", row=row)
        return Stamps(time_ms=values // divisor, unit=kind.unit, zone=zone)
    if pa.types.is_date(kind):
        days = np.asarray(pc.cast(column, pa.date32()).view(pa.int32())).astype(np.int64)
        return Stamps(time_ms=days * 86_400_000, unit="date", zone="midnight UTC of the date")
    if pa.types.is_integer(kind):
        return from_epoch(np.asarray(pc.cast(column, pa.int64())), where)
    if pa.types.is_floating(kind):
        values = np.asarray(pc.cast(column, pa.float64()))
        whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)
        if not whole.all():
            row = int(np.argmin(whole))
            raise CandleError(where(row), got=repr(float(values[row])), expected="a whole number since 1970", row=row)
        return from_epoch(values.astype(np.int64), where)
    raise CandleError(where(0), got=f"type {kind}", expected="timestamps, dates, text or numbers since 1970")
