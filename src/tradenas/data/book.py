"""Order-book snapshots as columns that a model can read: spread, imbalance, micro-price, depth.

With best bid price b and size B, best ask price a and size A, and mid m = (a + b) / 2:

- spread      10,000 (a - b) / m, in basis points: what a round trip at market costs before fees.
- imbalance   (B - A) / (B + A), from -1 (only asks) to 1 (only bids).  It says which way the next change of price
              goes more often than not: Gould and Bonart, "Queue Imbalance as a One-Tick-Ahead Price Predictor in a
              Limit Order Book", Market Microstructure and Liquidity 2 (2016).
- microprice  10,000 (w / m - 1), in basis points, where w = (a B + b A) / (B + A) is the size-weighted mid.  It leans
              to the side whose queue is shorter, and equals half the spread times the imbalance.  (Stoikov, "The
              micro-price", Quantitative Finance 18 (2018), starts from this weighted mid, and calls micro-price what he
              estimates beyond it; the name here is the common one for w.)
- depth n     (sum of B_i - sum of A_i) / (sum of both) over the n best levels: Cao, Hansch and Wang, "The information
              content of an open limit-order book", Journal of Futures Markets 29 (2009), on what levels behind the
              best add.

Axes: K snapshots, L levels.
"""

from __future__ import annotations

import re

import numpy as np

from tradenas.data.columns import Columns
from tradenas.data.series import Series
from tradenas.errors import CandleError
from tradenas.typing import BoolArray, FloatArray, IntArray

__all__ = ["TOP", "book_series"]

BPS = 1e4
#: Columns of the best level, as `book_series` orders them.
TOP = ("spread", "imbalance", "microprice")
#: `bid_price`, `best_ask_qty`, `bid_px_00`, `asks[0].amount`, `ask2_size`: side, level before or after, what.
HEADER = re.compile(r"^(?:best)?(bid|ask)s?(\d*)(price|px|size|sz|qty|quantity|amount|volume)?(\d*)$")
PRICES = ("price", "px", "")


def book_series(columns: Columns, *, name: str, levels: int = 1, max_age_ms: int = 0, lag_ms: int = 0) -> list[Series]:
    """Spread, imbalance and micro-price of each snapshot, and the imbalance of depth where more levels are asked for.

    Args:
        columns: of one market: a time, and prices and sizes of bids and asks, best first.
        name: put before each column: `book` gives `book_spread`.
        levels: levels to read; more than 1 adds `book_depth5`.
        max_age_ms: see `Series`.
        lag_ms: how long after its stamp a snapshot was known.  Bybit's `cts` is the moment of the matching engine and
            `ts` that of sending; best is the time of arrival, which only a collector knows.

    Raises:
        CandleError: a level is not there, or a snapshot is crossed, out of order or not finite; names the row.
    """
    times = columns.times()
    bid_KL, bid_size_KL = _side(columns, "bid", levels)
    ask_KL, ask_size_KL = _side(columns, "ask", levels)
    mid_K = (ask_KL[:, 0] + bid_KL[:, 0]) / 2
    _refuse(columns, bid_KL[:, 0] <= 0, "a bid", "prices above 0")
    _refuse(columns, bid_KL[:, 0] >= ask_KL[:, 0], "a crossed book", "the best bid below the best ask")
    _refuse(columns, np.any(np.diff(bid_KL) >= 0, axis=1), "bids that rise", "the best bid first")
    _refuse(columns, np.any(np.diff(ask_KL) <= 0, axis=1), "asks that fall", "the best ask first")
    negative = np.any(np.hstack([bid_size_KL, ask_size_KL]) < 0, axis=1)
    _refuse(columns, negative | (bid_size_KL[:, 0] + ask_size_KL[:, 0] <= 0), "no size", "sizes of 0 or more")
    first = _imbalance(bid_size_KL[:, :1], ask_size_KL[:, :1])
    spread = BPS * (ask_KL[:, 0] - bid_KL[:, 0]) / mid_K
    weighted = ask_KL[:, 0] * bid_size_KL[:, 0] + bid_KL[:, 0] * ask_size_KL[:, 0]
    weighted /= bid_size_KL[:, 0] + ask_size_KL[:, 0]
    made = dict(zip(TOP, (spread, first, BPS * (weighted / mid_K - 1.0)), strict=True))
    if levels > 1:
        made[f"depth{levels}"] = _imbalance(bid_size_KL, ask_size_KL)
    return [
        Series(name=f"{name}_{what}", known_at_ms=times + lag_ms, value=value, max_age_ms=max_age_ms, line=columns.line)
        for what, value in made.items()
    ]


def _imbalance(bid_size_KL: FloatArray, ask_size_KL: FloatArray) -> FloatArray:
    bids, asks = bid_size_KL.sum(axis=1), ask_size_KL.sum(axis=1)
    return np.asarray((bids - asks) / (bids + asks))


def _side(columns: Columns, side: str, levels: int) -> tuple[FloatArray, FloatArray]:
    """Prices and sizes of one side, (K, L) each."""
    found: dict[tuple[bool, int], str] = {}
    for header in columns.cells:
        match = HEADER.match(re.sub(r"[^a-z0-9]", "", header.lower()))
        if match and match[1] == side:
            number = match[2] or match[4]
            found[match[3] in (*PRICES, None), int(number) if number else -1] = header
    numbers = sorted({number for is_price, number in found if is_price})
    if len(numbers) < levels or any((False, number) not in found for number in numbers[:levels]):
        raise CandleError(
            f"{columns.place}, header",
            got="columns " + ", ".join(map(repr, list(columns.cells)[:20])),
            expected=f"prices and sizes of {levels} {side}s, such as '{side}_price' and '{side}_size'",
            fix="number deeper levels: bid_price_1, bid_size_1, bid_price_2, ..." if levels > 1 else None,
        )
    sides: list[FloatArray] = []
    for is_price in (True, False):
        values = [columns.floats(found[is_price, number]) for number in numbers[:levels]]
        for number, value in zip(numbers, values, strict=False):
            row = np.flatnonzero(~np.isfinite(value))
            if len(row):
                at, header = int(row[0]), found[is_price, number]
                raise CandleError(columns.where(at, header), got=str(value[at]), expected="a finite number", row=at)
        sides.append(np.stack(values, axis=1))
    return sides[0], sides[1]


def _refuse(columns: Columns, bad_K: BoolArray, got: str, expected: str) -> None:
    rows: IntArray = np.flatnonzero(bad_K)
    if len(rows):
        row = int(rows[0])
        raise CandleError(columns.where(row), got=got, expected=expected, fix="leave the row out", row=row)
