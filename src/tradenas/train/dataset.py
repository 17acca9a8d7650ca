"""What a model may look at: feature rows, labels, and the return a position decided there would earn."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from tradenas.errors import ConfigError
from tradenas.features.regimes import REGIMES
from tradenas.typing import BoolArray, Float32Array, FloatArray, IntArray

if TYPE_CHECKING:
    from tradenas.nn import Layout

__all__ = ["Dataset", "reachable"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """One market as arrays on one time axis; row t is the decision taken at the close of candle t.

    Attributes:
        x_TF: features known at row t, float32, no NaN.  Columns stand in blocks, one per transform:
            column `b * len(names) + j` is indicator j under transform b.
        y_T: label of row t, NaN where it is not known (the end of the series, across gaps).
        ready_T: rows whose features have warmed up.
        gap_T: True where no window may span from row t-1 to row t.
        volatility_T: typical size of a bar's return as known at row t, positive: the unit in which returns are learnt.
        past_return_T: log close-to-close return of candle t itself, known at row t; 0 where there is none.
        bar_return_T: simple return earned over one bar by a position of 1 decided at row t; NaN where unknown.
        realised_T: time (ms UTC) at which that return is known.
        names: indicator names, one per column of a block.
        groups: group of each indicator.
        transforms: names of the blocks.
        kind: `binary` (y in {0, 1}, models emit a logit) or `regression` (y in label units).
        days_per_year: 365 for a market that never closes, 252 for one with sessions.
        centre_labels: whether models learn the label less its training mean (a volatility), or as it is (a return,
            whose sign matters).
        purge_rows: rows past t that the label of row t looks at (horizon + delay).
        regime_T: state of the market as known at row t, an index into `tradenas.features.REGIMES`, -1 where none is
            known; None where the study has no regimes.
        funding_T: what a position of 1 decided at row t pays (or is paid, where negative) at the settlements of its
            bar, as a fraction of it; None where no funding is charged.  See `tradenas.features.bar_funding`.
    """

    x_TF: Float32Array
    y_T: Float32Array
    ready_T: BoolArray
    gap_T: BoolArray
    volatility_T: FloatArray
    past_return_T: FloatArray
    bar_return_T: FloatArray
    realised_T: IntArray
    names: tuple[str, ...]
    groups: tuple[str, ...]
    transforms: tuple[str, ...]
    kind: Literal["binary", "regression"]
    days_per_year: int
    centre_labels: bool = False
    purge_rows: int = 2
    regime_T: npt.NDArray[np.int8] | None = None
    funding_T: FloatArray | None = None

    def __post_init__(self) -> None:
        rows, columns = self.x_TF.shape
        if columns != len(self.names) * len(self.transforms):
            raise ConfigError(
                "Dataset.x_TF",
                got=f"{columns} columns",
                expected=f"{len(self.names)} indicators x {len(self.transforms)} transforms",
            )
        for name in ("y_T", "ready_T", "gap_T", "volatility_T", "past_return_T", "bar_return_T", "realised_T"):
            if getattr(self, name).shape != (rows,):
                raise ConfigError(f"Dataset.{name}", got=str(getattr(self, name).shape), expected=f"({rows},)")
        if self.regime_T is not None and (
            self.regime_T.shape != (rows,) or not np.isin(self.regime_T, range(-1, len(REGIMES))).all()
        ):
            raise ConfigError(
                "Dataset.regime_T",
                got=f"{self.regime_T.shape} with {np.unique(self.regime_T)[:6].tolist()}",
                expected=f"({rows},) of -1 to {len(REGIMES) - 1}",
            )
        if self.funding_T is not None and (self.funding_T.shape != (rows,) or not np.isfinite(self.funding_T).all()):
            raise ConfigError("Dataset.funding_T", got=str(self.funding_T.shape), expected=f"({rows},) of finite rates")
        if not (self.volatility_T > 0).all():
            row = int(np.flatnonzero(~(self.volatility_T > 0))[0])
            raise ConfigError(
                "Dataset.volatility_T", got=f"{self.volatility_T[row]} in row {row}", expected="positive numbers"
            )
        if not np.isfinite(self.x_TF).all():
            row = int(np.flatnonzero(~np.isfinite(self.x_TF).all(axis=1))[0])
            raise ConfigError(
                "Dataset.x_TF",
                got=f"a value that is not finite in row {row}",
                expected="finite features",
                fix="fill warm-up rows with 0 and leave them out of ready_T",
            )

    @property
    def indicators(self) -> dict[str, str]:
        """Group of each indicator."""
        return dict(zip(self.names, self.groups, strict=True))

    @property
    def layout(self) -> Layout:
        """What a network has to know of these columns."""
        from tradenas.nn import Layout

        return Layout(groups=self.groups, transforms=self.transforms, names=self.names)

    def __len__(self) -> int:
        return len(self.x_TF)

    def rows(self, rows: slice) -> Dataset:
        """Some consecutive rows, as views."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith(("_T", "_TF"))}
        return replace(self, **{name: array[rows] for name, array in arrays.items() if array is not None})

    @cached_property
    def history_T(self) -> IntArray:  # noqa: N802 - ends in its shape
        """Rows up to each row, itself included, that are all ready, with no gap between any two of them."""
        return history(self.gap_T, self.ready_T)

    @cached_property
    def known_T(self) -> BoolArray:  # noqa: N802 - ends in its shape
        """Rows with a return."""
        known_T: BoolArray = np.isfinite(self.bar_return_T)
        return known_T

    def usable(self, reach: int) -> BoolArray:
        """Rows on which a model that reads `reach` rows, its own included, can be traded.

        The label plays no part: whether a price will end up tied is not known when the position is taken.
        """
        return (self.history_T >= reach) & self.known_T

    def learnable(self, reach: int) -> BoolArray:
        """Rows of these that have a label to learn from."""
        return self.usable(reach) & np.isfinite(self.y_T)

    def in_regime(self, name: str) -> BoolArray:
        """Rows at which the market is known to be in this state.

        Raises:
            ConfigError: the data were made without regimes, or there is no such one.
        """
        if self.regime_T is None or name not in REGIMES:
            raise ConfigError(
                "regime",
                got=f"{name!r} {'of data without regimes' if self.regime_T is None else ''}".rstrip(),
                expected=f"one of {', '.join(REGIMES)}, of a study with [regimes] enabled",
            )
        inside_T: BoolArray = self.regime_T == REGIMES.index(name)
        return inside_T


def reachable(gap_T: BoolArray, ready_T: BoolArray, reach: int) -> BoolArray:
    """Rows whose last `reach` rows are all ready, with no gap between any two of them.

    >>> gap = np.array([False, False, False, True, False, False])
    >>> reachable(gap, np.ones(6, bool), 2).tolist()
    [False, True, True, False, True, True]
    """
    enough_T: BoolArray = history(gap_T, ready_T) >= reach
    return enough_T


def history(gap_T: BoolArray, ready_T: BoolArray) -> IntArray:
    """For each row, how many rows up to it are all ready, with no gap between any two of them.

    >>> history(np.array([False, False, False, True, False]), np.array([False, True, True, True, True])).tolist()
    [0, 1, 2, 1, 2]
    """
    rows = np.arange(len(gap_T), dtype=np.int32)
    last_gap = np.maximum.accumulate(np.where(gap_T, rows, 0))
    last_cold = np.maximum.accumulate(np.where(ready_T, np.int32(-1), rows))
    length_T: IntArray = rows + 1 - np.maximum(last_gap, last_cold + 1)
    return length_T
