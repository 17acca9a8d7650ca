"""A Bybit V5 of our own on 127.0.0.1: real HTTP, candles that are a pure function of time, and every fault on demand.

`server.plan` holds one fault name (or None) per coming request to `server.faulty_path`; `server.always` is a fault of
every such request.  `server.seen` records what was asked.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from tradenas.data.bybit import BybitClient
from tradenas.data.bybit.series import Bars

KLINE, FUNDING, INSTRUMENTS, TIME = (
    f"/v5/market/{name}" for name in ("kline", "funding/history", "instruments-info", "time")
)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_741_000_000_123  # 2025-03-03T11:06:40.123Z
STEPS = {str(minutes): minutes * MINUTE for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)}
STEPS |= {"D": DAY, "W": 7 * DAY}


def close_of(symbol: str, step: int, index: int) -> float:
    return 1000 + sum(map(ord, symbol)) + (index * 2_654_435_761 + step) % 9973 / 100


def candle(symbol: str, step: int, opens: int, *, forming: bool = False) -> list[str]:
    """Time, open, high, low, close, base volume, quote turnover, as Bybit spells them."""
    index = opens // step
    before, after = close_of(symbol, step, index - 1), close_of(symbol, step, index)
    if forming:
        after = (before + after) / 2
    high, low = max(before, after) + index % 7 / 10, min(before, after) - index % 5 / 10
    volume = (index * 40_503) % 9_973 / 1000 * (0.3 if forming else 1)
    return [str(opens), *(f"{v:.6f}" for v in (before, high, low, after, volume, volume * (high + low) / 2))]


def funding(symbol: str, time: int) -> dict[str, str]:
    rate = ((time // HOUR * 7919) % 401 - 200) / 1e6
    return {"symbol": symbol, "fundingRate": f"{rate:.8f}", "fundingRateTimestamp": str(time)}


class FakeBybit(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.now = NOW
        self.markets: dict[tuple[str, str], dict[str, Any]] = {}
        self.plan: list[str | None] = []
        self.always: str | None = None
        self.faulty_path = KLINE
        self.cap = 1000
        self.per_instrument_page = 2
        self.date_header = True
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.on_request: Callable[[int], None] | None = None
        self.closing = threading.Event()
        self.add("linear", "BTCUSDT")

    def add(self, category: str, symbol: str, **facts: Any) -> None:
        """`launch`: stated; `opens`: first trade; `delivery`: None while alive; `status`; `funding_hours`."""
        launch = facts.get("launch", 1_577_836_800_000)
        alive = {"launch": launch, "opens": launch, "delivery": None, "status": "Trading", "funding_hours": 8}
        self.markets[category, symbol] = {**alive, **facts}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked(self, path: str = KLINE) -> list[dict[str, str]]:
        return [params for where, params in self.seen if where == path]

    def __enter__(self) -> FakeBybit:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what some tests are about."""

    # What the honest exchange answers ---------------------------------------------------------------------------

    def klines(self, params: dict[str, str]) -> dict[str, Any]:
        key = params["category"], params["symbol"]
        facts, step = self.markets[key], STEPS[params["interval"]]
        shift = 4 * DAY if params["interval"] == "W" else 0

        def floor(time: int) -> int:
            return time - (time - shift) % step

        end = floor(min(int(params.get("end", self.now)), self.now))
        if facts["delivery"]:
            end = min(end, floor(facts["delivery"] - 1))
        begin = max(floor(int(params.get("start", 0))), floor(facts["opens"]))
        rows = []
        for opens in range(end, begin - 1, -step):
            if len(rows) == min(int(params.get("limit", 200)), self.cap):
                break
            row = candle(key[1], step, opens, forming=opens + step > self.now)
            rows.append([*row[:5], row[6], row[5]] if key[0] == "inverse" else row)
        return {"category": key[0], "symbol": key[1], "list": rows}

    def prices(self, params: dict[str, str]) -> dict[str, Any]:
        result = self.klines({**params, "category": "linear"})
        return {**result, "list": [row[:5] for row in result["list"]]}

    def fundings(self, params: dict[str, str]) -> dict[str, Any]:
        facts = self.markets[params["category"], params["symbol"]]
        step = facts["funding_hours"] * HOUR
        end = min(int(params.get("endTime", self.now)), self.now, facts["delivery"] or self.now) // step * step
        begin = max(int(params.get("startTime", 0)), facts["opens"])
        times = list(range(end, begin - 1, -step))[: min(int(params.get("limit", 200)), 200, self.cap)]
        return {"category": params["category"], "list": [funding(params["symbol"], time) for time in times]}

    def instruments(self, params: dict[str, str]) -> dict[str, Any]:
        wanted = params.get("status", "Trading")
        rows = [
            self._instrument(category, symbol, facts)
            for (category, symbol), facts in sorted(self.markets.items())
            if category == params["category"] and facts["status"] == wanted and params.get("symbol", symbol) == symbol
        ]
        skip = int(params.get("cursor", "0"))
        page = rows if params["category"] == "spot" else rows[skip : skip + self.per_instrument_page]
        more = str(skip + len(page)) if skip + len(page) < len(rows) and page is not rows else ""
        return {"category": params["category"], "list": page, "nextPageCursor": more}

    def _instrument(self, category: str, symbol: str, facts: dict[str, Any]) -> dict[str, Any]:
        common = {"symbol": symbol, "status": facts["status"], "baseCoin": symbol[:3], "quoteCoin": symbol[3:]}
        common["priceFilter"] = {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"}
        if category == "spot":
            return {
                **common,
                "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.00001", "minOrderAmt": "5"},
            }
        return {
            **common,
            "contractType": "LinearPerpetual" if category == "linear" else "InversePerpetual",
            "launchTime": str(facts["launch"]),
            "deliveryTime": str(facts["delivery"] or 0),
            "lotSizeFilter": {"minNotionalValue": "5", "qtyStep": "0.001", "minOrderQty": "0.001"},
            "fundingInterval": facts["funding_hours"] * 60,
            "upperFundingRate": "0.00375",
            "lowerFundingRate": "-0.00375",
        }


