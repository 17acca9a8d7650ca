"""Daily P&L of every strategy in the judged zones, and sums of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tradenas.errors import FolderError
from tradenas.typing import FloatArray, IntArray

__all__ = ["DAY_MS", "ZONES", "Daily", "DailySeries", "read_daily"]

DAY_MS = 86_400_000
ZONES = ("selection", "vault")
COLUMNS = ("zone", "name", "day", "net", "gross", "turnover")
OPTIONAL = ("funding",)


@dataclass(frozen=True, eq=False, kw_only=True)
class DailySeries:
    """P&L a UTC day, as a fraction of capital; rows are days in rising order; `funding_D` is what was paid of it."""

    day_D: IntArray
    net_D: FloatArray
    gross_D: FloatArray
    turnover_D: FloatArray
    funding_D: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.day_D)


@dataclass(frozen=True, eq=False, kw_only=True)
class Daily:
    """`retrain/daily.parquet`: one series a zone and a name."""

    series: Mapping[tuple[str, str], DailySeries]

    @property
    def names(self) -> tuple[str, ...]:
        """Every strategy, in the order of the file."""
        return tuple(dict.fromkeys(name for _, name in self.series))

    def of(self, name: str) -> DailySeries | None:
        """Selection and vault of one strategy in a row; a day that both zones share is summed."""
        parts = [self.series[zone, name] for zone in ZONES if (zone, name) in self.series]
        if not parts:
            return None
        day, inverse = np.unique(np.concatenate([part.day_D for part in parts]), return_inverse=True)

        def total(columns: list[FloatArray]) -> FloatArray:
            return np.bincount(inverse, weights=np.concatenate(columns), minlength=len(day)).astype(np.float64)

        funding = [part.funding_D for part in parts if part.funding_D is not None]
        return DailySeries(
            day_D=day,
            net_D=total([part.net_D for part in parts]),
            gross_D=total([part.gross_D for part in parts]),
            turnover_D=total([part.turnover_D for part in parts]),
            funding_D=total(funding) if len(funding) == len(parts) else None,
        )

    def span(self, zone: str) -> tuple[int, int] | None:
        """First and last day (ms UTC) on which a zone has P&L."""
        days = [s.day_D for (z, _), s in self.series.items() if z == zone and len(s)]
        return (min(int(d[0]) for d in days), max(int(d[-1]) for d in days)) if days else None


def read_daily(path: Path) -> Daily:
    """Reads `daily.parquet`.  Raises `FolderError` when it is not Parquet, lacks a column or holds a non-number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else repr(error)) from error
    absent = [name for name in COLUMNS if name not in table.column_names]
    if absent:
        raise _damaged(path, f"no column {', '.join(absent)}")
    try:
        zone, name = (np.asarray(table[c].to_pylist(), dtype=object) for c in ("zone", "name"))
        day = table["day"].cast(pa.int64()).to_numpy()
        present = (*COLUMNS[3:], *(c for c in OPTIONAL if c in table.column_names))
        values = {c: table[c].cast(pa.float64()).to_numpy() for c in present}
    except (pa.ArrowException, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    for column, numbers in values.items():
        if not np.isfinite(numbers).all():
            raise _damaged(path, f"{column} row {int(np.argmin(np.isfinite(numbers)))} is not a finite number")
    if not all(isinstance(text, str) for text in (*zone, *name)):
        raise _damaged(path, "a zone or a name that is not text")
    return Daily(series=_split(path, zone, name, day, values))


def _split(
    path: Path, zone: np.ndarray, name: np.ndarray, day: IntArray, values: dict[str, FloatArray]
) -> dict[tuple[str, str], DailySeries]:
    rows: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(zone.tolist(), name.tolist(), strict=True)):
        rows.setdefault(key, []).append(i)
    series = {}
    for key, index in rows.items():
        chosen = np.asarray(index)[np.argsort(day[index], kind="stable")]
        if len(np.unique(day[chosen])) < len(chosen):
            raise _damaged(path, f"a day twice for {key[1]!r} in {key[0]}")
        series[key] = DailySeries(
            day_D=day[chosen].astype(np.int64), **{f"{c}_D": numbers[chosen] for c, numbers in values.items()}
        )
    return series


def _damaged(path: Path, what: str) -> FolderError:
    return FolderError(str(path), got=f"damaged ({what})", expected="daily P&L", fix="delete it and resume the run")
