"""Asks Bybit V5, waits when told to, tries again when that can help, and stops when told to stop.

Facts are from the vendor's pages (bybit-exchange/docs) as condensed in the project's market notes: 600 requests per
5 s per IP; HTTP 403 means banned for ten minutes or more; code 10006 is a rate limit whose reset header may be absent,
past or absurd; codes 10000 and 10016 are the server's own trouble; 10018 is a ban; everything else is our mistake.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from tradenas.data.bybit.wire import HttpTransport, Reply, Transport, Unusable, read_json
from tradenas.errors import ConfigError, ExchangeBan, ExchangeError

__all__ = ["MAINNET", "TESTNET", "Answer", "BybitClient", "Contradiction", "Missing"]

MAINNET = "https://api.bybit.com"
TESTNET = "https://api-testnet.bybit.com"

_RETRIED_CODES = (10000, 10006, 10016)
_BAN_CODE, _RATE_CODE = 10018, 10006
_BAN_QUIET_S = 600.0
_MAX_WAIT_S = 60.0
_MAX_BACKOFF_S = 30.0
_CLOCK_TOLERANCE_MS = 30_000
_ENTROPY = random.SystemRandom()  # only spreads waits; no result depends on it

T = TypeVar("T")


class Missing(ExchangeError):
    """A reply was sound, yet candles that should exist were not in it, in every try."""


class Contradiction(ExchangeError):
    """A reply was sound, yet it said otherwise than an earlier one, in every try: one of them is wrong."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reply with code 0: its `result` object and the server's time in ms UTC."""

    result: Mapping[str, Any]
    time_ms: int


