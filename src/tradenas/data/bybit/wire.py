"""One HTTP GET to one host: bytes in, a `Reply` out, every network fault an `Unusable`."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from tradenas.errors import ConfigError, ExchangeError

__all__ = ["HttpTransport", "Reply", "Transport", "Unusable", "read_json"]

_MAX_BODY_BYTES = 16 * 2**20  # 1,000 candles are 0.1 MB, 1,000 instruments 2 MB
_MAX_JSON_DEPTH_ERROR = (ValueError, RecursionError)  # ValueError covers bad JSON, bad UTF-8 and 4,300-digit integers


class Unusable(Exception):
    """One reply that cannot be used.  The client asks again, a bounded number of times.

    Args:
        got: what came.
        expected: what should have come.
        wait_ms: how long the server asks us to wait, where it said so.
        rate_limited: the server says that we ask too often.
        short: rows in an otherwise sound page that is shorter than what was asked.
        missing: the reply is sound but lacks candles that should exist.
        contradicts: the reply is sound but says otherwise than an earlier one.
    """

    def __init__(
        self,
        got: str,
        expected: str,
        *,
        wait_ms: int | None = None,
        rate_limited: bool = False,
        short: int = 0,
        missing: bool = False,
        contradicts: bool = False,
    ) -> None:
        self.got, self.expected = got, expected
        self.wait_ms, self.rate_limited = wait_ms, rate_limited
        self.short, self.missing, self.contradicts = short, missing, contradicts
        super().__init__(f"{got}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back: the status, the headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def date_ms(self) -> int | None:
        """The HTTP `Date` header as int64 ms UTC (whole seconds), None where it is absent or unreadable."""
        try:
            return int(parsedate_to_datetime(self.headers["date"]).timestamp() * 1000)
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    def reset_ms(self) -> int | None:
        """`X-Bapi-Limit-Reset-Timestamp` in ms UTC, None where it is absent or no number."""
        text = self.headers.get("x-bapi-limit-reset-timestamp", "").strip()
        return int(text) if re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) else None


class Transport(Protocol):
    """Something that performs one GET.  Tests may pass their own."""

    base_url: str

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """One request, one reply.  Raises `Unusable` when no whole reply came."""

    def close(self) -> None:
        """Let go of the connection."""


class HttpTransport:
    """HTTP over the standard library, keeping one connection open.  Redirects and compression are not followed.

    Args:
        base_url: scheme and host, `https://api.bybit.com` or `https://api-testnet.bybit.com`.
        timeout_s: the longest wait for one socket operation, and half the longest wait for a whole reply.
        monotonic: a clock in seconds.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 10.0, monotonic: Callable[[], float] = time.monotonic):
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ConfigError(
                "base_url", got=base_url, expected="a scheme and a host", fix="write https://api.bybit.com"
            )
        self.base_url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._secure = parts.netloc, parts.scheme == "https"
        self._timeout_s, self._monotonic = timeout_s, monotonic
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """One GET; any network fault, short body or unreadable reply raises `Unusable` and drops the connection."""
        target = f"{path}?{urlencode(params)}" if params else path
        try:
            return self._exchange(target)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise ExchangeError(
                self.base_url, got=str(error), expected="a certificate we trust", fix="check the clock and the proxy"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unusable(f"{type(error).__name__}: {error}"[:200], "an HTTP reply") from error
        except Unusable:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, target: str) -> Reply:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, timeout=self._timeout_s)
        self._connection.request("GET", target, headers={"Accept": "application/json", "User-Agent": "tradenas"})
        with self._connection.getresponse() as answer:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise Unusable(f"Content-Encoding {headers['content-encoding']}"[:80], "an uncompressed body")
            body = self._whole_body(answer, headers.get("content-length"))
            status, stays_open = answer.status, not answer.will_close
        if not stays_open:
            self.close()
        return Reply(status=status, headers=headers, body=body)

    def _whole_body(self, answer: http.client.HTTPResponse, length: str | None) -> bytes:
        deadline = self._monotonic() + 2 * self._timeout_s
        body = bytearray()
        while chunk := answer.read1(1 << 16):
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise Unusable(f"more than {_MAX_BODY_BYTES} bytes", "a page of candles")
            if self._monotonic() > deadline:
                raise Unusable(f"a body still dripping after {2 * self._timeout_s:g} s", "a whole reply")
        if length is not None and length.strip() != str(len(body)):
            raise Unusable(f"{len(body)} bytes", f"{length[:20]} bytes (Content-Length)")
        return bytes(body)


def read_json(body: bytes) -> Any:
    """Strict JSON: no NaN, no Infinity, no repeated keys, no bombs.  Raises `Unusable`.

    >>> read_json(b'{"a": [1, "2"]}')
    {'a': [1, '2']}
    >>> read_json(b'{"a": NaN}')
    Traceback (most recent call last):
    ...
    tradenas.data.bybit.wire.Unusable: a body that is no JSON: the constant NaN; expected a JSON object
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except _MAX_JSON_DEPTH_ERROR as error:
        raise Unusable(f"a body that is no JSON: {error}"[:160], "a JSON object") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the constant {name}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a repeated key")
    return found
