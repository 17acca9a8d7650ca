"""What latency was measured on and with: a table of another machine or of other versions is another table."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable

from tradenas.machine import cpu_model

__all__ = ["cpu_model", "load", "versions"]


def load() -> float:
    """Processes that wanted a core over the last minute, in the mean; 0 where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return 0.0


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of installed packages; those that are missing are left out."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
