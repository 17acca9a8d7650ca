"""A dataset as one file: safetensors, so that workers and resumes read exactly what was written, and no code."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.atomic import write_bytes
from tradenas.errors import FolderError
from tradenas.train.dataset import Dataset
from tradenas.train.panel import Market, Panel, part

__all__ = ["cut", "load_dataset", "save_dataset"]

ARRAYS = tuple(f.name for f in fields(Dataset) if f.name.endswith(("_T", "_TF")))

#: What a dataset may do without.
OPTIONAL = ("regime_T", "funding_T")


#: Features of all markets of a panel, in one piece: nobody has to copy them together again.
TOGETHER = "x_ATF"

#: What a file of a panel has besides these and each market's other arrays, which are named `ROW/NAME`.
OF_PANEL = ("present_AT", "weight_AT")

#: How safetensors names what is in our arrays.
DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "I8": np.int8, "BOOL": np.bool_}


def _arrays(data: Dataset) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ARRAYS if getattr(data, name) is not None}


def cut(data: Market, rows: int) -> Market:
    """The first `rows` decisions.

    Labels and returns of the last ones end up to horizon + delay bars later: cut at the end of a zone, where at least
    so many rows lie unused before the next zone, so that nothing of that zone is in the file.
    """
    return part(data, slice(rows))


def save_dataset(data: Market, path: Path) -> None:
    """Writes a dataset, or a panel of them, durably."""
    from safetensors.numpy import save

    first = data if isinstance(data, Dataset) else data.markets[0]
    about = {f.name: getattr(first, f.name) for f in fields(Dataset) if f.name not in ARRAYS}
    if isinstance(data, Dataset):
        arrays = _arrays(data)
    else:
        about["symbols"] = data.symbols
        arrays = {name: getattr(data, name) for name in OF_PANEL}
        for row, market in enumerate(data.markets):
            arrays |= {f"{row}/{name}": array for name, array in _arrays(market).items() if name != "x_TF"}
        arrays[TOGETHER] = data.x_ATF
    metadata = {"dataset": json.dumps(about, sort_keys=True)}  # one entry: safetensors writes several in any order
    write_bytes(path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, metadata=metadata))


def load_dataset(path: Path) -> Market:
    """Reads what `save_dataset` wrote: arrays are the file's own pages, which processes that read it share.

    Raises:
        FolderError: the file is missing or damaged.
    """
    from safetensors import SafetensorError

    try:
        metadata, found = _mapped(path)
        about = json.loads(metadata["dataset"])
        symbols = about.pop("symbols", None)

        def arrays(prefix: str) -> dict[str, Any]:
            wanted = [name for name in ARRAYS if prefix + name in found or name not in OPTIONAL]
            return {name: found[prefix + name] for name in wanted}

        if TOGETHER in found:  # older files have those of each market by themselves
            found |= {f"{row}/x_TF": x_TF for row, x_TF in enumerate(found[TOGETHER])}
        tables = [arrays(f"{row}/") for row in range(len(symbols))] if symbols else [arrays("")]
        shared = {name: found[name] for name in OF_PANEL} if symbols else {}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FolderError(str(path), got=f"{type(error).__name__}: {error}", expected="a dataset") from error
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}
    markets = tuple(Dataset(**table, **plain) for table in tables)  # type: ignore[arg-type]  # Dataset checks them
    return Panel(symbols=tuple(symbols), markets=markets, **shared) if symbols else markets[0]


def _mapped(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata and the arrays of a safetensors file, mapped into memory and not read.

    Copy on write: torch takes them without a copy, and nothing that is written to them reaches the file.  A page that
    nobody writes to exists once, however many workers read it.
    """
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:  # which checks the header against the file
        metadata = file.metadata()
    with path.open("rb") as raw:
        size = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(size))
    header.pop("__metadata__")
    bytes_ = np.memmap(path, dtype=np.uint8, mode="c")
    arrays = {}
    for name, entry in header.items():
        low, high = (8 + size + at for at in entry["data_offsets"])
        arrays[name] = np.asarray(bytes_[low:high]).view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return metadata, arrays
