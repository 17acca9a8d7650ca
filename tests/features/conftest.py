from __future__ import annotations

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.features.replay import probe_candles
from tradenas.seeds import rng_for

MINUTE = 60_000


def walk(
    rows: int, *, seed: int = 0, gaps: tuple[int, ...] = (), price: float = 100.0, turnover: bool = False
) -> Candles:
    """A plain random walk with every candle moving, and a hole of five bars before each row in `gaps`."""
    rng = rng_for(seed, "tests", "features", "walk")
    close = price * np.exp(np.cumsum(rng.normal(0.0, 0.004, rows)))
    open_ = np.concatenate([[price], close[:-1]]) * np.exp(rng.normal(0.0, 0.0005, rows))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.002, rows)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.002, rows)))
    volume = rng.lognormal(3.0, 0.8, rows)
    open_time = np.arange(rows, dtype=np.int64) * MINUTE
    for row in gaps:
        open_time[row:] += 5 * MINUTE
    return Candles.from_arrays(
        symbol="WALK", open_time=open_time, open=open_, high=high, low=low, close=close, volume=volume,
        turnover=volume * (high + low) / 2 if turnover else None, interval_ms=MINUTE, calendar="24/7",
    )  # fmt: skip


@pytest.fixture
def make_walk():
    return walk


@pytest.fixture
def make_flat():
    """Candles of a market that stands still and does not trade."""

    def flat(rows: int) -> Candles:
        price = np.full(rows, 0.1)
        return Candles.from_arrays(
            symbol="FLAT", open_time=np.arange(rows, dtype=np.int64) * MINUTE, open=price, high=price, low=price,
            close=price, volume=np.zeros(rows), interval_ms=MINUTE, calendar="24/7",
        )  # fmt: skip

    return flat


@pytest.fixture
def probe():
    """The hard candles on which users' features are tried: still stretches, no volume, a jump, a gap."""
    return probe_candles(400)
