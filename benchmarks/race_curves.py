"""What a race showed: a table, the CPU that a rival needed to be as good as tradenas, and the curves as one SVG.

    python race_curves.py race.jsonl --svg race.svg

Mean over seeds, range in brackets.  Quality is IC on fresh rows, of the oracle's where there is one.  A rival was as
good from the CPU second on at which its best so far first reached what tradenas ended with; where it never did, the
figure is a lower limit (>).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from race import runs_of

COLOURS = {
    "tradenas": "#0b6e4f", "quick": "#62b58f", "random": "#8a8d91", "tpe": "#c8553d", "tpe_textbook": "#7d2f1f",
    "zero_cost": "#3d5a98",
}  # fmt: skip


def quality(point: dict[str, float]) -> float:
    return point["ic"] / point.get("oracle", 1.0)


def at(run: dict[str, Any], cpu: float, of: Any) -> float:
    """The best so far at a CPU second; NaN before there is one."""
    known = [p for p in run["points"] if p["cpu"] <= cpu]
    return of(known[-1]) if known else float("nan")


def spread(values: list[float], digits: int = 2) -> str:
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return "-"
    return f"{np.mean(known):.{digits}f} ({min(known):.{digits}f} to {max(known):.{digits}f})"


def reached(run: dict[str, Any], mark: float, of: Any) -> tuple[float, bool]:
    """CPU seconds until the best so far was as good as `mark`, and whether it ever was."""
    hits = [p["cpu"] for p in run["points"] if of(p) >= mark]
    return (hits[0], True) if hits else (run["cpu"], False)


def grouped(runs: list[dict[str, Any]]) -> dict[tuple[str, str, float], list[dict[str, Any]]]:
    """Runs of all seeds by world, method and factor."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = defaultdict(list)
    for run in sorted(runs, key=lambda r: r["seed"]):
        groups[run["world"], run["method"], run["factor"]].append(run)
    return groups


def table(runs: list[dict[str, Any]]) -> None:
    groups = grouped(runs)
    print("| world | method | seeds | CPU s | trained | selection IC | fresh IC | of the oracle | at half time |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (world, method, factor), some in groups.items():
        last = [r["points"][-1] for r in some]
        shares = spread([quality(p) for p in last]) if "oracle" in last[0] else "-"
        half = spread([at(r, r["cpu"] / 2, quality) for r in some], 2 if "oracle" in last[0] else 3)
        name = method if factor == 1.0 else f"{method} x {factor:g}"
        print(
            f"| {world} | {name} | {len(some)} | {np.mean([r['cpu'] for r in some]):.0f} "
            f"| {np.mean([r['tried'] for r in some]):.0f} | {spread([p['merit'] for p in last], 3)} "
            f"| {spread([p['ic'] for p in last], 3)} | {shares} | {half} |"
        )


def against(runs: list[dict[str, Any]], one: str) -> None:
    """CPU that others need for what `one` ends with, over what `one` took; and what they have when it ends."""
    reference = {(r["world"], r["seed"]): r for r in runs if r["method"] == one}
    print(
        f"\nCPU to be as good as {one} ended, in units of the CPU that {one} took, seed by seed (>: never in its time);"
    )
    print(f"and IC on fresh rows (of the oracle's) at the second at which {one} ended, its own in brackets:\n")
    print("| world | rival | by fresh IC | by selection IC | fresh IC then |\n| --- | --- | --- | --- | --- |")
    for (world, method, factor), every in grouped(runs).items():
        some = [r for r in every if (world, r["seed"]) in reference]
        if method == one or not some:
            continue
        cells = []
        for of in (quality, lambda p: p["merit"]):
            told = []
            for run in some:
                mine = reference[world, run["seed"]]
                cpu, ever = reached(run, of(mine["points"][-1]), of)
                told.append(f"{'' if ever else '> '}{cpu / mine['cpu']:.2f}")
            cells.append(", ".join(told))
        then = []
        for run in some:
            mine = reference[world, run["seed"]]
            theirs = at(run, mine["cpu"], quality)
            then.append(f"{'none' if np.isnan(theirs) else f'{theirs:.2f}'} ({quality(mine['points'][-1]):.2f})")
        name = method if factor == 1.0 else f"{method} x {factor:g}"
        print(f"| {world} | {name} | {' | '.join(cells)} | {', '.join(then)} |")


def draw(runs: list[dict[str, Any]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "race", "svg.fonttype": "none", "font.size": 9})
    runs = [r for r in runs if r["factor"] == 1.0]
    worlds = list(dict.fromkeys(r["world"] for r in runs))
    figure, axes = plt.subplots(2, len(worlds), figsize=(3.6 * len(worlds), 5.2), squeeze=False, sharex="col")
    for column, world in enumerate(worlds):
        mine = [r for r in runs if r["world"] == world]
        oracle = "oracle" in mine[0]["points"][0]
        end = max(r["cpu"] for r in mine)
        for row, (of, label) in enumerate(
            [(lambda p: p["merit"], "IC on selection rows"), (quality, "IC on fresh rows" + " / oracle" * oracle)]
        ):
            axis = axes[row][column]
            for method in dict.fromkeys(r["method"] for r in mine):
                some = [r for r in mine if r["method"] == method]
                grid = np.array(sorted({p["cpu"] for r in some for p in r["points"]} | {end}))
                lines = np.array([[at(r, t, of) for t in grid] for r in some])
                whole = np.isfinite(lines).all(axis=0)
                if not whole.any():
                    continue
                x, y = grid[whole], lines[:, whole]
                colour = COLOURS[method]
                axis.fill_between(x, y.min(0), y.max(0), step="post", color=colour, alpha=0.15, linewidth=0)
                axis.step(x, y.mean(0), where="post", color=colour, label=method, linewidth=1.6)
            axis.set_ylabel(label)
            axis.grid(alpha=0.25)
        axes[0][column].set_title(world)
        axes[1][column].set_xlabel("CPU seconds, one core")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--to", nargs="+", default=["tradenas"], help="methods whose end the others are held against")
    options = parser.parse_args()
    runs = runs_of(options.runs)
    table(runs)
    for one in options.to:
        against(runs, one)
    if options.svg:
        draw(runs, options.svg)


if __name__ == "__main__":
    main()
