"""The planted pair as a study of two markets: does a portfolio study find that one leads the other, and how well?

    python benchmarks/markets.py                      # seeds 0-2: ops that mix markets on offer, and without them
    python benchmarks/markets.py --seeds 5 --bars 12000

`planted:lead_lag`: a market whose bar leans as another market's moved three bars before, and nothing else.  A study of
the pair is run from candles to vault twice a seed: with `leader`, `cross_attention` and `correlation` beside ops of a
single market, and without them.  For the champion, in the vault: IC of the market that is led, beside that of the best
forecaster in the world (the planted mean) on the same rows; `share`, the correlation of its signal with that mean,
which has less noise in it; IC of the leader, of which nothing can be known; its ops; and, where `leader` is among them,
whom and what lag it says.  `linear` is the baseline of that name.  Trading is free, so that the choice of the champion
is about signals; Sharpe ratios are of that fiction.
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
from tradenas.data.synthetic.worlds import correlation
from tradenas.nn import Network
from tradenas.nn.ops.leader import Leader
from tradenas.space import Architecture
from tradenas.splits import Span
from tradenas.study import Study
from tradenas.study.folder import RunFolder
from tradenas.train.panel import Panel
from tradenas.train.store import load_dataset
from tradenas.train.stream import stream
from tradenas.trials.retrain import WEIGHTS

ALONE = ("dense", "conv3", "dilated3")
MIXING = ("leader", "cross_attention", "correlation")
LED = "PLANTED-LEAD-LAG"


def study_of(seed: int, bars: int, ops: tuple[str, ...]) -> dict[str, Any]:
    """A small study of the pair."""
    return {
        "name": "pair", "seed": seed,
        "data": {"source": "planted:lead_lag", "symbols": "all", "bars": bars, "seed": seed},
        "features": {"indicators": ["log_return_1", "rsi_14", "volume_ratio_20"], "window": 50},
        "space": {
            "depths": [1, 2], "widths": [8], "ops": list(ops), "lookbacks": [1], "dropouts": [0.0], "norms": ["none"],
            "activations": ["tanh"], "transforms": ["zscore"],
        },
        "search": {"kind": "spos", "num_ranked": 36, "training": {"epochs": 40, "batch": 512, "lr": 1e-2}},
        "trials": {
            "top_k": 3, "seeds": 2, "random": 2, "coupling": 0, "baselines": ["flat", "hold", "linear", "lightgbm"],
            "training": {"epochs": 40, "batch": 512, "lr": 1e-2},
        },
        "metric": "rank_ic",
        "rule": {"band": 0.0}, "costs": {"taker_bps": 0.0, "slippage_bps": 0.0},
        "runner": {"kind": "inline"},
    }  # fmt: skip


def networks_of(folder: Path, data: Panel, row: dict[str, Any]) -> list[Network]:
    """The trainings of a strategy."""
    from safetensors.torch import load_file

    space = RunFolder(folder).config().space.space(data.indicators)
    found = []
    for job in row["jobs"]:
        network = Network(space, data.layout).standalone(Architecture.from_plain(row["architecture"]), seed=0)
        tensors = load_file(folder / "retrain" / "jobs" / job / WEIGHTS)
        network.load_state_dict({k.removeprefix("weight/"): v for k, v in tensors.items() if k.startswith("weight/")})
        found.append(network.eval())
    return found


def leads_of(network: Network, data: Panel) -> list[str]:
    """What the `leader`s of a trained network say of the market that is led."""
    at = data.symbols.index(LED)
    found = [lead for m in network.modules() if isinstance(m, Leader) for lead in m.leads() if lead.asset == at]
    return [f"{data.symbols[lead.leader].removeprefix('PLANTED-')} lag {lead.lag} ({lead.share:.0%})" for lead in found]


def measured(seed: int, bars: int, ops: tuple[str, ...], runs: Path) -> dict[str, Any]:
    """One study, and what its champion is worth in the vault."""
    began = time.perf_counter()
    done = Study.of(study_of(seed, bars, ops)).run(runs)
    seconds = time.perf_counter() - began
    rows = json.loads((done.folder / "retrain" / "strategies.json").read_text())["strategies"]
    data = load_dataset(done.folder / "data" / "sealed.safetensors")
    assert isinstance(data, Panel)
    zones = json.loads((done.folder / "data.json").read_text())["zones"]
    row = next(r for r in rows if r["name"] == done.facts["champion"]["name"])
    ic = {m["symbol"]: m["ic"] for m in row["markets"]["vault"]}
    span = Span(zones["vault"]["start"], zones["vault"]["stop"])
    expected_T = planted("lead_lag", bars=bars, seed=seed).expected_T[span.slice]
    at = data.symbols.index(LED)
    market = data.markets[at]
    networks = networks_of(done.folder, data, row)
    reach = networks[0].reach()
    said_T = np.mean([stream(n, torch.from_numpy(data.x_ATF), {}, span, reach=reach)[at] for n in networks], axis=0)
    said_T = np.where(data.usable(reach)[at, span.slice], said_T * market.volatility_T[span.slice], np.nan)
    layers = range(int(row["architecture"]["depth"]))
    ops_used = [str(row["architecture"][f"layer{i}/op"]) for i in layers]
    linear = next(r for r in rows if r["name"] == "linear")
    return {
        "verdict": done.verdict,
        "ops": ops_used,
        "led": ic[LED],
        "leader": next(v for name, v in ic.items() if name != LED),
        "oracle": correlation(expected_T, market.bar_return_T[span.slice]),
        "share": correlation(said_T, expected_T),
        "linear": next(m["ic"] for m in linear["markets"]["vault"] if m["symbol"] == LED),
        "sharpe": row["vault"]["sharpe"],
        "leads": leads_of(networks[0], data),
        "seconds": seconds,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bars", type=int, default=20_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("seed  ops      IC of the led  oracle  share  linear  IC of the leader  Sharpe  verdict      champion; leads")
    for seed in range(asked.seeds):
        for name, ops in (("mixing", (*ALONE, *MIXING)), ("alone", ALONE)):
            with tempfile.TemporaryDirectory() as scratch:
                one = measured(seed, asked.bars, ops, Path(scratch))
            figures = (
                f"{one['led']:>13.3f}  {one['oracle']:>6.3f}  {one['share']:>5.2f}  {one['linear']:>6.3f}  "
                f"{one['leader']:>16.3f}  {one['sharpe']:>6.2f}  {one['verdict']:<11}"
            )
            champion = f"{' > '.join(one['ops'])}; {', '.join(one['leads'])}  [{one['seconds']:.0f} s]"
            print(f"{seed:>4}  {name:<7}  {figures}  {champion}", flush=True)


if __name__ == "__main__":
    main()
