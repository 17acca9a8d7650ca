"""Files of extra columns by what a study says of them, and the settled funding rates of one perpetual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tradenas.atomic import read_json, sha256_file
from tradenas.data.book import TOP, book_series
from tradenas.data.columns import KNOWN_AT, Columns, read_columns
from tradenas.data.headers import FIELDS, plain
from tradenas.data.series import Series
from tradenas.data.sources import SYMBOL
from tradenas.errors import CandleError, ConfigError, FolderError

__all__ = ["FUNDING", "FUNDING_GROUP", "Extra", "funding_file", "read_extra", "read_funding"]

#: Name and group of the column that a study with funding has.
FUNDING, FUNDING_GROUP = "funding_rate", "funding"
VALUES = ("value", "rate", "fundingrate")
STORE = "candles"
CATEGORIES = ("linear", "inverse")
MINUTE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A file of values with their own times, joined to the candles: a row sees what was known when it closed.

    Attributes:
        path: CSV, Parquet or feather; relative to the study file.  Where it has a column of symbols, each market takes
            its own rows; where `{symbol}` is in its name, its own file.
        name: of the column, and of its group; `book` for order books.
        kind: `series` (a time and a value) or `book` (a time, prices and sizes of bids and asks).
        column: header of the value; where it is not given, `value`, `rate`, the name itself, or the only one there is.
        symbol: whose rows to take; the market's own if not given.  Another market's value is as good a feature.
        levels: of a book: levels to read.  More than one adds the imbalance of so much depth.
        lag_ms: how long after its stamp a value was known.
        max_age_minutes: rows whose value is older are left out; 0 takes three of the usual steps of the file.
        age: whether the age of the value, in usual steps, is a column too.
    """

    path: str
    name: str = ""
    kind: Literal["series", "book"] = "series"
    column: str = ""
    symbol: str = ""
    levels: int = 1
    lag_ms: int = 0
    max_age_minutes: float = 0.0
    age: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("series", "book"):
            raise ConfigError("data.extra.kind", got=repr(self.kind), expected="series or book")
        if not self.path:
            raise ConfigError("data.extra.path", got="nothing", expected="a file")
        if not re.fullmatch(r"\w+", self.group):
            raise ConfigError("data.extra.name", got=repr(self.name), expected="a word, for the column and its group")
        for key, low in (("levels", 1), ("lag_ms", 0), ("max_age_minutes", 0)):
            if getattr(self, key) < low:
                raise ConfigError(f"data.extra.{key}", got=getattr(self, key), expected=f"{low} or more")
        if self.kind == "series" and self.levels != 1:
            raise ConfigError(
                "data.extra.levels", got=self.levels, expected="1", fix='only a book has levels: kind = "book"'
            )
        if self.kind == "book" and self.column:
            raise ConfigError("data.extra.column", got=repr(self.column), expected="none: a book has several")

    def file(self, symbol: str) -> str:
        """The path for one market.

        >>> Extra(path="{symbol}-oi.csv", name="oi").file("BTCUSDT")
        'BTCUSDT-oi.csv'
        """
        return self.path.replace(SYMBOL, self.symbol or symbol)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it makes.

        >>> Extra(path="x.csv", kind="book", levels=5, age=True).columns
        ('book_spread', 'book_imbalance', 'book_microprice', 'book_depth5', 'book_age')
        """
        of_book = [*TOP, *([f"depth{self.levels}"] if self.levels > 1 else [])] if self.kind == "book" else []
        names = tuple(f"{self.group}_{what}" for what in of_book) or (self.group,)
        return (*names, f"{self.group}_age") if self.age else names

    @property
    def group(self) -> str:
        """Name of the group that its columns are switched on and off with."""
        return self.name or ("book" if self.kind == "book" else "")


def read_extra(extra: Extra, symbol: str, *, base: Path = Path()) -> list[Series]:
    """The columns of one file for one market.

    Args:
        extra: which file, and what it holds.
        symbol: of the candles.
        base: where relative paths start.

    Raises:
        CandleError: the file is not what it was said to be; names row and column.
    """
    columns = read_columns(base / extra.file(symbol)).of(extra.symbol or symbol)
    age_ms = round(extra.max_age_minutes * MINUTE_MS)
    if extra.kind == "book":
        return book_series(columns, name=extra.group, levels=extra.levels, max_age_ms=age_ms, lag_ms=extra.lag_ms)
    return [_series(columns, extra.group, extra.column, age_ms, extra.lag_ms)]


def funding_file(funding: str, symbol: str, *, base: Path = Path()) -> Path:
    """The file that `data.funding` means for one market.

    Args:
        funding: a file (one for each market where `{symbol}` is in its name), a folder that `tradenas fetch` stores
            into, or `bybit` for its usual one, `candles`.

    Raises:
        FolderError: the folder has no funding of this market, or what it has was changed.
    """
    place = base / (STORE if funding == "bybit" else funding.replace(SYMBOL, symbol))
    if not place.is_dir() and funding != "bybit":
        return place
    for category in CATEGORIES:
        file = place / f"{category}-{symbol}-funding" / "funding.parquet"
        if file.exists():
            if read_json(file.parent / "manifest.json").get("sha256") != sha256_file(file):
                raise FolderError(
                    str(file), got="another file than its manifest says", expected="it unchanged", fix="fetch again"
                )
            return file
    raise FolderError(
        str(place), got=f"no funding of {symbol}", expected=f"linear-{symbol}-funding/funding.parquet",
        fix=f"tradenas fetch {symbol} --funding --store {place}, which leaves it there",
    )  # fmt: skip


def read_funding(funding: str, symbol: str, *, base: Path = Path()) -> Series:
    """Settled rates of one perpetual as fractions, known when they are settled.

    The rate that an exchange shows before a settlement is a forecast, moves every minute, and is not this.  One
    settlement rate speaks of its own interval: where a market changes from 8 hours to 1, rates fall eightfold.

    Raises:
        CandleError, FolderError: the file is absent, or not what it must be.
    """
    columns = read_columns(funding_file(funding, symbol, base=base)).of(symbol)
    series = _series(columns, FUNDING, "", 0, 0)
    if abs(series.value).max() > 1.0:
        raise CandleError(
            columns.place, got=f"a rate of {abs(series.value).max():g}", expected="fractions: 0.0001 is a basis point"
        )
    return series


def _series(columns: Columns, name: str, column: str, max_age_ms: int, lag_ms: int) -> Series:
    if column:
        header = columns.find((column,), name)
    else:
        rest = [h for h in columns.cells if plain(h) not in (*KNOWN_AT, *FIELDS["symbol"])]
        header = columns.find((*VALUES, name, *(rest if len(rest) == 1 else ())), f"the value of {name}")
    return Series(
        name=name, known_at_ms=columns.times() + lag_ms, value=columns.floats(header), max_age_ms=max_age_ms,
        line=columns.line,
    )  # fmt: skip
