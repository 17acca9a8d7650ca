"""One worker process as its supervisor sees it: started, given a job, listened to, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tradenas.trials.jobs import JOBS, JobSpec, thread_environment
from tradenas.trials.stacks import Stack

__all__ = ["WorkerProcess"]

TAIL_BYTES = 600


class WorkerProcess:
    """A fresh Python process (not a fork: no copied locks or threads) that runs one stack of jobs at a time.

    Attributes:
        threads: what its numerical libraries are held to; fixed for its life.
        stack: ids of what it is at, empty when idle.
        tries: which try this is of those of them that are not done yet.
        ready: it has answered, so its Python and tradenas work.
        began: when its stack began, monotonic seconds.
        heard: when it last said anything.
    """

    def __init__(self, threads: int, beat_s: float) -> None:
        self.threads = threads
        self.stack: Stack = ()
        self.tries: dict[str, int] = {}
        self.ready = False
        self.began = self.heard = time.monotonic()
        self._buffer = b""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._log_from = 0
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "tradenas.trials.worker", str(os.getpid()), repr(beat_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **os.environ,
                **thread_environment(threads),
                "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path),
            },
            process_group=0,  # Ctrl-C reaches the supervisor alone
        )
        os.set_blocking(self.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """What to wait on for messages."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def give(self, specs: Sequence[JobSpec], begun: Mapping[str, tuple[int, Path]]) -> None:
        """Hands a stack over; a worker that died meanwhile shows it in `messages`.

        Args:
            specs: of its jobs, in their order.
            begun: number of this try and folder of those that are not done yet, by id.
        """
        self.stack, self.tries = tuple(spec.id for spec in specs), {job: tries for job, (tries, _) in begun.items()}
        self.began = self.heard = time.monotonic()
        self._log_from = self._log.seek(0, os.SEEK_END)
        folders = [str(begun[job][1].resolve()) if job in begun else None for job in self.stack]
        module = JOBS[specs[0].kind].__module__
        order = {"specs": [spec.to_json() for spec in specs], "module": module, "folders": folders}
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write((json.dumps(order) + "\n").encode("ascii"))
            self._process.stdin.flush()

    def messages(self) -> tuple[list[dict[str, Any]], bool]:
        """What it has said since, and whether it still lives."""
        alive = True
        while True:
            try:
                data = os.read(self.fileno(), 65536)
            except BlockingIOError:
                break
            if not data:
                alive = False
                break
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if lines:
            self.heard = time.monotonic()
        return [json.loads(line) for line in lines], alive

    def kill(self) -> str:
        """Ends it now, and tells how it ended: its signal or exit code, and the last it wrote on stderr."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # and whatever it started; not yet reaped, so the pid is still its own
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log_from, end - TAIL_BYTES))
        tail = self._log.read().decode("utf-8", "replace").strip()
        self._log.close()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{how}: {tail}" if tail else how
