"""Which column of a file is which: the headers of exchanges and tools, mapped to our names and said aloud."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradenas.errors import CandleError

__all__ = ["BINANCE_KLINES", "FIELDS", "Mapped", "map_headers", "plain"]

# In order of preference for time (a file may have both `unix` and `date`); any other doubled field is refused.
TIME = "opentime opentimems timestamp unix unixtimestamp time ts t datetime date start starttime ds dt indexlevel0"
FIELDS: dict[str, tuple[str, ...]] = {
    "open_time": tuple(TIME.split()),
    "open": ("open", "o", "openprice", "priceopen"),
    "high": ("high", "h", "highprice", "pricehigh", "max"),
    "low": ("low", "l", "lowprice", "pricelow", "min"),
    "close": ("close", "c", "closeprice", "priceclose"),
    "volume": ("volume", "vol", "v", "basevolume", "baseassetvolume", "volumebase", "qty"),
    "turnover": (
        *("turnover", "quotevolume", "quoteassetvolume", "quotevol", "volumequote", "volumecurrency", "dollarvolume"),
    ),
    "symbol": ("symbol", "ticker", "instrument", "pair", "uniqueid", "market"),
}
QUOTES = ("usd", "usdt", "usdc", "busd", "fdusd", "eur", "gbp", "jpy", "try", "dai")
BINANCE_KLINES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades"),
    *("taker_base_volume", "taker_quote_volume", "ignore"),
)
REQUIRED = ("open_time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """`fields`: our name -> header in the file; `ignored`: headers that nothing reads."""

    fields: dict[str, str]
    ignored: tuple[str, ...]


def map_headers(headers: Sequence[str], place: str, columns: Mapping[str, str] | None = None) -> Mapped:
    """Finds our columns among the headers of a file; case, spaces and punctuation do not matter.

    Args:
        headers: as the file has them.
        place: what errors call the file.
        columns: our name -> header, for what the reader cannot know; the rest is found as usual.

    Raises:
        CandleError: a header twice, two headers for one field, or a field without a header.

    >>> map_headers(["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"], "x.csv").ignored
    ('Adj Close',)
    """
    doubled = sorted({name for name in headers if list(headers).count(name) > 1})
    if doubled:
        raise CandleError(f"{place}, header", got=f"column {doubled[0]!r} twice", expected="names that differ")
    fields = dict(columns or {})
    for field, header in fields.items():
        if field not in FIELDS:
            raise CandleError("columns", got=repr(field), expected="one of: " + ", ".join(FIELDS))
        if header not in headers:
            raise CandleError(f"columns[{field!r}]", got=repr(header), expected="one of: " + ", ".join(headers))
    free = [header for header in headers if header not in fields.values()]
    for field, known in FIELDS.items():
        if field in fields:
            continue
        found = [header for header in free if _field_of(header) == field]
        if field == "open_time":
            found = sorted(found, key=lambda header: known.index(plain(header)))[:1]
        if len(found) > 1:
            raise CandleError(
                f"{place}, header",
                got=f"{' and '.join(map(repr, found))}, which both read as {field}",
                expected="one of them",
                fix=f"say which, with columns={{{field!r}: {found[0]!r}}}",
            )
        if found:
            fields[field] = found[0]
    absent = [field for field in REQUIRED if field not in fields]
    if absent:
        raise CandleError(
            f"{place}, header",
            got="columns " + ", ".join(map(repr, list(headers)[:20])),
            expected=f"a column for {', '.join(absent)}",
            fix=f"name it with columns={{{absent[0]!r}: '...'}}",
        )
    ignored = tuple(header for header in headers if header not in fields.values())
    return Mapped(fields={name: fields[name] for name in FIELDS if name in fields}, ignored=ignored)


def plain(header: str) -> str:
    """A header without case, spaces and punctuation.

    >>> plain("Funding_Rate")
    'fundingrate'
    """
    return re.sub(r"[^a-z0-9]", "", header.lower())


def _field_of(header: str) -> str | None:
    name = plain(header)
    for field, known in FIELDS.items():
        if name in known:
            return field
    # `Volume USDT` and `Volume_(Currency)` are turnover, `Volume BTC` is volume (CryptoDataDownload, Kaggle).
    words = re.match(r"^\s*volume[\s_(]+([a-z0-9]{2,8})\)?\s*$", header.lower())
    if words:
        return "turnover" if words[1] in QUOTES else "volume"
    return None
