"""CSV to rows: every cell is text first, and each number and time is read by us, with its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tradenas.data.headers import BINANCE_KLINES, Mapped, map_headers
from tradenas.data.repairs import MAX_ROWS
from tradenas.data.rows import Rows
from tradenas.data.stamps import from_text
from tradenas.data.tables import Found, choose_symbol, nothing_found
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DELIMITERS", "MAX_TEXT_BYTES", "parse_numbers", "plain_text", "read_text"]

MAX_TEXT_BYTES = 4 * 2**30
BLOCK_BYTES = 2 * 2**20
DELIMITERS = b",;\t|"
ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
NUMERIC = re.compile(r"^\s*[+-]?[\d.,]+([eE][+-]?\d+)?\s*$")


def read_text(data: bytes, place: str, *, symbol: str | None, columns: Mapping[str, str] | None) -> Found:
    """Rows of a CSV file, not yet checked as candles.

    Raises:
        CandleError: with the line: a short or long row, a cell that is no number, a NUL, an archive, ...
    """
    data, encoding = plain_text(data, place)
    start, first_line, headers, delimiter, notes = _header(data, place)
    mapped = map_headers(headers, place, columns)
    lines = data.count(b"\n", start) + 1
    if lines > MAX_ROWS:
        raise CandleError(place, got=f"{lines} lines", expected=f"at most {MAX_ROWS}", fix="split the file by time")
    reader = _Reader(data, place, start, first_line, headers, delimiter, mapped, symbol)
    found = reader.read()
    found.facts.update(encoding=encoding, delimiter=delimiter, decimal=reader.decimal or ".")
    found.notes[:0] = notes
    return found


def plain_text(data: bytes, place: str) -> tuple[bytes, str]:
    """UTF-8 with one sort of line end, or a refusal."""
    for magic, name in ARCHIVES.items():
        if data.startswith(magic):
            raise CandleError(place, got=f"a {name} archive", expected="plain text", fix="unpack it first")
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data, encoding = data.decode("utf-16").encode(), "utf-16"
        except UnicodeDecodeError as error:
            raise CandleError(place, got=f"broken UTF-16 ({error.reason})", expected="UTF-8 text") from None
    elif data.startswith(b"\xef\xbb\xbf"):
        data, encoding = data[3:], "utf-8 with BOM"
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        fix = "save the file as UTF-8"
        raise CandleError(f"{place}, line {line}", got="a NUL byte", expected="UTF-8 text", fix=fix)
    if data.count(b"\r") != data.count(b"\r\n"):
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data, encoding


def _header(data: bytes, place: str) -> tuple[int, int, list[str], str, list[str]]:
    """Offset and line number of the first row, the column names, the delimiter, and remarks."""
    at = 0
    notes: list[str] = []
    for line in range(1, 6):
        end = data.find(b"\n", at)
        raw = data[at : len(data) if end < 0 else end]
        after = len(data) if end < 0 else end + 1
        marks = max(DELIMITERS, key=raw.count)
        if raw.strip() and raw.count(marks) >= 4:
            try:
                text, delimiter = raw.decode(), chr(marks)
            except UnicodeDecodeError:
                raise CandleError(f"{place}, line {line}", got="bytes that are not UTF-8", expected="text") from None
            names = [name.strip() for name in _cells(text, delimiter)]
            if len(names) != raw.count(marks) + 1:
                fix = "write plain names into the header"
                raise CandleError(f"{place}, line {line}", got=text[:60], expected="names without quotes", fix=fix)
            if not (NUMERIC.match(names[1]) and NUMERIC.match(names[2])):
                return after, line + 1, names, delimiter, notes
            if len(names) == len(BINANCE_KLINES):
                notes.append("no header and 12 columns: read as a Binance kline archive")
                return at, line, list(BINANCE_KLINES), delimiter, notes
            fix = "write the names of the columns into the first line"
            raise CandleError(f"{place}, line {line}", got="numbers", expected="a header", fix=fix)
        if raw.strip():
            notes.append(f"line {line} is no header and was skipped")
        if end < 0:
            break
        at = after
    raise CandleError(
        place,
        got="no header in the first lines" if data.strip() else "an empty file",
        expected="a line of column names, separated by comma, semicolon, tab or |",
    )


def _cells(text: str, delimiter: str) -> list[str]:
    """Cells of one line; none where it is blank or cannot be read."""
    try:
        return next(csv.reader([text.rstrip("\r")], delimiter=delimiter), [])
    except csv.Error:
        return []


class _Reader:
    """One pass over the text, in blocks, so that no more than one block of cells is in memory."""

    def __init__(
        self,
        data: bytes,
        place: str,
        start: int,
        first_line: int,
        headers: list[str],
        delimiter: str,
        mapped: Mapped,
        symbol: str | None,
    ) -> None:
        self.data, self.place, self.start, self.first_line = data, place, start, first_line
        self.headers, self.delimiter, self.mapped, self.symbol = headers, delimiter, mapped, symbol
        self.decimal: str | None = None
        self.num_read = 0

    def read(self) -> Found:
        """All the rows of the chosen symbol."""
        import pyarrow as pa

        kept: dict[str, list[Any]] = {name: [] for name in self.mapped.fields}
        lines: list[Any] = []
        names: list[str] = []
        try:
            for batch in self._batches():
                line = self.first_line + self.num_read + np.arange(batch.num_rows)
                self.num_read += batch.num_rows
                keep = self._not_blank(batch)
                if "symbol" in kept:
                    ours = batch.column(self.mapped.fields["symbol"])
                    keep &= choose_symbol(ours, self.symbol, names, keep)
                if not keep.all():
                    batch, line = batch.filter(pa.array(keep)), line[keep]
                lines.append(line)
                for field, header in self.mapped.fields.items():
                    cells = batch.column(header)
                    kept[field].append(cells if field in ("open_time", "symbol") else self._floats(cells, header, line))
        except pa.ArrowInvalid as error:
            self._torn(str(error))
        line = np.concatenate(lines) if lines else np.zeros(0, np.int64)
        if not len(line):
            raise nothing_found(self.place, names, self.symbol)
        time_header = self.mapped.fields["open_time"]

        def where(row: int) -> str:
            return f"{self.place}, row {row} (line {int(line[row])}), column {time_header!r}"

        stamps = from_text(pa.chunked_array(kept["open_time"]), where)
        floats = {name: np.concatenate(kept.pop(name)) for name in list(kept) if name not in ("open_time", "symbol")}
        rows = Rows(open_time=stamps.time_ms, line=line, place=self.place, **floats)
        facts = {"time_unit": stamps.unit, "time_zone": stamps.zone, "rows_read": len(rows)}
        return Found(rows=rows, mapped=self.mapped, symbols=names, facts=facts, notes=[])

    def _batches(self) -> Any:
        import pyarrow as pa
        import pyarrow.csv as pacsv

        if not self.data[self.start : self.start + BLOCK_BYTES].strip():
            return
        text = pa.BufferReader(pa.py_buffer(self.data).slice(self.start))
        quoted = self.data.find(b'"', self.start) >= 0
        stream = pacsv.open_csv(
            text,
            read_options=pacsv.ReadOptions(column_names=self.headers, block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter, ignore_empty_lines=False, quote_char='"'),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(self.headers, pa.string()),
                include_columns=list(self.mapped.fields.values()),
                strings_can_be_null=False,
            ),
        )
        yield from stream
        lines = self.data.count(b"\n", self.start) + (not self.data.endswith(b"\n"))
        if quoted and self.num_read != lines:
            self._torn("a quoted line break")

    def _torn(self, what: str) -> NoReturn:
        """Finds the line that has another number of cells, the slow way, once something is known to be wrong."""
        body = self.data[self.start :].split(b"\n")
        for line, raw in enumerate(body, self.first_line):
            try:
                text = raw.decode().rstrip("\r")
            except UnicodeDecodeError:
                fix = "save the file as UTF-8"
                raise CandleError(f"{self.place}, line {line}", got="no UTF-8", expected="text", fix=fix) from None
            cells = len(_cells(text, self.delimiter))
            if cells not in (0, len(self.headers)) or raw.count(b'"') % 2:
                raise CandleError(
                    f"{self.place}, line {line}",
                    got=f"{cells} cells ({text[:60]!r})" + (" and an open quote" if raw.count(b'"') % 2 else ""),
                    expected=f"{len(self.headers)}, as in the header",
                    fix="correct the line in the source",
                )
        raise CandleError(self.place, got=what[:200], expected="one candle a line")

    def _not_blank(self, batch: pa.RecordBatch) -> BoolArray:
        import pyarrow.compute as pc

        keep = np.ones(batch.num_rows, bool)
        empty = np.asarray(pc.equal(batch.column(self.mapped.fields["open_time"]), ""))
        if empty.any():
            for column in batch.columns:
                empty = empty & np.asarray(pc.equal(column, ""))
            keep = ~empty
        return keep

    def _floats(self, cells: pa.Array, header: str, line: Any) -> FloatArray:
        import pyarrow.compute as pc

        if self.delimiter != "," and self.decimal != "," and pc.any(pc.match_substring(cells, ",")).as_py():
            self._switch_decimal(header, line)
        return parse_numbers(
            cells, self.decimal or ".", lambda row: f"{self.place}, line {int(line[row])}, column {header!r}"
        )

    def _switch_decimal(self, header: str, line: Any) -> None:
        if self.decimal == ".":
            raise CandleError(
                f"{self.place}, line {int(line[0])} or after, column {header!r}",
                got="a decimal comma after decimal points",
                expected="one decimal sign in the whole file",
            )
        self.decimal = ","


def parse_numbers(cells: pa.Array, decimal: str, where: Any) -> FloatArray:
    """Text to float64; anything but a plain number is refused with its place.

    >>> import pyarrow as pa
    >>> parse_numbers(pa.array(["1,5", "-2"]), ",", str).tolist()
    [1.5, -2.0]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal == ",":
        pointed = np.asarray(pc.match_substring(cells, "."))
        if pointed.any():
            row = int(np.argmax(pointed))
            raise CandleError(where(row), got=repr(cells[row].as_py())[:60], expected="a decimal comma, as elsewhere")
        cells = pc.replace_substring(cells, ",", ".")
    try:
        return np.asarray(pc.cast(cells, pa.float64()))
    except pa.ArrowInvalid:
        cells = pc.utf8_trim_whitespace(cells)
    good = np.asarray(pc.match_substring_regex(cells, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf)$"))
    if not good.all():
        row = int(np.argmin(good))
        value = cells[row].as_py()
        raise CandleError(
            where(row),
            got="an empty cell" if value == "" else repr(value)[:60],
            expected="a number such as 1234.5",
            fix="correct or remove the line in the source",
            row=row,
        )
    return np.asarray(pc.cast(cells, pa.float64()))
