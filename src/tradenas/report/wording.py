"""Numbers as a person reads them: a true minus, an interval beside its estimate, a dash for what is not known."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import TypeVar

from tradenas.report.schema import Interval

__all__ = [
    "DASH", "amount", "cost_name", "count", "date", "decimal", "elapsed", "in_order", "interval", "interval_name",
    "percent", "pvalue", "sentence", "share", "span",
]  # fmt: skip

T = TypeVar("T")
DASH = "–"
COSTS = {
    "macs": "multiply-accumulates",
    "parameters": "parameters",
    "params": "parameters",
    "weight_bytes": "bytes of weights",
    "peak_bytes": "peak bytes of activations",
    "state_bytes": "bytes remembered",
    "bit_operations": "bit operations",
    "luts": "look-up tables, expected",
    "latency_us": "latency",
}
UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))


def cost_name(name: str) -> str:
    """A cost as a person reads it."""
    return COSTS.get(name, name.replace("_", " "))


def in_order(costs: Mapping[str, T]) -> list[tuple[str, T]]:
    """Costs by name in the order in which a person expects them."""
    known = list(COSTS)
    return sorted(costs.items(), key=lambda one: known.index(one[0]) if one[0] in known else len(known))


def amount(name: str, value: float | None, *, unit: bool = False) -> str:
    """A cost in its unit; what is counted has its name where `unit` asks for it.

    >>> amount("weight_bytes", 12_345.0), amount("latency_us", 0.52), amount("macs", 954.0, unit=True)
    ('12.3 kB', '0.52 µs', '954 multiply-accumulates')
    """
    if value is None:
        return DASH
    if name.endswith("_bytes"):
        size, letter = next(((s, u) for s, u in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if value >= s), (1.0, "B"))
        words = f"{value / size:.3g} {letter}" if size > 1 else f"{value:.4g} B"
        role = name.removesuffix("_bytes").replace("peak", "of activations").replace("state", "remembered")
        return f"{words} {role.replace('weight', 'of weights')}" if unit else words
    if name.endswith("_us"):
        return f"{value:,.3g} µs" if value < 1000 else f"{value:,.0f} µs"
    number = f"{value / 1e6:.3g} M" if value >= 1e7 else f"{value:,.4g}" if value < 100 else count(value)
    return f"{number} {cost_name(name)}" if unit else number


def decimal(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A plain number; `sign` shows the plus too.

    >>> decimal(-0.5), decimal(0.5, sign=True), decimal(-0.001), decimal(None)
    ('−0.50', '+0.50', '0.00', '–')
    """
    if value is None:
        return DASH
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return text
    return f"−{text}" if value < 0 else f"+{text}" if sign else text


def percent(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A fraction in percent.

    >>> percent(-0.0312), percent(0.5, 0)
    ('−3.1%', '50%')
    """
    return DASH if value is None else f"{decimal(100 * value, digits, sign=sign)}%"


def sentence(words: str) -> str:
    """A sentence with true minus signs before its numbers.

    >>> sentence("-0.53 to 1.32 on 2024-01-05, not SPA-5 (-2.2%)")
    '−0.53 to 1.32 on 2024-01-05, not SPA-5 (−2.2%)'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", words)


def share(value: float | None) -> str:
    """A fraction that is nearly whole keeps the digits that say so.

    >>> share(1.0), share(0.99987), share(0.81)
    ('100%', '99.987%', '81.0%')
    """
    if value is None or value == 1.0:
        return DASH if value is None else "100%"
    return percent(value, 3 if 0.995 < value < 1 else 1)


def pvalue(value: float | None) -> str:
    """A p-value or a probability.

    >>> pvalue(0.0001), pvalue(0.04321), pvalue(0.9999)
    ('< 0.001', '0.043', '> 0.999')
    """
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else "> 0.999" if value > 0.999 else f"{value:.3f}"


def count(value: float | None) -> str:
    """A whole number with its thousands; a vast one in powers of ten.

    >>> count(12345), count(4.2e15), count(None)
    ('12,345', '4.2 × 10^15', '–')
    """
    if value is None:
        return DASH
    if abs(value) >= 1e12:
        digits = f"{int(value) if isinstance(value, int) else value:.1e}"
        mantissa, exponent = digits.split("e")
        return f"{mantissa} × 10^{int(exponent)}"
    return f"{round(value):,}".replace("-", "−")


def interval(estimate: Interval | None, digits: int = 2) -> str:
    """An estimate and its interval, never one without the other where both are known.

    >>> interval(Interval(value=0.52, low=-0.3, high=1.4))
    '0.52 [−0.30, 1.40]'
    """
    if estimate is None or estimate.value is None:
        return DASH
    if estimate.low is None or estimate.high is None:
        return decimal(estimate.value, digits)
    return f"{decimal(estimate.value, digits)} [{decimal(estimate.low, digits)}, {decimal(estimate.high, digits)}]"


def date(ms: int | None) -> str:
    """The UTC day of a moment in ms.

    >>> date(1_700_000_000_000)
    '2023-11-14'
    """
    if ms is None:
        return DASH
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)).strftime("%Y-%m-%d")
    except OverflowError:
        return f"{ms} ms"


def span(first_ms: int | None, last_ms: int | None) -> str:
    """From one UTC day to another."""
    return f"{date(first_ms)} to {date(last_ms)}"


def interval_name(ms: int) -> str:
    """The size of a candle, or of a gap that is a whole number of units.

    >>> interval_name(900_000), interval_name(86_400_000), interval_name(5_400_000)
    ('15m', '1d', '90m')
    """
    return next(f"{ms // size:,}{unit}" for size, unit in UNITS if ms % size == 0)


def elapsed(seconds: float | None) -> str:
    """A duration in two units at most.

    >>> elapsed(3.21), elapsed(75.0), elapsed(7300.0), elapsed(300_000.0)
    ('3.2 s', '1 min 15 s', '2 h 1 min', '3 d 11 h')
    """
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, big, small, unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {big} {whole % size // small} {unit}"
    return f"{whole} s"
