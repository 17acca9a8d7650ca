"""What the tables are of: a space, three markets, one recipe each.  Nothing here may change without a new table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tradenas.data import Candles, read_candles, resample
from tradenas.data.synthetic import planted
from tradenas.errors import ConfigError
from tradenas.features import Target, build_table
from tradenas.nn import Layout, Network
from tradenas.space import Blueprint, Cell, Chain, SearchSpace
from tradenas.splits import Fold, Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Training

__all__ = ["BLUEPRINTS", "INDICATORS", "RECIPE", "SEEDS", "WORLDS", "World", "space", "template", "world"]

#: 4 lookbacks x 2 transforms x (12 + 144 layers): 1,248 architectures.  No activation follows `gated`.
CHAIN = Chain(
    depths=(1, 2),
    ops=("dense", "conv3", "separable3", "dilated3", "residual", "gated"),
    widths=(8, 16),
    activations=("relu",),
    norms=("layer",),
    dropouts=(0.0,),
    lookbacks=(5, 10, 20, 50),
    transforms=("zscore", "rank"),
)
#: Two nodes, three edges of seven ops each: 343 architectures.  The inputs' filters see one row, so that ops remember.
CELL = Cell(
    cells=(1,),
    inputs=1,
    nodes=2,
    take=0,
    output="last",
    ops=("zero", "skip", "dense", "conv3", "dilated3", "ema4", "difference"),
    widths=(8,),
    activations=("relu",),
    norms=("layer",),
    dropouts=(0.0,),
    lookbacks=(1,),
    transforms=("zscore",),
)
BLUEPRINTS: dict[str, Blueprint] = {"chain": CHAIN, "cell": CELL}
INDICATORS = (
    "log_return_1", "log_return_5", "rsi_14", "momentum_z_20", "volatility_20", "volume_ratio_20", "signed_volume_20",
    "body",
)  # fmt: skip
SEEDS = (0, 1, 2)
#: No rows are held out: the last epoch is kept.  Stopping early added noise between seeds and nothing else.
RECIPE = Training(epochs=10, lr=4e-3, batch=512, segment=128, holdout=0.0, patience=0)
RULE, COSTS = Rule(), Costs()
WORLDS = {"chain": ("btc", "distant", "volume"), "cell": ("btc", "motif", "volume")}
#: Rows: the first are the warm-up of features; then train, gap, valid, gap, test.  The gap is the longest memory.
FIRST, TRAIN, GAP, VALID, TEST = 400, 12_000, 70, 6_000, 6_000
BARS = FIRST + TRAIN + GAP + VALID + GAP + TEST
STRENGTH, MARKET_SEED = 0.15, 0
CANDLES = "bybit_linear_8perps_5m_2025_2026.parquet"


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """One market and its rows: `fold` is what methods see, `test` what they never do."""

    name: str
    candles: Candles
    data: Dataset
    fold: Fold
    test: Span

    def evaluator(self, rows: Span) -> Evaluator:
        """Scores on some later rows of weights that learnt from `fold.train`."""
        return evaluator(self.data, self.fold.train, rows)

    @cached_property
    def evaluators(self) -> dict[str, Evaluator]:
        """Scores on the validation and on the test rows."""
        return {"valid": self.evaluator(self.fold.valid), "test": self.evaluator(self.test)}


def evaluator(data: Dataset, train: Span, rows: Span) -> Evaluator:
    """The one way in which scores of the table, and of methods held against it, are made."""
    return Evaluator(data=data, train=train, valid=rows, rule=RULE, costs=COSTS)


@cache
def space(kind: str = "chain") -> SearchSpace:
    """All architectures: 1,248 chains, or 343 cells."""
    return BLUEPRINTS[kind].space()


@cache
def world(name: str) -> World:
    """A market of the table.

    Raises:
        ConfigError: `btc` without its candles, which may not be passed on; see docs/benchmark.md.
    """
    candles = _bitcoin() if name == "btc" else planted(name, bars=BARS, seed=MARKET_SEED, strength=STRENGTH).candles
    table = build_table(candles, indicators=INDICATORS, transforms=CHAIN.transforms)
    data = build_dataset(candles, table, Target(kind="forward_return"))
    valid, test = FIRST + TRAIN + GAP, FIRST + TRAIN + GAP + VALID + GAP
    fold = Fold(train=Span(FIRST, FIRST + TRAIN), valid=Span(valid, valid + VALID))
    return World(name=name, candles=candles, data=data, fold=fold, test=Span(test, test + TEST))


def _bitcoin() -> Candles:
    folder = Path(os.environ.get("TRADENAS_CANDLES", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / CANDLES).exists():
        raise ConfigError(
            "world 'btc'",
            got=f"no {CANDLES} in {folder}",
            expected="Bybit's 5-minute candles of BTCUSDT",
            fix="set TRADENAS_CANDLES to their folder, or use another world",
        )
    candles, _ = read_candles(folder / CANDLES, symbol="BTCUSDT")
    return resample(candles, 15 * 60_000)[:BARS]


@cache
def template(kind: str = "chain") -> Network:
    """A network over the space, for its layout."""
    some = world("volume").data
    return Network(space(kind), Layout(groups=some.groups, transforms=some.transforms))
