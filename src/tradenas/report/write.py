"""Writes a run's report: the page, its pictures as files, a one-page summary, and daily returns for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tradenas.atomic import write_bytes, write_text
from tradenas.errors import FolderError, MissingExtra
from tradenas.report.html import render
from tradenas.report.pictures import pictures_of, rasteriser
from tradenas.report.record import RunRecord, load_record
from tradenas.report.returns import daily_csv
from tradenas.report.summary import summary

__all__ = ["write_report"]


def write_report(folder: str | Path, *, png: bool | None = None) -> Path:
    """Writes a run's page, `report/index.html`, and returns its path; for other tools, three more.

    They are `summary.md`, `figures/*.svg` (every picture of the page) and, where there is daily P&L, `daily.csv`.
    Each file is replaced as a whole; figures of an earlier report that this one has not are removed.

    Args:
        folder: a run folder, however far the run came.
        png: the figures as PNG too; None writes them where `resvg_py` is installed.

    Raises:
        FolderError: the run folder is damaged or cannot be written to.
        MissingExtra: PNG is asked for and `resvg_py` is not installed.
    """
    raster = _raster(png)
    record: RunRecord = load_record(folder)
    target = Path(folder) / "report"
    figures = target / "figures"
    try:
        target.mkdir(exist_ok=True)
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise FolderError(str(target), got=error.strerror or repr(error), expected="a folder to write to") from error
    write_text(target / "summary.md", summary(record))
    returns = daily_csv(record)
    if returns is not None:
        write_text(target / "daily.csv", returns)
    written = set()
    for picture in pictures_of(record):
        write_text(figures / f"{picture.name}.svg", picture.svg)
        written.add(f"{picture.name}.svg")
        if raster is not None:
            write_bytes(figures / f"{picture.name}.png", raster(picture.svg))
            written.add(f"{picture.name}.png")
    for old in (*figures.glob("*.svg"), *figures.glob("*.png")):
        if old.name not in written:
            old.unlink(missing_ok=True)
    page = target / "index.html"
    write_text(page, render(record))
    return page


def _raster(png: bool | None) -> Callable[[str], bytes] | None:
    if png is False:
        return None
    try:
        return rasteriser()
    except MissingExtra:
        if png:
            raise
        return None
