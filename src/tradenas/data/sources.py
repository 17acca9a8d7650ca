"""Candles by the name a study file or a command gives them: a file, a sample, or planted markets."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tradenas.data.candles import Candles
from tradenas.data.files import ReadReport, read_candles, symbols_in
from tradenas.data.repairs import Repairs
from tradenas.data.samples import SAMPLES, sample
from tradenas.errors import CandleError, ConfigError
from tradenas.registry import did_you_mean

__all__ = ["FUNDING_END", "SYMBOL", "market_names", "open_source", "source_file"]

#: Stands for the symbol in the name of a source that has a file for each.
SYMBOL = "{symbol}"
#: Ends the name of what `tradenas fetch` leaves beside the candles of a perpetual: no market.
FUNDING_END = "-funding"


def source_file(source: str, symbol: str = "", *, base: Path = Path()) -> Path | None:
    """The file that `source` names, or None for a sample or a planted market.

    Args:
        symbol: put in place of `{symbol}`, where files are one a market.

    >>> source_file("sample:sp500") is None, source_file("btc.csv", base=Path("data")).as_posix()
    (True, 'data/btc.csv')
    >>> source_file("bybit/{symbol}.parquet", "BTCUSDT").as_posix()
    'bybit/BTCUSDT.parquet'
    """
    head, _, tail = source.partition(":")
    if tail and head in ("sample", "planted"):
        return None
    return base / source.replace(SYMBOL, symbol)  # an absolute source stays as it is


def market_names(source: str, *, base: Path = Path()) -> tuple[str, ...]:
    """All the markets that a source holds, by name.

    A file with a symbol column has those of the column; a source with `{symbol}` in it those for which there is a file;
    a planted market itself and those that help to forecast it.

    Raises:
        CandleError: there is none, or the file cannot be read.

    >>> market_names("planted:lead_lag")
    ('PLANTED-LEAD-LAG', 'PLANTED-LEADER')
    """
    file = source_file(source, "*", base=base)
    if file is None:
        head, _, tail = source.partition(":")
        if head == "sample":
            return (SAMPLES[tail].symbol if tail in SAMPLES else sample(tail).symbol,)
        return tuple(c.symbol for c in _planted(tail, 100, 0))
    if SYMBOL not in source:
        return symbols_in(file)
    before, after = source.split(SYMBOL, 1)[0].rpartition("/")[2], source.rpartition(SYMBOL)[2]
    names = sorted(p.name.removeprefix(before).removesuffix(after) for p in file.parent.glob(file.name))
    names = [name for name in names if not name.endswith(FUNDING_END)]
    if not names:
        raise CandleError(source, got="no such file", expected="one for each symbol", fix="tradenas fetch")
    return tuple(names)


def open_source(
    source: str,
    *,
    symbol: str = "",
    repairs: Repairs | None = None,
    bars: int = 30_000,
    seed: int = 0,
    base: Path = Path(),
) -> tuple[Candles, ReadReport | None]:
    """The candles that `source` names; the report of the reader where a file was read.

    Args:
        source: a file, `sample:NAME` or `planted:KIND`; a file for each market with `{symbol}` in its name.
        symbol: which market of a source that holds several; of a planted pair the one that is led, if none is named.
        repairs: what may be changed in a file; nothing if not given.
        bars: candles of a planted market.
        seed: of a planted market.
        base: where relative paths start.

    Raises:
        CandleError: no such source, or it is not fit to be used; the message names row and repair.

    >>> candles, report = open_source("planted:noise", bars=500)
    >>> len(candles), report
    (500, None)
    """
    file = source_file(source, symbol, base=base)
    if file is not None:
        if SYMBOL in source and not symbol:
            raise CandleError(source, got="no symbol", expected="one in place of {symbol}")
        return read_candles(file, symbol=symbol or None, repairs=repairs or Repairs())
    head, _, tail = source.partition(":")
    if head == "sample":
        return sample(tail), None
    from tradenas.data.synthetic import PANELS

    markets = {c.symbol: c for c in _planted(tail, bars, seed)}
    if symbol not in markets and (symbol or tail in PANELS):
        raise ConfigError(
            source, got=f"symbol {symbol!r}", expected=f"one of {', '.join(markets)}",
            fix=did_you_mean(symbol, list(markets)),
        )  # fmt: skip
    return markets[symbol] if symbol else next(iter(markets.values())), None


@lru_cache(maxsize=2)
def _planted(kind: str, bars: int, seed: int) -> tuple[Candles, ...]:
    """All markets of a planted world; a study asks for each of them."""
    from tradenas.data.synthetic import PANELS, planted, planted_panel

    if kind in PANELS:
        return planted_panel(kind, bars=bars, seed=seed).candles
    world = planted(kind, bars=bars, seed=seed)
    return (world.candles, *world.others)
