"""Proof that a function of candles cannot see the future: take the future away, or change it, and nothing may move.

*Prefix replay* computes `f(candles[:k])` at many cuts k and compares it with the first k rows of `f(candles)`.  Cuts
must be many and dense: a column that is filled backwards gives itself away only at the few cuts that fall inside a
hole.  *Altered future* keeps the length and changes every candle from k on; it also catches what reads the end of
the series in a way that does not depend on its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError, LookaheadError
from tradenas.seeds import rng_for
from tradenas.typing import FloatArray, IntArray

__all__ = [
    "Leak",
    "alter_future",
    "dense_cuts",
    "future_replay",
    "prefix_replay",
    "probe_candles",
    "replay_or_raise",
    "rows_first",
]

Function = Callable[[Candles], npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """The first value that moved: the row it stands in, the cut that moved it, and both values."""

    row: int
    cut: int
    whole: float
    replayed: float
    how: Literal["prefix", "altered future"]


def dense_cuts(rows: int, *, first: int = 1, runs: int = 4, run: int = 24, spread: int = 32) -> IntArray:
    """Cuts to replay at: some runs of consecutive rows, and more spread evenly, from `first` to rows - 1.

    >>> len(dense_cuts(1000)) > 100
    True
    """
    starts = np.linspace(first, max(first, rows - run), runs + 1).astype(np.int64)
    near = (starts[:, None] + np.arange(run)).ravel()
    far = np.linspace(first, max(first, rows - 1), spread).astype(np.int64)
    cuts = np.unique(np.concatenate([near, far]))
    return cuts[(cuts >= first) & (cuts < rows)]


def prefix_replay(
    function: Function, candles: Candles, cuts: Iterable[int] | None = None, *, tolerance: float = 0.0
) -> Leak | None:
    """Compare `function(candles[:k])` with `function(candles)[:k]`; None when they are equal at every cut.

    Args:
        function: candles -> array whose first axis is T; NaN equals NaN.
        candles: what to replay on.
        cuts: values of k; None takes `dense_cuts`.
        tolerance: how much of the larger absolute value two numbers may differ by (0: bit for bit).
    """
    return _replay(function, candles, cuts, tolerance, "prefix")


def future_replay(
    function: Function, candles: Candles, cuts: Iterable[int] | None = None, *, tolerance: float = 0.0, seed: int = 0
) -> Leak | None:
    """Compare the first k rows of `function` before and after every candle from k on has been changed."""
    return _replay(function, candles, cuts, tolerance, "altered future", seed)


def replay_or_raise(
    function: Function, candles: Candles, *, place: str, shortest: int = 16, tolerance: float = 1e-9
) -> None:
    """Refuse a function that sees the future.

    A little rounding is allowed, because a user's column may come from code that adds in another order when the
    array is longer; and prefixes of fewer than `shortest` rows are not tried, which such code often cannot take.

    Raises:
        LookaheadError: names the first bad row and the cut.
    """
    rows = len(candles)
    many = dense_cuts(rows, first=shortest, runs=6).tolist()
    some = dense_cuts(rows, first=shortest, runs=2, run=6, spread=12).tolist()
    leak = prefix_replay(function, candles, many, tolerance=tolerance)
    leak = leak or future_replay(function, candles, some, tolerance=tolerance)
    if leak is None:
        return
    gone = "were taken away" if leak.how == "prefix" else "were altered"
    raise LookaheadError(
        f"{place}, row {leak.row}",
        got=f"{leak.whole:.9g} with all candles and {leak.replayed:.9g} when those from row {leak.cut} on {gone}",
        expected="the same value, since row t may use candles 0 .. t only",
        fix="use trailing windows: no centred window, backward fill, negative shift or statistic of the whole column",
    )


def alter_future(candles: Candles, cut: int, *, seed: int = 0) -> Candles:
    """The same candles with every row from `cut` on moved to other prices and volumes, all of them still valid."""
    rng = rng_for(seed, "features", "alter_future", cut)
    rows = len(candles) - cut
    price = np.exp(np.cumsum(rng.normal(0.0, 0.05, rows)) + rng.normal(0.3, 0.1))
    volume = rng.lognormal(1.0, 1.0, rows)
    changed: dict[str, Any] = {
        **{name: _scaled(getattr(candles, name), cut, price) for name in ("open", "high", "low", "close")},
        "volume": _scaled(candles.volume, cut, volume),
        "turnover": None if candles.turnover is None else _scaled(candles.turnover, cut, price * volume),
    }
    altered = replace(candles, **changed)
    vars(altered)["gap_before"] = candles.gap_before  # a slice keeps the gaps that its whole learned
    return altered


def probe_candles(rows: int = 400) -> Candles:
    """Made-up candles that bring out mistakes: trends, flat stretches, zero volumes, equal closes, a jump, a gap."""
    rng = rng_for(0, "features", "probe_candles")
    step = rng.normal(0.0, 0.01, rows) * np.exp(rng.normal(0.0, 0.5, rows))
    step[rows // 3 : rows // 3 + 30] = 0.0
    step[rows // 2] = 0.2
    close = np.round(100.0 * np.exp(np.cumsum(step)), 2)
    open_ = np.round(np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.001, rows)), 2)
    high = np.maximum(open_, close) + np.round(np.abs(rng.normal(0.0, 0.3, rows)), 2)
    low = np.minimum(open_, close) - np.round(np.abs(rng.normal(0.0, 0.3, rows)), 2)
    volume = rng.lognormal(3.0, 1.0, rows)
    still = slice(rows // 3, rows // 3 + 30)
    for column in (open_, high, low):
        column[still] = close[still]
    volume[still] = 0.0
    open_time = np.arange(rows, dtype=np.int64) * 60_000
    open_time[2 * rows // 3 :] += 600_000
    return Candles.from_arrays(
        symbol="PROBE", open_time=open_time, open=open_, high=high, low=low, close=close, volume=volume,
        interval_ms=60_000, calendar="24/7",
    )  # fmt: skip


def _scaled(column: FloatArray, cut: int, factor: FloatArray) -> FloatArray:
    out = np.array(column)
    out[cut:] *= factor
    return out


def _replay(
    function: Function,
    candles: Candles,
    cuts: Iterable[int] | None,
    tolerance: float,
    how: Literal["prefix", "altered future"],
    seed: int = 0,
) -> Leak | None:
    whole = rows_first(function(candles), len(candles))
    for cut in dense_cuts(len(candles)).tolist() if cuts is None else cuts:
        if not 1 <= cut < len(candles):
            raise ConfigError("cuts", got=cut, expected=f"1 .. {len(candles) - 1}")
        given = candles[:cut] if how == "prefix" else alter_future(candles, cut, seed=seed)
        replayed = rows_first(function(given), len(given))[:cut]
        before = whole[:cut]
        with np.errstate(invalid="ignore"):
            near = np.abs(before - replayed) <= tolerance * np.maximum(np.abs(before), np.abs(replayed))
        bad = np.argwhere(~((before == replayed) | near | (np.isnan(before) & np.isnan(replayed))))
        if len(bad):
            row, column = (int(i) for i in bad[0])
            return Leak(
                row=row, cut=int(cut), how=how,
                whole=float(before[row, column]), replayed=float(replayed[row, column]),
            )  # fmt: skip
    return None


def rows_first(values: npt.NDArray[Any], rows: int) -> FloatArray:
    """What a function gave, as float64 (T, C).  Raises `ConfigError` where it has not one row a candle."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) != rows:
        raise ConfigError("replayed function", got=f"shape {values.shape}", expected=f"{rows} rows, one a candle")
    return values.reshape(rows, -1)
