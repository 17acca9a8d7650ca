"""The jobs of a ledger: who works on what, how often it was tried, and the hash of what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tradenas.errors import FolderError
from tradenas.trials.database import Database

__all__ = ["JobRow", "JobTable"]

State = Literal["ready", "running", "done", "failed", "parked"]


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """What the ledger knows of one job.

    Attributes:
        id: SHA-256 of its specification.
        state: `ready`, `running`, `done` (its result is on disk), `failed` (it raised: it would again), or `parked`
            (its process died or hung too often: the machine may be to blame, so a later run may try again).
        owner: the run that holds or last held it.
        tries: how often it was started, over all runs.
        result_path: of the result file, relative to the folder of the jobs.
        result_sha256: of the result file.
        error: why it failed or was parked.
    """

    id: str
    state: State
    owner: str | None
    tries: int
    result_path: str | None
    result_sha256: str | None
    error: str | None


class JobTable:
    """Written by the one process that runs the jobs; a claim is a fence: (owner, tries) must still hold to finish.

    A claim needs no expiry: the owner holds the lock of the jobs' folder, which the kernel drops when it dies, so
    whoever has that lock may take over what is left running (`take_over`).
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, specs: Mapping[str, str]) -> None:
        """Writes jobs down (id -> specification as canonical JSON); those that are there already stay as they are."""
        now = _now()
        with self._db.transaction() as run:
            run.executemany(
                "INSERT INTO jobs (id, spec, state, created) VALUES (?, ?, 'ready', ?) ON CONFLICT DO NOTHING",
                [(name, spec, now) for name, spec in sorted(specs.items())],
            )

    def take_over(self) -> int:
        """Makes ready what a dead run left running; the caller holds the lock of the folder.  Returns how many."""
        with self._db.transaction() as run:
            return run.execute("UPDATE jobs SET state = 'ready' WHERE state = 'running'").rowcount

    def claim(self, name: str, owner: str) -> int:
        """Takes a job and returns the number of this try; `FolderError` if another run has it."""
        with self._db.transaction() as run:
            taken = run.execute(
                "UPDATE jobs SET state = 'running', owner = ?, tries = tries + 1, error = NULL,"
                " result_path = NULL, result_sha256 = NULL, finished = NULL"
                " WHERE id = ? AND (state != 'running' OR owner = ?) RETURNING tries",
                (owner, name, owner),
            ).fetchone()
        if taken is None:
            raise FolderError(f"job {name[:12]}", got="a job unknown or held by another run", expected="one to claim")
        return int(taken[0])

    def finish(self, name: str, *, owner: str, tries: int, result_path: str, result_sha256: str) -> None:
        """Marks a job done whose result file is on disk already; `FolderError` if it was taken away meanwhile."""
        self._close(name, owner, tries, "done", result_path, result_sha256, None)

    def fail(self, name: str, *, owner: str, tries: int, error: str, parked: bool) -> None:
        """Marks a job as one that raised, or parks one whose process died or hung too often."""
        self._close(name, owner, tries, "parked" if parked else "failed", None, None, error)

    def _close(
        self,
        name: str,
        owner: str,
        tries: int,
        state: State,
        path: str | None,
        sha256: str | None,
        error: str | None,
    ) -> None:
        with self._db.transaction() as run:
            changed = run.execute(
                "UPDATE jobs SET state = ?, result_path = ?, result_sha256 = ?, error = ?, finished = ?"
                " WHERE id = ? AND state = 'running' AND owner = ? AND tries = ?",
                (state, path, sha256, error, _now(), name, owner, tries),
            ).rowcount
        if changed != 1:
            raise FolderError(
                f"job {name[:12]}",
                got="another run at work on it",
                expected=f"try {tries} of {owner} to hold it still",
                fix="let one process run the jobs of a folder",
            )

    def rows(self, names: Iterable[str] | None = None) -> dict[str, JobRow]:
        """What is known of some jobs, or of all, by id."""
        wanted = None if names is None else set(names)
        told: list[tuple[Any, ...]] = self._db.rows(
            "SELECT id, state, owner, tries, result_path, result_sha256, error FROM jobs ORDER BY id"
        )
        return {
            name: JobRow(
                id=name, state=state, owner=owner, tries=tries, result_path=path, result_sha256=sha256, error=error
            )
            for name, state, owner, tries, path, sha256, error in told
            if wanted is None or name in wanted
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
