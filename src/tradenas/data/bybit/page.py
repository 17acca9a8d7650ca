"""The gate that every page of candles passes: a page is exactly what was asked for, or it is not used.

A row is kept only if the whole page belongs to the asked market, lies inside the asked window and on the grid, is
closed by the server's clock, is finite and ordered (low <= open, close <= high), is consecutive, counts its volume in
the right coin, and repeats the candle that was already known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradenas.data.bybit.client import Answer
from tradenas.data.bybit.series import Bars, Series, iso
from tradenas.data.bybit.wire import Unusable
from tradenas.typing import FloatArray, IntArray

__all__ = ["PAGE_ROWS", "Window", "parse_page"]

PAGE_ROWS = 1000  # the documented most; a server may give less, which is detected
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_HIGHEST_PRICE, _MOST_VOLUME = 1e12, 1e18
_STAMP = re.compile(r"[0-9]{13}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Window:
    """What one request asks for.

    Args:
        series: the market and interval.
        first, last: open times of the oldest and newest candle asked for, on the grid.
        known: candles at the start of the window that are known already and must come back unchanged.
        kind: `trade`, or `mark`, `index`, `premium` for the five-column prices (no volume).
    """

    series: Series
    first: int
    last: int
    known: Bars | None = None
    kind: str = "trade"

    @property
    def rows(self) -> int:
        """How many candles the window holds."""
        return (self.last - self.first) // self.series.step_ms + 1


def parse_page(answer: Answer, window: Window, *, whole: bool = True, anchored: bool = True) -> Bars:
    """The candles of one answer, oldest first, or `Unusable`.

    Args:
        answer: result and server time.
        window: what was asked.
        whole: every candle of the window must be there; else a consecutive run of them, or none, will do.
        anchored: with `whole=False`, a run must end at the window's newest candle.
    """
    rows = _own_rows(answer, window)
    times, values_TC = _columns(rows, window)
    order = np.diff(times)
    if len(times) > 1 and (order < 0).all():
        times, values_TC = times[::-1], values_TC[::-1]
    elif (order <= 0).any():
        raise Unusable("rows out of order or twice", "each candle once, newest first")
    bars = Bars(np.ascontiguousarray(times), np.ascontiguousarray(values_TC))
    _check_place(bars, window)
    bars = bars[: int(np.searchsorted(bars.open_time, answer.time_ms - window.series.step_ms, side="right"))]
    _check_values(bars, window)
    _check_complete(bars, window, whole=whole, anchored=anchored)
    _check_known(bars, window)
    return bars


def _own_rows(answer: Answer, window: Window) -> Sequence[Any]:
    series, result = window.series, answer.result
    if result.get("category") != series.category or result.get("symbol") != series.symbol:
        got = f"{result.get('category')!r} {result.get('symbol')!r}"[:80]
        raise Unusable(f"candles of {got}", f"{series.category} {series.symbol}")
    rows = result.get("list")
    if not isinstance(rows, list):
        raise Unusable(f"list {rows!r}"[:80], "a list of candles")
    if len(rows) > PAGE_ROWS:
        raise Unusable(f"{len(rows)} rows", f"at most {PAGE_ROWS}")
    return rows


def _columns(rows: Sequence[Any], window: Window) -> tuple[IntArray, FloatArray]:
    width = 7 if window.kind == "trade" else 5
    for row, cells in enumerate(rows):
        if not isinstance(cells, list) or len(cells) != width or not all(isinstance(cell, str) for cell in cells):
            raise Unusable(f"row {row}: {cells!r}"[:120], f"{width} texts")
        if not _STAMP.fullmatch(cells[0]):
            raise Unusable(f"row {row}: time {cells[0][:40]!r}", "13 digits")
        for cell in cells[1:]:
            if not _NUMBER.fullmatch(cell):
                raise Unusable(f"row {row}: {cell[:40]!r}", "a plain number")
    times = np.array([int(cells[0]) for cells in rows], dtype=np.int64)
    values_TC = np.array([[float(cell) for cell in cells[1:]] for cells in rows]).reshape(len(rows), width - 1)
    if window.kind != "trade":
        values_TC = np.hstack([values_TC, np.zeros((len(rows), 2))])
    elif window.series.category == "inverse":  # there, Bybit's volume is in USD and its turnover in base coin
        values_TC = values_TC[:, [0, 1, 2, 3, 5, 4]]
    return times, values_TC


def _check_place(bars: Bars, window: Window) -> None:
    outside = (bars.open_time < window.first) | (bars.open_time > window.last)
    if outside.any():
        raise Unusable(
            f"{int(outside.sum())} of {len(bars)} rows outside the asked window, such as "
            f"{iso(int(bars.open_time[outside][-1]))}",
            f"{iso(window.first)} to {iso(window.last)} (does the server ignore start and end?)",
        )
    off_grid = (bars.open_time - window.first) % window.series.step_ms != 0
    if off_grid.any():
        stamp = int(bars.open_time[off_grid][0])
        raise Unusable(f"a candle opening at {stamp}", f"the grid of interval {window.series.interval}")


def _check_values(bars: Bars, window: Window) -> None:
    open_, high, low, close, volume, turnover = bars.values_TC.T
    bad = ~np.isfinite(bars.values_TC).all(axis=1) | (high > _HIGHEST_PRICE) | (volume + turnover > _MOST_VOLUME)
    if window.kind != "premium":  # a premium is a difference and may be negative
        bad |= low <= 0
    bad |= (high < np.maximum(open_, close)) | (low > np.minimum(open_, close)) | (volume < 0) | (turnover < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise Unusable(
            f"{iso(int(bars.open_time[row]))}: {bars.values_TC[row].tolist()}",
            "finite prices above 0 with low <= open, close <= high, and no negative volume",
        )
    traded = volume > 0
    if traded.any():
        ratio = float(np.median(turnover[traded] / (volume[traded] * close[traded])))
        if not 0.5 < ratio < 2:
            raise Unusable(f"turnover / (volume * close) of {ratio:.3g}", "about 1: is the volume in another coin?")


def _check_complete(bars: Bars, window: Window, *, whole: bool, anchored: bool) -> None:
    count, step = len(bars), window.series.step_ms
    if count and (bars.last - bars.first) // step + 1 != count:
        hole = int(np.argmax(np.diff(bars.open_time) != step))
        raise Unusable(f"nothing after {iso(int(bars.open_time[hole]))}", "consecutive candles", missing=True)
    if whole and count != window.rows:
        raise Unusable(
            f"{count} closed candles" + (f", {iso(bars.first)} to {iso(bars.last)}" if count else ""),
            f"{window.rows}, {iso(window.first)} to {iso(window.last)}",
            short=count,
            missing=True,
        )
    if not whole and anchored and count and bars.last != window.last:
        raise Unusable(f"candles that end at {iso(bars.last)}", f"an end at {iso(window.last)}", missing=True)


def _check_known(bars: Bars, window: Window) -> None:
    known = window.known
    if known is None:
        return
    if bars[: len(known)].digest() != known.digest():
        raise Unusable(
            f"{iso(known.first)}: {bars.values_TC[0].tolist() if len(bars) else 'nothing'}",
            f"{known.values_TC[0].tolist()}, as an earlier reply said",
            contradicts=True,
        )
