"""Rows to learn from and rows to answer for; inputs and labels on a common scale.

Shapes: R rows chosen, T rows of the Dataset, F columns, L rows of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradenas.errors import ConfigError, MissingExtra
from tradenas.splits import Span
from tradenas.train.dataset import Dataset, reachable
from tradenas.typing import BoolArray, Float32Array, FloatArray, IntArray

if TYPE_CHECKING:
    from tradenas.train.loss import Objective

__all__ = [
    "MIN_ROWS",
    "RAW",
    "Inputs",
    "answer",
    "check_window",
    "columns_of",
    "hold_out_tail",
    "objective_of",
    "spread",
    "training_rows",
]

MIN_ROWS = 64
#: Columns that say what one candle was and nothing of those before it: windows of them are windows of raw candles.
RAW = ("log_return_1", "range_1", "body", "upper_wick", "lower_wick")
_CHUNK_ROWS = 4096
_CLIP = 5.0


def _check(data: Dataset, rows: Span, name: str) -> None:
    if rows.stop > len(data):
        raise ConfigError(f"{name} rows", got=f"[{rows.start}, {rows.stop})", expected=f"rows within [0, {len(data)})")


def _numbers(mask_T: BoolArray, rows: Span) -> IntArray:
    return np.flatnonzero(mask_T[rows.start : rows.stop]) + rows.start


def training_rows(data: Dataset, train: Span, reach: int) -> IntArray:
    """Usable rows of `train`, in order.

    Raises:
        ConfigError: fewer than `MIN_ROWS` of them.
    """
    _check(data, train, "train")
    rows_R = _numbers(data.usable(reach), train)
    if len(rows_R) < MIN_ROWS:
        raise ConfigError(
            "train rows",
            got=f"{len(rows_R)} usable rows in [{train.start}, {train.stop})",
            expected=f"{MIN_ROWS} or more",
            fix="train on more candles, or read fewer rows back",
        )
    return rows_R


def spread(rows_R: IntArray, limit: int) -> IntArray:
    """At most `limit` of the rows, evenly spread over all of them.

    >>> spread(np.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    if len(rows_R) <= limit:
        return rows_R
    return rows_R[np.linspace(0, len(rows_R) - 1, limit).astype(np.int64)]


def hold_out_tail(rows_R: IntArray, *, purge: int, share: float = 0.2) -> tuple[IntArray, IntArray]:
    """Splits training rows into those to fit and a last `share` to stop early by, `purge` rows apart.

    Raises:
        ConfigError: the purge leaves fewer than half of `MIN_ROWS` to fit.

    >>> fit, tail = hold_out_tail(np.arange(100), purge=8)
    >>> int(fit[-1]), int(tail[0])
    (71, 80)
    """
    tail_R = rows_R[int(len(rows_R) * (1.0 - share)) :]
    fit_R = rows_R[rows_R < tail_R[0] - purge]
    if len(fit_R) < MIN_ROWS // 2:
        raise ConfigError(
            "train rows",
            got=f"{len(fit_R)} rows before a purge of {purge} and the tail held out",
            expected=f"{MIN_ROWS // 2} or more",
            fix="train on more candles, or read fewer rows back",
        )
    return fit_R, tail_R


def answer(
    data: Dataset, predict: Span, reach: int, model: Callable[[IntArray], FloatArray | Float32Array]
) -> FloatArray:
    """Signals of the rows of `predict`: what `model` says of rows with enough history, asked in chunks; 0 elsewhere."""
    _check(data, predict, "predict")
    rows_R = _numbers(reachable(data.gap_T, data.ready_T, reach), predict)
    signal_T = np.zeros(predict.stop - predict.start)
    for start in range(0, len(rows_R), _CHUNK_ROWS):
        chunk_R = rows_R[start : start + _CHUNK_ROWS]
        signal_T[chunk_R - predict.start] = model(chunk_R)
    return signal_T


def columns_of(data: Dataset, transform: str) -> slice:
    """Columns of one transform's block, or of `all`.

    Raises:
        ConfigError: the Dataset has no such transform.
    """
    if transform == "all":
        return slice(None)
    if transform not in data.transforms:
        raise ConfigError(
            "baseline transform", got=repr(transform), expected=f"one of {', '.join(data.transforms)}, or 'all'"
        )
    block = data.transforms.index(transform) * len(data.names)
    return slice(block, block + len(data.names))


def check_window(name: str, window: int, reach: int) -> int:
    """The window, if a model that reads `reach` rows can see all of it.

    Raises:
        ConfigError: it cannot.
    """
    if not 1 <= window <= reach:
        raise ConfigError(f"baseline {name} window", got=window, expected=f"between 1 and the reach of {reach} rows")
    return window


def objective_of(data: Dataset, train: Span) -> Objective:
    """The units in which searched networks learn from `train` and speak, so that baselines do the same.

    Raises:
        ConfigError: no labels there, or labels that never vary.
        MissingExtra: torch, which the objective of networks needs, is absent.
    """
    try:
        from tradenas.train.loss import Objective
    except ModuleNotFoundError:
        raise MissingExtra.of("torch", extra="search") from None
    return Objective.fitted(data, train)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Columns of the Dataset in standard deviations of training rows, clipped at 5: one row, or a window of rows."""

    x_TF: Float32Array
    mean_F: Float32Array
    deviation_F: Float32Array
    window: int

    @classmethod
    def fitted(cls, data: Dataset, rows_R: IntArray, *, transform: str, window: int = 1, raw: bool = False) -> Inputs:
        """The columns of one transform, or of all; of a `raw` window only what single candles were (`RAW`).

        Raises:
            ConfigError: no such transform, or no such column for a raw window.
        """
        x_TF = data.x_TF[:, columns_of(data, transform)]
        if raw:
            named = [j for j, name in enumerate(data.names) if name in RAW]
            if not named:
                raise ConfigError(
                    "baseline on raw candles", got=f"none of {', '.join(RAW)} among the columns",
                    expected="one of them",
                    fix="add them to features.indicators, or leave the baseline out of trials.baselines",
                )  # fmt: skip
            x_TF = x_TF[:, named]
        sample_RF = x_TF[rows_R].astype(np.float64)
        deviation_F = sample_RF.std(axis=0)
        deviation_F[~(deviation_F > 0)] = np.inf  # a column that never moved says nothing
        return cls(x_TF, sample_RF.mean(axis=0).astype(np.float32), deviation_F.astype(np.float32), window)

    @property
    def num_columns(self) -> int:
        return int(self.x_TF.shape[1]) * self.window

    def standard(self, x_TF: Float32Array) -> Float32Array:
        """Columns on the training scale."""
        scaled_TF: Float32Array = np.clip((x_TF - self.mean_F) / self.deviation_F, -_CLIP, _CLIP)
        return scaled_TF

    def windows(self, rows_R: IntArray) -> Float32Array:
        """The last `window` rows of each row, (R, L, F), oldest first."""
        offsets_L = np.arange(1 - self.window, 1)
        return self.standard(self.x_TF[rows_R[:, None] + offsets_L])

    def flat(self, rows_R: IntArray) -> Float32Array:
        """The same with each window in one row, (R, L * F)."""
        return self.windows(rows_R).reshape(len(rows_R), self.num_columns)
