"""Does routing pay?  Studies with regimes on a world whose law depends on the regime, and on one whose does not.

    python benchmarks/regimes.py --seeds 5 --out regimes.json
    python benchmarks/regimes.py --worlds gated --outside 0 0.25 1    # what a specialist learns from

`gated` repeats the last bar in calm markets and takes it back in lively ones, so that over all rows a bar says nothing
of the next; `reversal` takes it back always.  Each study runs as `tradenas run` would, with a small space; everything
is judged in its vault.  IC is the correlation of signal and return there; the oracle's is that of the exact
conditional mean.  "Paid" means that the paired 95 % interval of the difference in net Sharpe ratio, routed less the
best single architecture, lies above 0.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tradenas.data.synthetic import planted
from tradenas.study import Study


def study_of(world: str, seed: int, bars: int, outside: float) -> dict[str, Any]:
    """The study file of one run."""
    return {
        "name": f"regimes-{world}-{seed}", "seed": seed,
        "data": {"source": f"planted:{world}", "bars": bars, "seed": seed},
        "features": {"indicators": ["log_return_1", "volatility_20", "rsi_14", "volume_ratio_20"], "window": 50},
        "zones": {"fractions": [0.5, 0.2, 0.3]},
        "space": {
            "depths": [1, 2], "widths": [8, 16], "ops": ["dense", "gated", "conv3"], "activations": ["relu", "tanh"],
            "norms": ["none"], "dropouts": [0.0, 0.1], "lookbacks": [5, 10], "transforms": ["zscore"],
        },
        "search": {"kind": "spos", "num_ranked": 60, "training": {"epochs": 8}},
        "trials": {
            "top_k": 3, "seeds": 2, "random": 0, "coupling": 0, "baselines": ["flat", "hold"],
            "training": {"epochs": 12},
        },
        "costs": {"taker_bps": 1.0, "slippage_bps": 0.0},
        "regimes": {"enabled": True, "outside": outside, "top_k": 2},
        "runner": {"kind": "inline"},
    }  # fmt: skip


def run(world: str, seed: int, bars: int, outside: float) -> dict[str, Any]:
    """One study, and what its vault says."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as runs:
        result = Study.of(study_of(world, seed, bars, outside)).run(runs)
        read = {
            name: json.loads((result.folder / f"{name}.json").read_text()) for name in ("data", "retrain/strategies")
        }
    rows = {row["name"]: row for row in read["retrain/strategies"]["strategies"]}
    record, zone = read["retrain/strategies"]["regimes"], read["data"]["zones"]["vault"]
    truth = planted(world, bars=bars, seed=seed)
    rows_of_zone = slice(zone["start"], zone["stop"] - 2)
    oracle = np.corrcoef(truth.expected_T[rows_of_zone], truth.realised_T[rows_of_zone])[0, 1]
    comparison = record["zones"]["vault"]["comparison"]
    return {
        "world": world, "seed": seed, "outside": outside, "seconds": time.process_time() - began,
        "verdict": result.verdict, "champion": result.facts["champion"]["name"], "oracle": float(oracle),
        "ic": {"routed": rows["routed"]["vault"]["ic"], "single": rows[record["single"]]["vault"]["ic"]},
        "scores": record["zones"]["vault"]["scores"], "router": record["router"], "comparison": comparison,
        "trials": record["trials"], "shares": record["zones"]["vault"]["shares"],
    }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """One run as text."""
    found, ic = row["comparison"], row["ic"]
    sharpes = f"net Sharpe routed {found['first']:+.2f} single {found['second']:+.2f}"
    return (
        f"{row['world']:9} seed {row['seed']} outside {row['outside']:<4g} oracle IC {row['oracle']:+.3f}  "
        f"IC routed {ic['routed'] or 0.0:+.3f} single {ic['single'] or 0.0:+.3f}  {sharpes}  "
        f"difference {found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}] {found['call']:<12} "
        f"champion {row['champion']:<11} {row['verdict']:<11} {row['seconds']:.0f} s"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["gated", "reversal"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--bars", type=int, default=30_000)
    parser.add_argument("--outside", type=float, nargs="+", default=[0.0])
    parser.add_argument("--out", type=Path, default=Path("regimes.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for world in asked.worlds:
        for outside in asked.outside:
            for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
                rows.append(run(world, seed, asked.bars, outside))
                asked.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
                print(line(rows[-1]), flush=True)
            mine = [r for r in rows if r["world"] == world and r["outside"] == outside]
            difference = np.array([r["comparison"]["value"] for r in mine])
            paid = sum(r["comparison"]["call"] == "paid" for r in mine)
            spread = f" ± {difference.std(ddof=1) / len(mine) ** 0.5:.2f}" if len(mine) > 1 else ""
            mean = f"difference {difference.mean():+.2f}{spread}"
            print(f"{world}, outside {outside:g}: {mean}, paid in {paid} of {len(mine)}\n", flush=True)


if __name__ == "__main__":
    main()
