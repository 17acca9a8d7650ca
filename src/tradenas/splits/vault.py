"""The vault: rows that judge what was chosen, given out once, every look on record before a row is seen.

`tradenas.search`, `train` and `nn` may not import this module (import-linter contract).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from tradenas.atomic import read_json, write_json
from tradenas.errors import ConfigError, FolderError, VaultError
from tradenas.splits.spans import OpenedVault, VaultZone

__all__ = ["JsonLooks", "Look", "LookStore", "Vault"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One opening of the vault.

    Attributes:
        number: 1 for the first.
        time_ms: when, in ms UTC.
        reason: why, in the words of whoever opened it.
        subject: digest of what was judged; "" where none was given.
        start: first row that was given out.
        stop: one past the last.
    """

    number: int
    time_ms: int
    reason: str
    subject: str
    start: int
    stop: int


class LookStore(Protocol):
    """Remembers every look for good.  The ledger of a study is one, `JsonLooks` another."""

    def looks(self) -> list[Look]:
        """All looks so far, first one first."""

    def stamp(self, look: Look) -> None:
        """Write a look down durably.

        Raises:
            VaultError: `look.number` is not one more than the number of looks: another process was faster.
        """


class Vault:
    """Guards a vault zone: rows only through `open`, and only once.

    It has no length, no slice and no iterator, so that no function can take it for a series by mistake.

    Args:
        zone: where it lies.
        stamps: where looks are written down, one store per vault.  All looks in the store count, whatever rows they
            were given, so moving the boundary by a row does not make a new vault.

    >>> import shutil, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> vault = Vault(VaultZone(80, 100), JsonLooks(folder / "vault.json"))
    >>> vault.open("final judgement of 5 candidates")
    OpenedVault(80, 100)
    >>> vault
    Vault(rows 80..100, opened 1x)
    >>> vault.open("one more", again=True).watermark is None
    False
    >>> shutil.rmtree(folder)
    """

    __slots__ = ("_stamps", "_zone")

    def __init__(self, zone: VaultZone, stamps: LookStore) -> None:
        if not isinstance(zone, VaultZone):
            raise ConfigError("Vault.zone", got=zone, expected="a VaultZone", fix="take the vault of make_zones")
        self._zone, self._stamps = zone, stamps

    def open(self, reason: str, *, subject: str = "", again: bool = False) -> OpenedVault:
        """Give out the rows, after writing the look down: a process that dies in between has looked.

        Args:
            reason: why, in a sentence; it is kept.
            subject: digest of everything that will be judged (candidates, seeds, settings).  The last look at the
                same subject may be repeated without a stamp, for a deterministic judgement tells nothing new when a
                killed run resumes it.  "" is never the same.
            again: look once more, on record whatever the subject, and let everything after carry the watermark.

        Raises:
            ConfigError: no reason was given.
            VaultError: the vault was opened before.
        """
        if not reason.strip():
            raise ConfigError("Vault.open", got="no reason", expected="why the vault is opened, in a sentence")
        looks = self._stamps.looks()
        same = (subject, self._zone.start, self._zone.stop)
        resumed = bool(looks and subject) and same == (looks[-1].subject, looks[-1].start, looks[-1].stop)
        if looks and not resumed and not again:
            raise VaultError(
                repr(self),
                got=f"{len(looks)} look(s) before, the last at {_when(looks[-1])}: {looks[-1].reason!r}",
                expected="a vault that was never opened",
                fix="report that look, bring newer candles, or pass again=True and carry the watermark",
            )
        if again or not resumed:
            look = Look(
                number=len(looks) + 1,
                time_ms=time.time_ns() // 1_000_000,
                reason=reason.strip(),
                subject=subject,
                start=self._zone.start,
                stop=self._zone.stop,
            )
            self._stamps.stamp(look)
        return OpenedVault(self._zone.start, self._zone.stop, self.watermark)

    @property
    def watermark(self) -> str | None:
        """What every figure from the vault must carry: None until a second look."""
        looks = self._stamps.looks()
        if len(looks) < 2:
            return None
        told = "; ".join(f"{look.number}. {_when(look)} {look.reason}" for look in looks)
        return f"VAULT OPENED {len(looks)} TIMES, figures from it are no longer out of sample ({told})"

    def __repr__(self) -> str:
        count = len(self._stamps.looks())
        return f"Vault(rows {self._zone.start}..{self._zone.stop}, {f'opened {count}x' if count else 'sealed'})"


class JsonLooks:
    """Looks in one JSON file, for use without a ledger.  Safe against a kill and against two processes at once.

    Args:
        path: the file; its folder must exist.  Deleting it forgets the looks, which only the ledger makes hard.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def looks(self) -> list[Look]:
        """All looks so far.

        Raises:
            FolderError: the file is damaged, or its numbers are not 1, 2, 3, ...
        """
        if not self.path.exists():
            return []
        told = read_json(self.path)
        keys = {field.name for field in fields(Look)}
        rows = told.get("looks") if isinstance(told, dict) else None
        if not isinstance(rows, list) or any(not isinstance(row, dict) or set(row) != keys for row in rows):
            raise FolderError(str(self.path), got="other JSON", expected="the looks at a vault", fix="restore the file")
        looks = [Look(**row) for row in rows]
        if [look.number for look in looks] != list(range(1, len(looks) + 1)):
            raise FolderError(
                str(self.path),
                got=f"looks numbered {[look.number for look in looks]}",
                expected="1, 2, 3, ...",
                fix="a look was removed; restore the file",
            )
        return looks

    def stamp(self, look: Look) -> None:
        """Add a look.

        Raises:
            VaultError: another process looked first.
            FolderError: the file is damaged or cannot be written.
        """
        with self._locked():
            looks = self.looks()
            if look.number != len(looks) + 1:
                raise VaultError(
                    str(self.path),
                    got=f"look {look.number} after {len(looks)} look(s)",
                    expected=f"look {len(looks) + 1}",
                    fix="another process opened the vault first; read its look",
                )
            write_json(self.path, {"looks": [asdict(row) for row in (*looks, look)]})

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time; the kernel lets go when the process dies."""
        import fcntl

        with self.path.with_name(f".{self.path.name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _when(look: Look) -> str:
    return datetime.fromtimestamp(look.time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
