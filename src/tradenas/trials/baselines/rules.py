"""Strategies that learn nothing: flat, buy and hold, one-bar reversal, time-series momentum."""

# ruff: noqa: ARG002  (one interface for all baselines; not every one needs all of it)

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.trials.baselines.baseline import BASELINES, Params, distinct, settings, window_up_to
from tradenas.trials.baselines.rows import answer, check_window, training_rows
from tradenas.typing import FloatArray, IntArray

__all__ = ["Constant", "Momentum", "Reversal"]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Always the same signal: 0 is the market left alone, 1 is buy and hold.  No band applies, so that it does hold."""

    name: str
    value: float
    learned: ClassVar[bool] = False
    reads: ClassVar[str] = "rule"
    banded: ClassVar[bool] = False

    def configurations(
        self,
        count: int,
        seed: int,
        *,
        reach: int = 64,
        transforms: tuple[str, ...] = ("raw",),
    ) -> tuple[Params, ...]:
        return distinct(self.name, count, seed, {}, lambda _: {})

    def fit_signal(
        self,
        data: Dataset,
        train: Span,
        predict: Span,
        *,
        params: Params,
        seed: int,
        reach: int,
    ) -> FloatArray:
        settings(self, params, data, reach)
        return np.full(predict.stop - predict.start, self.value)


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """Minus the last candle's return, in its standard deviations over training rows: yesterday's losers recover."""

    name: str = "reversal"
    learned: ClassVar[bool] = False
    reads: ClassVar[str] = "rule"
    banded: ClassVar[bool] = True

    def configurations(
        self,
        count: int,
        seed: int,
        *,
        reach: int = 64,
        transforms: tuple[str, ...] = ("raw",),
    ) -> tuple[Params, ...]:
        return distinct(self.name, count, seed, {}, lambda _: {})

    def fit_signal(
        self,
        data: Dataset,
        train: Span,
        predict: Span,
        *,
        params: Params,
        seed: int,
        reach: int,
    ) -> FloatArray:
        settings(self, params, data, reach)
        usual = _usual_return(data, train, reach)
        return answer(data, predict, reach, lambda rows_R: -data.past_return_T[rows_R] / usual)


@dataclass(frozen=True, kw_only=True)
class Momentum:
    """Return over the last `window` rows, in its standard deviations if returns were independent.

    Time-series momentum: Moskowitz, Ooi, Pedersen, "Time series momentum", JFE 2012.
    """

    name: str = "momentum"
    learned: ClassVar[bool] = False
    reads: ClassVar[str] = "rule"
    banded: ClassVar[bool] = True

    def configurations(
        self,
        count: int,
        seed: int,
        *,
        reach: int = 64,
        transforms: tuple[str, ...] = ("raw",),
    ) -> tuple[Params, ...]:
        return distinct(
            self.name, count, seed, {"window": min(24, reach)}, lambda rng: {"window": window_up_to(rng, reach)}
        )

    def fit_signal(
        self,
        data: Dataset,
        train: Span,
        predict: Span,
        *,
        params: Params,
        seed: int,
        reach: int,
    ) -> FloatArray:
        window = check_window(self.name, int(settings(self, params, data, reach)["window"]), reach)
        usual = _usual_return(data, train, reach) * np.sqrt(window)
        sums_T = np.concatenate([[0.0], np.cumsum(data.past_return_T)])

        def signal(rows_R: IntArray) -> FloatArray:
            moves_R: FloatArray = (sums_T[rows_R + 1] - sums_T[rows_R + 1 - window]) / usual
            return moves_R

        return answer(data, predict, reach, signal)


def _usual_return(data: Dataset, train: Span, reach: int) -> float:
    deviation = float(data.past_return_T[training_rows(data, train, reach)].std())
    return deviation if deviation > 0 else 1.0


BASELINES.register("flat")(Constant(name="flat", value=0.0))
BASELINES.register("hold")(Constant(name="hold", value=1.0))
BASELINES.register("reversal")(Reversal())
BASELINES.register("momentum")(Momentum())
