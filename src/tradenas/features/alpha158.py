"""qlib's Alpha158 as a plain function of candles: 158 columns, its names, its definitions, its order.

9 of the candle's shape, 4 prices over the close, and 29 operators x windows 5, 10, 20, 30, 60.  Definitions are those
of `Alpha158DL` in qlib (microsoft/qlib, qlib/contrib/data/loader.py; standard deviations with ddof 1, ranks as the
mean percentile 0 .. 1, IMAX and IMIN as the place 1 .. d of the first extreme counted from the oldest row).
Where qlib has NaN, infinity or a number that is only its 1e-12, we have:

- rows whose windows are not full are NaN (qlib takes shorter windows there);
- RSQR, CORR, CORD of a window without variation: 0 (qlib: NaN; it tests price units with 2e-5, we test relatively);
- CORD: a volume ratio whose older volume is 0 counts as 1;
- VMA, VSTD: at most 1e4, reached when the newest volume is 0 (qlib: about 1e12 times the mean volume);
- VWAP0: turnover / volume where turnover is known and volume is not 0, held inside low .. high; else (high + low +
  close) / 3.

Axes: T time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tradenas.data.candles import Candles
from tradenas.features import ordering, rolling
from tradenas.typing import Float32Array, FloatArray

__all__ = ["ALPHA158_NAMES", "ALPHA158_WARMUP", "alpha158"]

WINDOWS = (5, 10, 20, 30, 60)
KBAR = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2")
PRICE = ("OPEN0", "HIGH0", "LOW0", "VWAP0")
ROLLING = (
    *("ROC", "MA", "STD", "BETA", "RSQR", "RESI", "MAX", "MIN", "QTLU", "QTLD", "RANK", "RSV", "IMAX", "IMIN", "IMXD"),
    *("CORR", "CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "VMA", "VSTD", "WVMA", "VSUMP", "VSUMN", "VSUMD"),
)
TINY = 1e-12
RATIO_LIMIT = 1e4

ALPHA158_NAMES: tuple[str, ...] = (*KBAR, *PRICE, *(f"{name}{d}" for name in ROLLING for d in WINDOWS))
"""The 158 names in qlib's order."""

ALPHA158_WARMUP = max(WINDOWS)
"""Rows until every column is known: 60 changes need 61 candles."""


def alpha158(candles: Candles) -> tuple[tuple[str, ...], Float32Array]:
    """Alpha158 of every row: its names, and float32[T, 158] with NaN where a window is not full.

    Row t uses candles t-60 .. t.  Gaps are not looked at; leave out `ALPHA158_WARMUP` rows after each.
    Memory: the result (632 bytes a row) and some columns of T.

    >>> from tradenas.features.replay import probe_candles
    >>> names, values_TF = alpha158(probe_candles(100))
    >>> values_TF.shape, names[13], bool(np.isfinite(values_TF[ALPHA158_WARMUP:]).all())
    ((100, 158), 'ROC5', True)
    """
    values_TF = np.empty((len(candles), len(ALPHA158_NAMES)), dtype=np.float32)
    place = {name: j for j, name in enumerate(ALPHA158_NAMES)}
    for name, column_T in _columns(candles):
        values_TF[:, place.pop(name)] = column_T
    assert not place, f"alpha158 did not make {sorted(place)}"
    return ALPHA158_NAMES, values_TF


def _columns(candles: Candles) -> Iterator[tuple[str, FloatArray]]:
    """Every column once, a few at a time."""
    yield from _candle(candles)
    close_T, volume_T = candles.close, candles.volume
    move_T, flow_T = rolling.change(close_T, 1), rolling.change(volume_T, 1)
    ratio_T = _relative(close_T, 1.0)
    weighted_T = np.abs(ratio_T - 1.0) * volume_T
    log_volume_T = np.log(volume_T + 1.0)
    pace_T = np.log(_relative(volume_T, 1.0) + 1.0)
    for d in WINDOWS:
        for name, column_T in _price(candles, d):
            yield f"{name}{d}", column_T
        yield f"CORR{d}", rolling.correlation(close_T, log_volume_T, d)
        yield f"CORD{d}", rolling.correlation(ratio_T, pace_T, d)
        up_T, down_T = (
            rolling.window_mean(_where(move_T, move_T > 0), d),
            rolling.window_mean(_where(move_T, move_T < 0), d),
        )
        yield f"CNTP{d}", up_T
        yield f"CNTN{d}", down_T
        yield f"CNTD{d}", up_T - down_T
        for prefix, change_T in (("SUM", move_T), ("VSUM", flow_T)):
            gain_T = rolling.window_sum(np.maximum(change_T, 0.0), d)
            loss_T = rolling.window_sum(np.maximum(-change_T, 0.0), d)
            total_T = gain_T + loss_T + TINY
            yield f"{prefix}P{d}", gain_T / total_T
            yield f"{prefix}N{d}", loss_T / total_T
            yield f"{prefix}D{d}", (gain_T - loss_T) / total_T
        traded = rolling.moments(volume_T, d)
        yield f"VMA{d}", np.minimum(traded.mean_T / (volume_T + TINY), RATIO_LIMIT)
        yield f"VSTD{d}", np.minimum(traded.std(ddof=1) / (volume_T + TINY), RATIO_LIMIT)
        about = rolling.moments(weighted_T, d)
        yield f"WVMA{d}", about.std(ddof=1) / (about.mean_T + TINY)


