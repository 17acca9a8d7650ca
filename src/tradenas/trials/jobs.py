"""A job is JSON whose hash is its name, and a pure function of that JSON: cached, repeated and moved without harm.

@JOBS.register("retrain")
def retrain(spec: JobSpec, folder: Path) -> dict[str, Any]:
    candles = read(find_input(spec, "candles", folder))
    ...
    atomic.write_bytes(folder / "returns.npy", data)   # files beside the result
    return {"sharpe": 0.4}                             # the result, JSON, no NaN
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tradenas.atomic import canonical_json, point, read_json, refuse_write, sha256_file, sync_folder, write_json
from tradenas.errors import ConfigError, FolderError
from tradenas.registry import Registry

__all__ = ["JOBS", "JobDone", "JobFunction", "JobSpec", "add_input", "find_input", "perform", "pinned", "read_result"]

RESULT, INPUTS = "result.json", "inputs"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def thread_environment(threads: int) -> dict[str, str]:
    """What numerical libraries read when they load, so that they take so many threads, no fewer, no more."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What is to be done, completely: equal specifications have equal results, so one is run once.

    Attributes:
        kind: name in `JOBS`.
        params: JSON values; tuples become lists.
        inputs: name -> SHA-256 of a file (`add_input`, `find_input`): what is in it counts, not where it lies.
        seed: of every random stream in the job.
        threads: for numerical libraries; part of the name, for one thread and two do not give the same bits.

    >>> spec = JobSpec(kind="retrain", params={"width": 32}, seed=1)
    >>> spec.id[:12]
    '4ff40a3be565'
    >>> JobSpec.from_json(spec.to_json()) == spec
    True
    """

    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"job {self.kind}.threads", got=self.threads, expected="1 or more")
        for name in ("params", "inputs"):  # own copies, exactly as another process would read them
            object.__setattr__(self, name, json.loads(canonical_json(dict(getattr(self, name)))))

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON: the name of the job, of its folder and of its row in the ledger."""
        return hashlib.sha256(self.to_json().encode("ascii")).hexdigest()

    def to_json(self) -> str:
        """The canonical JSON text."""
        return canonical_json(
            {
                "kind": self.kind,
                "params": self.params,
                "inputs": self.inputs,
                "seed": self.seed,
                "threads": self.threads,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class JobDone:
    """What came of a job.

    Attributes:
        id: of the specification.
        status: `ok`, or `failed`: it raised, or its process died or hung too often.
        result: what the function returned, as JSON; None if it failed.
        error: why it failed; None if it did not.
        folder: with `result.json` and the files beside it; None if it failed.
        tries: how often it was started, over all runs of this ledger.
    """

    id: str
    status: Literal["ok", "failed"]
    result: dict[str, Any] | None
    error: str | None
    folder: Path | None
    tries: int


JobFunction = Callable[[JobSpec, Path], dict[str, Any]]
JOBS: Registry[JobFunction] = Registry("job")


def perform(spec: JobSpec, folder: Path, function: JobFunction | None = None) -> str | None:
    """Runs a job in an empty folder, and writes its result last of all.

    Args:
        function: what to run, where that is not what its kind stands for in `JOBS`.

    Returns:
        None, or what it raised as `Type: message`; the same job would raise it again.
    """
    job = spec.id  # before a job that is not so pure can touch it
    try:
        with pinned(spec.threads):
            result = (function or JOBS[spec.kind])(spec, folder)
        if not isinstance(result, dict):
            raise ConfigError(f"job {spec.kind}", got=f"a {type(result).__name__}", expected="a dict as its result")
        _write_result(job, folder, result)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a job raises is its outcome
        return f"{type(error).__name__}: {error}"[:2000]
    return None


def _write_result(job: str, folder: Path, result: dict[str, Any]) -> None:
    files: dict[str, str] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            files[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    if RESULT in files:
        raise ConfigError(f"job {job[:12]}", got=f"a file of its own named {RESULT}", expected="another name")
    body = {"job": job, "result": result, "files": files}
    write_json(folder / RESULT, {**body, "sha256": _digest(body)})


def read_result(folder: Path, job: str, *, with_files: bool = True) -> dict[str, Any]:
    """The result of a job, and on the way a check of all that it wrote.

    Args:
        folder: of the job.
        job: its id.
        with_files: hash the files beside it too.

    Raises:
        FolderError: something is missing, damaged, or of another job.
    """
    body = read_json(folder / RESULT)
    if not isinstance(body, dict) or body.get("job") != job or body.get("sha256") != _digest(body):
        raise FolderError(str(folder / RESULT), got="another job's result, or a changed one", expected=f"{job[:12]}'s")
    for name, wanted in body["files"].items() if with_files else ():
        if sha256_file(folder / name) != wanted:
            raise FolderError(str(folder / name), got="a changed file", expected=f"SHA-256 {wanted}")
    result: dict[str, Any] = body["result"]
    return result


def add_input(jobs: str | Path, file: str | Path) -> str:
    """Puts a copy of a file where the jobs of a folder find it by its hash; returns the hash for `JobSpec.inputs`."""
    folder, digest = Path(jobs) / INPUTS, sha256_file(file)
    path = folder / digest
    tmp = folder / f".{digest}.{os.getpid()}.tmp"
    if path.exists() and sha256_file(path) == digest:
        return digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, tmp)
        with tmp.open("rb") as copied:
            point("fsync", tmp)
            os.fsync(copied.fileno())
        if sha256_file(tmp) != digest:
            raise FolderError(str(file), got="a file that changes while it is read", expected="one at rest")
        point("rename", path)
        tmp.replace(path)
        sync_folder(folder)
    except FolderError:
        raise
    except OSError as error:
        refuse_write(path, error)
    finally:
        tmp.unlink(missing_ok=True)
    return digest


def find_input(spec: JobSpec, name: str, folder: Path) -> Path:
    """Where a job finds an input: called inside a job, with its own folder.

    Raises:
        ConfigError: the specification has no such input.
        FolderError: it is not there, or not what its hash says.
    """
    if name not in spec.inputs:
        raise ConfigError(f"job {spec.kind}.inputs", got=name, expected=f"one of {sorted(spec.inputs)}")
    path = folder.parent / INPUTS / spec.inputs[name]
    try:
        about = path.stat()
    except OSError:
        raise FolderError(str(path), got="no such file", expected=f"the input {name!r}", fix="add_input it") from None
    if _hash_once(path, about.st_mtime_ns, about.st_size) != spec.inputs[name]:
        raise FolderError(str(path), got="a changed file", expected=f"the input {name!r}", fix="delete and add it anew")
    return path


@functools.lru_cache(maxsize=64)
def _hash_once(path: Path, _mtime_ns: int, _size: int) -> str:
    return sha256_file(path)


def _digest(body: Mapping[str, Any]) -> str:
    text = canonical_json({key: value for key, value in body.items() if key != "sha256"})
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Holds numerical libraries to so many threads: loaded ones by a call, others by what they read when they load.

    Without threadpoolctl (it comes with scikit-learn) a BLAS that is loaded already keeps its own number.
    """
    wanted = thread_environment(threads)
    before = {name: os.environ.get(name) for name in wanted}
    torch = sys.modules.get("torch")
    had = torch.get_num_threads() if torch is not None else 0
    os.environ.update(wanted)
    with ExitStack() as stack:
        if "numpy" in sys.modules and importlib.util.find_spec("threadpoolctl") is not None:
            from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

            stack.enter_context(threadpool_limits(limits=threads))
        if torch is not None:
            torch.set_num_threads(threads)
            stack.callback(torch.set_num_threads, had)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
