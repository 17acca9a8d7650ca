"""Transforms that are a statistic of the latest rows, then centred on the window like `zscore`.

- `mean5`, `mean20`: mean of the last 5 or 20 rows.
- `std5`, `std20`: their standard deviation: how wild the column is now.
- `ema4`, `ema12`: exponential average of span 4 or 12, cut after twice its span, so that it has a finite memory.

A short and a long span of each, of the sizes of the network's own ops `mean5`, `ema4`, `ema12`: for other averages of
the past there are the input filters.  The warm-up is that of `zscore`, and as many rows more as a statistic reads
before its own.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradenas.features import rolling
from tradenas.features.transforms import TRANSFORMS, Transform, centred
from tradenas.typing import FloatArray

__all__ = ["EMA4", "EMA12", "Mean5", "Mean20", "Statistic", "Std5", "Std20", "ema_weights"]


@dataclass(frozen=True, kw_only=True)
class Statistic(Transform):
    """What the last `span` rows amount to, centred on the window."""

    span: ClassVar[int]

    @property
    def warmup(self) -> int:
        """Rows of the window, and those that the first statistic in it needs."""
        return self.window - 1 + self.rows - 1

    @property
    def rows(self) -> int:
        """Rows that one statistic reads."""
        return self.span

    @abstractmethod
    def statistic(self, x_T: FloatArray) -> FloatArray:
        """Of the `rows` rows that end at t."""

    def __call__(self, x_T: FloatArray) -> FloatArray:
        return centred(self.statistic(x_T), self.window)


class _Mean(Statistic):
    def statistic(self, x_T: FloatArray) -> FloatArray:
        return rolling.window_mean(x_T, self.span)


class _Std(Statistic):
    def statistic(self, x_T: FloatArray) -> FloatArray:
        about = rolling.moments(x_T, self.span)
        std_T = about.std()
        return np.where(std_T <= 1e-10 * np.abs(about.mean_T), 0.0, std_T)


class _EMA(Statistic):
    @property
    def rows(self) -> int:
        """Twice the span, which holds 98 % of the weights of an endless average."""
        return 2 * self.span

    def statistic(self, x_T: FloatArray) -> FloatArray:
        return rolling.weighted_sum(x_T, ema_weights(self.span))


def ema_weights(span: int) -> FloatArray:
    """Weights of an exponential average, alpha = 2 / (span + 1), latest first, cut after 2 span, scaled to sum to 1.

    >>> ema_weights(4).round(3).tolist()
    [0.407, 0.244, 0.146, 0.088, 0.053, 0.032, 0.019, 0.011]
    """
    weights_L = (1.0 - 2.0 / (span + 1)) ** np.arange(2 * span)
    return np.asarray(weights_L / weights_L.sum(), dtype=np.float64)


@TRANSFORMS.register("mean5")
class Mean5(_Mean):
    """Mean of the last 5 rows."""

    name, span = "mean5", 5


@TRANSFORMS.register("mean20")
class Mean20(_Mean):
    """Mean of the last 20 rows."""

    name, span = "mean20", 20


@TRANSFORMS.register("std5")
class Std5(_Std):
    """Standard deviation of the last 5 rows."""

    name, span = "std5", 5


@TRANSFORMS.register("std20")
class Std20(_Std):
    """Standard deviation of the last 20 rows."""

    name, span = "std20", 20


@TRANSFORMS.register("ema4")
class EMA4(_EMA):
    """Exponential average of span 4."""

    name, span = "ema4", 4


@TRANSFORMS.register("ema12")
class EMA12(_EMA):
    """Exponential average of span 12."""

    name, span = "ema12", 12