def _candle(candles: Candles) -> Iterator[tuple[str, FloatArray]]:
    open_T, high_T, low_T, close_T = candles.open, candles.high, candles.low, candles.close
    range_T = high_T - low_T + TINY
    parts = {
        "KMID": close_T - open_T,
        "KUP": high_T - np.maximum(open_T, close_T),
        "KLOW": np.minimum(open_T, close_T) - low_T,
        "KSFT": 2.0 * close_T - high_T - low_T,
    }
    for name, part_T in parts.items():
        yield name, part_T / open_T
        yield f"{name}2", part_T / range_T
    yield "KLEN", (high_T - low_T) / open_T
    for name, price_T in (("OPEN0", open_T), ("HIGH0", high_T), ("LOW0", low_T), ("VWAP0", _vwap(candles))):
        yield name, price_T / close_T


def _price(candles: Candles, d: int) -> Iterator[tuple[str, FloatArray]]:
    high_T, low_T, close_T = candles.high, candles.low, candles.close
    ago_T = rolling.empty(len(close_T))
    ago_T[d:] = close_T[:-d]
    yield "ROC", ago_T / close_T
    about = rolling.moments(close_T, d)
    yield "MA", about.mean_T / close_T
    yield "STD", about.std(ddof=1) / close_T
    spread = d * (d * d - 1) / 12.0  # sum of squared deviations of 1 .. d
    slope_T = rolling.trend_sum(close_T, d) / spread
    yield "BETA", slope_T / close_T
    flat_T = about.squares_T <= (1e-12 * close_T) ** 2
    explained_T = slope_T * slope_T * spread
    yield "RSQR", np.where(flat_T, 0.0, np.minimum(explained_T / np.where(flat_T, 1.0, about.squares_T), 1.0))
    yield "RESI", (close_T - about.mean_T - slope_T * (d - 1) / 2.0) / close_T
    top_T, bottom_T = ordering.window_max(high_T, d), ordering.window_min(low_T, d)
    yield "MAX", top_T / close_T
    yield "MIN", bottom_T / close_T
    upper_T, lower_T = ordering.quantile(close_T, d, (0.8, 0.2))
    yield "QTLU", upper_T / close_T
    yield "QTLD", lower_T / close_T
    yield "RANK", (ordering.rank_balance(close_T, d) + d + 1) / (2.0 * d)
    yield "RSV", (close_T - bottom_T) / (top_T - bottom_T + TINY)
    highest_T, lowest_T = d - ordering.argmax_age(high_T, d), d - ordering.argmax_age(-low_T, d)
    yield "IMAX", highest_T / d
    yield "IMIN", lowest_T / d
    yield "IMXD", (highest_T - lowest_T) / d


def _relative(x_T: FloatArray, otherwise: float) -> FloatArray:
    """Ratio to the row before; `otherwise` where that is 0; NaN in row 0."""
    out_T = rolling.empty(len(x_T))
    zero_T = x_T[:-1] == 0.0
    out_T[1:] = np.where(zero_T, otherwise, x_T[1:] / np.where(zero_T, 1.0, x_T[:-1]))
    return out_T


def _where(known_T: FloatArray, what_T: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    """1 where it is so, 0 where not, NaN where nothing is known."""
    return np.where(np.isnan(known_T), np.nan, what_T)


def _vwap(candles: Candles) -> FloatArray:
    typical_T = (candles.high + candles.low + candles.close) / 3.0
    if candles.turnover is None:
        return typical_T
    none_T = candles.volume == 0.0
    paid_T = candles.turnover / np.where(none_T, 1.0, candles.volume)
    return np.where(none_T, typical_T, np.clip(paid_T, candles.low, candles.high))
