"""Candles by the name a study file or a command gives them: a file, a sample, or a planted market."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tradenas.data.candles import Candles
from tradenas.data.files import ReadReport, read_candles
from tradenas.data.repairs import Repairs
from tradenas.data.samples import sample
from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean

if TYPE_CHECKING:
    from tradenas.data.synthetic import PlantedPanel

__all__ = ["open_source", "source_file"]


def source_file(source: str, *, base: Path = Path()) -> Path | None:
    """The file that `source` names, or None for a sample or a planted market.

    >>> source_file("sample:sp500") is None, source_file("btc.csv", base=Path("data")).as_posix()
    (True, 'data/btc.csv')
    """
    head, _, tail = source.partition(":")
    if tail and head in ("sample", "planted"):
        return None
    return base / source  # an absolute source stays as it is


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
        source: a file, `sample:NAME` or `planted:KIND`.
        symbol: which market of a file, or of a planted panel, that holds several.
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
    file = source_file(source, base=base)
    if file is not None:
        return read_candles(file, symbol=symbol or None, repairs=repairs or Repairs())
    head, _, tail = source.partition(":")
    if head == "sample":
        return sample(tail), None
    from tradenas.data.synthetic import PANELS, planted

    if tail in PANELS:
        panel = _panel(tail, bars, seed)
        if symbol not in panel.symbols:
            raise ConfigError(
                source, got=f"symbol {symbol!r}", expected=f"one of {', '.join(panel.symbols)}",
                fix=did_you_mean(symbol, list(panel.symbols)),
            )  # fmt: skip
        return panel.candles[panel.symbols.index(symbol)], None
    return planted(tail, bars=bars, seed=seed).candles, None


@lru_cache(maxsize=2)
def _panel(kind: str, bars: int, seed: int) -> PlantedPanel:
    """One panel holds all its markets; a study asks for each of them."""
    from tradenas.data.synthetic import planted_panel

    return planted_panel(kind, bars=bars, seed=seed)
