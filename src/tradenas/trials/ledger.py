"""Everything that was ever scored, each once: the count that the verdict must pay for.

Recording is idempotent, so that a resumed stage may replay itself: the same stage and key with the same outcome is
the row that is there already, with another outcome it is an error, because then the run is not reproducible.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tradenas.atomic import canonical_json
from tradenas.errors import ConfigError, FolderError, VaultError
from tradenas.splits.vault import Look
from tradenas.trials.database import Database
from tradenas.trials.jobtable import JobTable

__all__ = ["Ledger", "Trial"]

Status = Literal["ok", "failed"]
COLUMNS = "stage, key, digest, architecture, seed, fold, params, status, scores, error"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One thing that was scored, or failed to be.

    Attributes:
        stage: where in the study, e.g. `search`, `retrain`.
        key: what makes it this trial within its stage, e.g. `digest/seed/fold`.
        digest: of the architecture; None for a baseline.
        architecture: choice -> option, as JSON.
        seed: of the training, if any.
        fold: of the walk-forward, if any.
        params: what else was set, as JSON.
        scores: name -> finite number, or None where a score is undefined (no trades, say); None for a failed trial.
        error: why there are no scores; None for a trial that has them.
        created: when it was first recorded, ISO 8601 UTC; set by the ledger, no part of equality.
    """

    stage: str
    key: str
    digest: str | None = None
    architecture: Mapping[str, Any] | None = None
    seed: int | None = None
    fold: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float | None] | None = None
    error: str | None = None
    created: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.error is None):
            raise ConfigError(
                f"trial {self.stage}/{self.key}",
                got=f"scores={self.scores!r}, error={self.error!r}",
                expected="exactly one of scores and error",
            )

    @property
    def status(self) -> Status:
        return "ok" if self.error is None else "failed"

    def _row(self) -> tuple[object, ...]:
        return (
            self.stage,
            self.key,
            self.digest,
            None if self.architecture is None else canonical_json(dict(self.architecture)),
            self.seed,
            self.fold,
            canonical_json(dict(self.params)),
            self.status,
            None if self.scores is None else canonical_json(dict(self.scores)),
            self.error,
        )

    @classmethod
    def _of(cls, row: Sequence[Any]) -> Self:
        stage, key, digest, architecture, seed, fold, params, _, scores, error, created = row
        return cls(
            stage=stage,
            key=key,
            digest=digest,
            architecture=None if architecture is None else json.loads(architecture),
            seed=seed,
            fold=fold,
            params=json.loads(params),
            scores=None if scores is None else json.loads(scores),
            error=error,
            created=created,
        )