_ANSWERS: dict[str, Callable[[FakeBybit, dict[str, str]], dict[str, Any]]] = {
    KLINE: FakeBybit.klines,
    "/v5/market/mark-price-kline": FakeBybit.prices,
    FUNDING: FakeBybit.fundings,
    INSTRUMENTS: FakeBybit.instruments,
    TIME: lambda server, _: {"timeSecond": str(server.now // 1000), "timeNano": str(server.now * 1_000_000)},
}


class _Handler(BaseHTTPRequestHandler):
    server: FakeBybit
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.now / 1000, usegmt=True)

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        params = dict(parse_qsl(split.query))
        self.server.seen.append((split.path, params))
        if self.server.on_request is not None:
            self.server.on_request(len(self.server.seen))
        fault = None
        if split.path == self.server.faulty_path:
            fault = self.server.plan.pop(0) if self.server.plan else self.server.always
        self.answer(split.path, params, fault)

    def answer(self, path: str, params: dict[str, str], fault: str | None) -> None:
        if fault in WIRE_FAULTS:
            WIRE_FAULTS[fault](self)
            return
        if fault in CODE_FAULTS:
            code, words, reset = CODE_FAULTS[fault]
            headers = {} if reset is None else {"X-Bapi-Limit-Reset-Timestamp": reset(self.server.now)}
            self.send(self.envelope({}, code, words), headers=headers)
            return
        if fault in QUERY_FAULTS:
            params = QUERY_FAULTS[fault](self.server, params)
        try:
            result = _ANSWERS[path](self.server, params)
        except KeyError:
            self.send(self.envelope({}, 10001, "params error: symbol invalid"))
            return
        envelope = self.envelope(result)
        if fault in PAGE_FAULTS:
            PAGE_FAULTS[fault](envelope, self.server, params)
        elif fault is not None and fault not in QUERY_FAULTS:
            raise AssertionError(f"no such fault: {fault}")
        text = json.dumps(envelope)
        for mark, raw in RAW.items():
            text = text.replace(json.dumps(mark), raw)
        self.send(text)

    def envelope(self, result: Any, code: int = 0, words: str = "OK") -> dict[str, Any]:
        return {"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": self.server.now}

    def send(
        self,
        body: str | dict[str, Any],
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        cut: int = 0,
        kind: str = "application/json",
    ) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response_only(status)
        if self.server.date_header:
            self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if cut:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw[: len(raw) - cut])
        self.wfile.flush()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def stall(self) -> None:
        self.server.closing.wait(2)
        self.close_connection = True


