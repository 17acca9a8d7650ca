"""Real candles that an installed package ships, so that a demo needs no network: S&P 500, NASDAQ, EURUSD."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tradenas.data.calendars import DAY_MS, HOUR_MS
from tradenas.data.candles import Candles
from tradenas.data.text import read_text
from tradenas.errors import CandleError, MissingExtra

__all__ = ["SAMPLES", "Sample", "sample"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Where a sample lies and what it is; `licence` is that of the package that ships it."""

    symbol: str
    package: str
    file: str
    interval_ms: int
    licence: str
    about: str


SAMPLES = {
    "sp500": Sample(
        symbol="SP500",
        package="arch",
        file="data/sp500/sp500.csv.gz",
        interval_ms=DAY_MS,
        licence="NCSA",
        about="S&P 500 daily, 1999-01-04 .. 2018-12-31; a stamp is the UTC midnight of the trading day",
    ),
    "nasdaq": Sample(
        symbol="NASDAQ",
        package="arch",
        file="data/nasdaq/nasdaq.csv.gz",
        interval_ms=DAY_MS,
        licence="NCSA",
        about="NASDAQ Composite daily, 1999-01-04 .. 2018-12-31; a stamp is the UTC midnight of the trading day",
    ),
    "eurusd": Sample(
        symbol="EURUSD",
        package="gym_anytrading",
        file="datasets/data/FOREX_EURUSD_1H_ASK.csv",
        interval_ms=HOUR_MS,
        licence="MIT",
        about="EURUSD ask 1h, 2017-01-01 22:00 .. 2017-12-29 22:00 UTC; volume as the broker counts it",
    ),
}


def sample(name: str) -> Candles:
    """One of the shipped samples, through the same gate as any file; their calendar is `sessions`.

    `sp500` and `nasdaq` (arch) hold 5,031 days; a stamp is the UTC midnight of the trading day, though New York trades
    14:30 - 21:00 UTC: the day is known long before `close_time`, so nothing looks ahead.  The `Adj Close` column is
    ignored (for an index it equals `Close`).  `eurusd` (gym-anytrading) holds 6,225 hours of ask prices.  Its stamps
    carry no zone; they are UTC: weeks begin at 22:00 in winter and at 21:00 while New York has summer time.

    Raises:
        CandleError: no such sample.
        MissingExtra: the package that ships it is absent.
    """
    if name not in SAMPLES:
        from tradenas.registry import did_you_mean

        raise CandleError("sample", got=repr(name), expected="a known sample", fix=did_you_mean(name, list(SAMPLES)))
    about = SAMPLES[name]
    path = _path(about)
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    found = read_text(data, path.name.removesuffix(".gz"), symbol=None, columns=None)
    return Candles.from_rows(found.rows, symbol=about.symbol, interval_ms=about.interval_ms, calendar="sessions")


def _path(about: Sample) -> Path:
    """The file inside its package, which is found without being imported."""
    spec = importlib.util.find_spec(about.package)
    places = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    for place in places:
        path = Path(place) / about.file
        if path.is_file():
            return path
    raise MissingExtra.of(about.package.replace("_", "-"), extra="samples")
