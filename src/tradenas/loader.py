"""Compiles the C file of a network and loads it: standard library only, so that a copy of this file can go with it.

    import loader
    net = loader.load("net.c", "net")           # compiled when it is first asked for, for this CPU and this Python
    stream = net.Stream()
    signal = stream.step(row)                   # row: numpy.float32, net.COLUMNS numbers; counts once stream.ready
    signal = net.window(rows)                   # rows: numpy.float32, (net.REACH, net.COLUMNS), the oldest first

CC names another compiler, CFLAGS adds flags.  What is compiled is bound to the CPU (-march=native) and to
the Python, so it is kept under a name made of the source, the compiler, the flags, the CPU and the Python, and never
goes from one machine to another.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType

__all__ = [
    "FLAGS",
    "CompilerError",
    "NoCompiler",
    "cache",
    "compiler",
    "executable",
    "extension",
    "library",
    "load",
    "run",
]

#: Vectors are written out, so that -O3 would only make the file larger.
FLAGS = ("-O2", "-march=native", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")


class NoCompiler(ImportError):
    """There is no C compiler, or no Python.h for it."""


class CompilerError(RuntimeError):
    """The compiler refused."""


def compiler() -> list[str]:
    """The command of the first C compiler there is: what CC says, gcc, clang."""
    for command in (os.environ.get("CC"), "gcc", "clang"):
        words = shlex.split(command) if command else []
        if words and shutil.which(words[0]):
            return words
    raise NoCompiler("no C compiler (CC, gcc, clang) on PATH; on Debian and Ubuntu: apt-get install gcc")


def load(source: str | Path, prefix: str, folder: str | Path | None = None) -> ModuleType:
    """The extension module of a C file, compiled if it is not yet.

    Args:
        source: the C file.
        prefix: of its symbols.
        folder: where compiled files are kept; by default `built` beside the source, or the user's cache.
    """
    path = extension(source, prefix, folder)
    found = importlib.machinery.ExtensionFileLoader(prefix, str(path))
    spec = importlib.util.spec_from_file_location(prefix, path, loader=found)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    found.exec_module(module)
    return module


def extension(source: str | Path, prefix: str, folder: str | Path | None = None) -> Path:
    """The shared object of a C file for this Python; compiled beside its place and renamed, so that it is whole."""
    include = sysconfig.get_paths()["include"]
    if not (Path(include) / "Python.h").exists():
        raise NoCompiler(f"no {include}/Python.h; on Debian and Ubuntu: apt-get install python3-dev")
    flags = ["-shared", "-fPIC", "-s", f"-D{prefix.upper()}_PYTHON", f"-I{include}"]
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    return _built(Path(source), prefix, flags, str(sysconfig.get_config_var("EXT_SUFFIX")), folder)


def executable(source: str | Path, prefix: str, folder: str | Path | None = None) -> Path:
    """The program that tests itself; it exits with 0 where the network computes what it must."""
    return _built(Path(source), prefix, [f"-D{prefix.upper()}_MAIN"], ".test", folder)


def library(source: str | Path, name: str, folder: str | Path | None = None, *, flags: tuple[str, ...] = ()) -> Path:
    """The shared object of a C file, for `ctypes`; knows no Python.  `flags` come last."""
    return _built(Path(source), name, ["-shared", "-fPIC", "-DTN_LIBRARY", *flags], ".so", folder)


def run(program: str | Path, *arguments: str) -> str:
    """What a self-test prints.  Raises `CompilerError` where it fails."""
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CompilerError(f"{program} failed with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _built(source: Path, prefix: str, flags: list[str], suffix: str, folder: str | Path | None) -> Path:
    command = compiler()
    text = source.read_bytes()
    words = [*command, *FLAGS, *shlex.split(os.environ.get("CFLAGS", "")), *flags]
    key = hashlib.sha256(
        repr((text, words, shutil.which(command[0]), _cpu(), sys.version, suffix)).encode()
    ).hexdigest()[:16]
    for place in (Path(folder),) if folder else (source.resolve().parent / "built", cache()):
        target = place / f"{prefix}-{key}{suffix}"
        if target.exists():
            return target
    place = _writable((Path(folder),) if folder else (source.resolve().parent / "built", cache()))
    target = place / f"{prefix}-{key}{suffix}"
    handle, half = tempfile.mkstemp(dir=place, prefix=".", suffix=".tmp")
    os.close(handle)
    try:
        done = subprocess.run([*words, "-o", half, str(source), "-lm"], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            told = [line[:300] for line in done.stderr.splitlines() if "error" in line][:3] or [done.stderr[-900:]]
            raise CompilerError(f"{' '.join(words)} {source}: {'; '.join(told)}")
        Path(half).chmod(0o755)
        Path(half).replace(target)
    finally:
        with suppress(OSError):
            Path(half).unlink()
    return target


def _writable(places: tuple[Path, ...]) -> Path:
    for place in places:
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK):
                return place
    raise CompilerError(f"cannot write into {' or '.join(map(str, places))}")


def cache() -> Path:
    """Where compiled files are kept that have no better place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tradenas" / "c"


def _cpu() -> str:
    """Model and instructions: code for one CPU may not run on another."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        return "".join(
            sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
        )
    return f"{platform.machine()} {platform.processor()}"