HTML = "<html><body>Access too frequent, or maintenance</body></html>"
WIRE_FAULTS: dict[str | None, Callable[[_Handler], None]] = {
    "http_403": lambda h: h.send(HTML, status=403, kind="text/html"),
    "http_404": lambda h: h.send(HTML, status=404, kind="text/html"),
    "http_302": lambda h: h.send("", status=302, headers={"Location": "/v5/market/time"}),
    "http_429": lambda h: h.send(HTML, status=429, kind="text/html"),
    "http_500_html": lambda h: h.send(HTML, status=500, kind="text/html"),
    "http_502_html": lambda h: h.send(HTML, status=502, kind="text/html"),
    "http_503_html": lambda h: h.send(HTML, status=503, kind="text/html"),
    "html_200": lambda h: h.send(HTML, kind="text/html"),
    "empty_body": lambda h: h.send(""),
    "bad_json": lambda h: h.send('{"retCode": 0, "result": {"list": [}'),
    "deep_json": lambda h: h.send("[" * 200_000),
    "compressed": lambda h: h.send('{"retCode": 0}', headers={"Content-Encoding": "gzip"}),
    "truncated": lambda h: h.send(h.envelope({"list": []}), cut=20),
    "reset": _Handler.reset,
    "timeout": _Handler.stall,
}
CODE_FAULTS: dict[str | None, tuple[int, str, Callable[[int], str] | None]] = {
    "10006": (10006, "Too many visits!", None),
    "10006_reset_soon": (10006, "Too many visits!", lambda now: str(now + 7_000)),
    "10006_reset_past": (10006, "Too many visits!", lambda now: str(now - 5_000)),
    "10006_reset_far": (10006, "Too many visits!", lambda now: str(now + 400 * DAY)),
    "10006_reset_junk": (10006, "Too many visits!", lambda now: "soon"),
    "10000": (10000, "Server timeout", None),
    "10016": (10016, "Internal server error", None),
    "10018": (10018, "Exceeded the IP rate limit", None),
    "10001": (10001, "params error", None),
    "10029": (10029, "symbol invalid", None),
    "10002": (10002, "clock", None),
}
QUERY_FAULTS: dict[str | None, Callable[[FakeBybit, dict[str, str]], dict[str, str]]] = {
    "ignored_parameters": lambda s, p: {
        k: v for k, v in p.items() if k not in ("start", "end", "startTime", "endTime")
    },
    "ignored_limit": lambda s, p: {k: v for k, v in p.items() if k != "limit"},
    "capped_200": lambda s, p: {**p, "limit": "200"},
    "wrong_interval_5": lambda s, p: {**p, "interval": "5"},
    "wrong_interval_60": lambda s, p: {**p, "interval": "60"},
    "old_page": lambda s, p: {**p, "start": str(int(p["start"]) - 30 * DAY), "end": str(int(p["end"]) - 30 * DAY)},
}
RAW = {"@huge": "9" * 200_000, "@nan": "NaN", "@inf": "Infinity"}


def _edit(row: int, column: int, value: Any) -> Callable[[dict[str, Any], FakeBybit, dict[str, str]], None]:
    def change(envelope: dict[str, Any], _: FakeBybit, __: dict[str, str]) -> None:
        rows = envelope["result"]["list"]
        if rows:
            rows[row % len(rows)][column] = value

    return change


def _result(**values: Any) -> Callable[[dict[str, Any], FakeBybit, dict[str, str]], None]:
    return lambda envelope, _, __: envelope["result"].update(values)


def _rows(change: Callable[[list[Any]], list[Any]]) -> Callable[[dict[str, Any], FakeBybit, dict[str, str]], None]:
    def apply(envelope: dict[str, Any], _: FakeBybit, __: dict[str, str]) -> None:
        envelope["result"]["list"] = change(envelope["result"]["list"])

    return apply


