"""How large ONNX exports are, how near to the network, and how fast: random architectures of the ops that there are.

    python benchmarks/export.py [--nets 80]         # about 3 minutes on one core

Draws chains and cells over the indicators of the package, fresh weights, from a few hundred parameters to a million.
For each: bytes of the window, streaming and 8-bit model; the largest difference of windows and of a stream from the
network in torch, relative to max(1, |signal|); correlation of the 8-bit one.  Then the time of one call through
IOBinding, window, stream and 8 bits, interleaved, for some nets of each size: medians of 5 rounds, with the largest
difference of two halves of the rounds as test-retest floor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from tradenas.features import DEFAULT_INDICATORS, INDICATORS
from tradenas.formats.int8 import write_int8
from tradenas.formats.lower import lower
from tradenas.formats.onnx import to_onnx
from tradenas.formats.parity import Subject, windows_of
from tradenas.formats.program import Program
from tradenas.formats.runtime import Stream, Window, session
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.nn.mode import Mode
from tradenas.seeds import rng_for
from tradenas.space import Cell, Chain

GROUPS = {name: INDICATORS[name].group for name in DEFAULT_INDICATORS}
LAYOUT = Layout(groups=tuple(GROUPS.values()), transforms=("zscore",), names=tuple(GROUPS))
OPS = (
    "skip", "dense", "conv3", "conv5", "separable3", "dilated3", "residual", "gated", "lstm", "gru", "attention",
    "max5", "mean5", "ema4", "difference",
)  # fmt: skip
LOOKBACKS, NORMS = (5, 20, 50), ("none", "layer", "batch")
SPACES = {
    "chain": Chain(depths=(1, 2, 3), widths=(8, 16, 32), lookbacks=LOOKBACKS, ops=OPS, norms=NORMS),
    "cell": Cell(nodes=3, cells=(1, 2), widths=(4, 8, 16), lookbacks=LOOKBACKS, ops=("zero", *OPS)),
    "wide": Chain(depths=(3, 4), widths=(64, 128, 256), lookbacks=LOOKBACKS, ops=("conv3", "conv5", "dense"),
                  norms=("none",)),
}  # fmt: skip
SIZES = (500, 2_000, 10_000, 100_000, 1_000_000)


def drawn(kind: str, number: int) -> Subject:
    """A random standalone network and its program."""
    space = SPACES[kind].space(GROUPS)
    network = Network(space, LAYOUT).standalone(space.sample(rng_for(number, kind)), seed=number)
    rows = rng_for(number, "rows").standard_normal((900, len(GROUPS))).astype(np.float32)
    moments = network.measure(torch.from_numpy(rows[None, :400]))
    program = simplify(lower(network, moments))

    def said(windows_NRC: np.ndarray) -> np.ndarray:
        x_NRF = np.zeros((*windows_NRC.shape[:2], len(GROUPS)), np.float32)
        x_NRF[..., list(program.columns)] = windows_NRC
        with torch.inference_mode():
            return network(torch.from_numpy(x_NRF), {}, Mode(moments=moments))[:, -1].double().numpy()

    rows_TC = rows[:, list(program.columns)]
    return Subject(
        program=program, network=said, rows_TF=rows_TC[400:], calibration_TF=rows_TC[:400], labels_T=np.zeros(0)
    )


def measured(subject: Subject) -> dict[str, float]:
    """Bytes and errors of one network."""
    program = subject.program
    windows = np.ascontiguousarray(windows_of(subject.rows_TF, program.reach)[:200])
    want = subject.network(windows)
    unit = np.maximum(1.0, np.abs(want))
    window = to_onnx(program, batch=None).SerializeToString()
    stream = to_onnx(program, streaming=True).SerializeToString()
    by_window = session(window).run(None, {"window": windows})[0]
    by_row = Stream(session(stream)).run(subject.rows_TF[None, : program.reach - 1 + len(windows)])[0]
    with tempfile.TemporaryDirectory() as folder:
        _, told = write_int8(subject, Path(folder))
    return {
        "parameters": program.parameters, "window": len(window), "stream": len(stream), "int8": told["bytes"],
        "window error": float(np.max(np.abs(by_window - want) / unit)),
        "stream error": float(np.max(np.abs(by_row[program.reach - 1 :] - want) / unit)),
        "int8 correlation": told["correlation"],
    }  # fmt: skip


def timed(subject: Subject, rounds: int = 5, calls: int = 1_000) -> tuple[dict[str, float], float]:
    """Microseconds of one call of each model, and the test-retest floor, as a share."""
    with tempfile.TemporaryDirectory() as folder:
        file, _ = write_int8(subject, Path(folder))
        runs = {
            "window": Window(session(to_onnx(subject.program).SerializeToString())),
            "stream": Stream(session(to_onnx(subject.program, streaming=True).SerializeToString())),
            "int8": Window(session(str(file))),
        }
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(2 * rounds):
        for name, run in runs.items():
            each = np.empty(calls // 2)
            for i in range(len(each)):
                start = time.perf_counter_ns()
                run()
                each[i] = time.perf_counter_ns() - start
            took[name].append(float(np.median(each)) / 1000)
    halves = [(np.median(t[::2]), np.median(t[1::2])) for t in took.values()]
    floor = max(abs(a - b) / min(a, b) for a, b in halves)
    return {name: float(np.median(t)) for name, t in took.items()}, floor


def bucket(program: Program) -> int:
    return next((size for size in SIZES if program.parameters <= size), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=80, help="chains and cells together; a fifth as many wide ones")
    nets = parser.parse_args().nets
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    plan = [("chain", nets // 2), ("cell", nets // 2), ("wide", nets // 5)]
    subjects = [drawn(kind, number) for kind, count in plan for number in range(count)]
    found: dict[int, list[dict[str, float]]] = {}
    for subject in subjects:
        found.setdefault(bucket(subject.program), []).append(measured(subject))
    print("| parameters up to | nets | window kB, largest | stream kB | 8 bits kB | smaller in 8 bits | "
          "window error | stream error | 8 bits: lowest correlation |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        rows = found.get(size, [])
        if not rows:
            continue
        most = {key: max(row[key] for row in rows) for key in rows[0]}
        smaller = sum(row["int8"] < row["window"] for row in rows)
        print(
            f"| {size:,} | {len(rows)} | {most['window'] / 1000:.1f} | {most['stream'] / 1000:.1f} | "
            f"{most['int8'] / 1000:.1f} | {smaller} of {len(rows)} | {most['window error']:.1e} | "
            f"{most['stream error']:.1e} | {min(row['int8 correlation'] for row in rows):.4f} |"
        )
    print("\n| parameters | window us | stream us | 8 bits us | test-retest |\n| --- | --- | --- | --- | --- |")
    for size in SIZES:
        for subject in [s for s in subjects if bucket(s.program) == size][:2]:
            took, floor = timed(subject)
            print(
                f"| {subject.program.parameters:,} | {took['window']:.1f} | {took['stream']:.1f} | "
                f"{took['int8']:.1f} | {floor:.0%} |"
            )


if __name__ == "__main__":
    main()
