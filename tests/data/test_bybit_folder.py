"""What a Bybit download leaves on disk: whole months, resumed after a kill, never of two hosts, never damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.fake_bybit import DAY, FUNDING, HOUR, INSTRUMENTS, NOW, FakeBybit, client_of, funding, truth
from tradenas.data.bybit import (
    BybitClient,
    Series,
    fetch_candles,
    fetch_funding,
    fetch_instruments,
    find_instrument,
    load_candles,
)
from tradenas.data.bybit.client import Contradiction
from tradenas.data.files import read_candles
from tradenas.errors import ConfigError, ExchangeBan, ExchangeError, FolderError

HOURLY = {"category": "linear", "interval": "60"}
START, END = "2024-12-20", "2025-02-10"
JAN_MS, START_MS, END_MS = 1_735_689_600_000, 1_734_652_800_000, 1_739_145_600_000


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is tested in tests/test_atomic.py; a busy disk would make these tests slow."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def server() -> Iterator[FakeBybit]:
    with FakeBybit() as running:
        yield running


@pytest.fixture
def client(server: FakeBybit) -> Iterator[BybitClient]:
    with client_of(server) as ours:
        yield ours


def contents(folder: Path) -> dict[str, bytes]:
    """All that a download leaves, without what names the loopback port."""
    found = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.name != ".lock"}
    manifest = json.loads(found.pop("manifest.json"))
    del manifest["host"], manifest["digest"]
    return {**found, "manifest": json.dumps(manifest).encode()}


def hourly(first: int, last: int) -> Any:
    return truth(first, last, step=HOUR)


def test_fetch_writes_whole_months_and_a_manifest(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    got = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    assert sorted(contents(got.folder)) == ["2024-12.parquet", "2025-01.parquet", "2025-02.parquet", "manifest"]
    manifest = json.loads((got.folder / "manifest.json").read_text())
    assert manifest["host"] == server.url.removeprefix("http://")
    assert (manifest["first"], manifest["last"], manifest["gaps"]) == (START_MS, END_MS - HOUR, [])
    assert got.rows == manifest["rows"] == 52 * 24
    candles = got.candles()
    expected = hourly(START_MS, END_MS - HOUR)
    assert (candles.open_time == expected.open_time).all()
    assert (candles.close == expected.values_TC[:, 3]).all()
    assert (candles.volume == expected.values_TC[:, 4]).all()
    assert candles.calendar == "24/7"
    assert load_candles("BTCUSDT", interval="60", folder=tmp_path).equals(candles)
    part = load_candles("BTCUSDT", interval="60", start="2025-01-01", end="2025-01-02", folder=tmp_path)
    assert part.open_time.tolist() == list(range(JAN_MS, JAN_MS + DAY, HOUR))


def test_a_second_fetch_asks_for_nothing_and_a_later_end_for_the_rest(
    server: FakeBybit, client: BybitClient, tmp_path: Path
) -> None:
    fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    server.seen.clear()
    again = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    assert (server.asked(), again.reused) == ([], 3)
    more = fetch_candles("BTCUSDT", **HOURLY, start=START, folder=tmp_path, client=client)
    assert len(server.asked()) == 2  # the rest of February, and March
    assert more.last == NOW // HOUR * HOUR - HOUR
    earlier = fetch_candles("BTCUSDT", **HOURLY, start="2024-12-10", folder=tmp_path, client=client)
    assert earlier.candles().open_time[0] == START_MS - 10 * DAY
    fetch_candles("BTCUSDT", **HOURLY, start="2024-12-10", folder=tmp_path / "b", client=client)
    assert contents(earlier.folder) == contents(tmp_path / "b" / earlier.folder.name)


def test_months_apart_are_a_gap_that_is_told(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    fetch_candles("BTCUSDT", **HOURLY, start=START, end="2024-12-31", folder=tmp_path, client=client)
    far = fetch_candles("BTCUSDT", **HOURLY, start="2025-02-02", end=END, folder=tmp_path, client=client)
    manifest = json.loads((far.folder / "manifest.json").read_text())
    assert manifest["gaps"] == [[JAN_MS - DAY, JAN_MS + 32 * DAY]]
    assert len(far.candles()) == 8 * 24
    with pytest.raises(FolderError, match="2025-01"):
        load_candles("BTCUSDT", interval="60", folder=tmp_path)


def test_one_file(client: BybitClient, tmp_path: Path) -> None:
    got = fetch_candles("BTCUSDT", **HOURLY, start="2025-01-01", end="2025-02-02", folder=tmp_path, client=client)
    candles, report = read_candles(got.write(tmp_path / "any_name.parquet"))
    assert candles.equals(got.candles())
    assert (report.symbol, report.rows_read) == ("BTCUSDT", 32 * 24)


@pytest.mark.parametrize("fault", ["truncated", "gap_page", "wrong_symbol", "old_page", "10006_reset_past", "nan_text"])
def test_faults_leave_the_same_bytes(server: FakeBybit, client: BybitClient, tmp_path: Path, fault: str) -> None:
    clean = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path / "a", client=client)
    server.plan = [fault, None, fault, fault, None, None, fault]
    faulty = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path / "b", client=client)
    assert contents(clean.folder) == contents(faulty.folder)
    assert faulty.requests == clean.requests + 4


def test_an_interrupted_download_loses_no_page(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    """The exchange stops answering after k pages, for every k; the pages before are not asked for again."""
    ask = {"interval": "5", "start": "2025-01-25", "end": "2025-02-05", "folder": tmp_path / "a"}
    clean = fetch_candles("BTCUSDT", **ask, client=client)
    pages = len(server.asked())
    assert pages == 6
    for k in range(pages):
        server.seen, server.plan = [], [*[None] * k, "10018"]
        place = {**ask, "folder": tmp_path / f"k{k}"}
        with client_of(server) as first, pytest.raises(ExchangeBan):
            fetch_candles("BTCUSDT", **place, client=first)
        with client_of(server) as second:
            got = fetch_candles("BTCUSDT", **place, client=second)
        assert contents(got.folder) == contents(clean.folder)
        assert len(server.asked()) == pages + 1 + (k == 1)  # the refused one; the witness alone is not kept


KILLED = """
import sys
from tradenas.data.bybit import BybitClient, fetch_candles
with BybitClient(sys.argv[1], sleep=lambda s: None, wall_clock=lambda: int(sys.argv[3]) / 1000) as client:
    fetch_candles("BTCUSDT", interval="5", start="2025-01-25", end="2025-02-05", folder=sys.argv[2], client=client)
