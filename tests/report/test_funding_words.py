"""Funding on the page: charged, and how much; or not, and said so; or not a word where none is due."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report.fake_run import build
from tradenas.errors import FolderError
from tradenas.report.box import VerdictBox
from tradenas.report.daily import read_daily
from tradenas.report.html import render
from tradenas.report.record import load_record
from tradenas.report.returns import daily_csv
from tradenas.report.summary import summary

BESIDE = [
    {"kind": "funding", "path": "f.parquet", "columns": ["funding_rate"], "rows": 902, "usual_step_ms": 28_800_000,
     "max_age_ms": 86_400_000, "fresh": 0.9989, "first": 0, "last": 1},
    {"kind": "book", "path": "<b>.csv", "columns": ["book_spread", "book_imbalance"], "rows": 5},
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return build(tmp_path_factory.mktemp("run") / "run", days=120)


def told(made, tmp_path, funding, *, paid=None, extra=()):
    """The record of a copy of the run, with this in `data.json` and this paid by the champion."""
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    data = json.loads((folder / "data.json").read_text())
    data |= ({"funding": funding} if funding else {}) | ({"extra": list(extra)} if extra else {})
    (folder / "data.json").write_text(json.dumps(data))
    rows = json.loads((folder / "retrain" / "strategies.json").read_text())
    for row in rows["strategies"] if paid is not None else []:
        row["vault"]["total_funding"] = paid
    (folder / "retrain" / "strategies.json").write_text(json.dumps(rows))
    return load_record(folder)


def boxed(record):
    from rich.console import Console

    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(VerdictBox(record))
    return console.export_text()


def test_no_word_where_none_is_due(made, tmp_path):
    record = told(made, tmp_path, None)
    assert record.funding_words == ""
    for text in (boxed(record), summary(record)):
        assert "unding" not in text
    for words in ("Funding was", "NOT charged", "funding charged", "<dt>Funding", "Beside the candles"):
        assert words not in render(record)


def test_not_charged_is_said_before_anything_else(made, tmp_path):
    record = told(made, tmp_path, {"charged": False})
    page = render(record)
    assert "Funding was not charged." in page
    assert page.index("Funding was not charged.") < page.index("Verdict and why")
    assert "not charged, though the costs are those of a perpetual" in page
    assert "funding NOT charged" in boxed(record)
    assert "| Funding | funding NOT charged |" in summary(record)


@pytest.mark.parametrize(("paid", "words"), [(0.0123, "paid 1.23%"), (-0.0007, "received 0.07%")])
def test_charged_with_what_the_champion_paid(made, tmp_path, paid, words):
    record = told(made, tmp_path, {"charged": True, "sum": 0.0199}, paid=paid, extra=BESIDE)
    page = render(record)
    assert "was not charged" not in page
    assert "Funding is paid besides" in page
    assert f"funding charged ({words} in the vault)" in page
    assert words in boxed(record)
    assert words in summary(record)
    assert "charged at each settlement; a long over all candles pays 1.99%" in page
    assert (
        "funding_rate: 902 values in f.parquet, usually every 8h, not used when older than 1d; known at 99.890%" in page
    )
    assert "&lt;b&gt;.csv" in page
    assert "<b>.csv" not in page


def test_the_daily_file_has_it_where_it_was_charged(made, tmp_path):
    record = told(made, tmp_path, {"charged": True, "sum": 0.0}, paid=0.0)
    file = record.folder / "retrain" / "daily.parquet"
    assert record.daily.of(record.champion.name).funding_D is None
    assert "funding" not in daily_csv(record).split("\n")[0].split(",")
    table = pq.read_table(file)
    rates = [0.001 * (i % 3) for i in range(table.num_rows)]
    pq.write_table(table.append_column("funding", pa.array(rates)), file)
    again = load_record(record.folder)
    series = again.daily.of(again.champion.name)
    rows = list(csv.DictReader(io.StringIO(daily_csv(again))))
    assert [float(row["funding"]) for row in rows] == series.funding_D.tolist()
    assert series.funding_D.sum() > 0
    pq.write_table(table.append_column("funding", pa.array([float("nan")] * table.num_rows)), file)
    with pytest.raises(FolderError, match="funding row 0"):
        read_daily(file)


def test_files_beside_the_candles_of_several_markets_are_a_table(made, tmp_path):
    each = [{**BESIDE[0], "symbol": symbol, "rows": rows} for symbol, rows in (("AAA", 902), ("BBB", 77))]
    page = render(told(made, tmp_path, {"charged": True, "sum": 0.01}, extra=[*each, BESIDE[1]]))
    table = page[page.index("Beside the candles, from f.parquet") :]
    table = table[: table.index("</table>")]
    assert table.index("AAA") < table.index("902") < table.index("BBB") < table.index("77")
    assert "<dt>Beside the candles: book" in page
    assert "<dt>Beside the candles: funding" not in page
