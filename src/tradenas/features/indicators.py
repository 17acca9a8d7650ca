"""What an indicator is, the table of all of them, and the door through which a user's own come in.

An indicator maps candles to one number a row, and row t may look at candles 0 .. t only.  Ours are scale-free: they are
ratios, shares or counts, so that a price or a volume in other units changes nothing.

    @feature(name="gap_open", group="shape", warmup=1)
    def gap_open(candles):
        out = np.full(len(candles), np.nan)
        out[1:] = np.log(candles.open[1:] / candles.close[:-1])
        return out
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError
from tradenas.features.replay import probe_candles, replay_or_raise
from tradenas.registry import Registry
from tradenas.typing import BoolArray, FloatArray

__all__ = ["INDICATORS", "Indicator", "feature", "indicator", "resolve"]


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """One causal column.

    Attributes:
        name: how studies and reports call it.
        group: what it speaks of: `returns`, `trend`, `momentum`, `volatility`, `volume`, `shape`, or a user's word.
        warmup: leading rows that are not right yet.  Recursive indicators count until less than 1/1000 of their
            start is left.
        function: candles -> float64[T]; what it says of the warm-up rows is not used.
        builtin: shipped, hence replayed by our tests and not again before each study.
        fresh: candles -> rows on which the column may be read at all, for what does not come with every candle; None is
            all of them.
    """

    name: str
    group: str
    warmup: int
    function: Callable[[Candles], FloatArray]
    builtin: bool = False
    fresh: Callable[[Candles], BoolArray] | None = None

    def __post_init__(self) -> None:
        for key in ("name", "group"):
            value = getattr(self, key)
            if not isinstance(value, str) or not value or value != value.strip():
                raise ConfigError(f"Indicator.{key}", got=repr(value), expected="a word")
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, int) or self.warmup < 0:
            raise ConfigError(f"Indicator {self.name!r}.warmup", got=repr(self.warmup), expected="0 or more rows")

    @property
    def shortest(self) -> int:
        """Rows of the shortest prefix that a replay tries."""
        return max(16, self.warmup + 1)

    def __call__(self, candles: Candles) -> FloatArray:
        """The column, NaN in its warm-up rows and finite after them.

        Raises:
            ConfigError: the function gave another length, or NaN or inf after its warm-up.
        """
        values_T = np.array(self.function(candles), dtype=np.float64)
        if values_T.shape != (len(candles),):
            raise ConfigError(
                f"feature {self.name!r}",
                got=f"shape {values_T.shape}",
                expected=f"one value a candle: ({len(candles)},)",
            )
        values_T[: self.warmup] = np.nan
        bad = np.flatnonzero(~np.isfinite(values_T[self.warmup :]))
        if len(bad):
            row = int(bad[0]) + self.warmup
            raise ConfigError(
                f"feature {self.name!r}, row {row}",
                got=str(values_T[row]),
                expected=f"a finite number after the warm-up of {self.warmup} rows",
                fix="say what a flat window or a zero volume means, or declare a longer warmup",
            )
        return values_T


INDICATORS: Registry[Indicator] = Registry("feature")
"""Every indicator by name; other packages add theirs through the entry point group `tradenas.feature`."""


def indicator(name: str, group: str, warmup: int) -> Callable[[Callable[[Candles], FloatArray]], Indicator]:
    """Register a shipped indicator (replayed by tests/conformance, so not at import)."""

    def add(function: Callable[[Candles], FloatArray]) -> Indicator:
        made = Indicator(name=name, group=group, warmup=warmup, function=function, builtin=True)
        return INDICATORS.register(name)(made)

    return add


def feature(*, name: str, group: str, warmup: int) -> Callable[[Callable[[Candles], FloatArray]], Indicator]:
    """Register a feature of your own, once it has shown that it cannot see the future.

    The function is replayed on made-up candles at once, and on your own candles when a table is built.

    Args:
        name: how studies call it.
        group: the group it is switched on and off with.
        warmup: leading rows that are not right yet.

    Raises:
        LookaheadError: a value changed when later candles were taken away or altered; names row and cut.
        ConfigError: a wrong shape, a value that is not finite after the warm-up, or a name that is taken.
    """

    def add(function: Callable[[Candles], FloatArray]) -> Indicator:
        made = Indicator(name=name, group=group, warmup=warmup, function=function)
        probe = probe_candles(2 * warmup + 256)
        replay_or_raise(made, probe, place=f"feature {name!r}", shortest=made.shortest)
        return INDICATORS.register(name)(made)

    return add


def resolve(indicators: Sequence[str | Indicator]) -> tuple[Indicator, ...]:
    """Indicators for names and indicators, in order.

    Raises:
        ConfigError: a name that is not known (with the nearest that is), one given twice, or none at all.
    """
    found = tuple(item if isinstance(item, Indicator) else INDICATORS[item] for item in indicators)
    names = [item.name for item in found]
    if not names:
        raise ConfigError("indicators", got="none", expected="one or more")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError("indicators", got=f"{', '.join(twice)} twice", expected="each once")
    return found
