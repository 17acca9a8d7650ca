"""Compiles the package's C files once for this machine, and says whether there is anything to run.

A step of a network of a few thousand weights is some hundred calls of microseconds each in PyTorch, and a few hundred
kiloflops: calls are what it costs.  One call of compiled code instead needs a C compiler where the network is trained;
without one everything runs as before, in PyTorch.  TRADENAS_NATIVE=0 asks for that.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradenas import loader
from tradenas.atomic import write_text

__all__ = ["available", "compiled", "engine", "library", "off"]

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent

#: Vectors are written out; the loops around them are not, and tiles have to stay in registers.
FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")

#: What a library is made of besides `kernels.h`, where that is more than a file of its name.
PARTS = {"cells": ("cells.h", "cells.c", "cells_twice.c")}

_off = 0


@functools.cache
def library(name: str) -> ctypes.CDLL | None:
    """The machine code of `kernels.h` and `<name>.c`, compiled where it is not yet; None where it cannot be.

    Threads of one process may wait for each other here; processes compile beside each other, and the last one's file
    stays, which is the same.
    """
    if os.environ.get("TRADENAS_NATIVE", "1") in ("0", "off", "no"):
        return None
    files = ("kernels.h", *PARTS.get(name, (f"{name}.c",)))
    text = "\n".join((HERE / file).read_text(encoding="utf-8") for file in files)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        source = loader.cache() / f"native-{name}-{digest}.c"
        if not source.exists():
            source.parent.mkdir(parents=True, exist_ok=True)
            write_text(source, text)
        return ctypes.CDLL(str(loader.library(source, f"tradenas_{name}", source.parent, flags=FLAGS)))
    except (loader.NoCompiler, loader.CompilerError, OSError) as error:
        LOG.info("networks run in PyTorch, several times slower than compiled: %s", error)
        return None


def compiled(name: str) -> ctypes.CDLL | None:
    """The library, unless it is switched off or cannot be."""
    return None if _off else library(name)


def available() -> bool:
    """Whether networks that have a compiled form run in it."""
    return compiled("path") is not None


def engine() -> str:
    """What networks are computed by, which their last digits depend on: a compiler and its version, or PyTorch."""
    if not available():
        return "PyTorch"
    command = loader.compiler()
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return f"{' '.join(command)}: {told.splitlines()[0] if told else 'unknown'}"


@contextmanager
def off() -> Iterator[None]:
    """In here everything runs in PyTorch: to look into layers with hooks, or to compare."""
    global _off  # noqa: PLW0603
    _off += 1
    try:
        yield
    finally:
        _off -= 1
