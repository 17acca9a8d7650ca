"""How often is noise called an edge?  Whole studies on candles without any signal, one per seed.

    python benchmarks/noise.py --studies 40 --out noise.json           # at taker costs
    python benchmarks/noise.py --studies 40 --costs 0 --out noise0.json  # costs cannot do the refusing

With costs every strategy that trades loses, and saying so is easy; without them only the statistics stand between
luck and the word EDGE, so that is the harder and the more telling run.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import time
from pathlib import Path

import torch

from tradenas.study import Study

LIGHT = {
    "data": {"bars": 30_000},
    "space": {
        "depths": [1, 2],
        "widths": [16],
        "ops": ["dense", "conv3", "gated", "residual"],
        "activations": ["relu"],
        "norms": ["none"],
        "dropouts": [0.0],
        "lookbacks": [5, 20],
        "groups": ["trend", "momentum", "volatility", "volume", "shape"],
    },
    "rank_by": "ic",
    "search": {"kind": "spos", "num_ranked": 100, "find": {"population": 50}, "training": {"epochs": 10}},
    "trials": {
        "top_k": 5,
        "seeds": 1,
        "random": 1,
        "coupling": 0,
        "tuning_budget": 1,
        "baselines": ["flat", "hold", "reversal", "momentum", "linear", "lightgbm"],
        "training": {"epochs": 10, "patience": 3},
    },
    "runner": {"kind": "inline"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--world", default="noise")
    parser.add_argument("--lookbacks", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--costs", type=float, default=5.5, help="taker fee in basis points")
    parser.add_argument("--out", type=Path, default=Path("noise.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.studies):
        began = time.perf_counter()
        study = {
            **LIGHT,
            "name": f"noise-{seed}-{options.costs:g}",
            "seed": seed,
            "space": {**LIGHT["space"], "lookbacks": options.lookbacks},
            "data": {**LIGHT["data"], "source": f"planted:{options.world}", "seed": seed},
            "costs": {"taker_bps": options.costs, "slippage_bps": 1.0 if options.costs else 0.0},
        }
        result = Study.of(study).run(Path("runs") / "bench-noise")
        facts = result.facts
        rows.append(
            {
                "seed": seed,
                "verdict": result.verdict,
                "p": facts["spa"]["p_consistent"],
                "dsr": facts["dsr"],
                "pbo": facts["pbo"],
                "net_sharpe": facts["net_sharpe"]["value"],
                "seconds": time.perf_counter() - began,
            }
        )
        shutil.rmtree(result.folder)
        options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        print(rows[-1], flush=True)
    print(dict(collections.Counter(r["verdict"] for r in rows)), "of", len(rows))


if __name__ == "__main__":
    main()
