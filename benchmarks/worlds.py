"""Planted worlds as datasets: the first bars are the market, later ones are fresh and judge what was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tradenas.data import Repairs, read_candles, resample
from tradenas.data.synthetic import World, planted
from tradenas.features import Target, build_table
from tradenas.space import Chain
from tradenas.splits import Fold, Span, holdout
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset

BARS, FRESH, GAP = 30_000, 60_000, 120

SPACE = Chain(
    depths=(1, 2, 3),
    ops=("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "residual", "gated"),
    widths=(16, 32),
    activations=("relu", "tanh"),
    norms=("none", "layer"),
    dropouts=(0.0, 0.1),
    lookbacks=(5, 20, 50),
    groups=("trend", "momentum", "volatility", "volume", "shape"),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Arena:
    """One planted world, cut: `search` (with its fold), `selection`, and `fresh` rows after the first 30,000."""

    world: World
    data: Dataset
    search: Span
    fold: Fold
    selection: Span
    fresh: Span

    def ic(self, signal_T: np.ndarray, span: Span, reach: int) -> float:
        """Correlation with the bar's return, or, where a size is learnt (a volatility), with the label."""
        rows = self.data.usable(reach)[span.slice]
        outcome_T = (self.data.y_T if self.data.centre_labels else self.data.bar_return_T)[span.slice]
        rows = rows & np.isfinite(outcome_T)
        return float(np.corrcoef(signal_T[rows], outcome_T[rows])[0, 1])

    def oracle(self, span: Span, reach: int) -> float:
        return self.ic(self.world.expected_T[span.slice], span, reach)

    def truth(self, signal_T: np.ndarray, span: Span, reach: int) -> float:
        """Correlation with the conditional mean itself: the share of the oracle's IC, without the noise of returns."""
        rows = self.data.usable(reach)[span.slice]
        expected = self.world.expected_T[span.slice][rows]
        return float(np.corrcoef(signal_T[rows], expected)[0, 1]) if expected.std() > 0 else 0.0


def arena(
    kind: str, seed: int, *, bars: int = BARS, fresh: int = FRESH, gap: int = GAP, strength: float | None = None
) -> Arena:
    """The world of a seed.  Of the first 30,000 bars 80 % search (a quarter of them rank) and 20 % select."""
    world = planted(kind, bars=bars + fresh, seed=seed, strength=strength)
    data = build_dataset(world.candles, build_table(world.candles), Target(kind="forward_return"))
    for other in world.others:  # a leader's columns stand beside the market's own, on the same time axis
        table = build_table(other)
        data = replace(
            data,
            x_TF=np.concatenate([data.x_TF, table.values_TF], axis=1),
            ready_T=data.ready_T & table.ready_T,
            names=data.names + tuple(f"leader_{name}" for name in table.names),
            groups=data.groups + tuple(f"leader {group}" for group in table.groups),
        )
    first = int(data.ready_T.argmax())
    search = Span(first, int(bars * 0.8))
    return Arena(
        world=world,
        data=data,
        search=search,
        fold=holdout(search, 0.25, purge=2, embargo=gap),
        selection=Span(search.stop + gap + 2, bars - gap - 2),
        fresh=Span(bars, bars + fresh - 2) if fresh else Span(bars - 10, bars - 2),
    )


def candles_arena(file: Path, symbol: str, *, minutes: int = 0, rows: int = 0, volatility: bool = False) -> Arena:
    """Real candles: 45 % to search on (a quarter of them ranks), 20 % to select, 35 % fresh; no oracle.

    Args:
        minutes: of a bar; 0 is as they come.
        rows: first bars that are taken; 0 is all.
        volatility: whether that of the next six bars is learnt, which can be; else the next bar's return.
    """
    candles, _ = read_candles(file, symbol=symbol or None, repairs=Repairs())
    if minutes:
        candles = resample(candles, minutes * 60_000)
    candles = candles[:rows] if rows else candles
    target = Target(kind="volatility", horizon=6) if volatility else Target(kind="forward_return")
    data = build_dataset(candles, build_table(candles), target)
    bars, purge = len(data), data.purge_rows
    search = Span(int(data.ready_T.argmax()), int(bars * 0.45))
    return Arena(
        world=None,  # type: ignore[arg-type]
        data=data,
        search=search,
        fold=holdout(search, 0.25, purge=purge, embargo=GAP),
        selection=Span(search.stop + GAP + purge, int(bars * 0.65)),
        fresh=Span(int(bars * 0.65) + GAP + purge, bars - purge),
    )
