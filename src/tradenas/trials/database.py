"""The SQLite file under a ledger: opened safely, refused when newer or damaged, written in whole transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradenas.errors import FolderError

__all__ = ["SCHEMA_VERSION", "Database"]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x74724E53  # "trNS": tells our files from any other SQLite file
BUSY_SECONDS = 30.0

SCHEMA = """
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    stage TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT,
    architecture TEXT,
    seed INTEGER,
    fold INTEGER,
    params TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ok', 'failed')),
    scores TEXT,
    error TEXT,
    created TEXT NOT NULL,
    UNIQUE (stage, key),
    CHECK ((status = 'ok') = (scores IS NOT NULL)),
    CHECK ((status = 'failed') = (error IS NOT NULL))
) STRICT;
CREATE TABLE looks (
    number INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    subject TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL
) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'failed', 'parked')),
    owner TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    result_path TEXT,
    result_sha256 TEXT,
    error TEXT,
    created TEXT NOT NULL,
    finished TEXT,
    CHECK ((state = 'done') = (result_sha256 IS NOT NULL))
) STRICT;
"""


class Database:
    """One connection to one ledger file, in WAL mode with full syncs: what was committed survives a power cut.

    Raises:
        FolderError: the file is damaged, not a ledger, or written by a newer tradenas.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._depth = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise self._trouble(error) from error
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        with self.transaction() as run:  # also the first read: a foreign or damaged file shows here
            version = run.execute("PRAGMA user_version").fetchone()[0]
            application = run.execute("PRAGMA application_id").fetchone()[0]
            tables = run.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables == 0 and version == 0:
                for statement in SCHEMA.split(";\n"):
                    run.execute(statement)
                run.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                run.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            elif application != APPLICATION_ID:
                raise FolderError(str(self.path), got="another program's SQLite file", expected="a tradenas ledger")
            elif version > SCHEMA_VERSION:
                raise FolderError(
                    str(self.path),
                    got=f"schema version {version}",
                    expected=f"at most {SCHEMA_VERSION}",
                    fix="upgrade tradenas, or use the version that wrote this folder",
                )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            sound = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        if sound != "ok":
            raise FolderError(
                str(self.path),
                got=f"a damaged database ({sound})",
                expected="a whole one",
                fix="restore it from a copy",
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or none of it, on disk when the outermost one ends; nesting joins the outer transaction."""
        outermost = self._depth == 0
        self._depth += 1
        try:
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            if outermost:
                self._connection.execute("COMMIT")
        except BaseException as error:
            if outermost and self._is_open_transaction():
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._trouble(error) from error
            raise
        finally:
            self._depth -= 1

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """The answer to one question."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def close(self) -> None:
        """Lets the file go; closing twice is fine."""
        self._connection.close()

    def _is_open_transaction(self) -> bool:
        try:
            return self._connection.in_transaction
        except sqlite3.ProgrammingError:
            return False

    def _trouble(self, error: Exception) -> FolderError:
        return FolderError(
            str(self.path),
            got=f"SQLite: {error}",
            expected="a ledger this process may write",
            fix="check room and permissions, and that it is the ledger.db of a run folder",
        )
