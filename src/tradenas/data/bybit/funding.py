"""Reads funding rates of a perpetual, newest page first, each page tied to the one before."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tradenas.data.bybit.client import Answer, BybitClient
from tradenas.data.bybit.instruments import Instrument
from tradenas.data.bybit.series import iso
from tradenas.data.bybit.wire import Unusable
from tradenas.errors import ExchangeError
from tradenas.typing import FloatArray, IntArray

__all__ = ["read_funding"]

_PATH = "/v5/market/funding/history"
_LIMIT = 200
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_LONGEST_STEP_MS = 8 * _HOUR_MS  # 1, 2, 4 and 8 hours are in use
_PUBLISHED_AFTER_MS = 5 * _MINUTE_MS
_QUIET_START_MS = 30 * _DAY_MS
_HIGHEST_RATE = 1.0
_SAYS_NO_MORE = 3  # how often "nothing older" must be said before it is believed

_Rates = dict[int, float]


def read_funding(
    client: BybitClient, instrument: Instrument, start: int, end: int, *, now_ms: int
) -> tuple[IntArray, FloatArray]:
    """Funding settlements with start <= time < end, oldest first: times in ms UTC, rates as fractions.

    The endpoint calls its bounds `startTime` and `endTime`, and refuses `startTime` alone: both are always sent.
    A day more is asked for on both sides, so that a hole at an edge shows.

    Args:
        client: whom to ask.
        instrument: the perpetual; its launch and delivery bound what must exist.
        start, end: ms UTC.
        now_ms: the server's time.

    Raises:
        ExchangeError: a page stayed unusable, or settlements are missing.
    """
    low, high = max(0, start - _DAY_MS), min(end + _DAY_MS, now_ms)
    rates: _Rates = {}
    upper, silence = high, 0
    while silence < _SAYS_NO_MORE and upper > low:
        page = _page(client, instrument, low, upper, rates)
        silence = silence + 1 if set(page) <= set(rates) else 0
        rates.update(page)
        upper = min(rates, default=upper)  # its oldest settlement is asked for again and must come back unchanged
    times = np.array(sorted(rates), dtype=np.int64)
    _check_whole(instrument, times, low, high, at_now=high == now_ms)
    times = times[(times >= start) & (times < end)]
    return times, np.array([rates[int(time)] for time in times], dtype=np.float64)


def _page(client: BybitClient, instrument: Instrument, start: int, upper: int, known: _Rates) -> _Rates:
    params = {
        "category": instrument.category,
        "symbol": instrument.symbol,
        "startTime": str(start),
        "endTime": str(upper),
        "limit": str(_LIMIT),
    }

    def parse(answer: Answer) -> _Rates:
        if answer.result.get("category") != instrument.category:
            raise Unusable(f"category {answer.result.get('category')!r}"[:80], instrument.category)
        rows = answer.result.get("list")
        if not isinstance(rows, list) or len(rows) > _LIMIT:
            raise Unusable(f"list {rows!r}"[:80], f"a list of at most {_LIMIT} settlements")
        times = [_settlement(row, instrument.symbol) for row in rows]
        page = dict(times)
        order = np.diff([time for time, _ in times])
        if not ((order < 0).all() or (order > 0).all()):
            raise Unusable("settlements out of order or twice", "each once, newest first")
        for time in page:
            if not start <= time <= upper or time > answer.time_ms:
                raise Unusable(f"a settlement at {iso(time)}", f"{iso(start)} to {iso(upper)}, and not in the future")
        if known and page.get(upper) != known[upper]:
            got, said = f"a rate of {page.get(upper)} at {iso(upper)}", f"{known[upper]}, as an earlier reply said"
            raise Unusable(got, said, contradicts=True)
        _check_steps(sorted(page))
        return page

    return client.get(_PATH, params, parse)


def _settlement(row: Any, symbol: str) -> tuple[int, float]:
    if not isinstance(row, dict) or row.get("symbol") != symbol:
        raise Unusable(f"settlement {row!r}"[:120], f"one of {symbol}")
    time, rate = row.get("fundingRateTimestamp"), row.get("fundingRate")
    if not isinstance(time, str) or not re.fullmatch(r"[0-9]{13}", time, re.ASCII) or int(time) % _MINUTE_MS:
        raise Unusable(f"fundingRateTimestamp {time!r}"[:80], "ms since 1970 as text, on a whole minute")
    if not isinstance(rate, str) or not re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,20})?([eE]-[0-9]{1,2})?", rate, re.ASCII):
        raise Unusable(f"fundingRate {rate!r}"[:80], "a plain number as text")
    if abs(float(rate)) > _HIGHEST_RATE:
        raise Unusable(f"a funding rate of {rate}", "less than 100 %")
    return int(time), float(rate)


def _check_steps(times: list[int]) -> None:
    """One missing settlement makes one step at least twice as long as both its neighbours; a new interval does not."""
    steps = np.diff(times)
    if (steps > _LONGEST_STEP_MS).any():
        raise Unusable(f"no settlement for {int(steps.max()) // _HOUR_MS} h", "one every 8 h at least", missing=True)
    lonely = (steps[1:-1] >= 2 * steps[:-2]) & (steps[1:-1] >= 2 * steps[2:])
    if lonely.any():
        hole = times[int(np.argmax(lonely)) + 1]
        raise Unusable(f"a settlement missing after {iso(hole)}", "equal steps", missing=True)


def _check_whole(instrument: Instrument, times: IntArray, low: int, high: int, *, at_now: bool) -> None:
    born, died = max(low, instrument.launch_time or 0), min(high, instrument.delivery_time or high)
    longest = _LONGEST_STEP_MS
    newest = longest
    if at_now and instrument.live and instrument.funding_interval_minutes:
        newest = instrument.funding_interval_minutes * _MINUTE_MS
    if len(times):
        # The first settlement after a launch may be days away (pre-market, a quiet start); inside a life it may not.
        head = times[0] - born <= (longest if low > (instrument.launch_time or 0) else _QUIET_START_MS)
        whole = head and died - times[-1] <= newest + _PUBLISHED_AFTER_MS
    else:
        whole = died - born <= longest
    try:
        _check_steps(times.tolist())
    except Unusable as fault:
        raise ExchangeError(f"funding of {instrument.symbol}", got=fault.got, expected=fault.expected) from fault
    if not whole:
        span = f"{iso(int(times[0]))} to {iso(int(times[-1]))}" if len(times) else "none"
        raise ExchangeError(
            f"funding of {instrument.symbol}",
            got=f"settlements {span}",
            expected=f"{iso(born)} to {iso(died)} without a hole",
            fix="try again later, or ask for a later start",
        )
