"""Reads candles window by window, forward on the grid, and finds where a series begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

from tradenas.data.bybit.client import Answer, BybitClient
from tradenas.data.bybit.page import PAGE_ROWS, Window, parse_page
from tradenas.data.bybit.series import Bars, Series
from tradenas.data.bybit.wire import Unusable
from tradenas.errors import ConfigError, ExchangeError

__all__ = ["KlineReader", "locate", "read_prices"]

_PATHS = {
    "trade": "/v5/market/kline",
    "mark": "/v5/market/mark-price-kline",
    "index": "/v5/market/index-price-kline",
    "premium": "/v5/market/premium-index-price-kline",
}
_LEAST_CAP = 50  # a server that gives fewer rows than this is not capping pages, it is broken
_EMPTY_REPLIES = 3  # how often "there is nothing" must be said before it is believed


class _Capped(Exception):
    """The server gave the same short page twice: it has a smaller page than the documented one."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


class KlineReader:
    """Pages of one series from one client.

    Args:
        client: whom to ask.
        series: what to ask for.
        kind: `trade`, or `mark`, `index`, `premium` (five columns; volume and turnover are 0).
    """

    def __init__(self, client: BybitClient, series: Series, *, kind: str = "trade") -> None:
        if kind not in _PATHS:
            raise ConfigError("kind", got=kind, expected=f"one of {', '.join(_PATHS)}")
        if kind != "trade" and series.category == "spot":
            raise ConfigError("kind", got=f"{kind} of spot", expected="linear or inverse")
        self.client, self.series, self.kind = client, series, kind
        self.page_rows = PAGE_ROWS

    def pages(self, first: int, last: int, *, known: Bars | None = None) -> Iterator[Bars]:
        """All candles opening from `first` to `last`, page by page; every page is whole and consecutive.

        Args:
            first, last: open times on the grid, both included and closed by now.
            known: the candle just before `first` where it is known.  Every page starts with a candle that is known
                already and must be unchanged, so that no page can come from another market or another time.

        Raises:
            ExchangeError: a page stayed unusable; `Missing` where candles were lacking, `Contradiction` where the
                known candle was not confirmed.
        """
        step = self.series.step_ms
        if known is None:
            # Two candles alone first: a witness for the first page, and no longer interval can pass for this one.
            begin = first if first < last else first - step
            known = self._ask(Window(series=self.series, first=begin, last=begin + step, kind=self.kind))
        while first <= last:
            begin = known.first
            end = min(last, begin + (self.page_rows - 1) * step)
            try:
                page = self._ask(Window(series=self.series, first=begin, last=end, known=known, kind=self.kind))
            except _Capped as cap:
                self.page_rows = cap.rows
                continue
            page = page[(first - begin) // step :]
            yield page
            known, first = page[-1:], end + step

    def extent(self, first: int, last: int, *, ends_at_last: bool) -> tuple[int, int] | None:
        """The open times of the oldest and the newest candle that exist from `first` to `last`; None if none does.

        Walks backward.  Absence counts only when several replies in a row say so.

        Args:
            first, last: where to look; both closed by now.
            ends_at_last: a live market must have the candle at `last`; a delisted one may have ended before.
        """
        step = self.series.step_ms
        found: tuple[int, int] | None = None
        while last >= first:
            begin = max(first, last - (PAGE_ROWS - 1) * step)
            page = self._believed(begin, last, anchored=ends_at_last or found is not None)
            if len(page):
                if found is None and page.last < last and len(self._believed(page.last + step, last, anchored=False)):
                    raise ExchangeError(self.series.name, got="replies that contradict each other", expected="one end")
                found = (page.first, page.last if found is None else found[1])
                last = page.first - step
            elif found is not None or ends_at_last:
                break
            else:
                last = begin - step
        return found

    def _believed(self, first: int, last: int, *, anchored: bool) -> Bars:
        """A run of candles in the window, or none after several empty replies."""
        window = Window(series=self.series, first=first, last=last, kind=self.kind)

        def parse(answer: Answer) -> Bars:
            return parse_page(answer, window, whole=False, anchored=anchored)

        page = Bars.empty()
        for _ in range(_EMPTY_REPLIES):
            page = self.client.get(_PATHS[self.kind], self._params(window), parse)
            if len(page):
                break
        return page

    def _ask(self, window: Window) -> Bars:
        short_before = 0

        def parse(answer: Answer) -> Bars:
            nonlocal short_before
            try:
                return parse_page(answer, window)
            except Unusable as fault:
                if fault.short >= _LEAST_CAP and fault.short == short_before:
                    raise _Capped(fault.short) from fault
                short_before = fault.short
                raise

        return self.client.get(_PATHS[self.kind], self._params(window), parse)

    def _params(self, window: Window) -> dict[str, str]:
        return {
            "category": self.series.category,
            "symbol": self.series.symbol,
            "interval": self.series.interval,
            "start": str(window.first),
            "end": str(window.last),
            "limit": str(PAGE_ROWS),
        }


def locate(reader: KlineReader, first: int, last: int, *, ends_at_last: bool) -> tuple[int, int] | None:
    """Like `KlineReader.extent`, through longer candles first, so that years of nothing cost few requests.

    Args:
        reader: pages of the series.
        first, last: where to look; both closed by now.
        ends_at_last: whether the market is alive.
    """
    series = reader.series
    coarse = Series(category=series.category, symbol=series.symbol, interval="W" if series.interval == "D" else "D")
    if coarse.step_ms <= series.step_ms:
        return reader.extent(first, last, ends_at_last=ends_at_last)
    coarse_last = coarse.floor(last + series.step_ms) - (coarse.step_ms if ends_at_last else 0)
    around = KlineReader(reader.client, coarse).extent(coarse.floor(first), coarse_last, ends_at_last=ends_at_last)
    if around is None:
        low, high = max(first, last - 2 * coarse.step_ms), last
        return reader.extent(low, high, ends_at_last=ends_at_last)
    low, high = max(first, around[0] - coarse.step_ms), min(last, around[0] + coarse.step_ms - series.step_ms)
    begins = reader.extent(low, high, ends_at_last=ends_at_last)
    if begins is None or ends_at_last:
        return begins and (begins[0], last)
    ends = reader.extent(around[1], min(last, around[1] + coarse.step_ms - series.step_ms), ends_at_last=False)
    return ends and (begins[0], ends[1])


def read_prices(client: BybitClient, series: Series, first: int, last: int, *, kind: str = "mark") -> Bars:
    """Mark, index or premium prices of a perpetual from open time `first` to `last`, both on the grid.

    Raises:
        ExchangeError: a page stayed unusable.
    """
    bars = Bars.empty()
    for page in KlineReader(client, series, kind=kind).pages(first, last):
        bars += page
    return bars
