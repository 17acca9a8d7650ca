"""A planted market for figures that do not depend on what the candles say."""

from __future__ import annotations

from functools import cache

from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table
from tradenas.nn import Layout
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset

__all__ = ["INDICATORS", "LAYOUT", "market"]

INDICATORS = (
    "log_return_1", "log_return_5", "log_return_10", "volatility_20", "volume_ratio_20", "signed_volume_20", "body",
    "range_1", "upper_wick", "lower_wick", "rsi_14", "bollinger_b_20",
)  # fmt: skip
LAYOUT = Layout(groups=("x",) * len(INDICATORS), transforms=("zscore",))


@cache
def market(rows: int, *, seed: int = 0) -> Dataset:
    """12 columns over so many candles of an hour."""
    candles = planted("volume", bars=rows, strength=0.15, seed=seed).candles
    return build_dataset(candles, build_table(candles, indicators=INDICATORS), Target(kind="forward_return"))
