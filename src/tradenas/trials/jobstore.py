"""Where jobs live while they run and after: a folder for each try, one rename to publish it, then the ledger's row.

A try writes into `.try-ID-N`; when it is whole it is renamed to `ID`.  So a process that outlives its run (an orphan)
can spoil nothing: its folder has another name, and only the run that holds the lock of the folder publishes.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from tradenas.atomic import point, refuse_write, sha256_file, sync_folder
from tradenas.errors import FolderError
from tradenas.trials.jobs import RESULT, JobDone, JobSpec, read_result
from tradenas.trials.ledger import Ledger

__all__ = ["JobStore"]


class JobStore:
    """The jobs of one folder, for the one run that holds its lock (`tradenas.atomic.exclusive`)."""

    def __init__(self, folder: Path, ledger: Ledger, specs: Iterable[JobSpec]) -> None:
        self.folder, self._jobs, self._batch = folder, ledger.jobs, ledger.batch
        self.specs = {spec.id: spec for spec in specs}
        self.owner = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._jobs.add({name: spec.to_json() for name, spec in self.specs.items()})
        self._jobs.take_over()
        for leftover in sorted(folder.glob(".try-*")):
            shutil.rmtree(leftover)
        self._rows = self._jobs.rows(self.specs)

    def known(self, job: str) -> JobDone | None:
        """What came of a job in an earlier run, if that is final and whole; a damaged result is set aside as `bad-`."""
        row, path = self._rows[job], self.folder / job
        if row.state == "failed":
            return JobDone(id=job, status="failed", result=None, error=row.error, folder=None, tries=row.tries)
        if not path.exists():
            return None
        try:
            result = read_result(path, job)
            if row.state == "done" and sha256_file(path / RESULT) != row.result_sha256:
                raise FolderError(str(path), got="another result than the ledger's", expected="the one on record")
        except FolderError:
            bad = path.with_name(f"bad-{job}")
            shutil.rmtree(bad, ignore_errors=True)
            path.rename(bad)
            return None
        tries = row.tries
        if row.state != "done":  # killed between the rename and the row
            with self._batch():
                tries = self._jobs.claim(job, self.owner)
                self._finish(job, tries)
        return JobDone(id=job, status="ok", result=result, error=None, folder=path, tries=tries)

    def begin(self, job: str) -> tuple[int, Path]:
        """Claims a job and makes the empty folder for this try."""
        tries = self._jobs.claim(job, self.owner)
        path = self.folder / f".try-{job}-{tries}"
        try:
            path.mkdir()
        except OSError as error:
            refuse_write(path, error)
        return tries, path

    def close(self, job: str, tries: int, error: str | None) -> JobDone:
        """Publishes a try that ended well, and writes down what another raised."""
        return self.publish(job, tries) if error is None else self.fail(job, tries, error, parked=False)

    def publish(self, job: str, tries: int) -> JobDone:
        """Gives a whole try its name and its row; the result is durable when this returns."""
        attempt, path = self.folder / f".try-{job}-{tries}", self.folder / job
        result = read_result(attempt, job, with_files=False)
        try:
            point("rename", path)
            attempt.rename(path)
            sync_folder(self.folder)
        except OSError as error:
            refuse_write(path, error)
        point("row", path)
        self._finish(job, tries)
        return JobDone(id=job, status="ok", result=result, error=None, folder=path, tries=tries)

    def fail(self, job: str, tries: int, error: str, *, parked: bool) -> JobDone:
        """Writes down that a job raised, or that it is given up for this run."""
        self.discard(job, tries)
        self._jobs.fail(job, owner=self.owner, tries=tries, error=error, parked=parked)
        return JobDone(id=job, status="failed", result=None, error=error, folder=None, tries=tries)

    def discard(self, job: str, tries: int) -> None:
        """Deletes what a try left; its process is dead."""
        shutil.rmtree(self.folder / f".try-{job}-{tries}", ignore_errors=True)

    def _finish(self, job: str, tries: int) -> None:
        path = self.folder / job / RESULT
        self._jobs.finish(
            job, owner=self.owner, tries=tries, result_path=f"{job}/{RESULT}", result_sha256=sha256_file(path)
        )
