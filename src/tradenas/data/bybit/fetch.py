"""Downloads candles, funding rates and instruments into a folder; what was interrupted resumes, what is old extends."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from tradenas import atomic
from tradenas.data.bybit.client import BybitClient
from tradenas.data.bybit.funding import read_funding
from tradenas.data.bybit.instruments import Instrument, find_instrument, read_instruments
from tradenas.data.bybit.months import collect, fill
from tradenas.data.bybit.series import COLUMNS, Series, as_ms, checked_symbol, iso
from tradenas.data.bybit.store import SeriesStore, write_table
from tradenas.data.candles import Candles
from tradenas.data.files import write_candles
from tradenas.errors import ConfigError, FolderError
from tradenas.events import NullProgress, Progress

__all__ = ["Fetched", "fetch_candles", "fetch_funding", "fetch_instruments", "load_candles"]

When = str | int | datetime


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a download left on disk.

    Args:
        folder: the series' own folder, with monthly files and `manifest.json`.
        series: what it holds.
        first, last: open times of the oldest and newest candle of the asked range.
        rows: candles in the asked range.
        requests: requests made by this call.
        reused: months of the asked range that were on disk already, whole.
    """

    folder: Path
    series: Series
    first: int
    last: int
    rows: int
    requests: int
    reused: int

    def candles(self) -> Candles:
        """The asked range, through the strict gate."""
        return _load(self.folder, self.series, self.first, self.last)

    def write(self, file: str | Path) -> Path:
        """The asked range as one Parquet file that `read_candles` checks against its digest, atomically."""
        write_candles(self.candles(), file)
        return Path(file)


