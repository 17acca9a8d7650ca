"""Right candles or a typed error, never a wrong row: our Bybit client against every fault we could think of."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from data.fake_bybit import (
    DAY,
    FAULTS,
    MINUTE,
    NOW,
    TIME,
    FakeBybit,
    client_of,
    truth,
)
from tradenas.data.bybit import BybitClient, Series, read_prices
from tradenas.data.bybit.client import Contradiction, Missing
from tradenas.data.bybit.klines import KlineReader
from tradenas.data.bybit.series import Bars
from tradenas.errors import ConfigError, ExchangeBan, ExchangeError
from tradenas.seeds import rng_for

QUARTER = 15 * MINUTE
LAST = NOW // QUARTER * QUARTER - QUARTER  # the newest closed candle
FIRST = LAST - 43 * QUARTER  # 44 candles
REQUESTS = 4  # the witness, then pages of 20 that share a candle


def read(client: BybitClient, first: int = FIRST, last: int = LAST, *, page_rows: int = 20, **series: str) -> Bars:
    named = {"category": "linear", "symbol": "BTCUSDT", "interval": "15", **series}
    reader = KlineReader(client, Series(**named))
    reader.page_rows = page_rows
    bars = Bars.empty()
    for page in reader.pages(first, last):
        bars += page
    return bars


@pytest.fixture
def server() -> Iterator[FakeBybit]:
    with FakeBybit() as running:
        yield running


@pytest.fixture
def client(server: FakeBybit) -> Iterator[BybitClient]:
    with client_of(server) as ours:
        yield ours


BANS = {"http_403", "10018"}
FINAL = {"10001", "10029", "10002", "http_404", "http_302"}
LIES = {"shifted_values", "other_prices"}  # sound candles under the right name, yet of another time or market
HARMLESS = {"ascending"}  # the same candles, the other way round
ENDLESS_HARMLESS = HARMLESS | {"ignored_limit", "capped_200"}  # cannot hurt pages of 20


def test_fault_free(server: FakeBybit, client: BybitClient) -> None:
    assert read(client).digest() == truth(FIRST, LAST).digest()
    for params in server.asked():
        assert params["category"] == "linear"
        assert params["limit"] == "1000"
        assert int(params["start"]) % QUARTER == int(params["end"]) % QUARTER == 0
    assert len(server.asked()) == REQUESTS
    assert max(client.clock.slept) == pytest.approx(0.1)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_once(server: FakeBybit, fault: str) -> None:
    for place in range(REQUESTS):
        server.plan, server.seen = [*[None] * place, fault], []
        with client_of(server, timeout_s=0.15 if fault == "timeout" else 5.0) as client:
            if fault in BANS | FINAL:
                with pytest.raises(ExchangeBan if fault in BANS else ExchangeError):
                    read(client)
                assert len(server.asked()) == place + 1
            elif fault in LIES and place == 0:  # the witness lied: the first page says otherwise, and nothing is told
                with pytest.raises(Contradiction):
                    read(client)
                assert len(server.asked()) == 1 + 6
            else:
                assert read(client).digest() == truth(FIRST, LAST).digest()
                assert len(server.asked()) <= REQUESTS + 1


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "timeout"])
def test_each_fault_without_end(server: FakeBybit, client: BybitClient, fault: str) -> None:
    server.always, server.plan = fault, [None] if fault in LIES else []
    if fault in ENDLESS_HARMLESS:
        assert read(client).digest() == truth(FIRST, LAST).digest()
        return
    with pytest.raises(ExchangeBan if fault in BANS else ExchangeError):
        read(client)
    witnessed = fault in LIES | {"shuffled"}  # two candles pass for ascending: the page after them does not
    assert len(server.asked()) == (1 if fault in BANS | FINAL else 6 + witnessed)
    assert sum(client.clock.slept) <= 6 * 61


def test_random_schedules(server: FakeBybit) -> None:
    """1 to 20 faults at random places: the right candles or a typed error, after a bounded number of requests."""
    quick = [fault for fault in FAULTS if fault not in {"timeout", *BANS, *FINAL}]
    outcomes = {"right": 0, "refused": 0}
    for seed in range(120):
        rng = rng_for(seed, "bybit", "schedule")
        plan = [None] * 30
        for place in rng.integers(0, 30 if seed % 2 else 12, size=int(rng.integers(1, 21))):
            plan[place] = quick[int(rng.integers(len(quick)))]
        server.plan, server.seen = list(plan), []
        with client_of(server) as client:
            try:
                bars = read(client)
            except ExchangeError:
                outcomes["refused"] += 1
            else:
                outcomes["right"] += 1
                assert bars.digest() == truth(FIRST, LAST).digest(), plan
            assert len(server.asked()) <= 6 * REQUESTS
            assert sum(client.clock.slept) <= 24 * 61
    assert min(outcomes.values()) > 0, outcomes


@pytest.mark.parametrize("fault", sorted(BANS))
def test_a_ban_silences_the_client_for_ten_minutes(server: FakeBybit, client: BybitClient, fault: str) -> None:
    server.plan = [fault]
    for _ in range(2):
        with pytest.raises(ExchangeBan):
            read(client)
    assert len(server.asked()) == 1
    client.clock.now += 601
    assert read(client).digest() == truth(FIRST, LAST).digest()


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        ("10006", 0.375),  # no header: our own backoff
        ("10006_reset_soon", 7.25),
        ("10006_reset_past", 0.375),  # the peer pybit 5.17.0 dies here, of a negative sleep
        ("10006_reset_far", 60.0),
        ("10006_reset_junk", 0.375),
        ("http_429", 0.375),
    ],
)
def test_waits_after_a_rate_limit(server: FakeBybit, client: BybitClient, fault: str, waited: float) -> None:
    server.plan = [fault]
    read(client)
    assert waited in client.clock.slept


def test_backoff_doubles_and_is_bounded(server: FakeBybit) -> None:
    server.always = "10016"
    for jitter, expected in ((0.0, [0.25, 0.5, 1, 2, 4]), (0.999, [0.49975, 0.9995, 1.999, 3.998, 7.996])):
        with client_of(server, jitter=lambda now=jitter: now, requests_per_second=100) as client:
            with pytest.raises(ExchangeError):
                read(client)
            assert [pause for pause in client.clock.slept if pause > 0.02] == pytest.approx(expected)


def test_never_faster_than_the_pace_and_slower_after_a_rate_limit(server: FakeBybit) -> None:
    with client_of(server, requests_per_second=4) as client:
        for _ in range(9):
            client.server_time_ms()
        assert client.clock.now == pytest.approx(8 / 4)
        server.faulty_path, server.plan = TIME, ["10006"]
        before = client.clock.now
        for _ in range(3):
            client.server_time_ms()
        assert client.clock.now - before > 3 / 4 + 0.375


@pytest.mark.parametrize("shift_s", [-DAY / 1000, DAY / 1000])
def test_our_own_clock_does_not_matter(server: FakeBybit, shift_s: float) -> None:
    with client_of(server, wall_clock=lambda: NOW / 1000 + shift_s) as client:
        assert read(client).digest() == truth(FIRST, LAST).digest()
        server.date_header = False  # now ours is the only second clock, and a wrong one: refused rather than guessed
        with pytest.raises(ExchangeError, match="our own clock"):
            read(client)


def test_an_open_candle_is_never_given(server: FakeBybit, client: BybitClient) -> None:
    with pytest.raises(Missing, match="closed candles"):
        read(client, FIRST, LAST + QUARTER)  # asked for by mistake: it comes, and is dropped
    assert any(int(params["end"]) == LAST + QUARTER for params in server.asked())


def test_a_server_that_caps_pages_is_noticed(server: FakeBybit, client: BybitClient) -> None:
    server.cap = 200
    first = LAST - 2999 * QUARTER
    assert read(client, first, LAST, page_rows=1000).digest() == truth(first, LAST).digest()
    assert len(server.asked()) == 1 + 2 + 16  # the witness, the same short page twice, then 199 new ones a page


def test_one_candle_alone_has_a_neighbour_as_witness(server: FakeBybit, client: BybitClient) -> None:
    on_the_hour = LAST // (4 * QUARTER) * 4 * QUARTER
    server.always = "wrong_interval_60"
    with pytest.raises(ExchangeError):
        read(client, on_the_hour, on_the_hour)
    server.always = None
    assert read(client, on_the_hour, on_the_hour).digest() == truth(on_the_hour, on_the_hour).digest()


def test_inverse_counts_volume_in_base_coin(server: FakeBybit, client: BybitClient) -> None:
    server.add("inverse", "BTCUSD")
    bars = read(client, category="inverse", symbol="BTCUSD")
    assert bars.digest() == truth(FIRST, LAST, symbol="BTCUSD").digest()
    server.always = "swapped_volume"
    with pytest.raises(ExchangeError, match="volume in another coin"):
        read(client, category="inverse", symbol="BTCUSD")


def test_mark_prices_have_five_columns(server: FakeBybit, client: BybitClient) -> None:
    series = Series(category="linear", symbol="BTCUSDT", interval="15")
    bars = read_prices(client, series, FIRST, LAST, kind="mark")
    assert (bars.values_TC[:, :4] == truth(FIRST, LAST).values_TC[:, :4]).all()
    assert (bars.values_TC[:, 4:] == 0).all()
    with pytest.raises(ConfigError, match="kind"):
        read_prices(client, series, FIRST, LAST, kind="last")


def test_server_time(server: FakeBybit, client: BybitClient) -> None:
    assert client.server_time_ms() == NOW
    server.faulty_path = TIME
    for fault in ("clock_plus_day", "clock_minus_day", "null_result", "html_200"):
        server.plan = [fault]
        assert client.server_time_ms() == NOW


@pytest.mark.parametrize("interval", ["D", "W", "720", "1"])
def test_other_grids(server: FakeBybit, client: BybitClient, interval: str) -> None:
    series = Series(category="linear", symbol="BTCUSDT", interval=interval)
    last = series.floor(NOW) - series.step_ms
    first = last - 70 * series.step_ms
    bars = read(client, first, last, interval=interval)
    assert bars.digest() == truth(first, last, step=series.step_ms).digest()


def test_wrong_arguments() -> None:
    for wrong in (
        {"interval": "M"},
        {"interval": "7"},
        {"symbol": "btcusdt"},
        {"symbol": "../x"},
        {"category": "option"},
    ):
        with pytest.raises(ConfigError):
            Series(**{"category": "linear", "symbol": "BTCUSDT", "interval": "15", **wrong})
    for url in ("api.bybit.com", "ftp://x", "https://x/y"):
        with pytest.raises(ConfigError):
            BybitClient(url)
    with pytest.raises(ConfigError):
        BybitClient(tries=7)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("old_page", "does the server ignore start and end"),
        ("ignored_parameters", "does the server ignore start and end"),
        ("wrong_interval_5", "the grid of interval 15"),
        ("wrong_interval_60", "consecutive candles"),
        ("duplicated_row", "out of order or twice"),
        ("conflicting_duplicate", "out of order or twice"),
        ("gap_page", "consecutive candles"),
        ("half_page", "10 closed candles"),
        ("other_prices", "as an earlier reply said"),
        ("wrong_symbol", "expected linear BTCUSDT"),
        ("swapped_volume", "volume in another coin"),
        ("true_cell", "expected 7 texts"),
        ("five_columns", "expected 7 texts"),
        ("nan_text", "a plain number"),
        ("overflow_text", "finite prices"),
        ("huge_stamp", "13 digits"),
        ("huge_integer", "no JSON"),
        ("nan_constant", "the constant NaN"),
        ("negative_price", "finite prices above 0"),
        ("high_below_low", "low <= open, close <= high"),
        ("clock_plus_day", "its Date header"),
        ("truncated", "Content-Length"),
        ("null_result", "a result object"),
        ("too_many_rows", "at most 1000"),
        ("http_302", "Check the host"),
        ("10029", "Check category, symbol and interval"),
    ],
)
def test_a_refusal_says_why(server: FakeBybit, client: BybitClient, fault: str, reason: str) -> None:
    server.plan, server.always = [None], fault  # after the witness
    with pytest.raises(ExchangeError, match=re.escape(reason)) as caught:
        read(client)
    assert "/v5/market/kline?category=linear&symbol=BTCUSDT" in str(caught.value)


def test_nothing_is_believed_only_when_said_three_times(server: FakeBybit, client: BybitClient) -> None:
    opens = FIRST + 10 * QUARTER
    server.markets["linear", "BTCUSDT"]["opens"] = opens
    reader = KlineReader(client, Series(category="linear", symbol="BTCUSDT", interval="15"))
    for plan in ([], ["empty_page"] * 2, ["half_page"], [None, *["empty_page"] * 2]):
        server.plan = list(plan)
        assert reader.extent(FIRST, LAST, ends_at_last=True) == (opens, LAST)
    server.always, server.seen = "empty_page", []
    assert reader.extent(FIRST, LAST, ends_at_last=True) is None
    assert len(server.asked()) == 3