class BybitClient:
    """Public market data of one Bybit host.

    Use it as a context manager, or call `close`.  Not for several threads at once.

    Args:
        base_url: `MAINNET`, `TESTNET` or a loopback server.
        transport: performs the requests; by default HTTP to `base_url`.
        tries: requests made for one page before giving up.
        requests_per_second: never asks faster than this on average.
        timeout_s: the longest wait for one socket operation.
        monotonic, sleep, jitter: a clock in seconds, a way to wait, and numbers in [0, 1); tests pass their own.
        wall_clock: seconds since 1970, used only as the witness when a reply carries no `Date`.
    """

    def __init__(
        self,
        base_url: str = MAINNET,
        *,
        transport: Transport | None = None,
        tries: int = 6,
        requests_per_second: float = 10.0,
        timeout_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = _ENTROPY.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not 1 <= tries <= 6:
            raise ConfigError("tries", got=tries, expected="1 to 6")
        if not 0 < requests_per_second <= 100:
            raise ConfigError("requests_per_second", got=requests_per_second, expected="more than 0, at most 100")
        self.transport: Transport = transport or HttpTransport(base_url, timeout_s=timeout_s, monotonic=monotonic)
        self.host = self.transport.base_url.split("://", 1)[-1].lower()
        self.requests = 0
        self._tries, self._sleep, self._jitter = tries, sleep, jitter
        self._monotonic, self._wall_clock = monotonic, wall_clock
        self._spacing_s = self._least_spacing_s = 1.0 / requests_per_second
        self._not_before_s = self._banned_until_s = float("-inf")

    def __enter__(self) -> BybitClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self.transport.close()

    def get(self, path: str, params: Mapping[str, str], parse: Callable[[Answer], T]) -> T:
        """Ask until `parse` is content with the answer.

        Args:
            path: the endpoint.
            params: the query.
            parse: turns an answer into what the caller wants, or raises `Unusable` to have it asked again.

        Raises:
            ExchangeBan: HTTP 403 or code 10018; nothing more is sent by this client for ten minutes.
            Missing: in the last try only candles were missing.
            Contradiction: in the last try a known candle had changed.
            ExchangeError: any other refusal, or no usable reply in `tries` tries.
        """
        place = f"{self.transport.base_url}{path}?{urlencode(params)}"
        for attempt in range(self._tries):
            self._refuse_while_banned(place)
            self._keep_pace()
            try:
                self.requests += 1
                return parse(self._open(self.transport.get(path, params), place))
            except Unusable as fault:
                last = fault
            if last.rate_limited:
                self._spacing_s = min(5.0, 2 * self._spacing_s)
            if attempt + 1 < self._tries:
                self._sleep(self._wait_s(attempt, last.wait_ms))
        kind = Missing if last.missing else Contradiction if last.contradicts else ExchangeError
        raise kind(
            place,
            got=f"{last.got} (the last of {self._tries} tries)",
            expected=last.expected,
            fix="run the same command again later, it resumes where it stopped"
            + ("; or ask for a range without these candles" if last.missing else ""),
        )

    def server_time_ms(self) -> int:
        """The server's clock, ms UTC."""

        def parse(answer: Answer) -> int:
            stated = answer.result.get("timeSecond")
            if not isinstance(stated, str) or not stated.isascii() or not stated.isdigit() or len(stated) > 12:
                raise Unusable(f"timeSecond {stated!r}"[:80], "a number of seconds as text")
            if abs(int(stated) * 1000 - answer.time_ms) > _CLOCK_TOLERANCE_MS:
                raise Unusable(f"timeSecond {stated} and time {answer.time_ms}", "the same time twice")
            return answer.time_ms

        return self.get("/v5/market/time", {}, parse)

    def _open(self, reply: Reply, place: str) -> Answer:
        """The envelope of a reply, or the reason why there is none."""
        if reply.status == 403:
            self._ban(place, "HTTP 403 (access too frequent, or a region that is not served)")
        if reply.status == 429 or reply.status >= 500:
            raise Unusable(
                f"HTTP {reply.status}",
                "HTTP 200",
                rate_limited=reply.status == 429,
                wait_ms=self._asked_wait_ms(reply, None) if reply.status == 429 else None,
            )
        if reply.status != 200:
            raise ExchangeError(place, got=f"HTTP {reply.status}", expected="HTTP 200", fix="check the host")
        envelope = read_json(reply.body)
        if not isinstance(envelope, dict) or type(envelope.get("retCode")) is not int:
            raise Unusable("a body without a numeric retCode", "a Bybit V5 envelope")
        code, words, stated = envelope["retCode"], str(envelope.get("retMsg"))[:120], envelope.get("time")
        if code == _BAN_CODE:
            self._ban(place, f"code {code}: {words}")
        if code in _RETRIED_CODES:
            limited = code == _RATE_CODE
            wait_ms = self._asked_wait_ms(reply, stated) if limited else None
            raise Unusable(f"code {code}: {words}", "code 0", rate_limited=limited, wait_ms=wait_ms)
        if code != 0:
            raise ExchangeError(
                place, got=f"code {code}: {words}", expected="code 0", fix="check category, symbol and interval"
            )
        if not isinstance(envelope.get("result"), dict):
            raise Unusable(f"result {envelope.get('result')!r}"[:80], "a result object")
        self._spacing_s = max(self._least_spacing_s, 0.9 * self._spacing_s)
        return Answer(result=envelope["result"], time_ms=self._witnessed_time_ms(stated, reply))

    def _witnessed_time_ms(self, stated: object, reply: Reply) -> int:
        """The server's time, which decides what is closed: so a second clock must agree with it."""
        if type(stated) is not int or not 10**12 <= stated < 10**13:
            raise Unusable(f"time {stated!r}"[:80], "ms since 1970")
        date_ms = reply.date_ms()
        witness_ms = int(self._wall_clock() * 1000) if date_ms is None else date_ms
        if abs(stated - witness_ms) > _CLOCK_TOLERANCE_MS:
            who = "our own clock" if date_ms is None else "its Date header"
            raise Unusable(f"server time {stated}, {who} {witness_ms}", "clocks that agree within 30 s")
        return stated

    def _asked_wait_ms(self, reply: Reply, stated: object) -> int | None:
        """How long until the limit resets by the server's own clock; None where it did not say, or it has passed."""
        reset = reply.reset_ms()
        now = stated if type(stated) is int else reply.date_ms()
        return None if reset is None or now is None or reset <= now else reset - now

    def _wait_s(self, attempt: int, wait_ms: int | None) -> float:
        if wait_ms is not None:
            return min(_MAX_WAIT_S, wait_ms / 1000 + 0.5 * self._jitter())
        return min(_MAX_BACKOFF_S, 0.5 * (1 << attempt)) * (0.5 + 0.5 * self._jitter())

    def _keep_pace(self) -> None:
        now = self._monotonic()
        if now < self._not_before_s:
            self._sleep(self._not_before_s - now)
        self._not_before_s = max(now, self._not_before_s) + self._spacing_s

    def _ban(self, place: str, got: str) -> None:
        self._banned_until_s = self._monotonic() + _BAN_QUIET_S
        raise ExchangeBan(
            place, got=got, expected="to be served", fix="stop every program that asks this host and wait 10 minutes"
        )

    def _refuse_while_banned(self, place: str) -> None:
        if self._monotonic() < self._banned_until_s:
            raise ExchangeBan(
                place, got="a ban less than 10 minutes ago", expected="to be served", fix="wait; nothing was sent"
            )
