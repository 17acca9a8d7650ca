"""Monthly Parquet files with a manifest: written whole or not at all, checked when read, never of two hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tradenas import atomic
from tradenas.data.bybit.series import COLUMNS, Bars, Series
from tradenas.errors import FolderError, MissingExtra

__all__ = ["SeriesStore", "read_bars", "write_bars", "write_table"]

_SCHEMA = 1


class SeriesStore:
    """The folder of one series: `YYYY-MM.parquet`, `YYYY-MM.part` while a month is under way, `manifest.json`.

    Args:
        folder: where series folders lie.
        series: which one.
        host: where its candles come from; a folder never holds candles of two hosts.

    Raises:
        FolderError: the manifest is damaged, or of another host or series.
    """

    def __init__(self, folder: Path, series: Series, host: str) -> None:
        self.folder, self.series, self.host = folder / series.name, series, host
        self.months: dict[str, dict[str, Any]] = {}
        self.first_candle: int | None = None
        if (self.folder / "manifest.json").exists():
            manifest = self.read_manifest(self.folder)
            for key, mine in {"host": host, "name": series.name}.items():
                if manifest[key] != mine:
                    raise FolderError(
                        f"{self.folder}", got=f"candles of {manifest[key]}", expected=mine, fix="use another folder"
                    )
            self.months, self.first_candle = manifest["months"], manifest["first_candle"]

    @staticmethod
    def read_manifest(folder: Path) -> dict[str, Any]:
        """The manifest of a series folder.

        Raises:
            FolderError: it is absent, damaged or of a newer version.
        """
        file = folder / "manifest.json"
        manifest = atomic.read_json(file)
        if not isinstance(manifest, dict) or manifest.get("digest") != _digest(manifest):
            raise FolderError(f"{file}", got="damage", expected="a manifest", fix=f"delete {folder} and fetch again")
        if manifest.get("schema") != _SCHEMA:
            raise FolderError(
                f"{file}", got=f"schema {manifest.get('schema')}", expected=f"schema {_SCHEMA}", fix="update tradenas"
            )
        found: dict[str, Any] = manifest
        return found

    def month(self, month: str) -> Bars | None:
        """A finished month, or None where it is absent or damaged."""
        entry, file = self.months.get(month), self._file(month)
        if entry is None or not file.exists() or atomic.sha256_file(file) != entry["sha256"]:
            return None
        return read_bars(file, self.series)

    def part(self, month: str) -> Bars | None:
        """What an interrupted fetch left of a month, or None where it is absent or damaged."""
        file = self._part(month)
        return read_bars(file, self.series) if file.exists() else None

    def save_part(self, month: str, bars: Bars) -> None:
        """Keep the month's candles so far, so that a kill loses one page at most."""
        write_bars(self._part(month), bars, self.series)

    def save_month(self, month: str, bars: Bars) -> None:
        """Put a month in place: the file, then the manifest that vouches for it, then away with the part."""
        write_bars(self._file(month), bars, self.series)
        self.months[month] = {
            "first": bars.first,
            "last": bars.last,
            "rows": len(bars),
            "sha256": atomic.sha256_file(self._file(month)),
        }
        self.save_manifest()
        self._part(month).unlink(missing_ok=True)

    def forget(self, month: str) -> None:
        """Drop all that is kept of a month."""
        if self.months.pop(month, None) is not None:
            self.save_manifest()
        for file in (self._file(month), self._part(month)):
            file.unlink(missing_ok=True)

    def save_manifest(self) -> None:
        """Write `manifest.json`."""
        months = {month: self.months[month] for month in sorted(self.months)}
        gaps, before = [], None
        for entry in months.values():
            if before is not None and entry["first"] != before + self.series.step_ms:
                gaps.append([before + self.series.step_ms, entry["first"]])
            before = entry["last"]
        manifest = {
            "schema": _SCHEMA,
            "source": "bybit",
            "host": self.host,
            "name": self.series.name,
            "category": self.series.category,
            "symbol": self.series.symbol,
            "interval": self.series.interval,
            "interval_ms": self.series.step_ms,
            "volume": "base coin",
            "first_candle": self.first_candle,
            "first": min((entry["first"] for entry in months.values()), default=None),
            "last": before,
            "rows": sum(entry["rows"] for entry in months.values()),
            "gaps": gaps,
            "months": months,
        }
        manifest["digest"] = _digest(manifest)
        atomic.write_json(self.folder / "manifest.json", manifest)

    def _file(self, month: str) -> Path:
        return self.folder / f"{month}.parquet"

    def _part(self, month: str) -> Path:
        return self.folder / f"{month}.part"


def write_table(file: Path, columns: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Columns as a Parquet file, atomically.  Equal columns and metadata give equal bytes."""
    pa, parquet = _arrow()
    table = pa.table(dict(columns)).replace_schema_metadata(dict(metadata))
    out = pa.BufferOutputStream()
    parquet.write_table(table, out, compression="zstd")
    atomic.write_bytes(file, out.getvalue().to_pybytes())


def write_bars(file: Path, bars: Bars, series: Series) -> None:
    """Candles as Parquet, with their own digest inside."""
    columns = {"open_time": bars.open_time, **dict(zip(COLUMNS, bars.values_TC.T, strict=True))}
    write_table(file, columns, {"tradenas.series": series.name, "tradenas.digest": bars.digest()})


def read_bars(file: Path, series: Series) -> Bars | None:
    """Candles of `write_bars`, or None where the file is damaged, foreign or not consecutive."""
    pa, parquet = _arrow()
    try:
        table = parquet.read_table(pa.BufferReader(file.read_bytes()))
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        values_TC = np.column_stack([table.column(name).to_numpy() for name in COLUMNS])
        bars = Bars(np.asarray(table.column("open_time").to_numpy(), np.int64), np.asarray(values_TC, np.float64))
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    whole = metadata.get("tradenas.series") == series.name and metadata.get("tradenas.digest") == bars.digest()
    return bars if whole and len(bars) and (np.diff(bars.open_time) == series.step_ms).all() else None


def _digest(manifest: Mapping[str, Any]) -> str:
    body = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(atomic.canonical_json(body).encode()).hexdigest()


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra.of("pyarrow", extra="search") from error
    return pa, parquet
