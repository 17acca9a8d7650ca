"""The collapse of DARTS to skips, and what each guard makes of the same seeds.

    python benchmarks/collapse.py                    # every method, ten seeds
    python benchmarks/collapse.py --seeds 5 --methods darts fairdarts dartsplus pdarts

The world: the next return is 0.4 parts the sum of the first column 5 to 8 rows before, and noise.  The network: two
cells of NAS-Bench-201's shape (six edges into three nodes, the last one handed on), each edge `skip` or a convolution
over 3 rows with batch norm and ReLU, as in space S2 of Zela et al. (2020).  Its input filters see one row, so that a
cell must have convolutions behind each other to reach 5 rows back: with skips only nothing can be known, with
convolutions only nearly all.  Weights learn from 600 rows and alphas from 600, by the authors' formulation: first
order, SGD at 0.025 with momentum 0.9 and decay 3e-4, Adam with betas 0.5 and 0.999 and decay 1e-3 for the alphas.

A row: skips among the six edges of the discretised cell after 1/6, 1/3, 2/3 of the search and at its end (mean over
seeds); seeds that ended with four skips or more; seeds, with a 95 % interval, whose architecture, trained from scratch,
has an IC below 0.1 on fresh rows; that IC, its spread over seeds and range; the mean of what the architecture after 1/6
of the search gets; CPU seconds of a search.  Two fixed cells, all convolutions and all skips, stand
below.  Settings were chosen with seeds 100 to 104, which are not reported; methods keep their own constants.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edges import Judge, Setting, arena, cell, ops_of, search, wilson

from tradenas.atomic import write_text
from tradenas.space import Architecture

CELLS = Setting(
    cell=cell(ops=("skip", "conv3"), inputs=1, nodes=3, take=0, cells=(2,), output="last"), rows=1200, strength=0.4,
    epochs=30, lr=0.025, alpha_lr=1.5e-2, batch=64,
)  # fmt: skip
SHOWN = (
    "darts", 'darts:{"order": 2}', 'darts:{"select": "perturbation"}', "fairdarts", 'fairdarts:{"zero_one": 10.0}',
    "dartsplus", "pdarts", "darts_minus", "robust_darts", "pcdarts", 'pcdarts:{"parts": 2}',
)  # fmt: skip
#: A cell with so many skips of six has two convolutions at most; an IC below a quarter of what can be known is lost.
MANY, LOST = 4, 0.1


def skips(architecture: Architecture) -> int:
    """Of the edges that the cell takes."""
    return sum(picked == "skip" for name, picked in architecture.items() if name.endswith("/op"))


def one(kind: str, seed: int, judge: Judge) -> dict[str, Any]:
    """One search, and what its architectures are worth."""
    task = arena("late", CELLS, seed)
    found, epochs = search(kind, task, CELLS), CELLS.epochs
    early = found.trail[epochs // 6 - 1]
    return {
        "skips": [skips(found.trail[epochs * part // 6 - 1]) for part in (1, 2, 4)] + [skips(found.architecture)],
        "ops": ops_of(found.architecture), "ic": judge(task, found.architecture),
        "early_ic": judge(task, task.space.check(early)), "seconds": found.seconds, "seed": seed,
    }  # fmt: skip


def told(name: str, rows: list[dict[str, Any]]) -> str:
    """A line of the table."""
    many = sum(row["skips"][-1] >= MANY for row in rows)
    course = " ".join(f"{x:.1f}" for x in np.mean([row["skips"] for row in rows], axis=0))
    ic, early = ([row[what] for row in rows] for what in ("ic", "early_ic"))
    spread, lost = np.std(ic, ddof=min(1, len(ic) - 1)), sum(each < LOST for each in ic)
    low, high = wilson(lost, len(rows))
    return (
        f"| {name} | {course} | {many} | {lost} of {len(rows)} ({low:.2f} to {high:.2f}) | "
        f"{np.mean(ic):.3f} ± {spread:.3f} ({min(ic):.2f} to {max(ic):.2f}) | {np.mean(early):.3f} | "
        f"{np.mean([row['seconds'] for row in rows]):.1f} |"
    )  # fmt: skip


def main() -> None:
    """Prints a table, and writes every search as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(SHOWN))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds, everything = range(arguments.first_seed, arguments.first_seed + arguments.seeds), {}
    judge = Judge()
    for kind in arguments.methods:
        rows = everything[kind] = [one(kind, seed, judge) for seed in seeds]
        print(told(kind, rows), flush=True)
        if arguments.out:
            write_text(arguments.out, json.dumps(everything, indent=1))
    for op in CELLS.cell.ops:
        ics = [judge.op(arena("late", CELLS, seed), op) for seed in seeds]
        print(f"| fixed: {op} everywhere | | | {np.mean(ics):.3f} ± {np.std(ics, ddof=min(1, len(ics) - 1)):.3f} |")


if __name__ == "__main__":
    main()
