"""First stage of a study with regimes: the state of the market at every row, by thresholds of the search zone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tradenas.data import Candles
from tradenas.errors import ConfigError
from tradenas.features import REGIMES, RegimeModel
from tradenas.splits import Fold, Span, Zones
from tradenas.train.dataset import Dataset

__all__ = ["RegimeConfig", "label_rows", "shares"]


@dataclass(frozen=True, kw_only=True)
class RegimeConfig:
    """Whether architectures are ranked in each state of the market by itself, and specialists of each routed between.

    The states are trending, mean-reverting, volatile and calm: `tradenas.features.RegimeModel`.

    Attributes:
        enabled: whether to.  Every regime's score of every candidate is a trial more: five times as many as without.
        window: bars over which volatility and trend are measured.
        slow: bars of the average that the volatility is compared with.
        tail: share of the search zone's rows called calm, and share called volatile.
        top_k: candidates of each regime's ranking that are retrained; the one that does best in its regime on the
            selection zone becomes the regime's specialist.
        outside: weight of the rows outside its regime in a specialist's loss.  0 learns its own rows only, 1 all rows
            alike, as finalists do.  By its own rows too it then stops early.
        min_rows: rows with a label that each regime must have among the rows that train, and among those that rank.
    """

    enabled: bool = False
    window: int = 48
    slow: int = 240
    tail: float = 0.25
    top_k: int = 2
    outside: float = 0.0
    min_rows: int = 200

    def __post_init__(self) -> None:
        if not 0.0 <= self.outside <= 1.0:
            raise ConfigError("regimes.outside", got=self.outside, expected="a weight from 0 to 1")
        if not 0.0 < self.tail < 0.5:
            raise ConfigError("regimes.tail", got=self.tail, expected="a share between 0 and 0.5")
        for name, low in (("window", 2), ("slow", self.window + 1), ("top_k", 1), ("min_rows", 2)):
            if getattr(self, name) < low:
                raise ConfigError(f"regimes.{name}", got=getattr(self, name), expected=f"{low} or more")


def label_rows(
    config: RegimeConfig, candles: Candles, data: Dataset, zones: Zones, fold: Fold, *, reach: int
) -> tuple[Dataset, dict[str, Any]]:
    """The dataset with the regime known at every row, and the thresholds, which come from the search zone alone.

    Row t is labelled from candles 0 .. t: nothing is smoothed backwards, in no zone.

    Args:
        fold: rows that train, and rows that rank.
        reach: rows that the most far-sighted network reads.

    Raises:
        ConfigError: a zone too short to fit, or a regime with too few rows to train or to rank by.
    """
    model = RegimeModel.fit(candles, zones.search, window=config.window, slow=config.slow, tail=config.tail)
    data = replace(data, regime_T=model.labels(candles))
    learnable_T = data.learnable(reach)
    for task, span in (("train", fold.train), ("rank", fold.valid)):
        for name in REGIMES:
            count = int((learnable_T & data.in_regime(name))[span.slice].sum())
            if count < config.min_rows:
                raise ConfigError(
                    f"regime {name!r}",
                    got=f"{count} of the {len(span)} rows that {task}",
                    expected=f"{config.min_rows} or more (regimes.min_rows)",
                    fix=_fix(name),
                )
    return data, asdict(model)


def _fix(name: str) -> str:
    widen = "raise regimes.tail" if name in ("volatile", "calm") else "lower regimes.tail"
    return f"{widen}, take more candles, lower regimes.min_rows, or do without regimes"


def shares(data: Dataset, span: Span) -> dict[str, float]:
    """Share of rows in each regime, and in none that is known yet."""
    assert data.regime_T is not None
    label_T = data.regime_T[span.slice]
    names = dict(enumerate(REGIMES)) | {-1: "unknown"}
    return {name: float(np.mean(label_T == at)) for at, name in names.items()}
