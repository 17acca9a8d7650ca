"""A dataset as one file: safetensors, so that workers and resumes read exactly what was written, and no code."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes
from tradenas.errors import FolderError
from tradenas.train.dataset import Dataset

__all__ = ["cut", "load_dataset", "save_dataset"]

ARRAYS = tuple(f.name for f in fields(Dataset) if f.name.endswith(("_T", "_TF")))

#: What a dataset may do without.
OPTIONAL = ("regime_T", "funding_T")


def _arrays(data: Dataset) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ARRAYS if getattr(data, name) is not None}


def cut(data: Dataset, rows: int) -> Dataset:
    """The first `rows` decisions.

    Labels and returns of the last ones end up to horizon + delay bars later: cut at the end of a zone, where at least
    so many rows lie unused before the next zone, so that nothing of that zone is in the file.
    """
    arrays = {name: array[:rows] for name, array in _arrays(data).items()}
    return replace(data, **arrays)


def save_dataset(data: Dataset, path: Path) -> None:
    """Writes a dataset durably."""
    from safetensors.numpy import save

    about = {f.name: getattr(data, f.name) for f in fields(Dataset) if f.name not in ARRAYS}
    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(data).items()}
    write_bytes(path, save(arrays, metadata={"dataset": json.dumps(about, sort_keys=True)}))


def load_dataset(path: Path) -> Dataset:
    """Reads what `save_dataset` wrote.

    Raises:
        FolderError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads(file.metadata()["dataset"])
            there = set(file.keys())
            arrays = {name: file.get_tensor(name) for name in ARRAYS if name in there or name not in OPTIONAL}
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise FolderError(str(path), got=f"{type(error).__name__}: {error}", expected="a dataset") from error
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
    return Dataset(**arrays, **plain)  # type: ignore[arg-type]  # Dataset checks what it is given
