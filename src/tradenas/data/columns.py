"""Any table as columns by name: what a reader of series and order books asks, whichever kind of file it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tradenas.data.headers import FIELDS, plain
from tradenas.data.tables import choose_symbol, read_floats, read_stamps
from tradenas.data.text import DELIMITERS, MAX_TEXT_BYTES, parse_numbers, plain_text
from tradenas.errors import CandleError
from tradenas.typing import FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KNOWN_AT", "Columns", "read_columns"]

#: Headers of the time at which a row was known, the surest first: arrival before the exchange's own stamp.
KNOWN_AT: tuple[str, ...] = (
    *("knownat", "knownatms", "receivedat", "localtimestamp", "settlementtime", "fundingratetimestamp"),
    *FIELDS["open_time"],
)
STATED = b"tradenas.series"


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns:
    """The columns of one file, as text or as numbers, and the line of each row where it is text.

    Attributes:
        place: name of the file, for errors.
        cells: header -> pyarrow array.
        line: of each row; None for a binary file.
        symbol: the market that the file says it is of, "" where it does not.
    """

    place: str
    cells: dict[str, Any]
    line: IntArray | None
    symbol: str = ""

    def find(self, names: Sequence[str], what: str) -> str:
        """The header that is one of these names, in their order of preference; case and punctuation do not matter.

        Raises:
            CandleError: none is.
        """
        known = {plain(header): header for header in self.cells}
        for name in names:
            if plain(name) in known:
                return known[plain(name)]
        raise CandleError(
            f"{self.place}, header",
            got="columns " + ", ".join(map(repr, list(self.cells)[:20])),
            expected=f"a column for {what}, such as {names[0]!r}",
        )

    def of(self, symbol: str) -> Columns:
        """The rows of one market, where the file tells markets apart; else all of them.

        Raises:
            CandleError: the file is of other markets.
        """
        import pyarrow as pa

        header = next((h for h in self.cells if plain(h) in FIELDS["symbol"]), None)
        seen = [self.symbol] if self.symbol else []
        keep = np.ones(len(next(iter(self.cells.values()))), bool)
        if header is not None:
            seen = []
            keep = choose_symbol(self.cells[header], symbol, seen, keep)
        if seen and symbol not in seen:
            raise CandleError(
                self.place,
                got=f"rows of {', '.join(sorted(seen)[:40])}",
                expected=f"rows of {symbol!r}",
                fix="name the market: symbol = ... under [data], or beside the path",
            )
        if not keep.any():
            raise CandleError(self.place, got="no rows", expected="one or more")
        cells = {name: cells.filter(pa.array(keep)) for name, cells in self.cells.items() if name != header}
        return Columns(place=self.place, cells=cells, line=None if self.line is None else self.line[keep])

    def times(self) -> IntArray:
        """When each row was known, int64 ms UTC."""
        header = self.find(KNOWN_AT, "the time at which a row was known")
        import pyarrow as pa

        return read_stamps(pa.chunked_array([self.cells[header]]), lambda row: self.where(row, header)).time_ms

    def floats(self, header: str) -> FloatArray:
        """A column as numbers."""
        cells = self.cells[header]
        if self.line is not None:
            return parse_numbers(cells, ".", lambda row: self.where(row, header))
        return read_floats(cells, self.place, header, 0)

    def where(self, row: int, header: str = "") -> str:
        """Place of a cell or a row, for errors."""
        line = "" if self.line is None else f" (line {int(self.line[row])})"
        return f"{self.place}, row {row}{line}" + (f", column {header!r}" if header else "")


def read_columns(path: Path) -> Columns:
    """All columns of a CSV, Parquet or feather file.

    Raises:
        CandleError: it is absent or not a table.
    """
    import pyarrow as pa

    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic[:4] == b"PAR1":
            import pyarrow.parquet as pq

            return _binary(path, pq.read_table(path, use_threads=False))
        if magic == b"ARROW1":
            with pa.memory_map(str(path)) as source:
                return _binary(path, pa.ipc.open_file(source).read_all())
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise CandleError(path.name, got="a larger text", expected=f"at most {MAX_TEXT_BYTES >> 30} GiB")
        return _text(path.name, path.read_bytes())
    except OSError as error:
        raise CandleError(str(path), got=error.strerror or str(error), expected="a file that can be read") from None
    except pa.ArrowException as error:
        said = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise CandleError(path.name, got=said, expected="a whole table") from None


def _binary(path: Path, table: pa.Table) -> Columns:
    metadata = table.schema.metadata or {}
    stated = metadata.get(STATED, b"").decode().split("-")  # category-SYMBOL-funding, as the Bybit store writes it
    table = table.combine_chunks()
    cells = {name: _one(table.column(name)) for name in table.column_names}
    return Columns(place=path.name, cells=cells, line=None, symbol="-".join(stated[1:-1]))


def _one(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _text(place: str, data: bytes) -> Columns:
    """Every cell as text, with its line; the first line is the header."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    data, _ = plain_text(data, place)
    head = data.split(b"\n", 1)[0]
    delimiter = chr(max(DELIMITERS, key=lambda mark: head.count(bytes([mark]))))
    names = [name.strip().strip('"') for name in head.decode(errors="replace").strip("\r").split(delimiter)]
    if len(set(names)) < len(names) or not any(name and not name[0].isdigit() for name in names):
        raise CandleError(f"{place}, line 1", got=repr(names)[:80], expected="a header of names that differ")
    table = pacsv.read_csv(
        pa.py_buffer(data),
        read_options=pacsv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    ).combine_chunks()
    cells = {name: _one(table.column(name)) for name in names}
    blank = np.ones(table.num_rows, bool)
    for column in cells.values():
        blank &= np.asarray(pc.equal(pc.utf8_trim_whitespace(column), ""))
    line = 2 + np.arange(table.num_rows)
    keep = pa.array(~blank)
    return Columns(place=place, cells={n: c.filter(keep) for n, c in cells.items()}, line=line[~blank])
