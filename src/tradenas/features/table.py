"""Candles to the feature matrix that networks and baselines read, with the rows on which it may be trusted.

Axes: T time, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tradenas.data.candles import Candles
from tradenas.errors import ConfigError
from tradenas.features.catalogue import DEFAULT_INDICATORS
from tradenas.features.indicators import Indicator, resolve
from tradenas.features.replay import replay_or_raise
from tradenas.features.stretches import gap_free
from tradenas.features.transforms import TRANSFORMS, Transform
from tradenas.typing import BoolArray, Float32Array, FloatArray

__all__ = ["FeatureTable", "build_table"]

REPLAY_ROWS = 1_000
"""Rows of the user's own candles on which the user's own features are replayed, besides their warm-up."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureTable:
    """Features of every row, in blocks: column `b * len(names) + j` is indicator j under transform b.

    Attributes:
        values_TF: float32, finite everywhere, 0 in rows that are not ready.
        names: indicator names.
        groups: group of each indicator.
        transforms: name of each block.
        ready_T: rows with `warmup` rows before them since the start or the last gap, and every value of them fresh.
        warmup: rows that the slowest column needs.
    """

    values_TF: Float32Array
    names: tuple[str, ...]
    groups: tuple[str, ...]
    transforms: tuple[str, ...]
    ready_T: BoolArray
    warmup: int


def build_table(
    candles: Candles,
    *,
    indicators: Sequence[str | Indicator] = DEFAULT_INDICATORS,
    transforms: Sequence[str] = ("zscore",),
    window: int = 100,
) -> FeatureTable:
    """Features of every row under every transform.

    After a gap everything starts anew: indicators are computed on each gap-free stretch by itself, so that nothing
    from before a gap is in a row that counts as ready.  Stretches shorter than the warm-up are left out.

    Args:
        candles: the market.
        indicators: names (see `INDICATORS`) or indicators.
        transforms: names (see `TRANSFORMS`); one block each.
        window: trailing rows of the transforms.

    Raises:
        ConfigError: a name that is not known or given twice, or a feature that is not finite.
        LookaheadError: a feature of the user's own sees the future on these candles.

    >>> from tradenas.features.replay import probe_candles
    >>> table = build_table(
    ...     probe_candles(400), indicators=["log_return_1", "rsi_14"], transforms=["raw", "rank"], window=20)
    >>> table.values_TF.shape, table.warmup, int(table.ready_T.sum())
    ((400, 4), 127, 146)
    """
    chosen = resolve(indicators)
    scalers = _scalers(transforms, window)
    warmup = max(item.warmup for item in chosen) + max(scaler.warmup for scaler in scalers)
    for item in chosen:
        if not item.builtin:
            rows = min(len(candles), REPLAY_ROWS + 2 * item.warmup)
            place = f"feature {item.name!r} on {candles.symbol}"
            replay_or_raise(item, candles[:rows], place=place, shortest=item.shortest)
    fresh_T = np.ones(len(candles), dtype=bool)
    for item in chosen:
        if item.fresh is not None:
            fresh_T &= item.fresh(candles)
    spans = _spans(candles.gap_before, fresh_T, warmup)
    ready_T = np.zeros(len(candles), dtype=bool)
    for start, stop in spans:
        ready_T[start + warmup : stop] = fresh_T[start + warmup : stop]
    values_TF = np.zeros((len(candles), len(chosen) * len(scalers)), dtype=np.float32)
    parts = [(start, stop, candles[start:stop]) for start, stop in spans]
    for j, item in enumerate(chosen):
        for start, stop, part in parts:
            column_T = item(part)
            for b, scaler in enumerate(scalers):
                values_TF[start + warmup : stop, b * len(chosen) + j] = _finite(item, scaler, column_T)[warmup:]
    values_TF[~ready_T] = 0.0
    return FeatureTable(
        values_TF=values_TF,
        names=tuple(item.name for item in chosen),
        groups=tuple(item.group for item in chosen),
        transforms=tuple(scaler.name for scaler in scalers),
        ready_T=ready_T,
        warmup=warmup,
    )


def _spans(gap_T: BoolArray, fresh_T: BoolArray, warmup: int) -> list[tuple[int, int]]:
    """Gap-free stretches, each from the first row on which every column is known; those too short are left out."""
    spans = []
    for start, stop in gap_free(gap_T):
        known = np.flatnonzero(fresh_T[start:stop])
        if len(known) and stop - start - known[0] > warmup:
            spans.append((start + int(known[0]), stop))
    return spans


def _scalers(transforms: Sequence[str], window: int) -> tuple[Transform, ...]:
    names = list(transforms)
    if isinstance(transforms, str) or not names or len(set(names)) < len(names):
        raise ConfigError("transforms", got=repr(transforms), expected=f"some of {', '.join(TRANSFORMS)}, each once")
    return tuple(TRANSFORMS[name](window=window) for name in names)


def _finite(item: Indicator, scaler: Transform, column_T: FloatArray) -> FloatArray:
    scaled_T = scaler(column_T)
    late_T = scaled_T[item.warmup + scaler.warmup :]
    if not np.isfinite(late_T).all():
        row = int(np.flatnonzero(~np.isfinite(late_T))[0]) + item.warmup + scaler.warmup
        raise ConfigError(
            f"feature {item.name!r} under {scaler.name!r}, row {row} of a gap-free stretch",
            got=str(scaled_T[row]),
            expected="a finite number",
            fix="keep the feature's values between -1e100 and 1e100",
        )
    return scaled_T
