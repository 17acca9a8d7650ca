"""Small synthetic Datasets with a planted rule, for the tests of whatever learns from a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tradenas.seeds import rng_for
from tradenas.train.dataset import Dataset

START_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC
VOLATILITY = 0.005


def make_dataset(
    *,
    rows: int = 2000,
    features: int = 4,
    transforms: Sequence[str] = ("raw",),
    kind: Literal["binary", "regression"] = "regression",
    planted: Literal["noise", "feature", "lagged_feature", "reversal", "momentum"] = "noise",
    strength: float = 0.5,
    lag: int = 5,
    drift: float = 0.0,
    gaps: Sequence[int] = (),
    warm_up: int = 0,
    interval_ms: int = 3_600_000,
    days_per_year: int = 365,
    seed: int = 0,
) -> Dataset:
    """A market with one candle after the other (no price jump between close and open), entry delay 1, horizon 1.

    So a position decided at row t earns the return of candle t+1, and the last two rows have no label.

    Args:
        planted: what the return of candle t+1 depends on: nothing; `feature`: column 0 of row t; `lagged_feature`:
            column 0 of row t-lag; `reversal` / `momentum`: minus / plus the return of candle t.
        strength: correlation of the return with what it depends on.
        drift: mean return of a bar, in standard deviations.
        gaps: rows before which time is missing (a day): the return across is 0 and earns nothing.
        warm_up: rows at the start whose features are not ready (and 0).
    """
    rng = rng_for(seed, "make_dataset")
    x_TF = rng.standard_normal((rows, features * len(transforms)))
    noise_T = rng.standard_normal(rows)
    own = np.sqrt(1.0 - strength**2)
    z_T = np.zeros(rows)
    for t in range(rows):
        if planted == "feature" and t >= 1:
            z_T[t] = strength * x_TF[t - 1, 0] + own * noise_T[t]
        elif planted == "lagged_feature" and t >= 1 + lag:
            z_T[t] = strength * x_TF[t - 1 - lag, 0] + own * noise_T[t]
        elif planted in ("reversal", "momentum") and t >= 1:
            sign = 1.0 if planted == "momentum" else -1.0
            z_T[t] = sign * strength * z_T[t - 1] + own * noise_T[t]
        else:
            z_T[t] = noise_T[t]
    gap_T = np.zeros(rows, bool)
    gap_T[list(gaps)] = True
    past_return_T = np.where(gap_T, 0.0, VOLATILITY * (z_T + drift))
    past_return_T[0] = 0.0
    open_time_T = START_MS + interval_ms * np.arange(rows + 2) + 86_400_000 * np.cumsum(np.append(gap_T, [False] * 2))
    bar_return_T = np.full(rows, np.nan)
    bar_return_T[:-2] = np.expm1(past_return_T[1:-1])
    bar_return_T[:-1][gap_T[1:]] = np.nan
    label_T = np.log1p(bar_return_T)
    y_T = np.where(np.isnan(label_T), np.nan, label_T > 0) if kind == "binary" else label_T
    ready_T = np.arange(rows) >= warm_up
    x_TF[~ready_T] = 0.0
    return Dataset(
        x_TF=x_TF.astype(np.float32),
        y_T=y_T.astype(np.float32),
        ready_T=ready_T,
        gap_T=gap_T,
        volatility_T=np.full(rows, VOLATILITY),
        past_return_T=past_return_T,
        bar_return_T=bar_return_T,
        realised_T=open_time_T[2:],
        names=tuple(f"indicator{j}" for j in range(features)),
        groups=tuple("test" for _ in range(features)),
        transforms=tuple(transforms),
        kind=kind,
        days_per_year=days_per_year,
    )


def scrambled(data: Dataset, start: int, *, labels_only: bool = False, seed: int = 1) -> Dataset:
    """The same market up to row `start`, another one from there on (or only other labels and returns earned)."""
    rng = rng_for(seed, "scrambled")
    later = np.arange(len(data)) >= start
    count = int(later.sum())

    def other(array: np.ndarray, values: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed[later] = values.astype(array.dtype)
        return changed

    changes = {
        "y_T": other(data.y_T, rng.integers(0, 2, count) if data.kind == "binary" else rng.standard_normal(count)),
        "bar_return_T": other(data.bar_return_T, rng.standard_normal(count) * 0.1),
    }
    if not labels_only:
        changes["x_TF"] = other(data.x_TF, rng.standard_normal((count, data.x_TF.shape[1])) * 7.0)
        changes["past_return_T"] = other(data.past_return_T, rng.standard_normal(count) * 0.1)
    return replace(data, **changes)