"""


def test_sigkill_in_the_middle(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    ask = {"interval": "5", "start": "2025-01-25", "end": "2025-02-05"}
    clean = fetch_candles("BTCUSDT", **ask, folder=tmp_path / "a", client=client)
    command = [sys.executable, "-c", KILLED, server.url, str(tmp_path / "b"), str(NOW)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        server.seen = []
        running = subprocess.Popen(command, env=environment)
        # Requests: instrument, time, then candles; the fifth is never answered.
        server.on_request = lambda count, process=running: process.kill() if count == 5 else None
        assert running.wait(60) == -signal.SIGKILL
        server.on_request = None
    server.seen = []
    got = fetch_candles("BTCUSDT", **ask, folder=tmp_path / "b", client=client)
    assert contents(got.folder) == contents(clean.folder)
    assert len(server.asked()) == 1 + 5 - 1 - 2 - 1  # of witness and five pages; two runs kept one and two pages


def test_damaged_months_and_parts_are_fetched_again(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    ask = {**HOURLY, "start": START, "end": END, "folder": tmp_path, "client": client}
    got = fetch_candles("BTCUSDT", **ask)
    clean = contents(got.folder)
    for name in ("2024-12.parquet", "2025-01.parquet", "2025-02.parquet"):
        file = got.folder / name
        whole = bytearray(file.read_bytes())
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        for damaged in (bytes(flipped), bytes(whole[: len(whole) // 2]), b""):
            file.write_bytes(damaged)
            (got.folder / name).with_suffix(".part").write_bytes(damaged)
            with pytest.raises(FolderError, match=name):
                got.candles()
            assert fetch_candles("BTCUSDT", **ask).reused == 2
            assert contents(got.folder) == clean
        other = fetch_candles(
            "BTCUSDT", **{**ask, "start": "2024-12-22", "end": "2025-02-09", "folder": tmp_path / "b"}
        )
        file.write_bytes((other.folder / name).read_bytes() if name != "2025-01.parquet" else b"PAR1")
        with pytest.raises(FolderError, match=name):  # whole and of this series, yet not the one the manifest knows
            got.candles()
        fetch_candles("BTCUSDT", **ask)
        assert contents(got.folder) == clean
        file.unlink()
        fetch_candles("BTCUSDT", **ask)
        assert contents(got.folder) == clean


def test_two_hosts_never_mix(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    got = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    fetch_funding("BTCUSDT", start=START, end=END, folder=tmp_path, client=client)
    before = contents(got.folder)
    with FakeBybit() as testnet, client_of(testnet) as other:
        with pytest.raises(FolderError, match="another folder"):
            fetch_candles("BTCUSDT", **HOURLY, start=START, folder=tmp_path, client=other)
        with pytest.raises(FolderError, match="another folder"):
            fetch_funding("BTCUSDT", start=START, folder=tmp_path, client=other)
        assert testnet.asked() == []
    assert contents(got.folder) == before


def test_a_damaged_manifest_is_refused(client: BybitClient, tmp_path: Path) -> None:
    got = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    file = got.folder / "manifest.json"
    for text in ("{", "[]", file.read_text().replace('"rows": ', '"rows": 1')):
        file.write_text(text)
        with pytest.raises(FolderError, match=r"manifest\.json"):
            fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)


def test_a_changed_past_is_told_and_both_sides_are_dropped(
    server: FakeBybit, client: BybitClient, tmp_path: Path
) -> None:
    ask = {**HOURLY, "start": START, "folder": tmp_path, "client": client}
    server.plan = [None, None, None, "other_prices"]
    with pytest.raises(ConfigError):
        fetch_candles("BTCUSDT", **ask, end=START)
    server.plan = []
    got = fetch_candles("BTCUSDT", **ask, end=END)
    server.always = "other_prices"
    with pytest.raises(Contradiction):
        fetch_candles("BTCUSDT", **ask)
    server.always = None
    assert sorted(contents(got.folder)) == ["2024-12.parquet", "manifest"]
    candles = fetch_candles("BTCUSDT", **ask).candles()
    assert (candles.close == hourly(START_MS, int(candles.open_time[-1])).values_TC[:, 3]).all()


@pytest.mark.parametrize("category", ["linear", "spot"])
@pytest.mark.parametrize("interval", ["60", "D"])
def test_a_market_that_opened_after_its_launch_date(
    server: FakeBybit, client: BybitClient, tmp_path: Path, category: str, interval: str
) -> None:
    opens = JAN_MS + 9 * DAY + 5 * HOUR
    server.add(category, "NEWUSDT", launch=JAN_MS, opens=opens)
    series = Series(category=category, symbol="NEWUSDT", interval=interval)
    ask = {"category": category, "interval": interval, "folder": tmp_path, "client": client}
    got = fetch_candles("NEWUSDT", **ask, start="2020-01-01")
    assert got.first == series.floor(opens)
    assert got.candles().open_time[0] == series.floor(opens)
    assert len(server.asked()) < 40
    server.seen.clear()
    assert fetch_candles("NEWUSDT", **ask, start="2020-01-01").reused == 3
    assert server.asked() == []


def test_a_hole_after_the_first_candle_is_no_late_opening(
    server: FakeBybit, client: BybitClient, tmp_path: Path
) -> None:
    server.always = "older_half"
    with pytest.raises(ExchangeError):
        fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    server.always = "empty_page"
    with pytest.raises(ExchangeError):
        fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client)
    with pytest.raises(FolderError, match="no finished month"):
        load_candles("BTCUSDT", interval="60", folder=tmp_path)


@pytest.mark.parametrize("status", ["Closed", "Delivering"])
def test_a_delisted_market(server: FakeBybit, client: BybitClient, tmp_path: Path, status: str) -> None:
    ends = JAN_MS + 40 * DAY + 7 * HOUR
    server.add("linear", "OLDUSDT", launch=JAN_MS, delivery=ends, status=status)
    server.markets["linear", "OLDUSDT"]["opens"] = JAN_MS + 3 * HOUR
    got = fetch_candles("OLDUSDT", **HOURLY, start="2024-06-01", folder=tmp_path, client=client)
    assert (got.first, got.last) == (JAN_MS + 3 * HOUR, ends - HOUR)
    assert len(got.candles()) == 40 * 24 + 4


def test_unknown_symbols(client: BybitClient, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="no such instrument"):
        fetch_candles("NOPEUSDT", **HOURLY, start=START, folder=tmp_path, client=client)
    for wrong in (
        {"interval": "W"},
        {"interval": "M"},
        {"start": "yesterday"},
        {"start": "2025-03-04"},
        {"end": START},
    ):
        with pytest.raises(ConfigError):
            fetch_candles("BTCUSDT", **{**HOURLY, "start": START, "folder": tmp_path, "client": client, **wrong})


def test_progress_counts_candles(client: BybitClient, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watch:
        def start(self, stage: str, total: int) -> None:
            seen.append((stage, total))

        def advance(self, stage: str, done: int, note: str = "") -> None:
            seen.append(done)

        def end(self, stage: str) -> None:
            seen.append("end")

    got = fetch_candles("BTCUSDT", **HOURLY, start=START, end=END, folder=tmp_path, client=client, progress=Watch())
    assert seen[0] == ("linear-BTCUSDT-60", got.rows)
    assert seen[-2:] == [got.rows, "end"]
    assert seen[1:-1] == sorted(seen[1:-1])


def test_funding(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    import polars as pl

    file = fetch_funding("BTCUSDT", start="2024-06-01", end="2025-02-01", folder=tmp_path, client=client)
    frame = pl.read_parquet(file)
    times = list(range(1_717_200_000_000, JAN_MS + 31 * DAY, 8 * HOUR))
    assert frame["time"].to_list() == times
    assert frame["rate"].to_list() == [float(funding("BTCUSDT", time)["fundingRate"]) for time in times]
    for params in server.asked(FUNDING):
        assert {"category", "symbol", "startTime", "endTime", "limit"} == set(params)


FUNDING_FAULTS = [
    "timeout", "reset", "truncated", "html_200", "bad_json", "null_result", "null_list", "wrong_category", "empty_page",
    "duplicated_row", "gap_page", "shuffled", "ignored_parameters", "10006", "http_500_html", "clock_minus_day",
    "older_half", "null_row", "ascending", "half_page",
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "hours"), [*((fault, 1) for fault in FUNDING_FAULTS), ("gap_page", 4), ("gap_page", 8), ("half_page", 8)]
)
def test_funding_with_faults(server: FakeBybit, tmp_path: Path, fault: str, hours: int) -> None:
    server.faulty_path = FUNDING
    server.markets["linear", "BTCUSDT"]["funding_hours"] = hours
    ask = {"start": "2025-02-15", "folder": tmp_path}
    with client_of(server, timeout_s=0.2 if fault == "timeout" else 5.0) as client:
        clean = fetch_funding("BTCUSDT", **ask, client=client).read_bytes()
        for plan in ([fault], [None, fault, fault], [None, None, fault]):
            server.plan = list(plan)
            try:
                assert fetch_funding("BTCUSDT", **ask, client=client).read_bytes() == clean, plan
            except ExchangeError:
                assert fault in {"half_page", "older_half"}  # a short page is a page: only the whole shows the hole
        server.plan, server.seen = [], []
        server.always = fault
        if fault == "timeout":
            return
        try:
            assert fetch_funding("BTCUSDT", **ask, client=client).read_bytes() == clean
            assert fault in {"ascending", "half_page"}  # a shorter page is a page
        except ExchangeError:
            assert fault != "ascending"
        assert len(server.asked(FUNDING)) <= 20


def test_funding_pages_are_tied_together(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    server.faulty_path = FUNDING
    ask = {"start": "2024-06-01", "folder": tmp_path, "client": client}
    clean = fetch_funding("BTCUSDT", **ask).read_bytes()
    server.plan = [None, "other_rates", None, "other_rates"]
    assert fetch_funding("BTCUSDT", **ask).read_bytes() == clean
    server.plan, server.always = [None], "other_rates"
    with pytest.raises(ExchangeError, match="as an earlier reply said"):
        fetch_funding("BTCUSDT", **ask)


def test_instruments_know_the_dead(server: FakeBybit, client: BybitClient, tmp_path: Path) -> None:
    for name in ("AUSDT", "BUSDT", "CUSDT", "DUSDT"):
        server.add("linear", name)
    server.add("linear", "GONEUSDT", status="Closed", delivery=NOW - DAY)
    found = fetch_instruments(category="linear", folder=tmp_path, client=client)
    assert [one.symbol for one in found] == ["AUSDT", "BTCUSDT", "BUSDT", "CUSDT", "DUSDT", "GONEUSDT"]
    gone = found[-1]
    assert (gone.status, gone.delivery_time, gone.live) == ("Closed", NOW - DAY, False)
    assert (found[0].tick_size, found[0].funding_interval_minutes) == (0.1, 480)
    assert len([params for params in server.asked(INSTRUMENTS) if "cursor" in params]) == 2
    assert (tmp_path / "linear-instruments.parquet").exists()
    server.add("spot", "ETHUSDT")
    spot = find_instrument(client, "spot", "ETHUSDT")
    assert (spot.launch_time, spot.min_notional) == (None, 5.0)


@pytest.mark.parametrize("fault", ["wrong_category", "null_list", "null_row", "empty_page", "10016", "html_200"])
def test_instruments_with_faults(server: FakeBybit, client: BybitClient, fault: str) -> None:
    clean = find_instrument(client, "linear", "BTCUSDT")
    server.faulty_path, server.plan = INSTRUMENTS, [fault]
    assert find_instrument(client, "linear", "BTCUSDT") == clean
    server.always = fault
    with pytest.raises(ExchangeError):
        find_instrument(client, "linear", "BTCUSDT")


def test_a_cursor_that_turns_in_circles(server: FakeBybit, client: BybitClient) -> None:
    from tradenas.data.bybit.instruments import read_instruments

    for name in ("AUSDT", "BUSDT", "CUSDT", "DUSDT"):
        server.add("linear", name)
    honest = server.instruments
    server.instruments = lambda params: {**honest({**params, "cursor": "0"}), "nextPageCursor": "2"}  # type: ignore[method-assign]
    from data import fake_bybit

    before = fake_bybit._ANSWERS[INSTRUMENTS]
    fake_bybit._ANSWERS[INSTRUMENTS] = lambda running, params: running.instruments(params)
    try:
        with pytest.raises(ExchangeError, match="cursor"):
            read_instruments(client, "linear")
        assert len(server.asked(INSTRUMENTS)) == 2
    finally:
        fake_bybit._ANSWERS[INSTRUMENTS] = before
