"""What a penalty trades: FBNet at rising weights on a planted world, what its alphas choose, and what that is worth.

    python penalties.py                                # under five minutes: one world, three seeds, five weights
    python penalties.py --weights 0 0.01 0.6 --seeds 1

0.6 is the paper's exponent, which belongs to a cross-entropy.  Quality is correlation with the planted forecast on
fresh rows of the architecture that the alphas stand for, trained alone: the share of the oracle's IC.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from front import ground, judged, run

from tradenas.search.methods import FBNet
from tradenas.search.parts.penalty import Penalty
from tradenas.train.loop import Optimisation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="distant")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.002, 0.01, 0.05, 0.6])
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[float, list[tuple[float, float]]] = {weight: [] for weight in options.weights}
    for seed in range(options.seeds):
        g = ground(options.world, seed)
        for weight in options.weights:
            method = FBNet(
                training=Optimisation(epochs=options.epochs, batch=256, lr=3e-3),
                num_ranked=1,
                eigenvalue_every=0,
                penalty=Penalty(cost="macs", form="log", weight=weight),
            )
            for candidate in run(method, g.task):
                a = candidate.architecture
                found[weight].append((g.prices.one("macs", a), judged(g, a, seed)["share"]))
                print(
                    f"{seed} {weight:g}: {found[weight][-1][0]:.0f} MAC, share {found[weight][-1][1]:.2f}", flush=True
                )
    print(f"{'weight':>8} {'MAC':>8} {'least':>8} {'most':>8} {'share':>6} {'least':>6}")
    for weight, own in found.items():
        macs_N, share_N = np.array(own).T
        numbers = (
            f"{macs_N.mean():8.0f} {macs_N.min():8.0f} {macs_N.max():8.0f} {share_N.mean():6.2f} {share_N.min():6.2f}"
        )
        print(f"{weight:8g} {numbers}")


if __name__ == "__main__":
    main()
