"""Runs jobs here or in worker processes, with one outcome: the number of workers and every kill change nothing.

Results come back sorted by job id, and each is on disk, with its row in the ledger, before anybody hears of it.  A
job that raised is a failed job and is not run again; a job whose process died or hung is tried again, three times in
all, and then given up for this run (`parked` in the ledger), so that one poisoned job cannot hold up the rest.  Jobs
that are faster together go to a worker as one stack (`tradenas.trials.stacks`); one that dies three times comes apart.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from tradenas.atomic import exclusive
from tradenas.errors import ConfigError, TradenasError
from tradenas.trials.jobs import JOBS, JobDone, JobSpec
from tradenas.trials.jobstore import JobStore
from tradenas.trials.ledger import Ledger
from tradenas.trials.process import WorkerProcess
from tradenas.trials.stacks import Stack, perform_all, stacks_of

__all__ = ["InlineRunner", "ProcessRunner", "Runner"]

OnDone = Callable[[JobDone], None]
OnBegin = Callable[[Stack], None]
MAX_STARTS = 10  # in a row that came to nothing: more than bad luck


class Runner(Protocol):
    """Something that runs jobs.  All of them pass one contract (`tests/trials/test_runner.py`)."""

    def run(
        self,
        jobs: Iterable[JobSpec],
        *,
        ledger: Ledger,
        folder: str | Path,
        on_done: OnDone | None = None,
        on_begin: OnBegin | None = None,
    ) -> dict[str, JobDone]:
        """Runs what was not run before and returns all outcomes, by job id, sorted.

        Args:
            jobs: in the order they should be begun; equal ones are one.
            ledger: where tries and outcomes are written down.
            folder: for these jobs alone (`folder/ID/result.json`); one run at a time.
            on_done: hears of each outcome as it is known, those of earlier runs included.
            on_begin: hears which jobs are begun, those of a stack at once; of those tried again once more.

        Raises:
            FolderError: another run is at work in the folder, or the disk refuses.
            ConfigError: a job of an unknown kind.
        """


class InlineRunner:
    """Runs jobs one after the other in this process: for tests, debugging, and studies of few jobs.

    Args:
        stack: most jobs that are done together; 1 does each by itself.
    """

    def __init__(self, *, stack: int = 1) -> None:
        self.stack = _positive("InlineRunner.stack", stack)

    def run(
        self,
        jobs: Iterable[JobSpec],
        *,
        ledger: Ledger,
        folder: str | Path,
        on_done: OnDone | None = None,
        on_begin: OnBegin | None = None,
    ) -> dict[str, JobDone]:
        """See `Runner.run`."""
        specs = _checked(jobs)
        done: dict[str, JobDone] = {}
        with exclusive(folder) as path:
            store = JobStore(path, ledger, specs)
            for stack in stacks_of(store.specs.values(), self.stack):
                known = {job: outcome for job in stack if (outcome := store.known(job)) is not None}
                begun = {job: store.begin(job) for job in stack if job not in known}
                errors: list[str | None] = [None] * len(stack)
                if begun:
                    if on_begin is not None:
                        on_begin(tuple(begun))
                    specs = [JobSpec.from_json(store.specs[job].to_json()) for job in stack]
                    errors = perform_all(specs, [begun[job][1].resolve() if job in begun else None for job in stack])
                for job, error in zip(stack, errors, strict=True):
                    outcome = known[job] if job in known else store.close(job, begun[job][0], error)
                    done[job] = outcome
                    if on_done is not None:
                        on_done(outcome)
        return dict(sorted(done.items()))


class ProcessRunner:
    """Runs jobs in supervised processes that are replaced when they die; nothing survives this process.

    Args:
        workers: processes at a time.
        max_tries: of a job whose process dies or hangs, in one run.
        timeout_s: a job that takes longer is killed and tried again, a stack that takes longer than that for each of
            its jobs; None sets no limit.
        silence_s: a process not heard of for so long (stopped, or stuck) is killed; it beats five times as often.
        stack: most jobs that are done together; 1 does each by itself.
    """

    def __init__(
        self,
        workers: int,
        *,
        max_tries: int = 3,
        timeout_s: float | None = None,
        silence_s: float = 300.0,
        stack: int = 1,
    ) -> None:
        for name, value in (("workers", workers), ("max_tries", max_tries), ("stack", stack)):
            _positive(f"ProcessRunner.{name}", value)
        for name, seconds in (("timeout_s", timeout_s), ("silence_s", silence_s)):
            if seconds is not None and not seconds > 0:
                raise ConfigError(f"ProcessRunner.{name}", got=seconds, expected="more than 0 seconds")
        self.workers, self.max_tries, self.stack = workers, max_tries, stack
        self.timeout_s, self.silence_s = timeout_s, silence_s
        self._run: _Run | None = None

    @property
    def pids(self) -> list[int]:
        """Of the worker processes of the run in progress."""
        return [worker.pid for worker in self._run.pool] if self._run is not None else []

    def run(
        self,
        jobs: Iterable[JobSpec],
        *,
        ledger: Ledger,
        folder: str | Path,
        on_done: OnDone | None = None,
        on_begin: OnBegin | None = None,
    ) -> dict[str, JobDone]:
        """See `Runner.run`."""
        specs = _checked(jobs)
        for spec in specs:
            if getattr(JOBS[spec.kind], "__module__", "__main__") == "__main__":
                raise ConfigError(
                    f"job {spec.kind}",
                    got="a function of __main__",
                    expected="one a worker can import",
                    fix="move it into a module, or use InlineRunner",
                )
        with exclusive(folder) as path:
            self._run = _Run(self, JobStore(path, ledger, specs), on_done, on_begin)
            try:
                return self._run.complete()
            finally:
                self._run.end()
                self._run = None


class _Run:
    """One call of `ProcessRunner.run`: the queue, the workers, and what has come of it so far."""

    def __init__(
        self, runner: ProcessRunner, store: JobStore, on_done: OnDone | None, on_begin: OnBegin | None
    ) -> None:
        self.runner, self.store, self.on_done, self.on_begin = runner, store, on_done, on_begin
        self.todo: deque[Stack] = deque()
        self.pool: list[WorkerProcess] = []
        self.deaths: dict[Stack, int] = {}
        self.failed_starts = 0
        self.done: dict[str, JobDone] = {}
        self.selector = selectors.DefaultSelector()

    def complete(self) -> dict[str, JobDone]:
        for stack in stacks_of(self.store.specs.values(), self.runner.stack):
            known = [self.store.known(job) for job in stack]
            for outcome in known:
                if outcome is not None:
                    self._tell(outcome)
            if None in known:
                self.todo.append(stack)
        while len(self.done) < len(self.store.specs):
            self._staff()
            for key, _ in self.selector.select(timeout=self._patience()):
                self._hear(key.data)
            self._end_the_stuck()
        return dict(sorted(self.done.items()))

    def end(self) -> None:
        """Leaves no process behind, whatever happened."""
        for worker in self.pool:
            worker.kill()
        self.pool.clear()
        self.selector.close()

    def _staff(self) -> None:
        """Gives every idle worker a stack it can do, and starts those that are missing."""
        for worker in [w for w in self.pool if w.ready and not w.stack]:
            stack = next((s for s in self.todo if self._threads(s) == worker.threads), None)
            if stack is not None:
                self.todo.remove(stack)
                begun = {job: self.store.begin(job) for job in stack if job not in self.done}
                worker.give([self.store.specs[job] for job in stack], begun)
                if self.on_begin is not None:
                    self.on_begin(tuple(begun))
            elif self.todo:  # the rest wants another number of threads, which a process has for life
                self._drop(worker)
        starting = sum(not worker.ready for worker in self.pool)
        for stack in list(self.todo)[starting : starting + self.runner.workers - len(self.pool)]:
            worker = WorkerProcess(self._threads(stack), self.runner.silence_s / 5)
            self.pool.append(worker)
            self.selector.register(worker.fileno(), selectors.EVENT_READ, worker)

    def _threads(self, stack: Stack) -> int:
        return self.store.specs[stack[0]].threads

    def _hear(self, worker: WorkerProcess) -> None:
        messages, alive = worker.messages()
        for message in messages:
            if "ready" in message:
                worker.ready, self.failed_starts = True, 0
            elif "done" in message:
                worker.stack = ()
                for job, error in zip(message["done"], message["errors"], strict=True):
                    if job in worker.tries:
                        self._tell(self.store.close(job, worker.tries[job], error))
        if not alive:
            self._bury(worker, "its process died")

    def _bury(self, worker: WorkerProcess, why: str) -> None:
        """A worker is dead or must be: its stack goes back to the queue, comes apart, or, of one job, is given up."""
        stack, mine = worker.stack, list(worker.tries)
        why = f"{why} ({self._drop(worker)})"
        if not stack:
            self.failed_starts += not worker.ready
            if self.failed_starts >= MAX_STARTS:
                raise TradenasError(
                    "ProcessRunner", got=f"workers that do not start: {why}", expected="a running Python"
                )
            return
        self.deaths[stack] = self.deaths.get(stack, 0) + 1
        again = self.deaths[stack] < self.runner.max_tries
        if again or len(stack) > 1:
            for job in mine:
                self.store.discard(job, worker.tries[job])
            self.todo.extend([stack] if again else [(job,) for job in mine])
        else:
            text = f"given up after {self.deaths[stack]} tries: {why}"
            self._tell(self.store.fail(stack[0], worker.tries[stack[0]], text, parked=True))

    def _end_the_stuck(self) -> None:
        now, limit, silence = time.monotonic(), self.runner.timeout_s, self.runner.silence_s
        for worker in list(self.pool):
            allowed = None if limit is None else limit * max(1, len(worker.stack))
            if worker.stack and allowed is not None and now - worker.began > allowed:
                self._bury(worker, f"no result within {allowed:g} s")
            elif now - worker.heard > silence:
                self._bury(worker, f"not a sign of life for {silence:g} s")

    def _patience(self) -> float:
        """How long to wait for messages before looking at the clock again."""
        return min(1.0, self.runner.silence_s / 5, (self.runner.timeout_s or 5.0) / 5)

    def _drop(self, worker: WorkerProcess) -> str:
        self.selector.unregister(worker.fileno())
        self.pool.remove(worker)
        return worker.kill()

    def _tell(self, outcome: JobDone) -> None:
        self.done[outcome.id] = outcome
        if self.on_done is not None:
            self.on_done(outcome)


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ConfigError(name, got=value, expected="1 or more")
    return value


def _checked(jobs: Iterable[JobSpec]) -> list[JobSpec]:
    """The jobs, all of known kinds: an unknown one is found before any work is done."""
    specs = list(jobs)
    for kind in {spec.kind for spec in specs}:
        JOBS[kind]
    return specs
