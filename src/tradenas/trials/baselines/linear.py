"""Ridge regression, or penalised logistic regression where the label is binary; of one row or a window of rows."""

# ruff: noqa: ARG002  (one interface for all baselines; not every one needs all of it)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tradenas.errors import DivergedError
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.trials.baselines.baseline import BASELINES, Params, distinct, log_uniform, settings, window_up_to
from tradenas.trials.baselines.rows import Inputs, answer, check_window, objective_of, spread, training_rows
from tradenas.typing import Float32Array, FloatArray, IntArray

__all__ = ["Linear", "logistic", "ridge"]

MAX_ROWS = 100_000
MAX_VALUES = 32_000_000  # rows x columns held at once: 128 MB


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A weight per input.  Learns from at most 100,000 rows (32 million values), evenly spread over the training rows.

    Settings: `alpha`, the penalty on squared weights of standardised inputs, per row; `transform`, the block of columns
    read; `window` (of the windowed one), in rows.

    Attributes:
        reads: the current `row`, by default of all transforms; a `window` of rows of one transform; or such a window of
            `raw` candles only, without indicators that look back.
    """

    name: str
    reads: Literal["row", "window", "raw"]
    learned: ClassVar[bool] = True
    banded: ClassVar[bool] = True

    def configurations(
        self, count: int, seed: int, *, reach: int = 64, transforms: tuple[str, ...] = ("raw",)
    ) -> tuple[Params, ...]:
        blocks = list(transforms) if self.reads != "row" else ["all", *transforms]

        def draw(rng: np.random.Generator) -> Params:
            params: Params = {"alpha": log_uniform(rng, 1e-4, 10.0), "transform": str(rng.choice(blocks))}
            return {**params, "window": window_up_to(rng, reach)} if self.reads != "row" else params

        first: Params = {"alpha": 0.1 if self.reads != "row" else 0.01, "transform": blocks[0]}
        return distinct(
            self.name, count, seed, {**first, "window": min(16, reach)} if self.reads != "row" else first, draw
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
        return self.fit_signals([data], train, predict, params=params, seed=seed, reach=reach)[0]

    def fit_signals(
        self,
        markets: Sequence[Dataset],
        train: Span,
        predict: Span,
        *,
        params: Params,
        seed: int,
        reach: int,
    ) -> list[FloatArray]:
        """One model of the rows of all markets; see `tradenas.trials.baselines.baseline.Pooling`."""
        chosen = settings(self, params, markets[0], reach)
        window = check_window(self.name, int(chosen.get("window", 1)), reach)
        tables, rows = [], []
        for data in markets:
            rows_R = training_rows(data, train, reach)
            inputs = Inputs.fitted(
                data, rows_R, transform=str(chosen["transform"]), window=window, raw=self.reads == "raw"
            )
            limit = min(MAX_ROWS, max(MAX_VALUES // inputs.num_columns, 1)) // len(markets)
            rows_R, objective = spread(rows_R, max(limit, 1)), objective_of(data, train)
            tables.append((data, inputs, objective))
            rows.append((inputs.flat(rows_R), objective.labels(data)[rows_R]))
        fit = logistic if markets[0].kind == "binary" else ridge
        x_RF, y_R = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        weights_F, offset = fit(x_RF, y_R, float(chosen["alpha"]))
        if not (np.isfinite(weights_F).all() and np.isfinite(offset)):
            raise DivergedError(f"baseline {self.name}", got="weights that are not finite", fix="raise alpha")
        signals = []
        for data, inputs, objective in tables:

            def output(of: IntArray, inputs: Inputs = inputs) -> FloatArray:
                said_R: FloatArray = inputs.flat(of) @ weights_F + offset
                return said_R

            signals.append(objective.signal(answer(data, predict, reach, output), data, predict))
        return signals


def ridge(x_RF: Float32Array, y_R: FloatArray, alpha: float) -> tuple[FloatArray, float]:
    """Weights and offset of least `mean((x w + b - y)^2) + alpha |w|^2`; the offset is not penalised.

    >>> weights, offset = ridge(np.array([[0.0], [1.0], [2.0]], np.float32), np.array([1.0, 3.0, 5.0]), 1e-9)
    >>> weights.round(4).tolist(), round(offset, 4)
    ([2.0], 1.0)
    """
    mean_F = x_RF.mean(axis=0, dtype=np.float64)
    gram_FF = (x_RF.T @ x_RF).astype(np.float64) / len(x_RF) - np.outer(mean_F, mean_F)
    moment_F = x_RF.T @ (y_R - y_R.mean()) / len(x_RF)
    weights_F = np.linalg.solve(gram_FF + alpha * np.eye(len(gram_FF)), moment_F)
    return weights_F, float(y_R.mean() - mean_F @ weights_F)


def logistic(x_RF: Float32Array, y_R: FloatArray, alpha: float, *, steps: int = 200) -> tuple[FloatArray, float]:
    """Weights and offset of least `mean(log loss) + alpha/2 |w|^2`.

    Newton steps with the curvature's upper bound X'X/4 in place of the curvature (Böhning and Lindsay, 1988): every
    step goes down, one inverse serves all, and few are needed where probabilities stay near one half.  The offset
    carries a penalty of 1e-6, which keeps it finite where only one class was seen.

    >>> weights, offset = logistic(np.array([[-1.0], [1.0]], np.float32), np.array([0.0, 1.0]), 0.1)
    >>> bool(abs(1 / (1 + np.exp(weights[0])) - 0.1 * weights[0]) < 1e-6), abs(round(offset, 6))
    (True, 0.0)
    """
    x_RF = np.concatenate([x_RF, np.ones((len(x_RF), 1), np.float32)], axis=1)
    penalty_F = np.full(x_RF.shape[1], alpha)
    penalty_F[-1] = 1e-6
    bound_FF = (x_RF.T @ x_RF).astype(np.float64) / (4.0 * len(x_RF)) + np.diag(penalty_F)
    inverse_FF = np.linalg.inv(bound_FF)
    weights_F = np.zeros(x_RF.shape[1])
    for _ in range(steps):
        chance_R = 1.0 / (1.0 + np.exp(-np.clip(x_RF @ weights_F, -500.0, 500.0)))
        slope_F = x_RF.T @ (chance_R - y_R) / len(x_RF) + penalty_F * weights_F
        step_F = inverse_FF @ slope_F
        weights_F -= step_F
        if np.abs(step_F).max() < 1e-7:
            break
    return weights_F[:-1], float(weights_F[-1])


BASELINES.register("linear")(Linear(name="linear", reads="row"))
BASELINES.register("linear_window")(Linear(name="linear_window", reads="window"))
BASELINES.register("linear_raw")(Linear(name="linear_raw", reads="raw"))
