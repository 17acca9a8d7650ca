"""Candle files: read what people have (CSV, Parquet, feather), say what was understood, write what proves itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.data.calendars import Calendar
from tradenas.data.candles import Candles
from tradenas.data.quality import Audit, audit
from tradenas.data.repairs import Repairs, repair_rows
from tradenas.data.rows import COLUMNS
from tradenas.data.tables import MANIFEST, Found, read_feather, read_parquet
from tradenas.data.text import MAX_TEXT_BYTES, read_text
from tradenas.errors import CandleError

__all__ = ["ReadReport", "read_candles", "symbols_in", "write_candles"]


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """How a file was understood, and what was repaired.

    Attributes:
        mapped: our column name -> header in the file; `ignored` headers were not read.
        time_unit: s, ms, us, ns, text or date; `time_zone` in words.
        symbols: names in the symbol column, if there is one.
        rows_read: rows of this symbol in the file, before repairs.
        repairs: rows changed, dropped or added by each repair that was asked for.
        audit: of the candles that came out.
    """

    path: str
    format: str
    symbol: str
    rows_read: int
    mapped: dict[str, str]
    ignored: tuple[str, ...]
    time_unit: str
    time_zone: str
    encoding: str | None
    delimiter: str | None
    decimal: str | None
    symbols: tuple[str, ...]
    repairs: dict[str, int]
    notes: tuple[str, ...]
    audit: Audit

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`."""
        return {**asdict(self), "audit": self.audit.to_json()}


def read_candles(
    path: str | Path,
    *,
    symbol: str | None = None,
    columns: Mapping[str, str] | None = None,
    repairs: Repairs | None = None,
    calendar: Calendar | None = None,
    interval_ms: int | None = None,
    now_ms: int | None = None,
) -> tuple[Candles, ReadReport]:
    """Candles from a CSV, Parquet or feather file, or which row is wrong.

    The kind of file is told by its first bytes.  Nothing is repaired unless `repairs` says so.

    Args:
        path: the file.
        symbol: chooses one where the file has a symbol column; otherwise names the market (default: the file's stem).
        columns: our name -> header, for headers that are not known (`{"open_time": "when"}`).
        repairs: what may be changed; None changes nothing.
        calendar: None detects it.
        interval_ms: None takes the median step.
        now_ms: candles that close after it are refused; None is the clock of this machine.

    Raises:
        CandleError: the first fault with row, line and column; or more than 1 % of the bars missing.
    """
    path = Path(path)
    found, kind = _read(path, symbol, columns)
    repairs = repairs or Repairs()
    manifest = found.facts.get("manifest") or {}
    name = _symbol(found, symbol, manifest, path)
    now = int(time.time() * 1000) if now_ms is None else now_ms
    if interval_ms is None and isinstance(manifest.get("interval_ms"), int):
        interval_ms = manifest["interval_ms"]
    if calendar is None and manifest.get("calendar") in ("24/7", "sessions"):
        calendar = manifest["calendar"]
    rows, counts = repair_rows(found.rows, repairs, now_ms=now, interval_ms=interval_ms, calendar=calendar)
    candles = Candles.from_rows(rows, symbol=name, interval_ms=interval_ms, calendar=calendar, now_ms=now)
    if manifest and name == manifest.get("symbol") and not any(counts.values()):
        _verify(candles, manifest, path)
    looked = audit(candles, allow_gaps=repairs.allow_gaps)
    for finding in looked.findings:
        if finding.level == "error":
            at = rows.where(looked.longest_gap_row or 0)
            fix = "get the missing bars, or pass Repairs(fill_gaps_bars=...) or Repairs(allow_gaps=True)"
            raise CandleError(at, got=finding.text, expected="at most 1 % missing", fix=fix, row=looked.longest_gap_row)
    facts = {name: found.facts.get(name) for name in ("encoding", "delimiter", "decimal")}
    report = ReadReport(
        path=str(path),
        format=kind,
        symbol=name,
        rows_read=found.facts["rows_read"],
        mapped=found.mapped.fields,
        ignored=found.mapped.ignored,
        time_unit=found.facts["time_unit"],
        time_zone=found.facts["time_zone"],
        **facts,
        symbols=tuple(found.symbols),
        repairs=counts,
        notes=tuple(found.notes),
        audit=looked,
    )
    return candles, report


def symbols_in(path: str | Path) -> tuple[str, ...]:
    """Names of the markets in a file, sorted; of one without a symbol column the name that `read_candles` gives it.

    Raises:
        CandleError: the file cannot be read.
    """
    path = Path(path)
    found, _ = _read(path, None, None)
    if found.symbols:
        return tuple(sorted(found.symbols))
    return (_symbol(found, None, found.facts.get("manifest") or {}, path),)


def write_candles(candles: Candles, path: str | Path) -> None:
    """Writes candles as Parquet, whole or not at all, with a manifest that `read_candles` checks against the values.

    Raises:
        FolderError: the disk refuses.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tradenas.atomic import write_bytes

    columns = {name: getattr(candles, name) for name in COLUMNS if getattr(candles, name) is not None}
    manifest = {
        "version": 1,
        "symbol": candles.symbol,
        "interval_ms": candles.interval_ms,
        "calendar": candles.calendar,
        "rows": len(candles),
        "sha256": candles.sha256,
    }
    table = pa.table({name: pa.array(np.asarray(column)) for name, column in columns.items()})
    table = table.replace_schema_metadata({MANIFEST: json.dumps(manifest).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def _read(path: Path, symbol: str | None, columns: Mapping[str, str] | None) -> tuple[Found, str]:
    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic[:4] != b"PAR1" and magic != b"ARROW1":
            if path.stat().st_size > MAX_TEXT_BYTES:
                got = f"more than {MAX_TEXT_BYTES >> 30} GiB of text"
                raise CandleError(path.name, got=got, expected="less", fix="split the file by time")
            return read_text(path.read_bytes(), path.name, symbol=symbol, columns=columns), "csv"
    except OSError as error:
        raise CandleError(str(path), got=error.strerror or str(error), expected="a file that can be read") from None
    if magic == b"ARROW1":
        return read_feather(path, symbol=symbol, columns=columns), "feather"
    return read_parquet(path, symbol=symbol, columns=columns), "parquet"


def _symbol(found: Found, wanted: str | None, manifest: dict[str, Any], path: Path) -> str:
    there = sorted(found.symbols)
    if wanted is None and len(there) > 1:
        raise CandleError(
            f"{path.name}, column {found.mapped.fields['symbol']!r}",
            got=f"{len(there)} symbols",
            expected="one",
            fix=f"choose with symbol=, one of: {', '.join(there[:40])}",
        )
    if wanted is not None:
        return wanted
    return there[0] if there else str(manifest.get("symbol") or path.stem)


def _verify(candles: Candles, manifest: dict[str, Any], path: Path) -> None:
    if manifest.get("sha256") != candles.sha256:
        raise CandleError(
            path.name,
            got=f"values with SHA-256 {candles.sha256[:12]}...",
            expected=f"{str(manifest.get('sha256'))[:12]}... as when the file was written",
            fix="the file was changed after it was written: get it again",
        )
