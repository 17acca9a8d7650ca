"""Gradient-boosted trees (LightGBM; Ke et al., NeurIPS 2017), of one row or of a window of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tradenas.errors import DivergedError, MissingExtra
from tradenas.seeds import seed_for
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.trials.baselines.baseline import BASELINES, Params, distinct, log_uniform, settings, window_up_to
from tradenas.trials.baselines.rows import (
    Inputs,
    answer,
    check_window,
    hold_out_tail,
    objective_of,
    spread,
    training_rows,
)
from tradenas.typing import FloatArray, IntArray

__all__ = ["Boosting"]

MAX_ROWS = 100_000
MAX_VALUES = 16_000_000
MAX_TREES = 300
PATIENCE = 30
DEFAULTS: dict[str, str | int | float] = {
    "num_leaves": 15,
    "learning_rate": 0.03,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
}


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """Trees are added until 30 in a row did not help on the last fifth of the training rows, at most 300.

    Deterministic: one thread, fixed row order.  Learns from at most 100,000 rows (16 million values), evenly spread.

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
            params: dict[str, str | int | float] = {
                "num_leaves": round(log_uniform(rng, 4, 63)),
                "learning_rate": log_uniform(rng, 0.01, 0.1),
                "min_data_in_leaf": round(log_uniform(rng, 20, 500)),
                "feature_fraction": round(float(rng.uniform(0.3, 1.0)), 2),
                "lambda_l2": log_uniform(rng, 1e-2, 10.0),
                "transform": str(rng.choice(blocks)),
            }
            return {**params, "window": window_up_to(rng, reach)} if self.reads != "row" else params

        first: Params = {**DEFAULTS, "transform": blocks[0]}
        return distinct(
            self.name, count, seed, {**first, "window": min(16, reach)} if self.reads != "row" else first, draw
        )

    def fit_signal(
        self, data: Dataset, train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> FloatArray:
        return self.fit_signals([data], train, predict, params=params, seed=seed, reach=reach)[0]

    def fit_signals(
        self, markets: Sequence[Dataset], train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> list[FloatArray]:
        """One model of the rows of all markets; see `tradenas.trials.baselines.baseline.Pooling`."""
        try:
            import lightgbm
        except ImportError:
            raise MissingExtra.of("lightgbm", extra="search") from None
        chosen = settings(self, params, markets[0], reach)
        window = check_window(self.name, int(chosen.pop("window", 1)), reach)
        transform = str(chosen.pop("transform"))
        tables, fit, tail = [], [], []
        for data in markets:
            fit_R, tail_R = hold_out_tail(training_rows(data, train, reach), purge=reach)
            inputs, objective = (
                Inputs.fitted(data, fit_R, transform=transform, window=window, raw=self.reads == "raw"),
                objective_of(data, train),
            )
            limit = max(min(MAX_ROWS, MAX_VALUES // inputs.num_columns) // len(markets), 1)
            fit_R, tail_R, y_T = spread(fit_R, limit), spread(tail_R, max(limit // 4, 1)), objective.labels(data)
            tables.append((data, inputs, objective))
            fit.append((inputs.flat(fit_R), y_T[fit_R]))
            tail.append((inputs.flat(tail_R), y_T[tail_R]))
        fixed = {
            "objective": "binary" if markets[0].kind == "binary" else "regression",
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": seed_for(seed, "baselines", self.name) % 2**31,
            "verbosity": -1,
        }
        (fit_RF, fit_y), (tail_RF, tail_y) = (
            [np.concatenate(parts) for parts in zip(*rows, strict=True)] for rows in (fit, tail)
        )
        fit_set = lightgbm.Dataset(fit_RF, fit_y, params=fixed)
        booster = lightgbm.train(
            {**chosen, **fixed},
            fit_set,
            num_boost_round=MAX_TREES,
            valid_sets=[lightgbm.Dataset(tail_RF, tail_y, reference=fit_set, params=fixed)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        signals = []
        for data, inputs, objective in tables:

            def output(rows: IntArray, inputs: Inputs = inputs) -> FloatArray:
                return np.asarray(booster.predict(inputs.flat(rows), raw_score=True, num_threads=1), float)

            output_T = answer(data, predict, reach, output)
            if not np.isfinite(output_T).all():
                raise DivergedError(f"baseline {self.name}", got="a forecast that is not finite")
            signals.append(objective.signal(output_T, data, predict))
        return signals


BASELINES.register("lightgbm")(Boosting(name="lightgbm", reads="row"))
BASELINES.register("lightgbm_window")(Boosting(name="lightgbm_window", reads="window"))
BASELINES.register("lightgbm_raw")(Boosting(name="lightgbm_raw", reads="raw"))