def fetch_candles(
    symbol: str,
    *,
    category: str = "linear",
    interval: str = "15",
    start: When,
    end: When | None = None,
    folder: str | Path,
    client: BybitClient | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Download closed candles of one Bybit market into monthly files, or bring such a folder up to date.

    Writes `<folder>/<category>-<symbol>-<interval>/<YYYY-MM>.parquet` and `manifest.json`.  Each page is kept as it
    comes, so a killed download loses one page at most.  Months on disk are checked by SHA-256; damaged ones are
    fetched again.  Volume is in base coin and turnover in quote coin, for inverse contracts too.

    Args:
        symbol: upper case, `BTCUSDT`.
        category: `linear`, `inverse` or `spot`.
        interval: minutes as Bybit writes them (`1` to `720`), or `D`.
        start: the first open time wanted: ISO date, datetime with a zone, or ms UTC.  Before the market's first
            candle it means that candle.
        end: candles open before it; None is now, by the server's clock.  An open candle is never stored.
        folder: where series folders lie.
        client: whom to ask; None asks `api.bybit.com` and closes the connection afterwards.
        progress: who watches; the stage is named after the series and counts candles.

    Raises:
        ConfigError: an argument is wrong, or the range holds no closed candle.
        ExchangeError: the exchange gave nothing usable in a bounded number of tries; what came before is kept.
        ExchangeBan: it told us to go away.
        FolderError: the folder belongs to another host, is damaged, or another process writes in it.
    """
    series = _series(category, symbol, interval)
    start_ms, end_ms = as_ms(start, "start"), None if end is None else as_ms(end, "end")
    if end_ms is not None and end_ms <= start_ms:
        raise ConfigError("end", got=iso(end_ms), expected=f"after the start, {iso(start_ms)}")
    with BybitClient() if client is None else nullcontext(client) as asked:
        before = asked.requests
        with atomic.exclusive(Path(folder) / series.name):
            store = SeriesStore(Path(folder), series, asked.host)
            store.save_manifest()
            first, last, reused = fill(store, asked, start_ms, end_ms, progress or NullProgress())
        return Fetched(
            folder=store.folder,
            series=series,
            first=first,
            last=last,
            rows=(last - first) // series.step_ms + 1,
            requests=asked.requests - before,
            reused=reused,
        )


def load_candles(
    symbol: str,
    *,
    category: str = "linear",
    interval: str = "15",
    start: When | None = None,
    end: When | None = None,
    folder: str | Path,
) -> Candles:
    """Candles that `fetch_candles` stored, without a network; all of them, or those of a range.

    Raises:
        FolderError: nothing is stored, a month is damaged, or the range is not wholly there.
    """
    series = _series(category, symbol, interval)
    place = Path(folder) / series.name
    manifest = SeriesStore.read_manifest(place)
    if manifest["first"] is None:
        raise FolderError(f"{place}", got="no finished month", expected="candles", fix="fetch the series again")
    first = manifest["first"] if start is None else series.ceil(as_ms(start, "start"))
    last = manifest["last"] if end is None else series.ceil(as_ms(end, "end")) - series.step_ms
    if last < first:
        raise ConfigError("end", got=iso(last), expected=f"after {iso(first)}")
    return _load(place, series, first, last)


def fetch_funding(
    symbol: str,
    *,
    category: str = "linear",
    start: When,
    end: When | None = None,
    folder: str | Path,
    client: BybitClient | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a perpetual's funding rates to `<folder>/<category>-<symbol>-funding/funding.parquet`.

    Columns `time` (settlement, ms UTC) and `rate` (a fraction; longs pay where it is positive).  Beside it lies
    `manifest.json` with host, range and SHA-256.  The file is replaced as a whole.

    Raises:
        ConfigError, ExchangeError, ExchangeBan, FolderError: as `fetch_candles`.
    """
    checked_symbol(category, symbol)
    if category == "spot":
        raise ConfigError("category", got="spot", expected="linear or inverse", fix="spot pays no funding")
    watch = progress or NullProgress()
    start_ms, end_ms = as_ms(start, "start"), None if end is None else as_ms(end, "end")
    place = Path(folder) / f"{category}-{symbol}-funding"
    with BybitClient() if client is None else nullcontext(client) as asked, atomic.exclusive(place):
        _refuse_other_host(place, asked.host)
        watch.start(place.name, 0)
        instrument = find_instrument(asked, category, symbol)
        now_ms = asked.server_time_ms()
        stop = now_ms if end_ms is None else min(end_ms, now_ms)
        if stop <= start_ms:
            raise ConfigError("end", got=iso(stop), expected=f"after the start, {iso(start_ms)}")
        times, rates = read_funding(asked, instrument, start_ms, stop, now_ms=now_ms)
        write_table(place / "funding.parquet", {"time": times, "rate": rates}, {"tradenas.series": place.name})
        manifest = {
            "source": "bybit",
            "host": asked.host,
            "name": place.name,
            "rows": len(times),
            "start": start_ms,
            "stop": stop,
            "sha256": atomic.sha256_file(place / "funding.parquet"),
        }
        atomic.write_json(place / "manifest.json", manifest)
        watch.end(place.name)
    return place / "funding.parquet"


def fetch_instruments(
    *, category: str = "linear", folder: str | Path, client: BybitClient | None = None
) -> list[Instrument]:
    """Every instrument of a category, delisted ones too, also written to `<folder>/<category>-instruments.parquet`.

    Raises:
        ConfigError, ExchangeError, ExchangeBan, FolderError: as `fetch_candles`.
    """
    with BybitClient() if client is None else nullcontext(client) as asked:
        instruments = read_instruments(asked, category)
        asked_at = str(asked.server_time_ms())
    columns: dict[str, Any] = {
        field.name: [getattr(instrument, field.name) for instrument in instruments] for field in fields(Instrument)
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    metadata = {"tradenas.host": asked.host, "tradenas.asked_at_ms": asked_at}
    write_table(Path(folder) / f"{category}-instruments.parquet", columns, metadata)
    return instruments


def _series(category: str, symbol: str, interval: str) -> Series:
    if interval in ("W", "M"):
        raise ConfigError("interval", got=interval, expected="minutes or D", fix="fetch D and resample it")
    return Series(category=category, symbol=symbol, interval=interval)


def _load(folder: Path, series: Series, first: int, last: int) -> Candles:
    bars = collect(folder, series, first, last)
    return Candles.from_arrays(
        symbol=series.symbol,
        open_time=bars.open_time,
        interval_ms=series.step_ms,
        calendar="24/7",
        now_ms=bars.last + series.step_ms,  # the server's clock has closed them already; ours may be wrong
        **dict(zip(COLUMNS, bars.values_TC.T, strict=True)),
    )


def _refuse_other_host(place: Path, host: str) -> None:
    if not (place / "manifest.json").exists():
        return
    manifest = atomic.read_json(place / "manifest.json")
    found = manifest.get("host") if isinstance(manifest, dict) else None
    if found != host:
        raise FolderError(f"{place}", got=f"data of {found}", expected=host, fix="use another folder")
