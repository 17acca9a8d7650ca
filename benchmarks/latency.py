"""One signal on one core, from Python: generated C against ONNX Runtime with bound buffers and PyTorch, in one process.

    python benchmarks/latency.py --out latency.json          (two minutes; the study on real candles included)
    python benchmarks/latency.py --run runs/NAME             (the champion of a run that there is)

Networks: `S`, `M`, `L`, standalone chains of 700, 1,900 and 8,300 parameters behind a bank of 32 lags; `bank`, 24
columns with 100 lags each, of which the lasso left a quarter; `gru` and `attention`, a layer of such;
`searched`, one training of the winner of a small study on S&P 500 candles; `traded`, the mean of its three seeds as one
file; `cnn_tiny`, the public definition (three times convolution 128 to 128 with 8 taps, relu, skip: 393 thousand
parameters, one more row) with a head of 128, in 8 bits with VNNI and in float32.

Stream is one more row, window is the last `reach` rows.  Every caller reads an array that is written to before the
clock starts, and nothing is allocated but the result; `c step(row)` is handed its array with each call instead.
Rounds are interleaved: in each, every caller runs a stretch of calls.  p50 is the least median of a round, p99 the
median of the rounds' 99th percentiles, `floor` the relative difference of p50 between odd and even rounds; the clock's
own cost (`clock`) is in all figures.  Errors are the largest difference from double precision over the largest signal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tradenas.formats.c import compile_programs
from tradenas.formats.c.library import compile_library
from tradenas.formats.eight_bits import eight_bits
from tradenas.formats.ensemble import mean_of
from tradenas.formats.lower import lower
from tradenas.formats.onnx import to_onnx
from tradenas.formats.program import Add, Input, Pointwise, Program, Step, Taps
from tradenas.formats.reference import run_windows
from tradenas.formats.runtime import Stream, Window, session
from tradenas.formats.simplify import simplify
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Chain

Call = Callable[[int], Callable[[], object]]

STUDY = {
    "name": "latency", "seed": 0,
    "data": {"source": "sample:sp500"},
    "features": {"window": 60},
    "space": {
        "depths": [1, 2], "widths": [8, 16], "lookbacks": [10, 20], "transforms": ["zscore"], "dropouts": [0.0],
        "ops": ["dense", "conv3", "conv5", "separable3", "residual", "gated"],
    },
    "search": {"kind": "spos", "num_ranked": 16, "training": {"epochs": 4}},
    "trials": {
        "top_k": 1, "seeds": 3, "random": 1, "coupling": 0, "tuning_budget": 2, "baselines": ["flat", "hold"],
        "training": {"epochs": 6},
    },
    "costs": {"taker_bps": 0.5, "slippage_bps": 1.0},
    "runner": {"kind": "inline"},
}  # fmt: skip


@dataclass
class Case:
    """A network and everything that answers for it."""

    name: str
    programs: tuple[Program, ...]
    torch_windows: Callable[[torch.Tensor], torch.Tensor] | None = None
    vnni: bool = False
    facts: dict[str, object] = field(default_factory=dict)
    callers: dict[str, Call] = field(default_factory=dict)
    taken: dict[str, list[list[int]]] = field(default_factory=dict)


def chain(name: str, width: int, ops: tuple[str, ...], *, features: int = 8, lookback: int = 32) -> Case:
    """A standalone network with weights that all matter and a bank of which the lasso left a quarter."""
    space = Chain(
        depths=(len(ops),), widths=(width,), lookbacks=(lookback,), norms=("layer",), dropouts=(0.0,),
        ops=tuple(dict.fromkeys(ops)), activations=("relu",), transforms=("zscore",),
    ).space()  # fmt: skip
    wanted = {f"layer{i}/op": op for i, op in enumerate(ops)}
    rng = rng_for(0, "latency", name)
    while True:
        architecture = space.sample(rng)
        if all(architecture[key] == op for key, op in wanted.items()):
            break
    network = Network(space, Layout(groups=("x",) * features, transforms=("zscore",))).standalone(architecture, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        network.inputs.taps *= torch.rand(network.inputs.taps.shape, generator=generator) < 0.25
    return Case(name, (simplify(lower(network)),), lambda x_BTF: network(x_BTF)[:, -1])


def searched(run: Path | None, folder: Path) -> list[Case]:
    """The champion of a run: one training of it, and all of them as their mean."""
    from tradenas.study import Study
    from tradenas.study.exporting import subject_of
    from tradenas.study.trained import TrainedStrategy

    began = time.perf_counter()
    if run is None:
        run = Study.of(STUDY).run(folder).folder
    trained = TrainedStrategy.load(run)
    took = time.perf_counter() - began
    cases = []
    for name, chosen in (("searched", (0,)), ("traded", tuple(range(len(trained.fitted))))):
        subject = subject_of(trained, chosen)

        def said(
            x_BTF: torch.Tensor, chosen: tuple[int, ...] = chosen, columns: tuple[int, ...] = subject.program.columns
        ):
            full = torch.zeros(*x_BTF.shape[:2], trained.data.x_TF.shape[1])
            full[:, :, list(columns)] = x_BTF
            return torch.stack([trained.fitted[k].network(full)[:, -1] for k in chosen]).mean(0)

        architecture = {c: str(o) for c, o in trained.row["architecture"].items()}
        facts = {"architecture": architecture, "verdict_of": trained.row["name"], "study_seconds": round(took, 1)}
        cases.append(
            Case(name, subject.programs, said if not any(f.moments for f in trained.fitted) else None, facts=facts)
        )
    return cases


def cnn_tiny() -> Program:
    """Weights as in a fresh network; three layers and a head."""
    rng, width = rng_for(0, "latency", "cnn_tiny"), 128
    steps: list[Step] = [Input(name="x", channels=width)]
    now = "x"
    for i in range(3):
        weight = rng.uniform(-1, 1, (width, width, 8)) / np.sqrt(width * 8)
        steps += [
            Taps(
                name=f"conv{i}",
                reads=(now,),
                channels=width,
                weight=weight,
                bias=np.zeros(width),
                at=tuple(range(7, -1, -1)),
            ),
            Pointwise(name=f"relu{i}", reads=(f"conv{i}",), channels=width, function="relu"),
            Add(name=f"sum{i}", reads=(f"relu{i}", now), channels=width),
        ]
        now = f"sum{i}"
    head = rng.standard_normal((1, width, 1)) / np.sqrt(width)
    steps.append(Taps(name="y", reads=(now,), channels=1, weight=head, bias=np.zeros(1), at=(0,)))
    return Program(steps=tuple(steps), output="y", columns=tuple(range(width)))


def tiny_cases() -> list[Case]:
    program = cnn_tiny()
    x_TF = rng_for(1, "latency", "cnn_tiny").standard_normal((800, 128))
    eight = eight_bits(program, x_TF[:400])
    exact, near = (run_windows(p, np.stack([x_TF[i : i + p.reach] for i in range(400, 700)])) for p in (program, eight))
    error = float(np.linalg.norm(near - exact) / np.linalg.norm(exact))
    return [
        Case("cnn_tiny int8", (eight,), vnni=True, facts={"relative_error_of_8_bits": error}),
        Case("cnn_tiny", (program,)),
    ]


def prepare(case: Case, folder: Path, *, torch_too: bool) -> None:
    """Everything that can be called, checked against double precision."""
    program = mean_of(case.programs)
    prefix = "net_" + case.name.replace(" ", "_")
    reach, columns = program.reach, len(program.columns)
    x_TF = rng_for(2, "latency", "rows").standard_normal((256 + reach, columns)).astype(np.float32)
    windows_NRF = np.stack([x_TF[i : i + reach] for i in range(256)])
    exact_N = run_windows(program, windows_NRF.astype(float))
    size = max(1.0, float(np.abs(exact_N).max()))

    made = compile_programs(case.programs, folder, prefix, vnni=case.vnni)
    row, rows = np.zeros(columns, np.float32), np.zeros((reach, columns), np.float32)
    stream, window = made.module.Stream(row), made.module.Window(rows)

    def c_stream(i: int) -> Callable[[], object]:
        row[:] = x_TF[i % 256]
        return stream.step

    free = made.module.Stream()

    def c_given(i: int) -> Callable[[], object]:
        row[:] = x_TF[i % 256]
        return partial(free.step, row)

    def c_window(i: int) -> Callable[[], object]:
        rows[:] = windows_NRF[i % 256]
        return window.run

    case.callers |= {"c stream": c_stream, "c step(row)": c_given, "c window": c_window}
    case.facts |= {
        "parameters": program.parameters, "macs_per_row": program.macs(), "macs_per_window": program.window_macs(),
        "reach": reach, "columns": columns, "c_bytes": made.source.stat().st_size,
        "shared_object_bytes": made.shared.stat().st_size,
    }  # fmt: skip
    errors = {
        "c stream": made.series(x_TF)[reach - 1 : reach + 255], "c window": made.windows(windows_NRF),
    }  # fmt: skip
    if not case.name.startswith("cnn_tiny"):
        models = {s: to_onnx(program, streaming=s).SerializeToString() for s in (True, False)}
        case.facts["onnx_bytes"] = len(models[False])
        onnx_stream, onnx_window = Stream(session(models[True])), Window(session(models[False]))
        errors["onnx window"] = np.array([onnx_window.run(w[None])[0] for w in windows_NRF])
        errors["onnx stream"] = onnx_stream.run(x_TF[None])[0, reach - 1 : reach + 255]

        def o_stream(i: int) -> Callable[[], object]:
            onnx_stream.x[0] = x_TF[i % 256]
            return onnx_stream

        def o_window(i: int) -> Callable[[], object]:
            onnx_window.x[0] = windows_NRF[i % 256]
            return onnx_window

        case.callers |= {"onnx stream": o_stream, "onnx window": o_window}
    if case.torch_windows is not None and torch_too:
        run = case.torch_windows
        with torch.inference_mode():
            errors["torch window"] = run(torch.from_numpy(windows_NRF)).numpy()
        given = torch.zeros(1, reach, columns)

        def eager() -> object:
            with torch.inference_mode():
                return run(given)

        def t_window(i: int) -> Callable[[], object]:
            given[0] = torch.from_numpy(windows_NRF[i % 256])
            return eager

        case.callers["torch window"] = t_window
    case.facts["error"] = {k: float(np.abs(v - exact_N).max()) / size for k, v in errors.items()}
    case.facts["largest_signal"] = size


def stretch(caller: Call, calls: int) -> list[int]:
    """Nanoseconds of single calls; the input of each is written before its clock starts."""
    taken, now = [], time.perf_counter_ns
    for i in range(calls):
        run = caller(i)
        began = now()
        run()
        taken.append(now() - began)
    return taken


def nothing(_: int) -> Callable[[], object]:
    return int


def told(stretches: list[list[int]]) -> dict[str, float]:
    """Microseconds."""
    p50 = [float(np.percentile(s, 50)) / 1e3 for s in stretches]
    p99 = [float(np.percentile(s, 99)) / 1e3 for s in stretches]
    odd, even = min(p50[1::2] or p50), min(p50[::2])
    return {
        "p50": min(p50),
        "p99": float(np.median(p99)),
        "p99_best": min(p99),
        "floor": abs(odd - even) / min(odd, even),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run folder, instead of the small study")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cases = [
            chain("S", 8, ("conv3",)), chain("M", 16, ("conv3", "conv3")), chain("L", 32, ("conv3", "conv3", "conv3")),
            chain("bank", 8, ("conv3",), features=24, lookback=100), chain("gru", 16, ("gru",)),
            chain("attention", 16, ("attention",)),
            *searched(given.run, folder), *tiny_cases(),
        ]  # fmt: skip
        for case in cases:
            prepare(case, folder, torch_too=True)
        inside = {}
        for vnni in (False, True):
            group = {f"in_{i}": c.programs for i, c in enumerate(cases) if c.vnni == vnni}
            inside |= compile_library(group, folder, f"inside{vnni}", vnni=vnni)
        clock: list[list[int]] = []
        for _ in range(given.rounds):
            clock.append(stretch(nothing, given.calls))
            for i, case in enumerate(cases):
                for name, caller in case.callers.items():
                    calls = given.calls // 20 if "torch" in name or case.name == "cnn_tiny" else given.calls
                    case.taken.setdefault(name, []).append(stretch(caller, max(20, calls)))
                for name, streaming in (("stream in C", True), ("window in C", False), ("clock in C", None)):
                    calls = 100 if case.name.startswith("cnn_tiny") and not streaming else given.calls
                    taken = inside[f"in_{i}"].nanoseconds(calls, streaming=streaming)
                    case.taken.setdefault(name, []).append(list(taken))
    report = {
        "cpu": cpu(), "machine": platform.machine(), "load_before": load, "load_after": os.getloadavg()[0],
        "torch": torch.__version__, "rounds": given.rounds, "calls": given.calls,
        "clock": told(clock),
        "networks": {c.name: {**c.facts, "us": {n: told(s) for n, s in c.taken.items()}} for c in cases},
    }  # fmt: skip
    show(report)
    if given.out:
        given.out.write_text(json.dumps(report, indent=1))


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def show(report: dict) -> None:
    load = f"load {report['load_before']:.1f} to {report['load_after']:.1f}"
    print(f"{report['cpu']}, {load}; clock {report['clock']['p50']:.3f} us")
    for name, net in report["networks"].items():
        us = net["us"]
        sizes = f"C {net['c_bytes']:,} B, .so {net['shared_object_bytes']:,} B"
        sizes += f", ONNX {net['onnx_bytes']:,} B" if "onnx_bytes" in net else ""
        print(f"{name}: {net['parameters']:,} parameters, reach {net['reach']}, {net['columns']} columns, {sizes}")
        for row, took in us.items():
            error = net["error"].get(row)
            print(f"  {row:13} p50 {took['p50']:8.3f}  p99 {took['p99']:8.3f}  floor {took['floor']:5.1%}"
                  + (f"  error {error:.1e}" if error is not None else ""))  # fmt: skip
        for way in ("stream", "window"):
            if f"onnx {way}" in us:
                print(f"  {way}: x{us[f'onnx {way}']['p50'] / us[f'c {way}']['p50']:.1f} of ONNX Runtime's p50")
        if "relative_error_of_8_bits" in net:
            print(f"  relative error of 8 bits {net['relative_error_of_8_bits']:.2%}")


if __name__ == "__main__":
    main()
