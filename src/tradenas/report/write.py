"""Writes a run's report: the page, a one-page summary, and daily returns for other tools."""

from __future__ import annotations

from pathlib import Path

from tradenas.atomic import write_text
from tradenas.errors import FolderError
from tradenas.report.html import render
from tradenas.report.record import RunRecord, load_record
from tradenas.report.returns import daily_csv
from tradenas.report.summary import summary

__all__ = ["write_report"]


def write_report(folder: str | Path) -> Path:
    """Writes `report/index.html`, `report/summary.md` and (with daily P&L) `report/daily.csv`; returns the page's path.

    Each file is replaced as a whole.  Raises `FolderError` when the run folder is damaged or cannot be written to.
    """
    record: RunRecord = load_record(folder)
    target = Path(folder) / "report"
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise FolderError(str(target), got=error.strerror or repr(error), expected="a folder to write to") from error
    page = target / "index.html"
    write_text(target / "summary.md", summary(record))
    returns = daily_csv(record)
    if returns is not None:
        write_text(target / "daily.csv", returns)
    write_text(page, render(record))
    return page
