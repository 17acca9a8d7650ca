"""DLinear: a linear network on a window split into a moving average and the rest (Zeng et al., AAAI 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tradenas.errors import MissingExtra
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.trials.baselines.baseline import BASELINES, Params, distinct, log_uniform, settings, window_up_to
from tradenas.trials.baselines.rows import check_window
from tradenas.typing import FloatArray

__all__ = ["DLinear"]


@dataclass(frozen=True, kw_only=True)
class DLinear:
    """Settings: `window` and moving `average` in rows, `learning_rate`, `weight_decay`, `transform`.

    Attributes:
        reads: a `window` of all columns of a transform, or of `raw` candles only, without indicators that look back.
    """

    name: str = "dlinear"
    reads: Literal["window", "raw"] = "window"
    learned: ClassVar[bool] = True
    banded: ClassVar[bool] = True

    def configurations(
        self, count: int, seed: int, *, reach: int = 64, transforms: tuple[str, ...] = ("raw",)
    ) -> tuple[Params, ...]:
        def draw(rng: np.random.Generator) -> Params:
            window = window_up_to(rng, reach)
            return {
                "window": window,
                "average": window_up_to(rng, window),
                "learning_rate": log_uniform(rng, 3e-4, 1e-2),
                "weight_decay": log_uniform(rng, 1e-4, 1.0),
                "transform": str(rng.choice(transforms)),
            }

        window = min(32, reach)
        first: Params = {
            "window": window,
            "average": min(9, window),
            "learning_rate": 3e-3,
            "weight_decay": 0.01,
            "transform": transforms[0],
        }
        return distinct(self.name, count, seed, first, draw)

    def fit_signal(
        self, data: Dataset, train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> FloatArray:
        try:
            from tradenas.trials.baselines.networks import DLinearNetwork, Fitting, fit_network
        except ModuleNotFoundError:
            raise MissingExtra.of("torch", extra="search") from None
        chosen = settings(self, params, data, reach)
        window = check_window(self.name, int(chosen["window"]), reach)
        average = check_window(self.name, int(chosen["average"]), window)
        return fit_network(
            data,
            train,
            predict,
            build=lambda features: DLinearNetwork(features, window, average=average),
            fitting=Fitting(
                learning_rate=float(chosen["learning_rate"]),
                weight_decay=float(chosen["weight_decay"]),
                max_epochs=20,
            ),
            transform=str(chosen["transform"]),
            window=window,
            raw=self.reads == "raw",
            seed=seed,
            reach=reach,
        )


BASELINES.register("dlinear")(DLinear())
BASELINES.register("dlinear_raw")(DLinear(name="dlinear_raw", reads="raw"))
