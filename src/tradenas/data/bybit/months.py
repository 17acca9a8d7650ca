"""Fills a series folder month by month, page by page, and reads a range back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tradenas.data.bybit.client import BybitClient, Contradiction, Missing
from tradenas.data.bybit.instruments import find_instrument
from tradenas.data.bybit.klines import KlineReader, locate
from tradenas.data.bybit.series import Bars, Series, iso, month_range
from tradenas.data.bybit.store import SeriesStore
from tradenas.errors import ConfigError, FolderError
from tradenas.events import Progress

__all__ = ["collect", "fill"]


def fill(
    store: SeriesStore, client: BybitClient, start_ms: int, end_ms: int | None, progress: Progress
) -> tuple[int, int, int]:
    """Store the asked range; returns the open times of its ends and the number of months that were there already."""
    series, step = store.series, store.series.step_ms
    instrument = find_instrument(client, series.category, series.symbol)
    last = series.floor(client.server_time_ms()) - step
    if end_ms is not None:
        last = min(last, series.ceil(end_ms) - step)
    first = max(series.ceil(start_ms), series.floor(instrument.launch_time or 0), store.first_candle or 0)
    reader = KlineReader(client, series)
    if not instrument.live:
        last = min(last, series.floor(instrument.delivery_time or last))
        span = locate(reader, first, last, ends_at_last=False) if first <= last else None
        first, last = span or (first, first - step)
    if last < first:
        raise ConfigError(
            f"{series.name}", got="no closed candle", expected=f"some from {iso(start_ms)}", fix="change start or end"
        )
    try:
        return first, last, _fill_months(store, reader, first, last, progress)
    except Missing:
        # Nothing at the very beginning?  Then the market may have opened later than its launch date says.
        begun = store.first_candle or not instrument.live or _kept(store, month_range(first, first + 1)[0][0])[1]
        span = None if begun else locate(reader, first, last, ends_at_last=True)
        if span is None or span[0] <= first:
            raise
    store.first_candle = first = span[0]
    store.save_manifest()
    return first, last, _fill_months(store, reader, first, last, progress)


def _fill_months(store: SeriesStore, reader: KlineReader, first: int, last: int, progress: Progress) -> int:
    step, reused = store.series.step_ms, 0
    known: Bars | None = None
    progress.start(store.series.name, (last - first) // step + 1)
    for month, opens, closes in month_range(first, last + 1):
        low, high = max(first, store.series.ceil(opens)), min(last, store.series.ceil(closes) - step)
        stored, have = _kept(store, month)
        if len(have) and have.first > low:  # it began later than is wanted now: do the month again, to the same end
            high, have = max(high, have.last), Bars.empty()
        if len(have) and have.last >= high:
            reused += stored is not None
        else:
            if len(have):
                known = have[-1:]
            try:
                for page in reader.pages(have.last + step if len(have) else low, high, known=known):
                    have += page
                    store.save_part(month, have)
                    progress.advance(store.series.name, (min(have.last, last) - first) // step + 1, month)
            except Contradiction:
                # What was kept or what came now is wrong, and nobody can say which: the next fetch starts both anew.
                store.forget(month)
                store.forget(month_range(opens - 1, opens)[0][0])
                raise
        if stored is None or len(have) != len(stored):
            store.save_month(month, have)
        known = have[-1:] if have.last == high else None
        progress.advance(store.series.name, (high - first) // step + 1, month)
    progress.end(store.series.name)
    return reused


def _kept(store: SeriesStore, month: str) -> tuple[Bars | None, Bars]:
    """The finished month, and the most that is kept of it, finished or not."""
    stored, part = store.month(month), store.part(month)
    return stored, max((kept for kept in (stored, part) if kept is not None), key=len, default=Bars.empty())


def collect(folder: Path, series: Series, first: int, last: int) -> Bars:
    manifest = SeriesStore.read_manifest(folder)
    store = SeriesStore(folder.parent, series, manifest["host"])
    bars = Bars.empty()
    for month, _, _ in month_range(first, last + 1):
        found = store.month(month)
        if found is None:
            raise FolderError(
                f"{folder}/{month}.parquet", got="nothing, or damage", expected="a month", fix="fetch the range again"
            )
        bars += found
    rows = slice(*np.searchsorted(bars.open_time, [first, last + 1]).tolist())
    if (whole := (last - first) // series.step_ms + 1) != len(bars[rows]):
        raise FolderError(
            f"{folder}", got=f"{len(bars[rows])} candles from {iso(first)} to {iso(last)}", expected=f"{whole}",
            fix="fetch the range again",
        )  # fmt: skip
    return bars[rows]
