"""A market with a known conditional mean: what the best forecaster in the world would have said, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradenas.data.candles import Candles
from tradenas.data.synthetic.bars import ARCH, GARCH, columns, log_volume, shocks
from tradenas.data.synthetic.signals import SIGNALS, Bar, Echo, Lagging, Noise, Signal, VolumeLed
from tradenas.errors import ConfigError
from tradenas.registry import did_you_mean
from tradenas.seeds import rng_for
from tradenas.typing import FloatArray, IntArray

__all__ = ["KINDS", "World", "planted"]

KINDS = (*SIGNALS, "volume", "echo", "lead_lag")
STRENGTH, MAX_STRENGTH = 0.08, 0.3
ANNUAL_VOLATILITY = 0.6
YEAR_MS = 365 * 86_400_000
FIRST_OPEN = 946_684_800_000  # 2000-01-01 UTC
LEAST_BARS = 100


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """Candles and the truth about them.

    A decision at row t (the close of candle t) earns the log return from open[t+1] to open[t+2]; bars open where the
    last one closed, so that is also close[t] to close[t+1].

    Attributes:
        candles: the market to trade.
        expected_T: conditional mean of that log return given the candles closed at or before t (of `others` too);
            known for every row, the last ones included.
        kind: what was planted.
        strength: how strongly; about the oracle's IC.
        seed: of everything random in it.
        oracle_ic: correlation of `expected_T` with what came, in this very sample; 0 for noise.
        others: markets that help to forecast this one, on the same time axis: the leader of a lead-lag pair.
    """

    candles: Candles
    expected_T: FloatArray
    kind: str
    strength: float
    seed: int
    oracle_ic: float
    others: tuple[Candles, ...] = ()

    @property
    def realised_T(self) -> FloatArray:  # noqa: N802 - ends in its shape
        """The log return that a long position decided at row t earned; NaN in the last two rows."""
        earned = np.full(len(self.candles), np.nan)
        earned[:-2] = np.diff(np.log(self.candles.open))[1:]
        return earned

    def ic(self, forecast_T: FloatArray) -> float:
        """Correlation of a forecast with what came, over rows where both are known; compare with `oracle_ic`.

        Raises:
            ConfigError: the forecast has another length than the candles.

        >>> world = planted("reversal", bars=2_000)
        >>> world.ic(world.expected_T) == world.oracle_ic
        True
        """
        forecast_T = np.asarray(forecast_T, dtype=np.float64)
        if forecast_T.shape != (len(self.candles),):
            raise ConfigError("World.ic", got=str(forecast_T.shape), expected=f"({len(self.candles)},)")
        return correlation(forecast_T, self.realised_T)


def planted(
    kind: str,
    *,
    bars: int = 30_000,
    seed: int = 0,
    strength: float | None = None,
    interval_ms: int = 3_600_000,
) -> World:
    """A market in which one thing, and only one, forecasts the next bar.

    The volatility is a GARCH(1,1), the shocks have Student's fat tails, and the conditional mean scales with the
    volatility, so that the correlation to be found is steady and about `strength`.  A shorter world is a prefix of a
    longer one with the same seed.

    Args:
        kind: `noise`; `momentum` (exponential average of span 12); `reversal` (of one bar); `motif` (up, down, up);
            `distant` (the one bar 37 before the last); `gated` (momentum of one bar in calm, reversal in lively
            markets); `volume` (heavy volume goes on, light volume turns); `echo` (rises after heavy volume, 17 bars
            before the last); `lead_lag` (another market's bar, three bars before; the other market is in
            `World.others`).
        bars: number of candles, at least 100.
        seed: other seeds make independent markets.
        strength: about the correlation of the best forecast with what comes, above 0 and up to 0.3 (momentum feeds
            on itself: 0.2 makes 0.3 of it); None is 0.08, and 0 for noise.
        interval_ms: length of a bar; the annual volatility is 60 % whatever it is.

    Raises:
        ConfigError: an unknown kind, or a number out of range.

    >>> world = planted("momentum", bars=5_000, seed=1)
    >>> world.candles
    Candles('PLANTED-MOMENTUM', 5000 x 1h, 2000-01-01T00:00:00Z .. 2000-07-27T08:00:00Z, 24/7)
    >>> 0.04 < world.oracle_ic < 0.14
    True
    """
    if kind not in KINDS:
        raise ConfigError(
            "planted.kind", got=kind, expected="a kind of world", fix=did_you_mean(str(kind), list(KINDS))
        )
    strength = checked(kind, bars, strength, interval_ms)
    market = Market(kind=kind, role="market", bars=bars, seed=seed, interval_ms=interval_ms)
    others: tuple[Candles, ...] = ()
    signal: Signal
    if kind == "lead_lag":
        leader = Market(kind=kind, role="leader", bars=bars, seed=seed, interval_ms=interval_ms)
        leader.run(Noise(), 0.0)
        others, signal = (leader.candles("PLANTED-LEADER"),), Lagging(leader.z_T)
    elif kind == "volume":
        signal = VolumeLed(market.surprise_T)
    elif kind == "echo":
        signal = Echo(market.surprise_T)
    else:
        signal = SIGNALS[kind]()
    return market.world(signal, strength, symbol=f"PLANTED-{kind.upper().replace('_', '-')}", others=others)


class Market:
    """One market while it is made; each source of chance has a stream of its own."""

    def __init__(self, *, kind: str, role: str, bars: int, seed: int, interval_ms: int) -> None:
        self.kind, self.seed = kind, seed
        self.streams = {name: rng_for(seed, "planted", kind, role, name) for name in ("shock", "volume", "high", "low")}
        self.interval_ms = interval_ms
        self.sigma = ANNUAL_VOLATILITY * (interval_ms / YEAR_MS) ** 0.5
        self.shock_T = shocks(self.streams["shock"], bars)
        self.surprise_T: FloatArray = self.streams["volume"].standard_normal(bars)
        self.z_T, self.variance_T = np.empty(bars), np.empty(bars)

    def world(self, signal: Signal, strength: float, *, symbol: str, others: tuple[Candles, ...] = ()) -> World:
        """Lets the market happen, and the truth about it."""
        expected_T = self.run(signal, strength)
        made = World(
            candles=self.candles(symbol), expected_T=expected_T, kind=self.kind, strength=strength, seed=self.seed,
            oracle_ic=0.0, others=others,
        )  # fmt: skip
        object.__setattr__(made, "oracle_ic", made.ic(expected_T))
        return made

    def run(self, signal: Signal, strength: float) -> FloatArray:
        """Let the market happen, bar by bar; returns the conditional mean of the bar after each."""
        lean, variance = 0.0, 1.0
        expected = np.empty(len(self.shock_T))
        for t, shock in enumerate(self.shock_T.tolist()):
            z = lean + shock
            after = (1.0 - ARCH - GARCH) + (ARCH * z * z + GARCH) * variance
            self.z_T[t], self.variance_T[t] = z, variance
            lean = strength * signal(Bar(t, z, variance))
            expected[t] = lean * self.sigma * after**0.5
            variance = after
        return expected

    def candles(self, symbol: str) -> Candles:
        """The bars, through the same gate as everybody's."""
        sigma_T = self.sigma * np.sqrt(self.variance_T)
        open_time: IntArray = FIRST_OPEN // self.interval_ms * self.interval_ms + self.interval_ms * np.arange(
            len(self.z_T), dtype=np.int64
        )
        made = columns(
            self.streams["high"],
            self.streams["low"],
            move_T=sigma_T * self.z_T,
            sigma_T=sigma_T,
            log_volume_T=log_volume(self.z_T, self.variance_T, self.surprise_T),
        )
        return Candles.from_arrays(
            symbol=symbol,
            interval_ms=self.interval_ms,
            calendar="24/7",
            open_time=open_time,
            now_ms=int(open_time[-1]) + self.interval_ms,  # an invented market may reach past today
            **made,
        )


def correlation(a_T: FloatArray, b_T: FloatArray) -> float:
    """Pearson's, over rows where both are finite; 0 where one of them does not vary."""
    known = np.isfinite(a_T) & np.isfinite(b_T)
    a, b = a_T[known], b_T[known]
    if len(a) < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def checked(kind: str, bars: int, strength: float | None, interval_ms: int) -> float:
    """The strength, or its default; refuses numbers out of range."""
    for name, number, least in (("bars", bars, LEAST_BARS), ("interval_ms", interval_ms, 1_000)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ConfigError(f"planted.{name}", got=number, expected=f"a whole number of at least {least}")
    if kind == "noise":
        if strength:
            raise ConfigError("planted.strength", got=strength, expected="0 or None: there is nothing in noise")
        return 0.0
    if strength is None:
        return STRENGTH
    if not 0 < strength <= MAX_STRENGTH:
        raise ConfigError("planted.strength", got=strength, expected=f"above 0 and at most {MAX_STRENGTH}")
    return float(strength)
