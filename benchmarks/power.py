"""Size and power of the verdict: light studies on noise, and on planted edges of rising strength.

    python benchmarks/power.py run --out runs/power.jsonl     # 200 of noise, 30 of each strength; resumable
    python benchmarks/power.py report --out runs/power.jsonl --figure docs/power.svg

Every study is whole: search, selection, baselines, a vault of 400 days that is opened once.  Costs are 0, so that
nothing but the statistics stands between luck and the word EDGE.  Edges are of the planted world `reversal`; strength
is about the oracle's IC.  A row of the report: the share of studies in which each criterion says yes, with its exact
95 % binomial interval (Clopper and Pearson 1934).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from curves import Curve, draw
from ranking import lines
from scipy.stats import beta

from tradenas.data import write_candles
from tradenas.data.synthetic import planted
from tradenas.study import Study

BARS = 24_000
LIGHT: dict[str, Any] = {
    "zones": {"fractions": [0.4, 0.2, 0.4]},
    "features": {"indicators": ["log_return_1", "rsi_14", "momentum_z_20", "volume_ratio_20"]},
    "space": {
        "depths": [1, 2], "widths": [8], "ops": ["dense", "conv3", "gated"], "activations": ["relu"], "norms": ["none"],
        "dropouts": [0.0], "lookbacks": [5, 20],
    },
    "rank_by": "ic",
    "costs": {"taker_bps": 0.0, "slippage_bps": 0.0},
    "search": {"kind": "spos", "num_ranked": 30, "find": {"population": 10}, "training": {"epochs": 8, "lr": 4e-3}},
    "trials": {
        "top_k": 5, "seeds": 1, "random": 1, "coupling": 0, "tuning_budget": 1,
        "baselines": ["flat", "hold", "momentum"], "training": {"epochs": 8, "patience": 3},
    },
    "runner": {"kind": "inline"},
}  # fmt: skip
STRENGTHS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)

#: What each criterion asks of a study that ended.
CRITERIA: dict[str, Callable[[dict[str, Any]], bool]] = {
    "verdict EDGE": lambda r: r["verdict"] == "EDGE",
    "SPA p < 0.05": lambda r: r["spa"] < 0.05,
    "StepM names the champion": lambda r: r["stepm"],
    "DSR > 0.95 (selection)": lambda r: r["dsr"] > 0.95,
    "PSR > 0.95 (vault)": lambda r: r["psr"] > 0.95,
    "PBO < 0.05 (selection)": lambda r: r["pbo"] is not None and r["pbo"] < 0.05,
    "champion's t > 1.645 (selection)": lambda r: r["selection_t"] > 1.645,
}


def one(strength: float, seed: int) -> dict[str, Any]:
    """One study."""
    kind = "reversal" if strength else "noise"
    world = planted(kind, bars=BARS, seed=seed, strength=strength or None)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        write_candles(world.candles, Path(folder) / "candles.parquet")
        study = {**LIGHT, "name": "power", "seed": seed, "data": {"source": str(Path(folder) / "candles.parquet")}}
        result = Study.of(study).run(Path(folder) / "runs")
        facts = result.facts
        shutil.rmtree(result.folder)
    days = facts["days"] / 2  # the selection zone has half as many days as the vault
    return {
        "strength": strength, "seed": seed, "oracle_ic": world.oracle_ic, "verdict": result.verdict,
        "spa": facts["spa"]["p_consistent"],
        "stepm": all(facts["champion"]["name"] in names for names in facts["stepm"]["against"].values()),
        "dsr": facts["dsr"], "psr": facts["psr"], "pbo": facts["pbo"],
        "selection_t": facts["selection_sharpe"] * np.sqrt(days / 365), "net_sharpe": facts["net_sharpe"]["value"],
        "trials": facts["trials"]["total"], "seconds": time.process_time() - began,
    }  # fmt: skip


def run(options: argparse.Namespace) -> None:
    done = {(r["strength"], r["seed"]) for r in lines(options.out)}
    wanted = [(0.0, seed) for seed in range(options.noise)]
    wanted += [(strength, 1000 + seed) for seed in range(options.edges) for strength in options.strengths]
    for strength, seed in wanted:
        if (strength, seed) in done:
            continue
        row = one(strength, seed)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{strength:g} seed {seed}: {row['verdict']}, {row['seconds']:.1f} s", flush=True)


def interval(hits: int, num: int) -> tuple[float, float]:
    """Clopper and Pearson's, 95 %."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, num - hits + 1))
    high = 1.0 if hits == num else float(beta.ppf(0.975, hits + 1, num - hits))
    return low, high


def report(options: argparse.Namespace) -> None:
    by: dict[float, list[dict[str, Any]]] = defaultdict(list)
    for row in lines(options.out):
        by[row["strength"]].append(row)
    strengths = sorted(by)
    sharpe = {s: float(np.mean([r["net_sharpe"] for r in by[s]])) for s in strengths}
    heads = [f"{s:g} ({len(by[s])})" for s in strengths]
    print(f"| strength (studies) | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}")
    print(f"| champion's Sharpe ratio in the vault, mean | {' | '.join(f'{sharpe[s]:.2f}' for s in strengths)} |")
    curves = []
    for name, says in CRITERIA.items():
        hits = [sum(says(r) for r in by[s]) for s in strengths]
        spans = [interval(h, len(by[s])) for h, s in zip(hits, strengths, strict=True)]
        shares = [h / len(by[s]) for h, s in zip(hits, strengths, strict=True)]
        told = [f"{100 * p:.1f} % [{100 * a:.1f}, {100 * b:.1f}]" for p, (a, b) in zip(shares, spans, strict=True)]
        print(f"| {name} | {' | '.join(told)} |")
        curves.append(Curve(name, list(strengths), shares, [a for a, _ in spans], [b for _, b in spans]))
    if options.figure:
        draw(
            options.figure, "Share of studies in which each criterion says yes", "strength of the planted edge (IC)",
            curves, line=0.05, line_text="5 %",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, default=Path("runs/power.jsonl"))
    parser.add_argument("--noise", type=int, default=200, help="studies of noise")
    parser.add_argument("--edges", type=int, default=30, help="studies of each strength")
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    {"run": run, "report": report}[options.what](options)


if __name__ == "__main__":
    main()
