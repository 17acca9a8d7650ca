"""What is planted: each signal looks at closed bars only and says which way the next bar leans.

A signal is called once per bar t, in order, with what is known at its close, and returns s_t, of mean 0 and variance
about 1.  The next bar's log return is then `sigma_{t+1} * (strength * s_t + shock)`, so that `strength` is about the
correlation of the best forecast with what happens.  Constants, never sample moments, bring s_t to unit variance:
a sample moment would see the future.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tradenas.data.synthetic.bars import log_volume
from tradenas.typing import FloatArray

__all__ = [
    "DISTANT_LAG",
    "ECHO_LAG",
    "LEAD_BARS",
    "SIGNALS",
    "Bar",
    "Distant",
    "Echo",
    "Gated",
    "Lagging",
    "Momentum",
    "Motif",
    "Noise",
    "Reversal",
    "Signal",
    "VolumeLed",
]

MOMENTUM_SPAN = 12
MOMENTUM_SPREAD = 0.32  # of that average at the default strength: above 0.277, that of noise, for it feeds on itself
MOTIF_SPREAD = (7 / 64) ** 0.5  # of an event of probability 1/8
DISTANT_LAG = 37
ECHO_LAG = 17
LEAD_BARS = 3
GATE = 0.81  # of the long-run variance: about half of all bars are calmer
VOLUME_SPAN = 20
SURPRISE = 0.575  # standard deviation of log volume about its own average


class Bar(NamedTuple):
    """What is known when bar t closes.

    Attributes:
        t: its row.
        z: its log return in units of the volatility that was expected of it.
        variance: variance expected of it by the bars before, 1 in the long run.
    """

    t: int
    z: float
    variance: float


class Signal(Protocol):
    """Says at the close of bar t how bar t + 1 leans."""

    def __call__(self, bar: Bar) -> float:
        """s_t, of mean 0 and variance about 1."""


def limited(value: float) -> float:
    """Within three standard deviations, so that no feedback can run away."""
    return min(max(value, -3.0), 3.0)


class Noise:
    """Nothing: the honest verdict is `no edge`."""

    def __call__(self, bar: Bar) -> float:  # noqa: ARG002
        return 0.0


class Momentum:
    """Goes on as the exponential average of the last moves (span 12)."""

    def __init__(self) -> None:
        self.average = 0.0

    def __call__(self, bar: Bar) -> float:
        self.average += 2 / (MOMENTUM_SPAN + 1) * (bar.z - self.average)
        return limited(self.average / MOMENTUM_SPREAD)


class Reversal:
    """Takes back part of the last bar."""

    def __call__(self, bar: Bar) -> float:
        return limited(-bar.z)


class Motif:
    """Rises after an up, a down and an up bar; no linear rule finds more than two thirds of it.

    The shape has probability 1/8, and sinks a little otherwise so that the market has no drift.
    """

    def __init__(self) -> None:
        self.ups: deque[bool] = deque(maxlen=3)

    def __call__(self, bar: Bar) -> float:
        self.ups.append(bar.z > 0)
        if len(self.ups) < 3:
            return 0.0
        shape = float(tuple(self.ups) == (True, False, True))
        return (shape - 1 / 8) / MOTIF_SPREAD


class Distant:
    """Repeats one single bar, 37 bars before the last: out of sight of a lookback of 20."""

    def __init__(self) -> None:
        self.past: deque[float] = deque(maxlen=DISTANT_LAG + 1)

    def __call__(self, bar: Bar) -> float:
        self.past.append(bar.z)
        return limited(self.past[0]) if len(self.past) > DISTANT_LAG else 0.0


class Gated:
    """Repeats the last bar when the market was calm before it, takes it back when not: no linear rule finds it."""

    def __call__(self, bar: Bar) -> float:
        return limited(bar.z if bar.variance < GATE else -bar.z)


class _Volume:
    """Log volume over its own average (span 20), in standard deviations."""

    def __init__(self, surprise_T: FloatArray) -> None:
        self.surprise_T = surprise_T
        self.average: float | None = None

    def __call__(self, bar: Bar) -> float:
        volume = float(log_volume(bar.z, bar.variance, self.surprise_T[bar.t]))
        average = volume if self.average is None else self.average
        self.average = average + 2 / (VOLUME_SPAN + 1) * (volume - average)
        return (volume - average) / SURPRISE


class VolumeLed:
    """Goes on in the direction of the last bar if its volume was above its average (span 20), else turns."""

    def __init__(self, surprise_T: FloatArray) -> None:
        self.above = _Volume(surprise_T)

    def __call__(self, bar: Bar) -> float:
        direction = (bar.z > 0) - (bar.z < 0)
        return limited(direction * self.above(bar))


class Echo:
    """Rises after heavy volume, 17 bars before the last, and sinks after light: one column at one lag, and no price."""

    def __init__(self, surprise_T: FloatArray) -> None:
        self.above = _Volume(surprise_T)
        self.past: deque[float] = deque(maxlen=ECHO_LAG + 1)

    def __call__(self, bar: Bar) -> float:
        self.past.append(self.above(bar))
        return limited(self.past[0]) if len(self.past) > ECHO_LAG else 0.0


class Lagging:
    """Follows another market: bar t + 1 leans as the leader's bar t + 1 - lag moved."""

    def __init__(self, leader_z_T: FloatArray, lag: int = LEAD_BARS) -> None:
        self.leader_z_T, self.lag = leader_z_T, lag

    def __call__(self, bar: Bar) -> float:
        row = bar.t + 1 - self.lag
        return limited(float(self.leader_z_T[row])) if row >= 0 else 0.0


SIGNALS: dict[str, Callable[[], Signal]] = {
    "noise": Noise,
    "momentum": Momentum,
    "reversal": Reversal,
    "motif": Motif,
    "distant": Distant,
    "gated": Gated,
}
