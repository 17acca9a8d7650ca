"""What a market is, and what it was: live and delisted instruments with their dates, steps and funding interval."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradenas.data.bybit.client import Answer, BybitClient
from tradenas.data.bybit.series import CATEGORIES, checked_symbol
from tradenas.data.bybit.wire import Unusable
from tradenas.errors import ConfigError, ExchangeError

__all__ = ["Instrument", "find_instrument", "read_instruments"]

_PATH = "/v5/market/instruments-info"
_STATUSES = ("Trading", "PreLaunch", "Delivering", "Closed")  # asking for none returns `Trading` alone: survivorship
_MAX_PAGES = 100


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One market as the exchange describes it.

    Args:
        category, symbol: its name.
        status: `Trading`, `PreLaunch`, `Delivering` or `Closed`.
        contract_type: `LinearPerpetual`, `LinearFutures`, ...; empty for spot.
        base_coin, quote_coin: `BTC`, `USDT`.
        launch_time, delivery_time: ms UTC; None where not stated (spot) or not due (a live perpetual).
        funding_interval_minutes: None where there is no funding.
        tick_size: smallest price step, in quote coin.
        qty_step, min_qty: smallest quantity step and order, in the category's unit; None where not stated.
        min_notional: smallest order in quote coin; None where not stated.
        lower_funding_rate, upper_funding_rate: limits of the funding rate; None where not stated.
    """

    category: str
    symbol: str
    status: str
    contract_type: str
    base_coin: str
    quote_coin: str
    launch_time: int | None
    delivery_time: int | None
    funding_interval_minutes: int | None
    tick_size: float
    qty_step: float | None
    min_qty: float | None
    min_notional: float | None
    lower_funding_rate: float | None
    upper_funding_rate: float | None

    @property
    def live(self) -> bool:
        """Whether it trades now."""
        return self.status in ("Trading", "PreLaunch")


def read_instruments(client: BybitClient, category: str) -> list[Instrument]:
    """Every instrument of a category, delisted ones included, in the order of their symbols.

    Raises:
        ExchangeError: a page stayed unusable, or pages contradict each other.
    """
    if category not in CATEGORIES:
        raise ConfigError("category", got=category, expected=f"one of {', '.join(CATEGORIES)}")
    found: dict[str, Instrument] = {}
    for status in ("Trading",) if category == "spot" else _STATUSES:
        for instrument in _all_pages(client, {"category": category, "status": status, "limit": "1000"}):
            if found.setdefault(instrument.symbol, instrument) != instrument:
                raise ExchangeError(
                    instrument.symbol, got="two descriptions", expected="one", fix="ask again: it changed meanwhile"
                )
    if not found:
        raise ExchangeError(f"instruments of {category}", got="none", expected="at least one", fix="check the host")
    return [found[symbol] for symbol in sorted(found)]


def find_instrument(client: BybitClient, category: str, symbol: str) -> Instrument:
    """One instrument, whether it is live, about to be, or delisted.

    Raises:
        ExchangeError: the exchange knows no such symbol in any status.
    """
    checked_symbol(category, symbol)
    for status in ("Trading",) * 3 if category == "spot" else _STATUSES * 2:  # an empty reply is believed when repeated
        for instrument in _all_pages(client, {"category": category, "symbol": symbol, "status": status}):
            if instrument.symbol == symbol:
                return instrument
    raise ExchangeError(
        f"{category} {symbol}", got="no such instrument", expected="a listed or delisted symbol", fix="check both names"
    )


def _all_pages(client: BybitClient, params: Mapping[str, str]) -> list[Instrument]:
    found: list[Instrument] = []
    cursor, seen = "", {""}
    for _ in range(_MAX_PAGES):
        page, cursor = client.get(
            _PATH, {**params, "cursor": cursor} if cursor else params, lambda answer: _parse(answer, params)
        )
        found += page
        if not cursor or params["category"] == "spot":  # spot knows no pages
            return found
        if cursor in seen:
            break
        seen.add(cursor)
    raise ExchangeError(
        f"{_PATH} {dict(params)}",
        got=f"the cursor {cursor[:40]!r} again",
        expected="a last page",
        fix="try again later",
    )


def _parse(answer: Answer, params: Mapping[str, str]) -> tuple[list[Instrument], str]:
    result = answer.result
    if result.get("category") != params["category"]:
        raise Unusable(f"category {result.get('category')!r}"[:80], params["category"])
    rows, cursor = result.get("list"), result.get("nextPageCursor") or ""
    if not isinstance(rows, list) or not isinstance(cursor, str):
        raise Unusable(f"list {rows!r}"[:80], "a list of instruments")
    page = [_instrument(row, params["category"]) for row in rows]
    for instrument in page:
        if instrument.symbol != params.get("symbol", instrument.symbol):
            raise Unusable(f"instrument {instrument.symbol}", params["symbol"])
        if instrument.status != params["status"]:
            raise Unusable(f"{instrument.symbol} with status {instrument.status}", params["status"])
    if len({instrument.symbol for instrument in page}) != len(page):
        raise Unusable("an instrument twice on one page", "each once")
    return page, cursor


def _instrument(row: object, category: str) -> Instrument:
    if not isinstance(row, dict):
        raise Unusable(f"instrument {row!r}"[:80], "an object")
    lot, price = row.get("lotSizeFilter"), row.get("priceFilter")
    if not isinstance(lot, dict) or not isinstance(price, dict):
        raise Unusable(f"instrument {row.get('symbol')!r} without its filters"[:80], "lotSizeFilter and priceFilter")
    tick_size = _number(price, "tickSize")
    if tick_size is None or tick_size <= 0:
        raise Unusable(f"tickSize {price.get('tickSize')!r}"[:80], "a number above 0")
    return Instrument(
        category=category,
        symbol=_text(row, "symbol"),
        status=_text(row, "status"),
        contract_type=_text(row, "contractType") if "contractType" in row else "",
        base_coin=_text(row, "baseCoin"),
        quote_coin=_text(row, "quoteCoin"),
        launch_time=_stamp(row, "launchTime"),
        delivery_time=_stamp(row, "deliveryTime"),
        funding_interval_minutes=_minutes(row),
        tick_size=tick_size,
        qty_step=_number(lot, "basePrecision" if category == "spot" else "qtyStep"),
        min_qty=_number(lot, "minOrderQty"),
        min_notional=_number(lot, "minOrderAmt" if category == "spot" else "minNotionalValue"),
        lower_funding_rate=_number(row, "lowerFundingRate"),
        upper_funding_rate=_number(row, "upperFundingRate"),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 60:
        raise Unusable(f"{key} {value!r}"[:80], "a text")
    return value


def _stamp(row: Mapping[str, Any], key: str) -> int | None:
    value = row.get(key) or "0"
    if not isinstance(value, str) or not re.fullmatch(r"0|[0-9]{13}", value, re.ASCII):
        raise Unusable(f"{key} {value!r}"[:80], "ms since 1970 as text")
    return int(value) or None


def _minutes(row: Mapping[str, Any]) -> int | None:
    value = row.get("fundingInterval") or 0
    if type(value) is not int or not 0 <= value <= 10_080:
        raise Unusable(f"fundingInterval {value!r}"[:80], "minutes")
    return value or None


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.fullmatch(
        r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE]-?[0-9]{1,2})?", value, re.ASCII
    ):
        raise Unusable(f"{key} {value!r}"[:80], "a plain number as text")
    return float(value)
