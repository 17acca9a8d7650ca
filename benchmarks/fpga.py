"""Networks as circuits: what the cost proxy of the search is worth, and the proof of record.

    python benchmarks/fpga.py --calibrate 96 --yosys 8       # 1 minute, 3 with yosys; prints the coefficients
    python benchmarks/fpga.py --record --source CANDLES      # all of it: search, training, vault, circuit; 7 minutes
    python benchmarks/fpga.py --record RUN                   # of a run that is there; 4 minutes, mostly nextpnr
    python benchmarks/fpga.py --record RUN --float 2         # what fixed point costs its champion; ~4 minutes

`--calibrate` draws networks from a space of ops, widths, bits and sparsities, lowers each to a program, lets da4ml
count its look-up tables (*estimated*), fits `tradenas.cost.fpga`'s coefficients by relative error, and prints the error
of each network by the fit to all others; beside it, what the formula from bits (`Luts`), digits alone and parameters
alone would have said.  Of some of the smallest, yosys' counts (*synthesised*, xc7).

`--record` runs `benchmarks/fpga.toml` on a file of candles, or takes a run that is there; of its champion it takes one
training, and proves it step by step: placed and routed with several seeds
and numbers of stages, the fastest simulated against the traded network over every row of the selection zone, and
synthesised; `resources.json` of it is left in the folder that is printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from tradenas.cost.fpga import Luts, measures
from tradenas.formats.lower import lower
from tradenas.formats.simplify import simplify
from tradenas.formats.verilog.export import gzipped
from tradenas.formats.verilog.prove import simulated, synthesised
from tradenas.formats.verilog.route import route
from tradenas.formats.verilog.trace import trace
from tradenas.formats.verilog.write import RESOURCES, design, note, write, write_vectors
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.typing import FloatArray

STUDY = Path(__file__).parent / "fpga.toml"
SPACE = Chain(
    depths=(1, 2, 3), widths=(4, 8, 12, 16), lookbacks=(3, 5, 8),
    ops=("dense", "conv3", "conv5", "dilated3", "separable3", "residual"), activations=("relu", "tanh"),
    norms=("none",), dropouts=(0.0,), weight_bits=("2", "3", "4", "5", "6", "8", "ternary"),
    activation_bits=("4", "5", "6", "8"), sparsities=(0.0, 0.3, 0.5, 0.75),
)  # fmt: skip


def fitted(x_NK: FloatArray, y_N: FloatArray) -> FloatArray:
    """Coefficients with the least squares of relative errors."""
    return np.linalg.lstsq(x_NK / y_N[:, None], np.ones(len(y_N)), rcond=None)[0]


def left_out(x_NK: FloatArray, y_N: FloatArray) -> FloatArray:
    """What is predicted of each from the fit to all others."""
    keep = ~np.eye(len(y_N), dtype=bool)
    return np.array([x @ fitted(x_NK[k], y_N[k]) for x, k in zip(x_NK, keep, strict=True)])


def told(name: str, x_NK: FloatArray, y_N: FloatArray) -> dict[str, object]:
    """One line of the comparison."""
    said = left_out(x_NK, y_N)
    error = 100 * np.abs(said / y_N - 1)
    found = {
        "coefficients": [round(float(c), 4) for c in fitted(x_NK, y_N)],
        "mape": round(float(error.mean()), 2), "worst": round(float(error.max()), 1),
        "spearman": round(float(spearmanr(said, y_N)[0]), 4),
    }  # fmt: skip
    print(f"{name:34s} {found}", flush=True)
    return found


def calibrate(count: int, yosys: int) -> dict[str, object]:
    """Draws, estimates, fits."""
    space = SPACE.space()
    network = Network(space, Layout(groups=("returns",) * 8, transforms=("zscore",)))
    expected, rng = Luts(network), rng_for(0, "benchmarks", "fpga")
    rows, programs = [], []
    began = time.process_time()
    while len(rows) < count:
        architecture = space.sample(rng)
        alone = network.standalone(architecture, seed=len(rows))
        with torch.no_grad():  # they begin at zero, and what reads them would be free
            taps = rng.normal(0.0, 0.3, tuple(alone.inputs.taps.shape))
            alone.inputs.taps.copy_(torch.from_numpy(taps))
        program = simplify(lower(alone))
        luts = trace(program).estimated_luts
        if luts < 200:
            continue
        rows.append((luts, program.parameters, *measures(program), *expected.measures(architecture)))
        programs.append(program)
    table = np.array(rows, dtype=float)
    least, most = table[:, 0].min(), table[:, 0].max()
    print(f"{count} networks of {least:.0f} to {most:.0f} look-up tables, estimated by da4ml; "
          f"{time.process_time() - began:.0f} s of one core")  # fmt: skip
    y, one = table[:, 0], np.ones(count)
    found: dict[str, object] = {
        "networks": count,
        "program_luts": told("digits counted: a c d e f", table[:, 2:7], y),
        "Luts": told("digits expected", table[:, 7:], y),
        "digits": told("digits x bits alone", np.stack([table[:, 2], one], 1), y),
        "parameters": told("parameters alone", np.stack([table[:, 1], one], 1), y),
    }
    ratios = []
    for at in np.argsort(y)[:: max(1, count // max(yosys, 1))][:yosys]:
        with tempfile.TemporaryDirectory() as scratch:
            made = design(programs[at])
            write(made, Path(scratch), rng.normal(size=(made.traced.program.reach + 4, 8)))
            parts = synthesised(made, Path(scratch), "xc7").parts
        ratios.append(round(float(y[at]) / parts["luts"], 3))
        print(f"estimated {y[at]:.0f}, synthesised {parts}: estimated / synthesised {ratios[-1]}", flush=True)
    return found | {"estimated_over_synthesised": ratios}


def record(
    run: Path, strategy: str, seeds: range, stages: tuple[int, ...], depth: int, out: Path | None
) -> dict[str, object]:
    """Proves a run's network; the best of several pipelines is left in the folder."""
    from tradenas.study.exporting import subject_of
    from tradenas.study.trained import TrainedStrategy

    trained = TrainedStrategy.load(run, strategy)
    subject = subject_of(trained, (0,))
    program = simplify(subject.program)
    folder = out or trained.folder.path / "export" / "record" / "verilog"
    rows_TF = np.asarray(subject.rows_TF[np.isfinite(subject.rows_TF).all(1)], dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(rows_TF.astype(np.float32), program.reach, axis=0)
    windows_NRF = np.ascontiguousarray(windows.transpose(0, 2, 1))
    parts = [subject.network(windows_NRF[i : i + 2048]) for i in range(0, len(windows_NRF), 2048)]
    return prove(program, folder, rows_TF, np.concatenate(parts).astype(float), seeds, stages, depth)


def searched(source: Path, runs: Path) -> Path:
    """The run folder of the study of record on a file of candles."""
    from tradenas.study import Study

    began = time.perf_counter()
    study = Study.of(STUDY, changes={"data.source": str(source.resolve())})
    folder = study.run(runs).folder
    print(f"{folder}: searched, trained and judged in {time.perf_counter() - began:.0f} s", flush=True)
    return folder


def against_float(run: Path, strategy: str, trainings: int) -> dict[str, object]:
    """The architecture trained in fixed point and in floating point, alike: IC and accuracy on the selection zone."""
    from tradenas.space import Architecture
    from tradenas.study.trained import TrainedStrategy
    from tradenas.train.fit import fit

    trained = TrainedStrategy.load(run, strategy)
    config, data, zone = trained.folder.config(), trained.data, trained.zones.selection
    fixed = config.full_space
    plain = replace(fixed, weight_bits=(), activation_bits=(), sparsities=())
    found: dict[str, object] = {}
    for name, blueprint in (("fixed", fixed), ("float", plain)):
        network = Network(blueprint.space(data.indicators), data.layout)  # type: ignore[union-attr]
        chosen = {k: v for k, v in trained.architecture.items() if k in network.space}
        points = []
        for seed in range(trainings):
            one = fit(
                network, Architecture(chosen), data, trained.zones.search, training=config.trials.training, seed=seed
            )
            said = one.signals(data, zone)
            labels = np.asarray(one.objective.labels(data))[zone.slice]  # type: ignore[arg-type]
            ready = data.usable(one.reach)[zone.slice] & np.isfinite(labels)  # type: ignore[union-attr]
            ic = float(np.corrcoef(said[ready], labels[ready])[0, 1])
            hit = float(np.mean(np.sign(said[ready]) == np.sign(labels[ready])))
            points.append((100 * ic, 100 * hit))
            print(name, seed, points[-1], flush=True)
        ics, hits = zip(*points, strict=True)
        found[name] = {"ic_points": [round(v, 2) for v in ics], "accuracy_points": [round(v, 2) for v in hits]}
    print(json.dumps(found))
    return found


def prove(
    program: object,
    folder: Path,
    rows_TF: FloatArray,
    expected_N: FloatArray,
    seeds: range,
    stages: tuple[int, ...],
    depth: int = 2,
) -> dict[str, object]:
    """Places and routes each pipeline, then simulates and synthesises the fastest."""
    best: tuple[float, object, object, object] | None = None
    for count in stages:
        made = design(program, stages=count or None, depth=depth)  # type: ignore[arg-type]
        write(made, folder, rows_TF[:600])
        netlist = synthesised(made, folder, "ice40")
        chips = route(netlist, seeds=seeds, seconds=1200)
        told = [round(c.nanoseconds(made.wrapped.cycles), 1) for c in chips]
        print(f"{made.wrapped.cycles} cycles, {netlist.parts}, {chips[0].cells} cells: {told} ns", flush=True)
        if best is None or told[0] < best[0]:
            best = told[0], made, netlist, chips
    assert best is not None
    _, made, netlist, chips = best
    write(made, folder, rows_TF[:600])
    write_vectors(made, folder, rows_TF, expected_N)
    simulated(folder, seconds=1800)
    synthesised(made, folder, "xc7")
    synthesised(made, folder, "ice40")
    chip = chips[0]
    note(folder, "placed_and_routed", {
        "device": chip.device, "megahertz": chip.megahertz, "cells": chip.cells, "available": chip.available,
        "nanoseconds": round(chip.nanoseconds(made.wrapped.cycles), 1), "seed": chip.seed,
        "seeds_routed": len(chips), "seeds_tried": len(seeds), "by": "nextpnr-ice40",
    })  # fmt: skip
    write_vectors(made, folder, rows_TF[:600], expected_N[: 600 - made.traced.program.reach + 1])
    known = json.loads((folder / RESOURCES).read_text())
    known["gzipped_bytes"] = gzipped(folder)
    print(f"{folder}\n{json.dumps({k: v for k, v in known.items() if k != 'x'}, indent=1)}")
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calibrate", type=int, default=0, metavar="N")
    parser.add_argument("--yosys", type=int, default=0, metavar="N")
    parser.add_argument("--record", type=Path, metavar="RUN", nargs="?", const=Path())
    parser.add_argument("--source", type=Path, help="candles, where there is no run yet")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where its run goes")
    parser.add_argument("--strategy", default="")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--depth", type=int, default=-1, help="see `trace`; -1 is smaller and deeper")
    parser.add_argument("--stages", type=int, nargs="*", default=[0], help="0: those of the least estimated latency")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--float", type=int, default=0, metavar="N", help="trainings of the champion in both")
    asked = parser.parse_args()
    if asked.calibrate:
        print(json.dumps(calibrate(asked.calibrate, asked.yosys)))
    if asked.record is None:
        return
    if asked.source is None and asked.record == Path():
        parser.error("--record needs a run, or --source with candles")
    run = asked.record if asked.source is None else searched(asked.source, asked.runs)
    if asked.float:
        against_float(run, asked.strategy, asked.float)
        return
    began = time.perf_counter()
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    record(run, asked.strategy, seeds, tuple(asked.stages), asked.depth, asked.out)
    print(f"proved in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
