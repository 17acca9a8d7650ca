"""Files that are either the old one or the new one, whatever kills us: tmp, fsync, `os.replace`, fsync of the folder.

Also the two companions every stored thing needs: a canonical JSON text to hash, and a lock for one writer a folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from tradenas.errors import ConfigError, FolderError

__all__ = [
    "canonical_json",
    "exclusive",
    "observed",
    "point",
    "read_json",
    "refuse_write",
    "sha256_file",
    "sweep",
    "sync_folder",
    "write_bytes",
    "write_json",
    "write_text",
]

LOCK = ".lock"
MAX_JSON_BYTES = 256 * 2**20

_observer: Callable[[str, Path], None] | None = None


def point(step: str, path: Path) -> None:
    """Marks one step of a durable write (`open write fsync rename sync_folder`), so that a test may die there."""
    if _observer is not None:
        _observer(step, path)


@contextmanager
def observed(by: Callable[[str, Path], None]) -> Iterator[None]:
    """Lets a test watch, fail or kill at every step of every durable write: `by(step, path)` runs before the step."""
    global _observer  # noqa: PLW0603 - one hook for a process; production never sets it
    before, _observer = _observer, by
    try:
        yield
    finally:
        _observer = before


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replaces or creates a file so that a reader, or a resume after SIGKILL, sees all of it or none of it.

    The parent folder must exist.  Raises `FolderError` (an `OSError` with `errno`) when the disk refuses; the old
    file is then still there, whole.
    """
    path = Path(path)
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        point("open", tmp)
        with tmp.open("wb") as out:
            point("write", tmp)
            out.write(data)
            out.flush()
            point("fsync", tmp)
            os.fsync(out.fileno())
        point("rename", path)
        tmp.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            tmp.unlink()
        if isinstance(error, OSError) and not isinstance(error, FolderError):
            refuse_write(path, error)
        raise


def write_text(path: str | Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, value: object) -> None:
    """Writes one JSON value, indented for people, keys sorted, floats exact; NaN and infinities are refused."""
    write_text(path, _dump(value, indent=2, separators=(",", ": ")) + "\n")


def read_json(path: str | Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Reads what `write_json` wrote.  Raises `FolderError` when it is absent, too big, torn, or not JSON."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise FolderError(str(path), got=f"{size} bytes", expected=f"at most {max_bytes}", fix="remove the file")
        return json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise FolderError(str(path), got="no such file", expected="a JSON file") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FolderError(
            str(path), got=f"damaged JSON ({error})", expected="a whole file", fix="restore it, or delete it and resume"
        ) from error
    except FolderError:
        raise
    except OSError as error:
        raise FolderError(str(path), got=error.strerror or repr(error), expected="a readable file") from error


def canonical_json(value: object) -> str:
    """The one text of a JSON value, to be hashed: keys sorted, no spaces, ASCII, floats exact, NaN refused.

    >>> canonical_json({"b": 0.1, "a": [1, None]})
    '{"a":[1,null],"b":0.1}'
    """
    return _dump(value, indent=None, separators=(",", ":"))


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces.  Raises `FolderError` when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FolderError(str(path), got=error.strerror or repr(error), expected="a readable file") from error


def sync_folder(folder: Path) -> None:
    """Makes renames and new names inside a folder survive a power cut (a no-op where folders cannot be opened)."""
    point("sync_folder", folder)
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def exclusive(folder: str | Path) -> Iterator[Path]:
    """Holds a folder for this process alone; the kernel lets go when the process dies, however it dies.

    Creates the folder if need be, and sweeps what a killed writer left behind.  Raises `FolderError` when
    another process, or another part of this one, holds it.
    """
    import fcntl

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise FolderError(
                str(folder),
                got=f"another process (pid {holder}) at work in it",
                expected="one process a folder",
                fix="wait for it, stop it, or use another folder",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        sweep(folder)
        yield folder
    finally:
        os.close(handle)


def sweep(folder: str | Path) -> int:
    """Deletes the half-written `.name.tmp` files which a killed process left in this folder; returns how many."""
    leftovers = sorted(Path(folder).glob(".*.tmp"))
    for tmp in leftovers:
        tmp.unlink(missing_ok=True)
    return len(leftovers)


def refuse_write(path: Path, error: OSError) -> NoReturn:
    """Turns what the operating system said about a write into a `FolderError` that keeps its `errno`."""
    refused = FolderError(
        str(path),
        got=f"not written: {error.strerror or error!r}",
        expected="a durable write",
        fix="make room or grant access, then resume: nothing before this write is lost",
    )
    refused.errno = error.errno
    raise refused from error


def _dump(value: object, *, indent: int | None, separators: tuple[str, str]) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, indent=indent, separators=separators)
    except (TypeError, ValueError, RecursionError) as error:
        try:
            place, got = _culprit(value, "value") or ("value", str(error))
        except RecursionError:
            place, got = "value", "one that holds itself, or is nested too deeply"
        raise ConfigError(
            f"JSON {place}", got=got, expected="text, finite numbers, booleans, None, lists, and dicts with text keys"
        ) from error


def _culprit(value: object, place: str) -> tuple[str, str] | None:
    """Where in a value the first thing lies that JSON has no text for, and what it is."""
    if value is None or isinstance(value, str | bool | int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (place, repr(value))
    if isinstance(value, dict):
        inside = [(f"{place}[{key!r}]", inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        inside = [(f"{place}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return place, f"a {type(value).__name__}"
    return next((found for name, inner in inside if (found := _culprit(inner, name))), None)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number we write")
