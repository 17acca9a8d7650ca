"""What funding costs whoever holds a perpetual: the backtest against a sum over settlements made by hand.

    python benchmarks/funding.py --candles bybit.parquet --funding bybit-funding.parquet --out funding.json

For each market of the files (8 Bybit perpetuals, 5-minute candles made into hours) three strategies without a model are
traded: long throughout, short throughout, and turned every 24 hours.  By hand: for each settlement, walk over the fills
to find who held the position when it was due.  The report has both sums, their difference, and the net Sharpe ratio
with and without funding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl

from tradenas.data import read_candles, read_funding, resample
from tradenas.features import Target, build_table
from tradenas.train.backtest import Backtest, Costs, backtest
from tradenas.train.build import build_dataset
from tradenas.train.dataset import Dataset

HOUR_MS = 3_600_000


def by_hand(candles: Path, funding: Path, symbol: str, position_T: np.ndarray) -> float:
    """Funding paid by a position decided at the close of each hour and filled at the open of the next.

    From the raw files, without the package: the position changes at the opens of hours 1, 2, ...; the settlement at s
    falls to the last position filled before s.
    """
    opens = pl.read_parquet(candles, columns=["timestamp", "symbol"]).filter(pl.col("symbol").cast(pl.String) == symbol)
    start = int(opens["timestamp"][0])
    rates = pl.read_parquet(funding).filter(pl.col("symbol").cast(pl.String) == symbol)
    paid = 0.0
    for due, rate in zip(rates["timestamp"].to_list(), rates["funding_rate"].to_list(), strict=True):
        fills = -(-(due - start) // HOUR_MS) - 1  # whole hours that began before it was due, less the first
        row = fills - 1  # the decision that was filled last
        if 0 <= row < len(position_T):
            paid += rate * position_T[row]
    return paid


def traded(data: Dataset, position_T: np.ndarray, *, charged: bool) -> Backtest:
    """One strategy over all rows with a return."""
    return backtest(
        position_T,
        bar_return_T=data.bar_return_T,
        realised_T=data.realised_T,
        usable_T=np.isfinite(data.bar_return_T),
        costs=Costs(),
        days_per_year=data.days_per_year,
        funding_T=data.funding_T if charged else None,
    )


def main() -> None:
    """Prints a table and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, required=True)
    parser.add_argument("--funding", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    symbols = pl.scan_parquet(given.candles).select(pl.col("symbol").cast(pl.String).unique(maintain_order=True))
    told = []
    for symbol in symbols.collect()["symbol"].to_list():
        candles = resample(read_candles(given.candles, symbol=symbol)[0], HOUR_MS)
        table = build_table(candles, indicators=["log_return_1"], window=2)
        funding = read_funding(str(given.funding), symbol)
        data = build_dataset(candles, table, Target(kind="forward_return"), funding=funding)
        hours = np.arange(len(data))
        known_T = np.isfinite(data.bar_return_T)
        for name, position_T in (
            ("long", np.ones(len(data))),
            ("short", -np.ones(len(data))),
            ("turned daily", np.where(hours // 24 % 2, -1.0, 1.0)),
        ):
            with_it, without = (traded(data, position_T, charged=charged) for charged in (True, False))
            hand = by_hand(given.candles, given.funding, symbol, np.where(known_T, position_T, 0.0))
            paid = float(np.asarray(with_it.funding_DN).sum())
            told.append(
                {
                    "symbol": symbol,
                    "strategy": name,
                    "hours": len(data),
                    "settlements": int(np.count_nonzero(data.funding_T)),
                    "net without": float(without.net_NT.sum()),
                    "net with": float(with_it.net_NT.sum()),
                    "paid": paid,
                    "by hand": hand,
                    "difference": abs(paid - hand),
                    "sharpe without": float(without.sharpe[0]),
                    "sharpe with": float(with_it.sharpe[0]),
                }
            )
            one = told[-1]
            print(
                f"{symbol:9} {name:13} net {one['net without']:+.4f} -> {one['net with']:+.4f}, paid {paid:+.6f}, "
                f"by hand {hand:+.6f} (apart {one['difference']:.1e}), Sharpe {one['sharpe without']:+.3f} -> "
                f"{one['sharpe with']:+.3f}"
            )
    if given.out:
        given.out.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