def _add_open_candle(envelope: dict[str, Any], server: FakeBybit, params: dict[str, str]) -> None:
    step = STEPS[params["interval"]]
    envelope["result"]["list"].insert(0, candle(params["symbol"], step, server.now // step * step, forming=True))


def _of_other_symbol(envelope: dict[str, Any], server: FakeBybit, params: dict[str, str]) -> None:
    """The right name over the wrong candles."""
    step = STEPS[params["interval"]]
    envelope["result"]["list"] = [candle("DOGEUSDT", step, int(row[0])) for row in envelope["result"]["list"]]


def _high_below_low(rows: list[Any]) -> list[Any]:
    return [[r[0], r[1], r[3], r[2], *r[4:]] if i == len(rows) // 2 else r for i, r in enumerate(rows)]


PAGE_FAULTS: dict[str | None, Callable[[dict[str, Any], FakeBybit, dict[str, str]], None]] = {
    "null_result": lambda e, _, __: e.update(result=None),
    "list_result": lambda e, _, __: e.update(result=[]),
    "no_retcode": lambda e, _, __: e.pop("retCode"),
    "text_retcode": lambda e, _, __: e.update(retCode="0"),
    "true_retcode": lambda e, _, __: e.update(retCode=False),
    "no_time": lambda e, _, __: e.pop("time"),
    "clock_plus_day": lambda e, _, __: e.update(time=e["time"] + DAY),
    "clock_minus_day": lambda e, _, __: e.update(time=e["time"] - DAY),
    "null_list": _result(list=None),
    "text_list": _result(list="[]"),
    "wrong_symbol": _result(symbol="ETHUSDT"),
    "wrong_category": _result(category="inverse"),
    "no_symbol": lambda e, _, __: e["result"].pop("symbol", None),
    "empty_page": _rows(lambda rows: []),
    "duplicated_rows": _rows(lambda rows: [row for row in rows for _ in (0, 1)][:1000]),
    "duplicated_row": _rows(lambda rows: [*rows[:2], *rows[1:]][:1000]),
    "conflicting_duplicate": _rows(lambda rows: [rows[0], [rows[0][0], *rows[-1][1:]], *rows[1:]][:1000]),
    "gap_page": _rows(lambda rows: rows[: len(rows) // 2] + rows[len(rows) // 2 + 2 :]),
    "half_page": _rows(lambda rows: rows[: len(rows) // 2]),
    "older_half": _rows(lambda rows: rows[len(rows) // 2 :]),
    "ascending": _rows(lambda rows: rows[::-1]),
    "shuffled": _rows(lambda rows: rows[1::2] + rows[::2]),
    "shifted_values": _rows(lambda rows: [[a[0], *b[1:]] for a, b in zip(rows, rows[1:] + rows[:1], strict=True)]),
    "too_many_rows": _rows(lambda rows: rows * (1001 // max(1, len(rows)) + 1)),
    "open_candle": _add_open_candle,
    "other_prices": _of_other_symbol,
    "other_rates": _rows(lambda rows: [{**row, "fundingRate": "0.0123"} for row in rows]),
    "null_cell": _edit(1, 4, None),
    "true_cell": _edit(1, 4, True),
    "number_cell": _edit(1, 4, 1010.5),
    "list_cell": _edit(1, 4, ["1010"]),
    "null_row": _rows(lambda rows: [None, *rows[1:]]),
    "nan_text": _edit(1, 2, "NaN"),
    "infinity_text": _edit(1, 2, "Infinity"),
    "overflow_text": _edit(1, 2, "1e400"),
    "nan_constant": _edit(1, 2, "@nan"),
    "infinity_constant": _edit(1, 2, "@inf"),
    "empty_text": _edit(1, 2, ""),
    "arabic_digits": _edit(1, 2, "١٢٣٤"),
    "underscore": _edit(1, 2, "1_000"),
    "spaces": _edit(1, 2, " 1010 "),
    "huge_integer": _edit(1, 5, "@huge"),
    "huge_text": _edit(1, 5, "9" * 200_000),
    "huge_stamp": _edit(1, 0, "9" * 200_000),
    "huge_price": _edit(1, 2, "9" * 25),
    "fraction_stamp": _edit(1, 0, "1740000000000.5"),
    "seconds_stamp": _rows(lambda rows: [[row[0][:-3], *row[1:]] for row in rows]),
    "micro_stamp": _rows(lambda rows: [[row[0] + "000", *row[1:]] for row in rows]),
    "off_grid": _rows(lambda rows: [[str(int(row[0]) + 1), *row[1:]] for row in rows]),
    "negative_price": _edit(1, 3, "-5"),
    "zero_price": _edit(1, 3, "0"),
    "negative_volume": _edit(1, 5, "-1"),
    "high_below_low": _rows(_high_below_low),
    "close_above_high": _edit(1, 4, "99999"),
    "swapped_volume": _rows(lambda rows: [[*row[:5], row[6], row[5]] for row in rows]),
    "five_columns": _rows(lambda rows: [row[:5] for row in rows]),
    "eight_columns": _rows(lambda rows: [[*row, "1"] for row in rows]),
}
FAULTS = [*WIRE_FAULTS, *CODE_FAULTS, *QUERY_FAULTS, *(name for name in PAGE_FAULTS if name != "other_rates")]


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds


def client_of(server: FakeBybit, **options: Any) -> BybitClient:
    """A client that never really waits; its clock is `client.clock`."""
    clock = FakeTime()
    plain = {"monotonic": clock.monotonic, "sleep": clock.sleep, "jitter": lambda: 0.5, "timeout_s": 5.0}
    client = BybitClient(server.url, **{**plain, "wall_clock": lambda: NOW / 1000, **options})
    client.clock = clock  # type: ignore[attr-defined]
    return client


def truth(first: int, last: int, *, symbol: str = "BTCUSDT", step: int = 15 * MINUTE) -> Bars:
    """What a faultless download of closed candles gives, base volume and quote turnover."""
    rows = [candle(symbol, step, opens) for opens in range(first, last + 1, step)]
    return Bars(np.array([int(row[0]) for row in rows]), np.array([[float(cell) for cell in row[1:]] for row in rows]))
