"""The NAS-Bench-201 table (Dong & Yang, ICLR 2020, arXiv:2001.00326) that `analog-nasbench` carries, as a search space.

CIFAR-10 accuracy in percent of all 15,625 cells.  The package cannot be imported (it asks for a setuptools that is
gone), so its one data file is read by an unpickler that builds two empty classes and plain values and nothing else.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tradenas.space import Architecture, Choice, SearchSpace

__all__ = ["EDGES", "OPS", "SPACE", "connected", "exact_mean_of_best", "read", "score", "table", "whole"]

OPS = ("skip", "none", "conv3x3", "conv1x1", "avgpool")  # in the order of the table
EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
SPACE = SearchSpace([Choice(name=f"edge{a}{b}/op", options=OPS) for a, b in EDGES])
CLASSES = ("Architecture", "DriftMeasurement")
#: Weights of a cell's ops, in units of channels squared; those of its stem and head are the same for all.
WEIGHTS = {"conv3x3": 9.0, "conv1x1": 1.0}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "analognasbench.data" and name in CLASSES:
            return type(name, (), {})
        raise pickle.UnpicklingError(f"{module}.{name} is none of {', '.join(CLASSES)}")


def read(raw: bytes) -> dict[tuple[int, ...], float]:
    """Op of each edge -> accuracy in percent."""
    cells = _Plain(io.BytesIO(raw)).load()
    return {tuple(int(op) for op in ops): float(cell.baseline_accuracy) for ops, cell in cells.items()}


@cache
def table() -> dict[tuple[int, ...], float]:
    """All cells.

    Raises:
        PackageNotFoundError: `analog-nasbench` is not installed.
    """
    files = metadata.distribution("analog-nasbench").files or []
    (path,) = (Path(str(f.locate())) for f in files if str(f) == "analognasbench/data.anb")
    return read(path.read_bytes())


def ops_of(cell: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(OPS.index(cell[choice.name]) for choice in SPACE.choices)


def score(cells: Sequence[Architecture]) -> list[dict[str, float]]:
    """Accuracy, and weights of the cell's convolutions in channels squared."""
    return [
        {"accuracy": table()[ops_of(c)], "params": sum(WEIGHTS.get(str(op), 0.0) for op in c.values())} for c in cells
    ]


@cache
def whole() -> list[tuple[Architecture, float]]:
    """Every cell with its accuracy, in the order of the space."""
    return [(cell, table()[ops_of(cell)]) for cell in SPACE]


def connected(cell: Mapping[str, Any]) -> bool:
    """Whether anything gets from the input of the cell to its output."""
    reached = {0}
    for (a, b), op in zip(EDGES, cell.values(), strict=True):
        if a in reached and op != "none":
            reached.add(b)
    return 3 in reached


def exact_mean_of_best(values: Iterable[float], num: int) -> tuple[float, float]:
    """Mean and standard deviation of the best of `num` draws without replacement.

    P(best is at most the k-th smallest) = C(k, num) / C(N, num), which falls by (k - num) / k from k to k - 1.
    """
    order_N = np.sort(np.array(list(values)))
    rank_N = np.arange(1, len(order_N) + 1)
    falls_N = np.maximum(rank_N - num, 0) / rank_N
    upto_N = np.append(np.cumprod(falls_N[:0:-1])[::-1], 1.0)
    chance_N = np.diff(upto_N, prepend=0.0)
    mean = float(chance_N @ order_N)
    return mean, math.sqrt(float(chance_N @ (order_N - mean) ** 2))
