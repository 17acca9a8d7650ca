"""A planted market for figures that do not depend on what the candles say."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from tradenas.data import Repairs, read_candles
from tradenas.data.synthetic import planted
from tradenas.features import Target, build_table
from tradenas.nn import Layout
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset

__all__ = ["INDICATORS", "LAYOUT", "candles_file", "market", "real"]

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


def candles_file(name: str) -> Path | None:
    """A file of real candles in the folder that TRADENAS_CANDLES names; None where it is not there."""
    folder = Path(os.environ.get("TRADENAS_CANDLES", Path(__file__).resolve().parents[3] / "shared" / "data"))
    return folder / name if (folder / name).exists() else None


def real(rows: int, target: Target) -> Dataset | None:
    """The same columns over the first rows of BTCUSD in minutes, from 2017 on; None without the file."""
    file = candles_file("bitfinex_btcusd_1m_2017_2019.parquet")
    if file is None:
        return None
    candles, _ = read_candles(file, repairs=Repairs(fill_gaps_bars=60))
    candles = candles[:rows]
    return build_dataset(candles, build_table(candles, indicators=INDICATORS), target)
