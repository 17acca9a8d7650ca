"""The start-up of a column against closed forms: windows, averages that decay, sums that never forget."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.features import INDICATORS, Indicator, start_up, start_up_or_raise


def recursive(x, share):
    out = np.empty(len(x))
    out[0] = x[0]
    for t in range(1, len(x)):
        out[t] = out[t - 1] + share * (x[t] - out[t - 1])
    return out


def rsi(candles, window=14):
    """Wilder's: the first average is that of the first `window` moves."""
    moves = np.diff(candles.close)
    parts = []
    for sign in (1.0, -1.0):
        part = np.maximum(sign * moves, 0.0)
        out = np.full(len(candles), np.nan)
        out[window:] = recursive(np.concatenate([[part[:window].mean()], part[window:]]), 1 / window)
        parts.append(out)
    with np.errstate(invalid="ignore"):
        return 100 * parts[0] / (parts[0] + parts[1])


def window_20(candles):
    out = np.full(len(candles), np.nan)
    out[19:] = np.lib.stride_tricks.sliding_window_view(candles.close, 20).mean(axis=1)
    return out


def test_a_window_needs_its_length_less_one(make_walk):
    found = start_up(window_20, make_walk(300), tolerance=1e-9)
    assert found.rows == 19
    assert found.left(19) <= 1e-9
    assert found.left(18) == math.inf


def test_a_decaying_average_forgets_as_its_weight_does(make_walk):
    candles = make_walk(800)

    def average(c):
        return recursive(np.log(c.close), 0.1)

    whole, spread, needed = average(candles), average(candles).std(), 0
    for start in np.unique(np.linspace(1, 400, 8).astype(int)):
        first = abs(whole[start] - np.log(candles.close[start])) / spread
        needed = max(needed, math.ceil(math.log(0.01 / first) / math.log(0.9)))
    assert start_up(average, candles).rows == needed > 5


def test_wilders_rsi_is_not_ready_after_its_window(make_walk):
    """Started 14 moves ago it errs by points; after 100 more by hundredths."""
    candles = make_walk(900)
    found = start_up(rsi, candles)
    assert 50 < found.rows < 14 + 14 * math.log(100 * 5)
    assert found.left(14) > 0.3
    assert found.left(14 + 100) < 0.01
    with pytest.raises(ConfigError, match=f"Declare warmup={found.rows}"):
        start_up_or_raise(rsi, candles, place="mine.py:rsi", warmup=14)
    assert start_up_or_raise(rsi, candles, place="mine.py:rsi", warmup=found.rows).rows == found.rows


@pytest.mark.parametrize("never", [lambda c: np.cumsum(c.volume), lambda c: c.close / c.close[0]])
def test_what_never_forgets_is_refused(make_walk, never):
    assert start_up(never, make_walk(300)).rows is None
    with pytest.raises(ConfigError, match=re.escape("depends on where the series began")):
        start_up_or_raise(never, make_walk(300), place="mine.py:never")


def test_several_columns_and_flat_ones(make_walk):
    candles = make_walk(300)
    found = start_up(lambda c: np.column_stack([np.ones(len(c)), c.close, window_20(c)]), candles, tolerance=1e-9)
    assert found.rows == 19
    assert start_up(lambda c: np.ones(len(c)), candles).rows == 0
    shifted = start_up(lambda c: np.full(len(c), float(len(c))), candles)  # flat within a call, another in each
    assert shifted.rows is None


@pytest.mark.parametrize("name", ["rsi_14", "macd_line", "atr_ratio_14", "sma_ratio_20", "log_return_5"])
def test_shipped_indicators_declare_enough(make_walk, name):
    item: Indicator = INDICATORS[name]
    found = start_up_or_raise(item.function, make_walk(900), place=name, warmup=item.warmup)
    assert found.rows > 0 or item.warmup == 0


def test_too_few_candles(make_walk):
    with pytest.raises(ConfigError, match="at least 64"):
        start_up(window_20, make_walk(60))
