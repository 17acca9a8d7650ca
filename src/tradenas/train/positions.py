"""Signals to positions: sign, proportional or volatility-targeted, with a no-trade band that holds instead of trading.

Shapes: N candidates, T rows on one time axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tradenas.errors import ConfigError
from tradenas.typing import BoolArray, FloatArray

__all__ = ["Rule", "relative_volatility", "signal_scale"]

_KINDS = ("sign", "proportional", "volatility_target")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Turns signals into positions, one bar at a time, using nothing from later rows.

    A position changes only on rows where `|signal| > band * scale`; on all others the last one is held (hysteresis), so
    that a weak opinion costs nothing.  A row that is not usable is flat, and what was held before it is forgotten.

    Attributes:
        kind: what a strong signal asks for.  `sign`: the full position.  `proportional`: `signal / scale`, at most the
            full position.  `volatility_target`: the full position, divided by the relative volatility where that is
            above 1.
        band: half-width of the no-trade band in units of `scale`; 0 trades on every signal that is not 0.
        max_position: the full position, in units of capital.
    """

    kind: Literal["sign", "proportional", "volatility_target"] = "sign"
    band: float = 0.5
    max_position: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError("Rule.kind", got=repr(self.kind), expected=f"one of {', '.join(_KINDS)}")
        if not (np.isfinite(self.band) and self.band >= 0):
            raise ConfigError("Rule.band", got=self.band, expected="a number of 0 or more")
        if not (np.isfinite(self.max_position) and self.max_position > 0):
            raise ConfigError("Rule.max_position", got=self.max_position, expected="a number above 0")

    def without_band(self) -> Rule:
        """The same rule that obeys every signal: for a strategy whose point is to hold, such as buy and hold."""
        return replace(self, band=0.0)

    def positions(
        self,
        signal_NT: FloatArray,
        usable_T: BoolArray,
        *,
        scale: float | FloatArray,
        volatility_T: FloatArray | None = None,
    ) -> FloatArray:
        """Positions (N, T) for signals (N, T) or (T,).

        Args:
            signal_NT: centred on 0, positive is long.  Values on rows that are not usable are not read.
            usable_T: rows on which a position may be held.
            scale: the usual size of a signal, one number or one per candidate, from `signal_scale` on *training* rows.
                Measured on the rows scored, it would tell every row about the size of later signals.
            volatility_T: relative volatility known at each row; read by `volatility_target` only, which needs it.

        Raises:
            ConfigError: shapes disagree, a scale is negative or not finite, or the volatility is missing.

        >>> rule = Rule(band=0.5)
        >>> rule.positions(np.array([0.2, 0.9, 0.1, -0.3, -0.8]), np.ones(5, bool), scale=1.0).tolist()
        [[0.0, 1.0, 1.0, 1.0, -1.0]]
        """
        signal_NT = np.atleast_2d(np.asarray(signal_NT, float))
        num, rows = signal_NT.shape
        if usable_T.shape != (rows,):
            raise ConfigError("Rule.positions usable_T", got=str(usable_T.shape), expected=f"({rows},)")
        scale_N1 = _scale_column(scale, num)
        signal_NT = np.where(usable_T, signal_NT, 0.0)
        trade_NT = np.abs(signal_NT) > self.band * scale_N1
        target_NT = self._targets(signal_NT, scale_N1, volatility_T)
        # A flat row is a "trade to 0"; column 0 starts flat, so that every row has a row to copy its position from.
        trade_NT |= ~usable_T
        if rows:
            target_NT[~trade_NT[:, 0], 0] = 0.0
        last_trade_NT = np.where(trade_NT, np.arange(rows), 0)
        np.maximum.accumulate(last_trade_NT, axis=1, out=last_trade_NT)
        return np.take_along_axis(target_NT, last_trade_NT, axis=1)

    def _targets(self, signal_NT: FloatArray, scale_N1: FloatArray, volatility_T: FloatArray | None) -> FloatArray:
        if self.kind == "proportional":
            share_NT = np.divide(signal_NT, scale_N1, out=np.zeros_like(signal_NT), where=scale_N1 > 0)
            return np.clip(share_NT, -1.0, 1.0) * self.max_position
        target_NT: FloatArray = np.sign(signal_NT) * self.max_position
        if self.kind == "sign":
            return target_NT
        rows = signal_NT.shape[1]
        if volatility_T is None or volatility_T.shape != (rows,):
            raise ConfigError(
                "Rule.positions volatility_T",
                got="none" if volatility_T is None else str(volatility_T.shape),
                expected=f"({rows},)",
                fix="pass relative_volatility(...) of the same rows",
            )
        return target_NT / np.maximum(volatility_T, 1.0)


def _scale_column(scale: float | FloatArray, num: int) -> FloatArray:
    scale_N = np.asarray(scale, float)
    if scale_N.shape not in ((), (num,)) or not np.isfinite(scale_N).all() or (scale_N < 0).any():
        raise ConfigError(
            "Rule.positions scale",
            got=repr(scale),
            expected=f"one number or {num} numbers, finite and not negative",
            fix="measure it with signal_scale on the training rows",
        )
    return np.broadcast_to(scale_N, (num,))[:, None]


def signal_scale(signal_NT: FloatArray, usable_T: BoolArray) -> FloatArray:
    """The usual size of each candidate's signal: mean |signal| over usable *training* rows; shape (N,), 0 without rows.

    The mean of absolute values and not the standard deviation: a few wild rows must not widen the band for all.

    >>> signal_scale(np.array([1.0, -3.0, 100.0]), np.array([True, True, False])).tolist()
    [2.0]
    """
    signal_NT = np.atleast_2d(np.asarray(signal_NT, float))[:, usable_T]
    return np.abs(signal_NT).mean(axis=1) if signal_NT.shape[1] else np.zeros(len(signal_NT))


def relative_volatility(past_return_T: FloatArray, *, train: slice, window: int = 96) -> FloatArray:
    """Trailing volatility known at each row, divided by its median over the training rows: 1 is an ordinary row.

    Root mean square of the last `window` returns, the row's own included; of fewer at the start.

    >>> relative_volatility(np.array([1.0, -1.0, 2.0, -2.0]), train=slice(0, 2), window=1).tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    if window < 1:
        raise ConfigError("relative_volatility window", got=window, expected="1 or more rows")
    squares_T = np.concatenate([[0.0], np.cumsum(np.asarray(past_return_T, float) ** 2)])
    stop_T = np.arange(1, len(squares_T))
    start_T = np.maximum(stop_T - window, 0)
    mean_T = np.maximum(squares_T[stop_T] - squares_T[start_T], 0.0) / (stop_T - start_T)
    volatility_T: FloatArray = np.sqrt(mean_T)
    usual = float(np.median(volatility_T[train])) if len(volatility_T[train]) else 0.0
    if not usual > 0:
        raise ConfigError(
            "relative_volatility train", got=f"a median volatility of {usual}", expected="rows whose price moved"
        )
    return volatility_T / usual
