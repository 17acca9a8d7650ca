"""The child of a `ProcessRunner`: a stack of jobs at a time, told and answered in lines of JSON; dies with its parent.

    python -m tradenas.trials.worker PARENT_PID BEAT_SECONDS

Lines in:  {"specs": ["..."], "module": "...", "folders": ["..." | null]}, the jobs of one stack.  Lines out: {"ready":
pid}, {"beat": n}, {"done": [id], "errors": [null | "..."]}.  What jobs print goes to stderr.
"""

from __future__ import annotations

import faulthandler
import importlib
import itertools
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tradenas.trials.jobs import JOBS, JobSpec
from tradenas.trials.stacks import perform_all

__all__ = ["main"]

PR_SET_PDEATHSIG = 1


class Line:
    """The way back to the parent: whole lines, from any thread."""

    def __init__(self) -> None:
        self._handle = os.dup(1)
        self._lock = threading.Lock()
        os.dup2(2, 1)  # a job that prints must not be taken for an answer

    def say(self, **message: object) -> None:
        data = (json.dumps(message) + "\n").encode("ascii")
        with self._lock:
            while data:
                data = data[os.write(self._handle, data) :]


def main(parent: int, beat_s: float) -> None:
    """Serves until the parent closes the line or dies."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with(parent)
    line = Line()
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    incoming = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_listen, args=(incoming, orders), daemon=True).start()
    threading.Thread(target=_beat, args=(line, beat_s), daemon=True).start()
    line.say(ready=os.getpid())
    while True:
        order = orders.get()
        specs = [JobSpec.from_json(text) for text in order["specs"]]
        jobs = [spec.id for spec in specs]
        folders = [None if name is None else Path(name) for name in order["folders"]]
        line.say(done=jobs, errors=_perform(specs, order["module"], folders))


def _perform(specs: list[JobSpec], module: str, folders: list[Path | None]) -> list[str | None]:
    try:
        if specs[0].kind not in JOBS:
            importlib.import_module(module)  # which registers it
    except Exception as error:  # noqa: BLE001 - a job whose code does not import has failed
        return [f"{type(error).__name__}: {error}"[:2000]] * len(specs)
    return perform_all(specs, folders)


def _listen(handle: int, orders: queue.SimpleQueue[dict[str, Any]]) -> None:
    try:
        with os.fdopen(handle, "rb") as lines:
            for text in lines:
                orders.put(json.loads(text))
    finally:
        os._exit(0)  # the parent is gone, or wants us gone; a try of ours is nobody's now


def _beat(line: Line, every_s: float) -> None:
    for count in itertools.count():
        time.sleep(every_s)
        try:
            line.say(beat=count)
        except OSError:
            os._exit(0)


def _die_with(parent: int) -> None:
    """Asks the kernel to kill us when the parent dies (Linux); elsewhere the closed line must do."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
