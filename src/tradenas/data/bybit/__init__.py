"""Bybit V5 market data: closed candles, funding and instruments, right or refused.

wire          one HTTP GET, strict JSON
client        retries, pace, bans, the server's clock
page          the gate for a page of candles
klines        windows on the grid; where a series begins and ends
instruments   live and delisted markets
funding       settlements
store         monthly files and their manifest
fetch         what a user calls
"""

from __future__ import annotations

from tradenas.data.bybit.client import MAINNET, TESTNET, BybitClient
from tradenas.data.bybit.fetch import Fetched, fetch_candles, fetch_funding, fetch_instruments, load_candles
from tradenas.data.bybit.instruments import Instrument, find_instrument
from tradenas.data.bybit.klines import read_prices
from tradenas.data.bybit.series import Series

__all__ = [
    "MAINNET",
    "TESTNET",
    "BybitClient",
    "Fetched",
    "Instrument",
    "Series",
    "fetch_candles",
    "fetch_funding",
    "fetch_instruments",
    "find_instrument",
    "load_candles",
    "read_prices",
]
