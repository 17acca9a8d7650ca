"""Jobs for the tests of the runners: good ones, and one for every way to go wrong."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tradenas import atomic
from tradenas.trials.jobs import JOBS, JobSpec, find_input
from tradenas.trials.stacks import TOGETHER, Together, alone


@JOBS.register("planted/draw")
def draw(spec: JobSpec, folder: Path) -> dict[str, Any]:
    assert [p.name for p in folder.iterdir()] == []  # every try starts clean
    (folder / "litter").write_text("half")
    time.sleep(spec.params.get("sleep", 0))
    if "log" in spec.params:
        with Path(spec.params["log"]).open("a") as log:
            log.write(f"{spec.id}\n")
    draws = [random.Random(f"{spec.seed}/{i}").gauss() for i in range(3)]
    (folder / "deep").mkdir()
    atomic.write_text(folder / "deep/draws.txt", repr(draws))
    return {"draws": draws, "n": spec.params.get("n")}


@JOBS.register("planted/raise")
def raise_(spec: JobSpec, folder: Path) -> dict[str, Any]:
    with Path(spec.params["log"]).open("a") as log:
        log.write("raised\n")
    raise ValueError("no such market")


@JOBS.register("planted/exit")
def exit_(spec: JobSpec, folder: Path) -> dict[str, Any]:
    sys.exit(3)


@JOBS.register("planted/return")
def return_(spec: JobSpec, folder: Path) -> Any:
    return {"nan": {"x": float("nan")}, "list": [1], "reserved": {}}[_leave(spec, folder)]


def _leave(spec: JobSpec, folder: Path) -> str:
    what: str = spec.params["what"]
    if what == "reserved":
        (folder / "result.json").write_text("{}")
    return what


@JOBS.register("planted/mutate")
def mutate(spec: JobSpec, folder: Path) -> dict[str, Any]:
    assert isinstance(spec.params, dict)
    spec.params["pair"].append("changed")
    return {"pair": spec.params["pair"], "type": type(spec.params["pair"]).__name__}


@JOBS.register("planted/print")
def print_(spec: JobSpec, folder: Path) -> dict[str, Any]:
    sys.stdout.write('{"done": "x", "error": null}\n')
    sys.stdout.flush()
    os.write(1, b'{"ready": 1}\nnoise\n')
    subprocess.run(["echo", "from a child"], check=True)
    return {"stdin": sys.stdin.read()}


@JOBS.register("planted/input")
def input_(spec: JobSpec, folder: Path) -> dict[str, Any]:
    return {"text": find_input(spec, "candles", folder).read_text()}


@JOBS.register("planted/threads")
def threads(spec: JobSpec, folder: Path) -> dict[str, Any]:
    where = spec.params.get("where")
    if where == "torch":
        import torch

        return {"threads": torch.get_num_threads()}
    if where == "blas":
        import numpy as np  # noqa: F401 - loads one
        from threadpoolctl import threadpool_info

        return {"threads": min(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")}
    if where == "birth":  # what this process was started with
        (said,) = re.findall(rb"OMP_NUM_THREADS=(\d+)", Path("/proc/self/environ").read_bytes())
        return {"threads": int(said)}
    return {"threads": int(os.environ["OMP_NUM_THREADS"])}


@JOBS.register("planted/pid")
def pid(spec: JobSpec, folder: Path) -> dict[str, Any]:
    time.sleep(0.02)
    return {"pid": os.getpid()}


@JOBS.register("planted/die")
def die(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Dies, hangs or stops so many times, then is well."""
    log = Path(spec.params["log"])
    before = log.read_text().count("\n") if log.exists() else 0
    with log.open("a") as out:
        out.write("begun\n")
    (folder / "litter").write_text("half")
    if before < spec.params["times"]:
        os.write(2, b"last words\n")
        how = spec.params["how"]
        if how == "hang":
            time.sleep(60)
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "segv": signal.SIGSEGV}[how])
        time.sleep(60)
    return {"well": True}


@JOBS.register("planted/child")
def child(spec: JobSpec, folder: Path) -> dict[str, Any]:
    """Starts a process of its own, says so, and never ends."""
    sleeper = subprocess.Popen(["sleep", "60"])
    Path(spec.params["log"]).write_text(f"{os.getpid()} {sleeper.pid}\n")
    time.sleep(60)
    return {}


def _work(specs: Sequence[JobSpec], folder: Path) -> list[Any]:
    """A sum that hangs on who is summed with whom, as roundings do; `params.bad` says what goes wrong."""
    with Path(specs[0].params["log"]).open("a") as log:
        log.write(" ".join(str(spec.seed) for spec in specs) + "\n")
    assert folder.parent.name == "jobs"
    bad = [spec.params.get("bad") for spec in specs]
    if "refuse" in bad:
        raise ValueError("not with me")
    if "kill" in bad:
        os.kill(os.getpid(), signal.SIGKILL)
    told = [spec.seed for spec in specs]
    return [ValueError(f"{s.seed} diverged") if s.params.get("bad") == "diverge" else told for s in specs]


def _tell(spec: JobSpec, outcome: Any, folder: Path) -> dict[str, Any]:
    assert [p.name for p in folder.iterdir()] == []  # every try starts clean
    atomic.write_text(folder / "with.txt", repr(outcome))
    return {"seed": spec.seed, "with": outcome}


@JOBS.register("planted/stack")
def stack(spec: JobSpec, folder: Path) -> dict[str, Any]:
    return alone(TOGETHER["planted/stack"], spec, folder)


TOGETHER.register("planted/stack")(
    Together(
        alike=lambda spec: spec.params.get("shape"),
        amount=lambda spec: int(spec.params.get("rows", 1)),
        work=_work,
        tell=_tell,
    )
)
