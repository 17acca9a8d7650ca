"""Compound scaling and many devices on planted worlds: what work grows with, where more of it stops paying.

    python scaling.py                    # under five minutes: one world, three seeds
    python scaling.py --worlds distant gated --seeds 5 --out scaling.json

First `compound`: the exponents of multiply-accumulates in depth, width and lookback of the small network that was
found (the paper has 1, 2, 2), the grid at twice the work, and the family S0, S1, ... with its quality on fresh rows.
Then `once_for_all`: one supernet, three devices, the best architecture of each, and what it is worth trained alone.
Quality is correlation with the planted forecast on fresh rows, the share of the oracle's IC.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from front import Ground, ground, judged

from tradenas.atomic import read_json
from tradenas.search.base import Method, run_search
from tradenas.search.methods import Compound, OnceForAll
from tradenas.search.parts.devices import Target
from tradenas.search.parts.evolution import Evolution
from tradenas.space import Architecture
from tradenas.train.loop import Optimisation, Training

DEVICES = {"small": 1.5, "middle": 6.0, "large": 40.0}  # times the work of the cheapest


def record(method: Method[Any], g: Ground, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run_search(method, g.task, Path(folder), save_every_s=1e9)
        found: dict[str, Any] = read_json(Path(folder) / f"{name}.json")
        return found


def with_quality(g: Ground, told: dict[str, Any], seed: int) -> dict[str, Any]:
    return {**told, **judged(g, Architecture.from_plain(told["architecture"]), seed)}


def family(g: Ground, seed: int) -> dict[str, Any]:
    method = Compound(training=Training(epochs=12), num_trained=6, num_grid=5, steps=4)
    found = record(method, g, "scaling")
    return {**found, "family": [with_quality(g, member, seed) for member in found["family"]]}


def devices(g: Ground, seed: int) -> list[dict[str, Any]]:
    least = g.ends["macs"][0]
    method = OnceForAll(
        training=Optimisation(epochs=16, batch=256, lr=3e-3),
        find=Evolution(population=10),
        num_ranked=30,
        devices=tuple(Target(name=name, macs=least * times) for name, times in DEVICES.items()),
    )
    found = record(method, g, "devices")["devices"]
    return [{**d, "trained": judged(g, Architecture.from_plain(d["best"]["architecture"]), seed)} for d in found]


def lines(world: str, seed: int, grown: dict[str, Any], held: list[dict[str, Any]]) -> list[str]:
    powers = ", ".join(f"{name} {power:.2f}" for name, power in grown["exponents"].items())
    found = [f"{world} {seed}: work grows with {powers}; factors {grown['factors']}"]
    found += [
        f"  S{m['phi']}  {m['macs']:7.0f} MAC  x{m['growth']:5.2f}  share {m['share']:.2f}" for m in grown["family"]
    ]
    for d in held:
        best = d["best"]
        found.append(
            f"  {d['name']:7} <= {d['limits']['macs']:6.0f} MAC: {best['costs']['macs']:6.0f}, supernet IC "
            f"{best['scores']['ic']:.3f}, trained share {d['trained']['share']:.2f}  {best['words']}"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["distant"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for world in options.worlds:
        for seed in range(options.seeds):
            g = ground(world, seed)
            grown, held = family(g, seed), devices(g, seed)
            rows.append({"world": world, "seed": seed, "scaling": grown, "devices": held})
            print("\n".join(lines(world, seed, grown, held)), flush=True)
            if options.out:
                options.out.write_text(json.dumps(rows, indent=1))
    for name in ("depth", "width", "lookback"):
        powers = [r["scaling"]["exponents"][name] for r in rows if name in r["scaling"]["exponents"]]
        if powers:
            print(f"exponent of {name}: {np.mean(powers):.2f} ({min(powers):.2f} to {max(powers):.2f})")
    own = [len({d["best"]["digest"] for d in r["devices"]}) for r in rows]
    print(f"different best architectures of {len(DEVICES)} devices: {own}")


if __name__ == "__main__":
    main()
