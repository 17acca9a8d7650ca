"""Every figure of issue 7 as a ratio in one process, against its limit or its peers: one command, one table.

    make bench                                   # short rounds, under 10 minutes on two cores
    python benchmarks/bench.py --full            # for the record: more rounds and seeds, real candles, the large study
    python benchmarks/bench.py --only rank step  # some of them
    python benchmarks/bench.py --json speed.json

Each kind of figure (a file of `benchmarks/speed/`) runs in a process of its own, one thread, one after another.  A
ratio is taken between candidates that run in turns in that process, in CPU time; what is told is its median over the
rounds, with the smallest and the largest.  Where a figure needs what is not there (a GPU, a folder of candles), the
table says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

KINDS = {
    "rank": "subnets ranked on a validation series",
    "loss": "CPU to equal validation loss, segments against windows",
    "step": "a supernet's training step against its matrix products",
    "cells": "a DARTS step against the authors' and against its convolutions",
    "bf16": "trainings in bf16 by the table of this machine",
    "retrain": "networks of one shape against sequential PyTorch",
    "study": "the large study: minutes and memory",
    "tpe": "a whole search against Optuna's TPE",
    "growth": "cost against rows, subnets, layers and width",
    "cuda": "the same on a GPU",
}


def one(kind: str, full: bool) -> None:
    """Runs one kind in this process and prints a line of JSON for each figure."""
    import torch

    torch.set_num_threads(1)
    for figure in importlib.import_module(f"speed.{kind}").figures(full):
        print(json.dumps(figure.json()), flush=True)


def machine() -> str:
    """What one has to know of the machine."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{model}, {os.cpu_count()} cores, load {load}, torch {torch.__version__}, {gpu}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="for the record")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures")
    parser.add_argument("--one", choices=list(KINDS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.full)
        return 0
    from speed.figure import Figure

    print(f"{machine()}\n\n| figure | bar | median (range) | | |\n| --- | --- | --- | --- | --- |", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    found: dict[str, list[dict[str, object]]] = {}
    failed = False
    for kind in options.only:
        command = [sys.executable, __file__, "--one", kind, *(["--full"] if options.full else [])]
        began, found[kind] = time.perf_counter(), []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                figure = json.loads(line)
                found[kind].append(figure)
                figure.pop("met")
                print(Figure(**figure).row(), flush=True)
        if process.returncode:
            failed = True
            print(f"| {KINDS[kind]} | | failed with code {process.returncode} | **missed** | |", flush=True)
        print(f"<!-- {kind}: {time.perf_counter() - began:.0f} s -->", flush=True)
    if options.json:
        text = json.dumps({"machine": machine(), "full": options.full, "figures": found}, indent=1)
        text = text.replace("NaN", "null")  # figures that were not run
        options.json.write_text(text, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
