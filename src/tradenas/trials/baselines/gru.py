"""A gated recurrent network on a window: the textbook net for sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tradenas.errors import MissingExtra
from tradenas.seeds import seed_for
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.trials.baselines.baseline import BASELINES, Params, distinct, log_uniform, settings, window_up_to
from tradenas.trials.baselines.rows import check_window
from tradenas.typing import FloatArray

__all__ = ["GRU"]


@dataclass(frozen=True, kw_only=True)
class GRU:
    """Settings: `window` in rows, `hidden` units, `learning_rate`, `weight_decay`, `transform`.

    Attributes:
        reads: a `window` of all columns of a transform, or of `raw` candles only, without indicators that look back.
    """

    name: str = "gru"
    reads: Literal["window", "raw"] = "window"
    learned: ClassVar[bool] = True
    banded: ClassVar[bool] = True

    def configurations(
        self, count: int, seed: int, *, reach: int = 64, transforms: tuple[str, ...] = ("raw",)
    ) -> tuple[Params, ...]:
        def draw(rng: np.random.Generator) -> Params:
            return {
                "window": window_up_to(rng, min(reach, 64), low=4),
                "hidden": int(rng.choice([8, 16, 32])),
                "learning_rate": log_uniform(rng, 1e-3, 1e-2),
                "weight_decay": log_uniform(rng, 1e-2, 10.0),
                "transform": str(rng.choice(transforms)),
            }

        first: Params = {
            "window": min(24, reach),
            "hidden": 16,
            "learning_rate": 3e-3,
            "weight_decay": 1.0,
            "transform": transforms[0],
        }
        return distinct(self.name, count, seed, first, draw)

    def fit_signal(
        self, data: Dataset, train: Span, predict: Span, *, params: Params, seed: int, reach: int
    ) -> FloatArray:
        try:
            from tradenas.trials.baselines.networks import Fitting, GRUNetwork, fit_network
        except ModuleNotFoundError:
            raise MissingExtra.of("torch", extra="search") from None
        chosen = settings(self, params, data, reach)
        window = check_window(self.name, int(chosen["window"]), reach)
        first_weights = seed_for(seed, "baselines", self.name, "weights")
        return fit_network(
            data,
            train,
            predict,
            build=lambda features: GRUNetwork(features, int(chosen["hidden"]), seed=first_weights),
            fitting=Fitting(
                learning_rate=float(chosen["learning_rate"]),
                weight_decay=float(chosen["weight_decay"]),
                max_epochs=12,
            ),
            transform=str(chosen["transform"]),
            window=window,
            raw=self.reads == "raw",
            seed=seed,
            reach=reach,
        )


BASELINES.register("gru")(GRU())
BASELINES.register("gru_raw")(GRU(name="gru_raw", reads="raw"))
