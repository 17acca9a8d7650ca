"""Ways to put an indicator on a scale that a network can use, each over trailing rows and no further.

Every transform is a frozen object that maps a column x_T to a column whose row t depends on rows t-warmup .. t alone.
There is no `fit`: a normaliser that has seen a whole column is the commonest leak there is.  All give numbers of
about unit size, clipped at +-5, and 0 where the window is flat; rows without a full window are NaN.

These keep zero where it is, hence the sign:

- `raw`: x[t] over the root mean square of the window.  Keeps sign and shape; warm-up window - 1.
- `difference`: x[t] - x[t-1] over the root mean square of the window's steps.  For levels; warm-up window.
- `logret`: sign(d) log(1 + |d|) of that d.  Keeps the sign of the change; warm-up window.

These are centred on the window:

- `zscore`: (x[t] - mean) over the standard deviation of the window.  Keeps shape; warm-up window - 1.
- `rank`: share of the window below x[t] less the share above, -1 .. 1.  Keeps order; warm-up window - 1.
- `log`: `zscore` of sign(x) log(1 + |x| / s).  Squeezes heavy tails; warm-up 2 window - 2.
- `mean5`, `mean20`, `std5`, `std20`, `ema4`, `ema12`: `zscore` of a statistic of the latest rows; see `statistics`.

`raw` is as near to "as it comes" as data of any bar length and volatility allow: a fixed divisor right for daily bars
is 40 times too large for minutes.  It takes no mean away, so zero stays zero and a trend stays visible.
`logret` is the log-return idea made fit for columns of any sign: for a positive column of small relative steps it is,
up to the trailing scale, its log return, squeezed; for a column that is itself a return it is the change of pace.
`log` needs a size s below which it is nearly straight, for columns have zeros and both signs.  It takes a quarter of
the square of the window's mean of sqrt|x|, which heavy tails hardly move (even a Cauchy column has one).  Of a
lognormal column of sigma 1 it then is the true log at a correlation of 0.99, where the whole of that size would give
0.95, less than the rank's 0.97; and of a normal column it is still 0.96 the column itself, where a tenth gives 0.94.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradenas.features import ordering, rolling
from tradenas.registry import Registry
from tradenas.typing import FloatArray

__all__ = ["TRANSFORMS", "Difference", "Log", "LogReturn", "RankTransform", "Raw", "Transform", "ZScore", "centred"]

CLIP = 5.0


@dataclass(frozen=True, kw_only=True)
class Transform(ABC):
    """A causal map from one column to another over the last `window` rows.

    Raises:
        ConfigError: a window that is no whole number of at least 2 rows.
    """

    name: ClassVar[str]
    window: int = 100

    def __post_init__(self) -> None:
        rolling.check_window(self.window, 2)

    @property
    def warmup(self) -> int:
        """Leading rows, after the indicator's own warm-up, that are NaN."""
        return self.window - 1

    @abstractmethod
    def __call__(self, x_T: FloatArray) -> FloatArray:
        """The transformed column, float64[T]; windows that hold a NaN give NaN."""


TRANSFORMS: Registry[type[Transform]] = Registry("transform")
"""The transforms by name."""


@TRANSFORMS.register("raw")
@dataclass(frozen=True, kw_only=True)
class Raw(Transform):
    """The value as it comes, divided by the trailing root mean square.

    >>> Raw(window=2)(np.array([3.0, 4.0, -4.0])).round(3).tolist()
    [nan, 1.131, -1.0]
    """

    name = "raw"

    def __call__(self, x_T: FloatArray) -> FloatArray:
        return _over_scale(x_T, x_T, self.window)


@TRANSFORMS.register("zscore")
@dataclass(frozen=True, kw_only=True)
class ZScore(Transform):
    """Standard deviations from the trailing mean.

    >>> ZScore(window=3)(np.array([1.0, 2.0, 3.0, 3.0])).round(3).tolist()
    [nan, nan, 1.225, 0.707]
    """

    name = "zscore"

    def __call__(self, x_T: FloatArray) -> FloatArray:
        return centred(x_T, self.window)


