"""How many candidates must be trained to hold the true best?  What a Kendall tau means for the top of a list.

    (X_n, Y_n) iid Gaussian copula, correlation rho = sin(pi * tau / 2)        Greiner 1909; Kruskal 1958, JASA 53
    P(best in top k) = P(#{n : X_n > X_best} < k),  best = argmax Y
    given Y_best = y and X_best = x the others are iid with Y < y, so that number is binomial(num - 1, p) with
    p = P(X > x | Y < y) = (Phi(y) - P(X <= x, Y <= y)) / Phi(y)

The two integrals left (y over the law of a maximum, x given y) are Gauss quadratures.

Biased: the model holds the agreement alike at the top and at the bottom of the list, candidates for an even sample of
the space, and tau for the agreement with the truth, where a study knows it with a few standalone trainings.  Noise in
those lowers tau, so that the chance is understated; an agreement that fades at the top overstates it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tradenas.errors import ConfigError, MissingExtra
from tradenas.stats.ranks import RankAgreement
from tradenas.typing import FloatArray

__all__ = ["Chance", "chance_of_best", "chance_with_interval", "k_for_chance"]

#: Nodes of the quadratures over y and over x given y.
_NODES = 96
#: Half the width of a 95 % interval, in standard deviations.
_Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The chance that the top `k` of `num` by the proxy hold the true best, at tau and both ends of its interval."""

    value: float
    low: float
    high: float
    k: int
    num: int


def chance_of_best(tau: float, num: int, k: int) -> float:
    """How likely the top k of `num` by a proxy with this Kendall tau hold the true best.

    Args:
        tau: of proxy and truth, -1 to 1.
        num: architectures that the proxy ranked.
        k: best ones by the proxy that will be looked at, 1 to `num`.

    Raises:
        ConfigError: tau outside -1 to 1, k below 1 or above `num`.

    >>> round(chance_of_best(0.0, 200, 5), 4), chance_of_best(1.0, 200, 1), round(chance_of_best(0.5, 200, 5), 2)
    (0.025, 1.0, 0.49)
    """
    if num < 1:
        raise ConfigError("num", got=num, expected="1 or more architectures")
    if not 1 <= k <= num:
        raise ConfigError(
            "k", got=k, expected=f"from 1 to {num}, the number of architectures", fix="look at no more than there are"
        )
    if not -1.0 <= tau <= 1.0:
        raise ConfigError("tau", got=tau, expected="-1 to 1")
    rho = math.sin(math.pi * tau / 2)
    if k == num or abs(rho) > 1.0 - 1e-9:
        return float(k == num or rho > 0)
    above_YX, weight_YX = _beaten(rho, num)
    return float((_special().bdtr(k - 1, num - 1, above_YX) * weight_YX).sum())


def chance_with_interval(agreement: RankAgreement, num: int, k: int) -> Chance:
    """The same with the interval that tau's own gives: the chance rises with tau, so its ends are those of tau.

    A bootstrap of a dozen architectures that happen to agree throughout knows no doubt, so the interval is at least
    Wilson's (1927) for the share of concordant pairs, (1 + tau) / 2, out of as many pairs as would be independent:
    9 n (n - 1) / (2 (2 n + 5)) for n architectures, by the variance of tau under no agreement (Kendall 1938).
    """
    n = agreement.num
    pairs = 9 * n * (n - 1) / (2 * (2 * n + 5))
    middle = (1 + agreement.tau) / 2
    centre = (middle + _Z**2 / (2 * pairs)) / (1 + _Z**2 / pairs)
    half = _Z / (1 + _Z**2 / pairs) * math.sqrt(middle * (1 - middle) / pairs + _Z**2 / (4 * pairs**2))
    low = max(-1.0, min(agreement.low, 2 * (centre - half) - 1))
    high = min(1.0, max(agreement.high, 2 * (centre + half) - 1))
    ends = [chance_of_best(tau, num, k) for tau in (low, agreement.tau, high)]
    return Chance(low=ends[0], value=ends[1], high=ends[2], k=k, num=num)


def k_for_chance(tau: float, num: int, chance: float) -> int:
    """The fewest candidates that hold the true best with this chance.

    Args:
        tau: of proxy and truth.
        num: architectures that the proxy ranked.
        chance: above 0, at most 1.

    >>> k_for_chance(0.0, 200, 0.5), k_for_chance(0.5, 200, 0.5), k_for_chance(1.0, 200, 0.99)
    (100, 6, 1)
    """
    if not 0.0 < chance <= 1.0:
        raise ConfigError("chance", got=chance, expected="above 0, at most 1")
    if num < 1:
        raise ConfigError("num", got=num, expected="1 or more architectures")
    low, high = 1, num  # the chance rises with k
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance_of_best(tau, num, middle) >= chance - 1e-9 else (middle + 1, high)
    return low


@lru_cache(maxsize=32)
def _beaten(rho: float, num: int) -> tuple[FloatArray, FloatArray]:
    """On a grid over (y, x) of the best: the chance that another one's proxy is above x, and the grid's weights."""
    special = _special()
    at_Q, weight_Q = np.polynomial.legendre.leggauss(_NODES)
    u_Q, weight_Q = (at_Q + 1) / 2, weight_Q / 2
    below_Y = u_Q ** (1.0 / num)  # Phi(y) of the largest of num
    y_Y1 = special.ndtri(below_Y)[:, None]
    x_YX = rho * y_Y1 + math.sqrt(1 - rho * rho) * special.ndtri(u_Q)[None, :]
    both_YX = _both_below(x_YX, np.broadcast_to(y_Y1, x_YX.shape), rho, special)
    above_YX = np.clip(1.0 - both_YX / below_Y[:, None], 0.0, 1.0)
    return above_YX, weight_Q[:, None] * weight_Q[None, :]


def _both_below(x: FloatArray, y: FloatArray, rho: float, special: Any) -> FloatArray:
    """P(X <= x, Y <= y) of standard normals with correlation rho, by Owen's T (Owen 1956)."""
    root = math.sqrt(1 - rho * rho)
    x, y = (np.where(v == 0.0, 1e-12, v) for v in (x, y))
    crossed = np.where(x * y < 0, 0.5, 0.0)
    return np.asarray(
        0.5 * (special.ndtr(x) + special.ndtr(y))
        - special.owens_t(x, (y / x - rho) / root)
        - special.owens_t(y, (x / y - rho) / root)
        - crossed,
        dtype=np.float64,
    )


def _special() -> Any:
    try:
        import scipy.special
    except ImportError as error:
        raise MissingExtra.of("scipy", extra="search") from error
    return scipy.special
