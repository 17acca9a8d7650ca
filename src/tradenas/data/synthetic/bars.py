"""From shocks to candles: volatility that clusters, moves with fat tails, highs, lows and volume that fit them."""

from __future__ import annotations

import numpy as np

from tradenas.typing import FloatArray

__all__ = ["FIRST_PRICE", "ARCH", "GARCH", "bridge_extreme", "columns", "log_volume", "shocks"]

FIRST_PRICE = 100.0
ARCH, GARCH = 0.06, 0.92  # GARCH(1,1): Bollerslev, J. Econometrics 31 (1986); half-life of a shock about 34 bars
DEGREES = 6  # of freedom of Student's t
TYPICAL_VOLUME = 1_000.0


def shocks(rng: np.random.Generator, bars: int) -> FloatArray:
    """Student-t shocks of variance 1, one a bar.  A shorter series is a prefix of a longer one."""
    draws: FloatArray = rng.standard_t(DEGREES, size=bars)
    draws *= ((DEGREES - 2) / DEGREES) ** 0.5
    return draws


def log_volume(z: float | FloatArray, variance: float | FloatArray, surprise: float | FloatArray) -> FloatArray:
    """Log of the volume of a bar: more in lively times, more with a larger move, and a part of its own."""
    return np.asarray(
        np.log(TYPICAL_VOLUME) + 0.25 * np.log(variance) + 0.4 * (np.abs(z) - 0.75) + 0.5 * surprise, dtype=np.float64
    )


def bridge_extreme(uniform_T: FloatArray, move_T: FloatArray, sigma_T: FloatArray) -> FloatArray:
    """How far above its open a bar went, drawn from the exact law of a Brownian bridge that ends at `move`.

    P(max > m | end) = exp(-2 m (m - end) / sigma^2) for m >= max(0, end); solved for m at probability 1 - uniform.
    (Karatzas & Shreve, Brownian Motion and Stochastic Calculus, 4.3.40.)  With `-move` it is the low.
    """
    roots: FloatArray = np.sqrt(move_T**2 - 2.0 * sigma_T**2 * np.log1p(-uniform_T))
    return 0.5 * (move_T + roots)


def columns(
    rng_high: np.random.Generator,
    rng_low: np.random.Generator,
    *,
    move_T: FloatArray,
    sigma_T: FloatArray,
    log_volume_T: FloatArray,
) -> dict[str, FloatArray]:
    """Open, high, low, close, volume and turnover of bars with log returns `move_T`; each opens where the last closed.

    High and low are drawn apart from each other, each with its exact law given open and close.
    """
    path = np.log(FIRST_PRICE) + np.concatenate([[0.0], np.cumsum(move_T)])
    price = np.exp(path)
    first, last = price[:-1], price[1:]
    up = bridge_extreme(rng_high.random(len(move_T)), move_T, sigma_T)
    down = bridge_extreme(rng_low.random(len(move_T)), -move_T, sigma_T)
    high = np.maximum(first * np.exp(up), np.maximum(first, last))
    low = np.minimum(first * np.exp(-down), np.minimum(first, last))
    volume = np.exp(log_volume_T)
    turnover = volume * (first + high + low + last) / 4.0
    return {"open": first, "high": high, "low": low, "close": last, "volume": volume, "turnover": turnover}