@TRANSFORMS.register("rank")
@dataclass(frozen=True, kw_only=True)
class RankTransform(Transform):
    """Trailing percentile rank on -1 (lowest) .. 1 (highest); ties count for neither side.

    >>> RankTransform(window=3)(np.array([1.0, 2.0, 3.0, 0.0])).tolist()
    [nan, nan, 1.0, -1.0]
    """

    name = "rank"

    def __call__(self, x_T: FloatArray) -> FloatArray:
        return ordering.rank_balance(x_T, self.window) / (self.window - 1)


@TRANSFORMS.register("difference")
@dataclass(frozen=True, kw_only=True)
class Difference(Transform):
    """The last step in units of the usual step.

    >>> Difference(window=2)(np.array([1.0, 2.0, 1.0, 1.0])).round(3).tolist()
    [nan, nan, -1.0, 0.0]
    """

    name = "difference"

    @property
    def warmup(self) -> int:
        """One row more than the window, since a step needs the row before."""
        return self.window

    def __call__(self, x_T: FloatArray) -> FloatArray:
        step_T = rolling.change(x_T, 1)
        # Steps that are rounding noise of the level count as none.
        step_T = np.where(np.abs(step_T) <= 1e-12 * np.abs(x_T), 0.0, step_T)
        step_T[:1] = np.nan
        return _over_scale(step_T, step_T, self.window)


@TRANSFORMS.register("logret")
@dataclass(frozen=True, kw_only=True)
class LogReturn(Difference):
    """Signed log of the last step in units of the usual step.

    >>> LogReturn(window=2)(np.array([1.0, 2.0, 1.0, 1.0])).round(3).tolist()
    [nan, nan, -0.693, 0.0]
    """

    name = "logret"

    def __call__(self, x_T: FloatArray) -> FloatArray:
        scaled_T = super().__call__(x_T)
        return np.sign(scaled_T) * np.log1p(np.abs(scaled_T))


@TRANSFORMS.register("log")
@dataclass(frozen=True, kw_only=True)
class Log(Transform):
    """Signed log of the size, for columns with heavy tails: ten times as large is one step more, not ten.

    >>> Log(window=3)(np.array([1.0, 10.0, 1.0, 10.0, 1000.0])).round(2).tolist()
    [nan, nan, nan, nan, 1.25]
    """

    name = "log"

    @property
    def warmup(self) -> int:
        """A window for the size, and one of logs to centre them."""
        return 2 * (self.window - 1)

    def __call__(self, x_T: FloatArray) -> FloatArray:
        size_T = 0.25 * rolling.window_mean(np.sqrt(np.abs(x_T)), self.window) ** 2
        zero_T = size_T == 0.0
        log_T = np.sign(x_T) * np.log1p(np.abs(x_T) / np.where(zero_T, 1.0, size_T))
        return centred(log_T, self.window)


def centred(x_T: FloatArray, window: int) -> FloatArray:
    """Standard deviations from the trailing mean, clipped; 0 where the window is flat."""
    about = rolling.moments(x_T, window)
    std_T = about.std()
    flat_T = std_T <= 1e-10 * np.abs(about.mean_T)
    return np.clip(np.where(flat_T, 0.0, (x_T - about.mean_T) / np.where(flat_T, 1.0, std_T)), -CLIP, CLIP)


def _over_scale(x_T: FloatArray, scale_T: FloatArray, window: int) -> FloatArray:
    """Divide by the trailing root mean square of another column and clip; 0 where that is 0."""
    rms_T = np.sqrt(rolling.window_mean(scale_T * scale_T, window))
    zero_T = rms_T == 0.0
    return np.clip(np.where(zero_T, 0.0, x_T / np.where(zero_T, 1.0, rms_T)), -CLIP, CLIP)