class Ledger:
    """The SQLite file of a run folder with every trial, every look into the vault and every job.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.db") as ledger:
    ...     ledger.record("search", "a1b2", digest="a1b2", scores={"sharpe": 0.3})
    ...     ledger.record("search", "a1b2", digest="a1b2", scores={"sharpe": 0.3})  # a resume says it again
    ...     ledger.count("search")
    True
    False
    1

    Raises:
        FolderError: the file is damaged, not a ledger, or written by a newer tradenas.
    """

    def __init__(self, path: str | Path) -> None:
        self._db = Database(path)
        self.path = self._db.path
        self.jobs = JobTable(self._db)

    def record(
        self,
        stage: str,
        key: str,
        *,
        digest: str | None = None,
        architecture: Mapping[str, Any] | None = None,
        seed: int | None = None,
        fold: int | None = None,
        params: Mapping[str, Any] | None = None,
        scores: Mapping[str, float | None] | None = None,
        error: str | None = None,
    ) -> bool:
        """Records one trial durably (fields as in `Trial`); True if it is new.  For many, see `record_many`."""
        trial = Trial(
            stage=stage,
            key=key,
            digest=digest,
            architecture=architecture,
            seed=seed,
            fold=fold,
            params=params or {},
            scores=scores,
            error=error,
        )
        return self.record_many([trial]) == 1

    def record_many(self, trials: Iterable[Trial]) -> int:
        """Records trials in one transaction, all or none; returns how many were new.

        A trial that failed before (a machine out of memory, say) and has scores now takes the place of its failure.

        Raises:
            FolderError: a trial is there with another outcome: the run is not reproducible.
            ConfigError: a score is NaN or infinite.
        """
        rows = [trial._row() for trial in trials]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        new = 0
        with self._db.transaction() as run:
            for row in rows:
                new += self._insert(run, row, now)
        return new

    def _insert(self, run: sqlite3.Connection, row: tuple[object, ...], now: str) -> int:
        done = run.execute(
            f"INSERT INTO trials ({COLUMNS}, created) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",  # noqa: S608
            (*row, now),
        )
        if done.rowcount == 1:
            return 1
        stage, key, *_, status, scores, _ = row
        there = run.execute(f"SELECT {COLUMNS} FROM trials WHERE stage = ? AND key = ?", (stage, key)).fetchone()  # noqa: S608
        if there[:7] == row[:7] and there[7] == "failed" and status == "ok":
            run.execute(
                "UPDATE trials SET status = 'ok', scores = ?, error = NULL WHERE stage = ? AND key = ?",
                (scores, stage, key),
            )
        elif there[:9] != row[:9]:  # the words of an error may differ, its being one may not
            name, was, now_is = next(
                (name, was, now_is)
                for name, was, now_is in zip(COLUMNS.split(", "), there, row, strict=True)
                if was != now_is
            )
            raise FolderError(
                f"{self.path} trial {stage}/{key} {name}",
                got=str(now_is),
                expected=f"{was}, as recorded before",
                fix="the run is not reproducible: check versions, thread count and data, or start in a new folder",
            )
        return 0

    def count(self, stage: str | None = None) -> int:
        """How many trials there are, failed ones included, in one stage or in all."""
        where, values = ("WHERE stage = ?", (stage,)) if stage is not None else ("", ())
        return int(str(self._db.rows(f"SELECT count(*) FROM trials {where}", values)[0][0]))  # noqa: S608

    def count_by_stage(self) -> dict[str, int]:
        """Stage -> number of trials, failed ones included; their sum is the number of tries of the study."""
        rows = self._db.rows("SELECT stage, count(*) FROM trials GROUP BY stage ORDER BY stage")
        return {str(stage): int(str(count)) for stage, count in rows}

    def trials(self, stage: str | None = None) -> list[Trial]:
        """The trials of one stage, or all, in the order they were first recorded."""
        where, values = ("WHERE stage = ?", (stage,)) if stage is not None else ("", ())
        rows = self._db.rows(f"SELECT {COLUMNS}, created FROM trials {where} ORDER BY id", values)  # noqa: S608
        return [Trial._of(row) for row in rows]

    def fingerprint(self) -> str:
        """SHA-256 of what was tried and found, whatever the order and time: equal for equal runs, resumed or not."""
        hashed = hashlib.sha256()
        for row in self._db.rows(f"SELECT {COLUMNS} FROM trials ORDER BY stage, key"):  # noqa: S608
            hashed.update(canonical_json(list(row)).encode())
        return hashed.hexdigest()

    def looks(self) -> list[Look]:
        """Every look into the vault, first one first (`tradenas.splits.vault.LookStore`).

        Raises:
            FolderError: their numbers are not 1, 2, 3, ...: somebody took one out.
        """
        rows: list[Any] = self._db.rows(
            "SELECT number, time_ms, reason, subject, start, stop FROM looks ORDER BY number"
        )
        looks = [Look(number=n, time_ms=ms, reason=why, subject=who, start=a, stop=b) for n, ms, why, who, a, b in rows]
        if [look.number for look in looks] != list(range(1, len(looks) + 1)):
            raise FolderError(
                f"{self.path} looks",
                got=[look.number for look in looks],
                expected="1, 2, 3, ...",
                fix="restore the file",
            )
        return looks

    def stamp(self, look: Look) -> None:
        """Writes a look into the vault down, durably, before anybody sees what it shows.

        Raises:
            VaultError: another process looked first.
        """
        with self._db.transaction() as run:
            before = len(self.looks())
            if look.number != before + 1:
                raise VaultError(
                    f"{self.path} looks",
                    got=f"look {look.number} after {before} look(s)",
                    expected=f"look {before + 1}",
                    fix="another process opened the vault first; read its look",
                )
            run.execute(
                "INSERT INTO looks (number, time_ms, reason, subject, start, stop) VALUES (?,?,?,?,?,?)",
                (look.number, look.time_ms, look.reason, look.subject, look.start, look.stop),
            )

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Makes all that is written inside one transaction: all of it or none of it, and one sync."""
        with self._db.transaction():
            yield

    def close(self) -> None:
        """Lets the file go; what was recorded is on disk already."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
