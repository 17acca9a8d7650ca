"""Hostile candle files: each is refused with its line, or repaired only when asked, with a count."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.data import Candles, Repairs, read_candles, write_candles
from tradenas.errors import CandleError, TradenasError

HOUR = 3_600_000
START = 1_704_067_200_000  # Monday 2024-01-01
HEADER = "timestamp,open,high,low,close,volume"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def cells(rows: int = 24) -> list[list[str]]:
    return [[str(START + HOUR * i), f"{100 + i}", f"{102 + i}", f"{99 + i}", f"{101 + i}", "5"] for i in range(rows)]


def text(rows: list[list[str]] | None = None, header: str = HEADER, mark: str = ",") -> str:
    lines = [header.replace(",", mark), *(mark.join(row) for row in (cells() if rows is None else rows))]
    return "\n".join(lines) + "\n"


def edited(row: int, column: int, value: str) -> str:
    rows = cells()
    rows[row][column] = value
    return text(rows)


def line_edited(line: int, value: str) -> str:
    lines = text().split("\n")
    lines[line - 1] = value
    return "\n".join(lines)


def stamps(make, header: str = HEADER, rows: int = 24) -> str:
    table = cells(rows)
    for i, row in enumerate(table):
        row[0] = make(i)
    return text(table, header)


def swapped(row_a: int, row_b: int) -> str:
    rows = cells()
    rows[row_a], rows[row_b] = rows[row_b], rows[row_a]
    return text(rows)


def with_turnover(swap_from: int) -> str:
    rows = []
    for i, row in enumerate(cells(24 * 62)):
        turnover = str(float(row[4]) * float(row[5]))
        pair = [row[5], turnover] if i < swap_from else [turnover, row[5]]
        rows.append([*row[:5], *pair])
    return text(rows, HEADER + ",turnover")


def read(tmp_path: Path, data: str | bytes, name: str = "btc.csv", **options):
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_candles(path, **options)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.csv", text())
    return out.getvalue()


# name -> (file, what the message must say, in this order)
HOSTILE: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "nan": (edited(3, 4, "nan"), ("row 3 (line 5)", "'close'", "nan", "finite")),
    "inf": (edited(0, 2, "inf"), ("row 0 (line 2)", "'high'", "inf", "finite")),
    "overflow": (edited(5, 5, "1e400"), ("row 5 (line 7)", "'volume'", "inf", "finite")),
    "zero price": (edited(3, 1, "0"), ("row 3 (line 5)", "'open'", "0.0", "above 0")),
    "negative price": (edited(23, 3, "-5"), ("row 23 (line 25)", "'low'", "-5.0", "above 0")),
    "subnormal price": (edited(2, 1, "4e-320"), ("row 2 (line 4)", "'open'", "1e-15")),
    "huge price": (edited(2, 2, "1e300"), ("row 2 (line 4)", "'high'", "1e+300")),
    "negative volume": (edited(7, 5, "-1"), ("row 7 (line 9)", "'volume'", "-1.0", "not below 0")),
    "high below close": (edited(4, 2, "103"), ("row 4 (line 6)", "'high'", "103.0", "fix_high_low")),
    "high below low": (line_edited(6, f"{START + 4 * HOUR},104,100,103,103,5"), ("line 6", "'high'")),
    "low above open": (edited(4, 3, "104.5"), ("row 4 (line 6)", "'low'", "104.5", "fix_high_low")),
    "copied row": (
        edited(5, 0, str(START + 4 * HOUR)).replace("105,107,104,106", "104,106,103,105"),
        ("row 5 (line 7)", "same values", "drop_duplicates"),
    ),
    "conflicting rows": (edited(5, 0, str(START + 4 * HOUR)), ("row 5 (line 7)", "different values", "keep_last")),
    "unsorted": (swapped(8, 9), ("row 9 (line 11)", "earlier", "sort=True")),
    "off the grid": (edited(6, 0, str(START + 6 * HOUR + 1)), ("row 6 (line 8)", "off the grid", "3600000 ms")),
    "open last candle": (edited(23, 0, str(START + 23 * HOUR + 5_000)), ("row 23 (line 25)", "unclosed candle")),
    "close times": (stamps(lambda i: str(START + HOUR * (i + 1) - 1)), ("row 0 (line 2)", "OPENS", "close times")),
    "seconds after ms": (edited(9, 0, str((START + 9 * HOUR) // 1000)), ("row 9 (line 11)", "in s", "rows in ms")),
    "us after ms": (edited(9, 0, str((START + 9 * HOUR) * 1000)), ("row 9 (line 11)", "in us", "rows in ms")),
    "huge stamp": (edited(3, 0, "9" * 23), ("row 3 (line 5)", "9999999", "53 bits")),
    "row numbers as time": (stamps(str), ("row 0 (line 2)", "got 0", "since 1970")),
    "mixed zones": (stamps(lambda i: f"2024-01-01 {i:02}:00:00+0{int(i > 11)}:00"), ("row 12 (line 14)", "+01:00")),
    "zone only at times": (stamps(lambda i: f"2024-01-01T{i:02}:00:00{'Z' * (i != 4)}"), ("line 6", "not stated")),
    "day or month": (stamps(lambda i: f"01/02/2024 {i:02}:00"), ("row 0 (line 2)", "day/month", "2024-01-31")),
    "both orders": (stamps(lambda i: ("13/01/2024 00:00", "01/13/2024 01:00")[i % 2]), ("row 1 (line 3)", "order")),
    "30 February": (stamps(lambda i: f"2024-02-{i + 20:02} 00:00", rows=12), ("row 10 (line 12)", "2024-02-30")),
    "25 o'clock": (stamps(lambda i: f"2024-01-01 {i + 2:02}:00"), ("row 22 (line 24)", "24:00", "exists")),
    "a word for a time": (edited(3, 0, "soon"), ("row 3 (line 5)", "'soon'", "since 1970")),
    "hex time": (edited(3, 0, "0x18CC251F400"), ("row 3 (line 5)", "0x18CC251F400")),
    "part of a ms": (stamps(lambda i: str((START + HOUR * i) * 1000 + (i == 2))), ("row 2 (line 4)", "whole")),
    "empty cell": (edited(3, 2, ""), ("line 5", "'high'", "empty cell")),
    "a word for a number": (edited(3, 2, "n/a"), ("line 5", "'high'", "'n/a'")),
    "a formula": (edited(3, 5, "=1+1"), ("line 5", "'volume'", "'=1+1'")),
    "thousands": (edited(3, 5, '"1,234.5"'), ("line 5", "'volume'", "1,234.5")),
    "hex number": (edited(3, 5, "0x10"), ("line 5", "'volume'", "0x10")),
    "short row": (line_edited(6, "1704078000000,1,2"), ("line 6", "3 cells", "6, as in the header")),
    "long row": (line_edited(6, "1704078000000,1,2,1,1,1,7,8"), ("line 6", "8 cells", "6, as in the header")),
    "torn last row": (text()[:-9], ("line 25", "6, as in the header")),
    "quoted line break": (edited(3, 5, '"5\n"'), ("line 5", "open quote")),
    "open quote": (edited(3, 1, '"103'), ("line 5", "open quote")),
    "NUL": (edited(3, 1, "10\0"), ("line 5", "NUL")),
    "not UTF-8": (edited(3, 5, "5\xff").encode("latin-1"), ("line 5", "UTF-8")),
    "UTF-16 without mark": (text().encode("utf-16-le"), ("line 1", "NUL")),
    "doubled column": (text(header="timestamp,open,high,low,close,close"), ("header", "'close' twice")),
    "two closes": (text(header="timestamp,open,high,close,Close,volume"), ("header", "both read as close")),
    "quoted header": ('"' + text(), ("line 1", "without quotes")),
    "no volume": (text(header="timestamp,open,high,low,close,spread"), ("header", "'spread'", "for volume")),
    "no header": ("\n".join(text().split("\n")[1:]), ("line 1", "header")),
    "empty": (b"", ("empty file", "column names")),
    "header only": (HEADER + "\n", ("no rows", "at least one")),
    "prose": ("Dear quant,\nthe data is attached.\n", ("no header",)),
    "gzip": (gzip.compress(text().encode()), ("gzip", "Unpack")),
    "zip": (zipped(), ("zip", "Unpack")),
    "both decimal signs": (
        text([[*row[:5], ("5,5", "5.5")[i % 2]] for i, row in enumerate(cells())], mark=";"),
        ("line 3", "'volume'", "'5.5'", "decimal comma"),
    ),
    "gaps": (text([row for i, row in enumerate(cells(100)) if i % 10]), ("row 9 (line 11)", "9 bars", "allow_gaps")),
    "swapped volume": (with_turnover(24 * 31), ("row 744 (line 746)", "'volume'", "turnover", "swap_volume")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_line(name, tmp_path):
    data, words = HOSTILE[name]
    with pytest.raises(CandleError) as caught:
        read(tmp_path, data)
    message = str(caught.value)
    assert message.startswith("btc.csv"), message
    at = 0
    for word in words:
        assert word in message[at:], f"{word!r} not in {message!r}"
        at = message.index(word, at)


def test_the_file_behind_the_table_is_good(tmp_path):
    candles, report = read(tmp_path, text())
    assert len(candles) == 24
    assert candles.symbol == "btc"
    assert candles.open_time[0] == START
    assert candles.close.tolist() == [101.0 + i for i in range(24)]
    assert report.time_unit == "ms"
    assert report.repairs == {}
    assert report.audit.ok
    json.dumps(report.to_json())


REPAIRED = {
    "high below close": (Repairs(fix_high_low=True), {"fix_high_low": 1}, 24),
    "high below low": (Repairs(fix_high_low=True), {"fix_high_low": 1}, 24),
    "low above open": (Repairs(fix_high_low=True), {"fix_high_low": 1}, 24),
    "copied row": (Repairs(drop_duplicates=True), {"drop_duplicates": 1}, 23),
    "conflicting rows": (Repairs(keep_last=True), {"keep_last": 1}, 23),
    "unsorted": (Repairs(sort=True), {"sort": 1}, 24),
    "open last candle": (Repairs(drop_unclosed=True), {"drop_unclosed": 1}, 23),
    "gaps": (Repairs(fill_gaps_bars=3), {"fill_gaps_bars": 9}, 99),
    "swapped volume": (Repairs(swap_volume=True), {"swap_volume": 744}, 24 * 62),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_a_repair_that_is_asked_for_is_made_and_counted(name, tmp_path):
    repairs, counts, rows = REPAIRED[name]
    allow = Repairs(**{**vars(repairs), "allow_gaps": True})  # dropping one of 24 rows leaves a hole of 4 %
    candles, report = read(tmp_path, HOSTILE[name][0], repairs=allow)
    assert report.repairs == counts
    assert len(candles) == rows
    assert (candles.high >= np.maximum(candles.open, candles.close)).all()


def test_filled_bars_are_flat_and_empty(tmp_path):
    candles, _ = read(tmp_path, HOSTILE["gaps"][0], repairs=Repairs(fill_gaps_bars=1))
    row = 9
    assert candles.volume[row] == 0
    assert candles.open[row] == candles.high[row] == candles.low[row] == candles.close[row] == candles.close[row - 1]
    assert np.count_nonzero(candles.volume == 0) == 9
    assert not candles.gap_before.any()


def test_swapped_volume_comes_back(tmp_path):
    candles, _ = read(tmp_path, HOSTILE["swapped volume"][0], repairs=Repairs(swap_volume=True))
    assert (candles.volume == 5).all()


def test_no_repair_invents_a_price(tmp_path):
    everything = Repairs(
        sort=True,
        drop_duplicates=True,
        keep_last=True,
        drop_unclosed=True,
        fix_high_low=True,
        fill_gaps_bars=5,
        swap_volume=True,
        allow_gaps=True,
    )
    with pytest.raises(CandleError, match=r"row 3 \(line 5\), column 'close': got nan"):
        read(tmp_path, HOSTILE["nan"][0], repairs=everything)


def test_the_unclosed_candle_is_told_by_the_clock(tmp_path):
    now = START + 23 * HOUR + 1
    with pytest.raises(CandleError, match=r"row 23 \(line 25\).*closes after now.*drop_unclosed"):
        read(tmp_path, text(), now_ms=now)
    candles, report = read(tmp_path, text(), now_ms=now, repairs=Repairs(drop_unclosed=True))
    assert (len(candles), report.repairs) == (23, {"drop_unclosed": 1})


def iso_ms(i: int) -> np.datetime64:
    return np.datetime64(START + HOUR * i, "ms")


ACCEPTED = {
    "s": (stamps(lambda i: str((START + HOUR * i) // 1000)), "s"),
    "us": (stamps(lambda i: str((START + HOUR * i) * 1000)), "us"),
    "ns": (stamps(lambda i: str((START + HOUR * i) * 1_000_000)), "ns"),
    "points": (stamps(lambda i: f"{START + HOUR * i}.0"), "ms"),
    "iso": (stamps(lambda i: f"{iso_ms(i)}Z"), "text"),
    "iso naive": (stamps(lambda i: str(iso_ms(i)).replace("T", " ")[:16]), "text"),
    "offset": (stamps(lambda i: f"{iso_ms(i + 2)}+02:00"), "text"),
    "offset west": (stamps(lambda i: f"{iso_ms(i - 5)}-0500"), "text"),
    "month first": (stamps(lambda i: f"{1 + i // 24}/{1 + i % 24}/2024", rows=24), "text"),
    "dukascopy": (stamps(lambda i: f"01.01.2024 {i:02}:00:00.000"), "text"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_usual_stamp_is_read_and_stated(name, tmp_path):
    data, unit = ACCEPTED[name]
    candles, report = read(tmp_path, data)
    step = 24 * HOUR if name == "month first" else HOUR
    assert candles.open_time.tolist() == [START + step * i for i in range(24)]
    assert report.time_unit == unit
    assert ("taken as UTC" in report.time_zone) == (name in ("iso naive", "month first", "dukascopy"))


HEADERS = {
    "capitalised": "Date,Open,High,Low,Close,Volume",
    "freqtrade": "date,open,high,low,close,volume",
    "binance": "Open time,Open,High,Low,Close,Volume",
    "bitfinex order": "mts,open,close,high,low,volume",
    "kaggle": "Timestamp,Open,High,Low,Close,Volume_(BTC)",
    "cryptodatadownload": "unix,open,high,low,close,Volume BTC",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_other_tools(name, tmp_path):
    rows, columns = cells(), None
    if name == "bitfinex order":
        rows = [[t, o, c, h, low, v] for t, o, h, low, c, v in rows]
        columns = {"open_time": "mts"}
    candles, report = read(tmp_path, text(rows, HEADERS[name]), columns=columns)
    assert candles.high.tolist() == [102.0 + i for i in range(24)]
    assert list(report.mapped) == ["open_time", "open", "high", "low", "close", "volume"]
    assert report.mapped["volume"] == HEADERS[name].split(",")[5]


def test_a_file_with_two_times_and_two_volumes(tmp_path):
    rows = [["2024-01-31", *row, "500"] for row in cells()]
    data = text(rows, "date,unix,open,high,low,close,Volume BTC,Volume USDT")
    candles, report = read(tmp_path, data)
    assert report.mapped["open_time"] == "unix"
    assert report.ignored == ("date",)
    assert report.mapped["turnover"] == "Volume USDT"
    assert candles.turnover is not None
    assert candles.turnover[0] == 500
    with pytest.raises(CandleError, match="2024-01-31T00:00:00Z twice"):
        read(tmp_path, data, columns={"open_time": "date"}, interval_ms=HOUR)


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"\xef\xbb\xbf" + text().encode(), {"encoding": "utf-8 with BOM"}),
        (text().encode("utf-16"), {"encoding": "utf-16"}),
        (text().replace("\n", "\r\n"), {}),
        (text().replace("\n", "\r"), {}),
        (text(mark="\t"), {"delimiter": "\t"}),
        (text().rstrip("\n"), {}),
        (text() + "\n\n", {}),
        (text([[*row[:5], "5,5"] for row in cells()], mark=";"), {"delimiter": ";", "decimal": ","}),
        (text([[f'"{cell}"' for cell in row] for row in cells()]), {}),
        (text([[f" {cell} " for cell in row] for row in cells()], "timestamp, open, high, low, close, volume"), {}),
        ("https://www.cryptodatadownload.com\n" + text(), {}),
    ],
)
def test_odd_but_readable_text(data, facts, tmp_path):
    candles, report = read(tmp_path, data)
    assert len(candles) == 24
    assert candles.open_time[-1] == START + 23 * HOUR
    assert {name: getattr(report, name) for name in facts} == facts


def test_binance_archive_without_header(tmp_path):
    rows = [[*row, str(int(row[0]) + HOUR - 1), "500", "9", "1", "1", "0"] for row in cells()]
    candles, report = read(tmp_path, "\n".join(",".join(row) for row in rows))
    assert candles.turnover is not None
    assert "Binance" in report.notes[0]


def test_a_blank_line_does_not_shift_line_numbers(tmp_path):
    data = text().replace("\n", "\n\n", 1).replace("106,108,105,107", "106,108,105,-7")
    with pytest.raises(CandleError, match=r"row 6 \(line 9\), column 'close'"):
        read(tmp_path, data)


def test_times_of_a_later_piece_are_read_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tradenas.data.stamps.PIECE_ROWS", 7)
    good, _ = read(tmp_path, ACCEPTED["dukascopy"][0])
    assert good.open_time.tolist() == [START + HOUR * i for i in range(24)]
    for name, words in (("mixed zones", r"row 12 \(line 14\).*\+01:00"), ("25 o'clock", r"row 22 \(line 24\)")):
        with pytest.raises(CandleError, match=words):
            read(tmp_path, HOSTILE[name][0])
    late = stamps(lambda i: f"01/{'02' if i < 20 else '13'}/2024 {i:02}:00")
    assert read(tmp_path, late, repairs=Repairs(allow_gaps=True))[0].open_time[0] == START + 24 * HOUR


def test_dates_as_numbers(tmp_path):
    candles, report = read(tmp_path, stamps(lambda i: f"202401{1 + i:02}"))
    assert candles.open_time.tolist() == [START + 24 * HOUR * i for i in range(24)]
    assert report.time_unit == "date"


def test_an_error_in_a_later_block_names_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tradenas.data.text.BLOCK_BYTES", 4096)
    rows = cells(2000)
    assert len(read(tmp_path, text(rows))[0]) == 2000
    rows[1777][4] = "x"
    with pytest.raises(CandleError, match=r"line 1779, column 'close'"):
        read(tmp_path, text(rows))


# --- files with several symbols


def long_text() -> str:
    rows = [[*row, name] for row in cells() for name in ("BTC", "ETH")]
    return text(rows, HEADER + ",symbol")


def test_one_of_several_symbols_is_chosen_by_name(tmp_path):
    with pytest.raises(CandleError, match=r"2 symbols.*BTC, ETH"):
        read(tmp_path, long_text())
    with pytest.raises(CandleError, match=r"'SOL'.*BTC, ETH"):
        read(tmp_path, long_text(), symbol="SOL")
    candles, report = read(tmp_path, long_text(), symbol="ETH")
    assert (candles.symbol, len(candles), report.symbols) == ("ETH", 24, ("BTC", "ETH"))


def test_one_symbol_needs_no_choice(tmp_path):
    data = text([[*row, "BTC"] for row in cells()], HEADER + ",symbol")
    assert read(tmp_path, data)[0].symbol == "BTC"


# --- Parquet and feather


def columns(rows: int = 48) -> dict[str, object]:
    base = 100.0 + np.arange(rows)
    prices = {"open": base, "high": base + 2, "low": base - 1, "close": base + 1, "volume": np.full(rows, 5.0)}
    return {"date": (START + HOUR * np.arange(rows)).astype("datetime64[ms]"), **prices}


def test_freqtrade_feather(tmp_path):
    table = pa.table(columns())
    table = table.set_column(0, "date", table["date"].cast(pa.timestamp("ms", "UTC")))
    feather.write_feather(table, tmp_path / "BTC_USDT-1h.feather", compression="lz4")
    candles, report = read_candles(tmp_path / "BTC_USDT-1h.feather")
    assert (report.format, report.time_unit, len(candles)) == ("feather", "ms", 48)
    assert candles.open_time[0] == START


@pytest.mark.parametrize("kind", ["timestamp[s]", "timestamp[us]", "timestamp[ns]", "int64", "double", "string"])
def test_parquet_times_of_every_type(kind, tmp_path):
    table = pa.table(columns())
    stamp = table["date"]
    number = kind in ("int64", "double")
    typed = stamp.cast(pa.int64()).cast(kind) if number else stamp.cast(kind)
    pq.write_table(table.set_column(0, "date", typed), tmp_path / "x.parquet")
    candles, report = read_candles(tmp_path / "x.parquet")
    assert candles.open_time.tolist() == [START + HOUR * i for i in range(48)]
    assert report.format == "parquet"


@pytest.mark.parametrize("form", ["parquet", "feather"])
@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("close", 7, None, r"row 7, column 'close': got nan"),
        ("date", 7, None, r"row 7, column 'date': got no time"),
        ("open", 2, -1.0, r"row 2, column 'open': got -1.0"),
    ],
)
def test_a_bad_cell_in_a_table_is_named(form, column, row, value, words, tmp_path):
    table = pa.table(columns())
    cell = table[column].to_pylist()
    cell[row] = value
    table = table.set_column(table.column_names.index(column), column, pa.array(cell, table[column].type))
    path = tmp_path / f"x.{form}"
    (pq.write_table if form == "parquet" else feather.write_feather)(table, path)
    with pytest.raises(CandleError, match=words):
        read_candles(path)


@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_a_bomb_is_refused_by_its_metadata(form, tmp_path):
    rows = 20_000_001
    zeros = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([1.5]))
    table = pa.table(dict.fromkeys(("timestamp", "open", "high", "low", "close", "volume"), zeros))
    path = tmp_path / f"bomb.{form}"
    if form == "parquet":
        pq.write_table(table, path)
        assert path.stat().st_size < 600_000
    else:
        feather.write_feather(table, path, compression="lz4")
        assert path.stat().st_size < 2_000_000
    del table, zeros
    began, before = time.process_time(), pa.total_allocated_bytes()
    with pytest.raises(CandleError, match="20000001 rows"):
        read_candles(path)
    assert time.process_time() - began < 0.5
    assert pa.total_allocated_bytes() - before < 50 * 2**20


@pytest.mark.parametrize("form", ["parquet", "feather"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_broken_table_is_refused_or_right(form, damage, tmp_path):
    path = tmp_path / f"x.{form}"
    table = pa.table(columns())
    (pq.write_table if form == "parquet" else feather.write_feather)(table, path)
    whole = path.read_bytes()
    for at in range(8, len(whole), max(1, len(whole) // 60)):
        broken = whole[:at] if damage == "truncated" else whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        path.write_bytes(broken)
        try:
            candles, _ = read_candles(path)
        except TradenasError:
            continue
        assert damage == "flipped"
        assert (candles.high >= candles.low).all()


def test_text_beyond_the_cap_is_not_even_read(tmp_path):
    path = tmp_path / "big.csv"
    with path.open("wb") as file:
        file.truncate(5 * 2**30)  # sparse: takes no room
    with pytest.raises(CandleError, match=r"big\.csv: got more than 4 GiB"):
        read_candles(path)


def test_too_many_lines_are_refused_before_parsing(tmp_path, monkeypatch):
    monkeypatch.setattr("tradenas.data.text.MAX_ROWS", 20)
    with pytest.raises(CandleError, match="lines, expected at most 20"):
        read(tmp_path, text())


def test_a_missing_file_is_a_candle_error(tmp_path):
    with pytest.raises(CandleError, match=r"nowhere\.csv.*No such file"):
        read_candles(tmp_path / "nowhere.csv")


# --- writing


def test_what_is_written_comes_back_bit_for_bit(tmp_path):
    candles, _ = read(tmp_path, with_turnover(24 * 62))
    write_candles(candles, tmp_path / "out.parquet")
    again, report = read_candles(tmp_path / "out.parquet")
    assert again.equals(candles)
    assert again.symbol == "btc"
    assert report.audit.sha256 == candles.sha256
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_a_file_changed_after_writing_is_refused(tmp_path):
    candles, _ = read(tmp_path, text())
    path = tmp_path / "out.parquet"
    write_candles(candles, path)
    table = pq.read_table(path)
    volume = table["volume"].to_numpy().copy()
    volume[3] += 1
    at = table.column_names.index("volume")
    pq.write_table(table.set_column(at, "volume", pa.array(volume)), path)
    with pytest.raises(CandleError, match="changed after it was written"):
        read_candles(path)


# --- properties

CELL = st.sampled_from(["", "nan", "-1", "0", "1e400", "100", "103", "=1", "1,5", '"', "\n", "\0", "x", "1704067200"])


@settings(max_examples=120, derandomize=True, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), CELL), max_size=4), everything=st.booleans())
def test_whatever_is_accepted_is_sound(edits, everything, tmp_path_factory):
    rows = cells(8)
    for row, column, value in edits:
        rows[row][column] = value
    repairs = Repairs(
        sort=everything,
        drop_duplicates=everything,
        keep_last=everything,
        drop_unclosed=everything,
        fix_high_low=everything,
        fill_gaps_bars=5 * everything,
        swap_volume=everything,
        allow_gaps=everything,
    )
    path = tmp_path_factory.mktemp("p") / "x.csv"
    path.write_bytes(text(rows).encode())
    try:
        candles, _ = read_candles(path, repairs=repairs)
    except CandleError:
        return
    assert sound(candles)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.binary(max_size=200), head=st.booleans())
def test_noise_is_refused_and_never_crashes(data, head, tmp_path_factory):
    path = tmp_path_factory.mktemp("n") / "x.csv"
    path.write_bytes((HEADER.encode() + b"\n" if head else b"") + data)
    try:
        candles, _ = read_candles(path)
    except CandleError:
        return
    assert sound(candles)


def sound(candles: Candles) -> bool:
    prices = np.stack([candles.open, candles.high, candles.low, candles.close])
    return bool(
        len(candles)
        and np.isfinite(prices).all()
        and (prices > 0).all()
        and (candles.high == prices.max(axis=0)).all()
        and (candles.low == prices.min(axis=0)).all()
        and (np.diff(candles.open_time) > 0).all()
        and (np.diff(candles.open_time) % candles.interval_ms == 0).all()
        and np.isfinite(candles.volume).all()
        and (candles.volume >= 0).all()
    )


# --- real files


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path


@pytest.mark.parametrize("symbol", ["BTCUSDT", "APEUSDT"])
def test_bybit_candles_are_accepted_as_they_are(symbol):
    candles, report = read_candles(shared("bybit_linear_8perps_5m_2025_2026.parquet"), symbol=symbol)
    assert (len(candles), candles.interval_ms, candles.calendar) == (86_604, 300_000, "24/7")
    assert report.audit.coverage == 1.0
    assert report.repairs == {}


def test_bitfinex_minutes_need_their_gaps_filled():
    path = shared("bitfinex_btcusd_1m_2017_2019.parquet")
    with pytest.raises(CandleError, match=r"38365 bars are missing \(2.43%\) in 28150 gaps.*fill_gaps_bars"):
        read_candles(path)
    began = time.process_time()
    candles, report = read_candles(path, repairs=Repairs(fill_gaps_bars=60))
    assert time.process_time() - began < 6  # measured 0.8 s
    assert report.repairs == {"fill_gaps_bars": 37_495}
    assert len(candles) == 1_538_435 + 37_495
    assert report.audit.missing == 870
    assert report.audit.gaps == int(candles.gap_before.sum()) == 7
