"""Old file or new file, never half of one; one writer a folder; text that hashes the same everywhere."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas import atomic
from tradenas.errors import ConfigError, FolderError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def steps_of_a_write(folder: Path) -> list[str]:
    seen: list[str] = []
    with atomic.observed(lambda step, path: seen.append(step)):
        atomic.write_text(folder / "probe", "x")
    return seen


def test_a_write_has_its_five_steps_in_order(tmp_path: Path) -> None:
    assert steps_of_a_write(tmp_path) == ["open", "write", "fsync", "rename", "sync_folder"]


@pytest.mark.parametrize("k", range(5))
def test_disk_refusing_at_any_step_leaves_old_or_new_and_no_litter(tmp_path: Path, k: int) -> None:
    file = tmp_path / "a.json"
    atomic.write_json(file, "old")
    calls = iter(range(99))

    def full(step: str, path: Path) -> None:
        if next(calls) == k:
            raise OSError(errno.ENOSPC, "No space left on device")

    with atomic.observed(full), pytest.raises(FolderError, match="No space left") as caught:
        atomic.write_json(file, "new")
    assert caught.value.errno == errno.ENOSPC
    assert atomic.read_json(file) == ("new" if k == 4 else "old")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


KILLED = """
import os, signal, sys
from tradenas import atomic
k, calls = int(sys.argv[2]), iter(range(99))
def die(step, path):
    if next(calls) == k:
        if step == "fsync":
            os.truncate(path, 3)            # what was not yet synced may be torn
        os.kill(os.getpid(), signal.SIGKILL)
with atomic.observed(die):
    atomic.write_text(sys.argv[1], "new" * 1000)
"""


@pytest.mark.parametrize("k", range(5))
def test_sigkill_at_any_step_leaves_old_or_new(tmp_path: Path, k: int) -> None:
    file = tmp_path / "a.txt"
    atomic.write_text(file, "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(file), str(k)], env=_environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == ("new" * 1000 if k == 4 else "old")
    with atomic.exclusive(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "a.txt"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("damage", [b"", b'{"a": 1', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"{} {}"])
def test_damaged_json_is_a_typed_error(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.json").write_bytes(damage)
    with pytest.raises(FolderError, match="damaged JSON"):
        atomic.read_json(tmp_path / "a.json")


def test_absent_and_oversized_json(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such file"):
        atomic.read_json(tmp_path / "none.json")
    atomic.write_json(tmp_path / "a.json", [0] * 100)
    with pytest.raises(FolderError, match="at most 50"):
        atomic.read_json(tmp_path / "a.json", max_bytes=50)


@given(JSON)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_canonical_json_is_exact_and_stable(value: object) -> None:
    import json

    text = atomic.canonical_json(value)
    assert json.loads(text) == value
    assert atomic.canonical_json(json.loads(text)) == text
    assert text.isascii()


def test_canonical_json_ignores_insertion_order() -> None:
    assert atomic.canonical_json({"b": 1, "a": 2}) == atomic.canonical_json({"a": 2, "b": 1})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_values_without_a_json_text_are_refused(bad: object) -> None:
    with pytest.raises(ConfigError):
        atomic.canonical_json({"x": bad})


def test_a_refused_value_is_named_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"JSON value\['scores'\]\[1\]: got nan"):
        atomic.canonical_json({"a": 1, "scores": (0.5, float("nan"))})
    with pytest.raises(ConfigError, match=r"JSON value\['x'\]: got a bytes"):
        atomic.canonical_json({"x": b""})
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ConfigError, match="holds itself"):
        atomic.canonical_json(loop)


def test_refused_json_leaves_the_old_file(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ConfigError):
        atomic.write_json(tmp_path / "a.json", float("nan"))
    assert atomic.read_json(tmp_path / "a.json") == 1


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "abc", "abc")
    assert atomic.sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea")
    with pytest.raises(FolderError):
        atomic.sha256_file(tmp_path / "none")


HOLDER = """
import sys, time
from tradenas import atomic
with atomic.exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_a_folder_and_death_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, env=_environment(), text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=rf"another process \(pid {holder.pid}\)"), atomic.exclusive(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    with (
        atomic.exclusive(tmp_path),
        pytest.raises(FolderError, match="one process a folder"),
        atomic.exclusive(tmp_path),
    ):
        pass
    with atomic.exclusive(tmp_path):
        pass
