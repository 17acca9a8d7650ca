"""The famous lie: one model, one label, one market, four ways to cut it into folds.

    TRADENAS_CANDLES=folder python benchmarks/lie.py --figure docs/lie.svg
    python benchmarks/lie.py --noise            # the same on a market without any signal; needs no candles

LightGBM, with its own defaults and qlib's Alpha158 as features, says whether the close 12 bars on is above this one, on
Bybit's 5-minute BTCUSDT.  Labels of neighbouring rows overlap by 11 bars, and their features are nearly the same, so
with shuffled folds the answer to a test row stands in the training rows beside it.  Contiguous folds share it at their
edges only; purged ones nowhere; walk-forward folds also keep to the past.  Prints the AUC of each, with the smallest
and the largest fold.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bars import Bar, draw
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from tradenas.data import Candles, read_candles
from tradenas.data.synthetic import planted
from tradenas.features import alpha158
from tradenas.splits import Span, purged_folds, walk_forward

FILE = "bybit_linear_8perps_5m_2025_2026.parquet"
HORIZON, FOLDS, EMBARGO = 12, 5, 288
Rows = tuple[np.ndarray, np.ndarray]


def splits(num: int, seed: int) -> dict[str, Iterator[Rows]]:
    """Training and test rows of each fold, by way of cutting."""
    rows, zone = np.arange(num), Span(0, num)
    purged = purged_folds(zone, folds=FOLDS, purge=HORIZON + 1, embargo=EMBARGO)
    ahead = walk_forward(zone, folds=FOLDS, purge=HORIZON + 1, embargo=EMBARGO)
    return {
        "shuffled": KFold(FOLDS, shuffle=True, random_state=seed).split(rows),
        "contiguous, not purged": KFold(FOLDS).split(rows),
        "purged, with embargo": ((s.train_rows, s.test_rows) for s in purged),
        "walk-forward": ((f.train.rows, f.valid.rows) for f in ahead),
    }


def table_of(candles: Candles) -> tuple[np.ndarray, np.ndarray]:
    """Features of every ready row, and whether the close 12 bars on is above this one."""
    _, x_TF = alpha158(candles)
    ahead_T = np.full(len(candles), np.nan)
    ahead_T[:-HORIZON] = candles.close[HORIZON:] / candles.close[:-HORIZON] - 1.0
    known_T = np.isfinite(x_TF).all(axis=1) & np.isfinite(ahead_T) & (ahead_T != 0.0)
    return x_TF[known_T], (ahead_T[known_T] > 0).astype(int)


def auc(x_NF: np.ndarray, y_N: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Of one fold."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(random_state=seed, n_jobs=1, deterministic=True, verbose=-1)
    model.fit(x_NF[train], y_N[train])
    return float(roc_auc_score(y_N[test], model.booster_.predict(x_NF[test])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", action="store_true", help="on a made-up market without any signal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.noise:
        candles = planted("noise", bars=86_604, interval_ms=300_000).candles
    else:
        candles, _ = read_candles(Path(os.environ.get("TRADENAS_CANDLES", ".")) / FILE, symbol="BTCUSDT")
    x_NF, y_N = table_of(candles)
    bars = []
    print(f"{candles.symbol}, {len(y_N):,} rows, {x_NF.shape[1]} features, up {y_N.mean():.3f}\n")
    print("| folds | AUC, mean | smallest | largest |\n| --- | --- | --- | --- |")
    for name, folds in splits(len(y_N), options.seed).items():
        found = [auc(x_NF, y_N, train, test, options.seed) for train, test in folds]
        print(f"| {name} | {np.mean(found):.3f} | {min(found):.3f} | {max(found):.3f} |", flush=True)
        bars.append(Bar(name, float(np.mean(found)), min(found), max(found), f"{np.mean(found):.3f}"))
    if options.figure:
        draw(
            options.figure,
            f"One model, one label, four ways to cut: {candles.symbol}, 5 minutes, 12 bars ahead",
            "AUC of LightGBM, mean of five folds, whiskers to the smallest and the largest",
            bars,
            line=0.5,
            line_text="0.5: knows nothing",
            start=0.5,
        )


if __name__ == "__main__":
    main()
