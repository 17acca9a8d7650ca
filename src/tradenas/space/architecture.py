"""One point of a search space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from tradenas.errors import ArchitectureError
from tradenas.space.choice import Picked
from tradenas.space.switches import COLUMN, QUANT, ops_in_words

__all__ = ["Architecture"]

#: How precisions are told in a line.
QUANTISED = {
    f"{QUANT}weights": "weights {}",
    f"{QUANT}activations": "activations {}",
    f"{QUANT}sparsity": "{:g} sparse",
}


class Architecture(Mapping[str, Picked]):
    """One option for every active choice: immutable, hashable, JSON.

    >>> a = Architecture({"layer0/op": "conv3", "layer0/width": 16})
    >>> a["layer0/op"], a == Architecture.from_json(a.to_json()), len(a.digest)
    ('conv3', True, 12)
    """

    __slots__ = ("_digest", "_items")

    def __init__(self, items: Mapping[str, Picked] | Iterable[tuple[str, Picked]]) -> None:
        self._items: dict[str, Picked] = dict(items)
        self._digest = hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def __getitem__(self, name: str) -> Picked:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self._items == other._items

    def __repr__(self) -> str:
        return f"Architecture({self.describe()})"

    @property
    def digest(self) -> str:
        """The first 12 hex digits of SHA-256 over the JSON form; names the architecture everywhere."""
        return self._digest

    def to_json(self) -> str:
        """Sorted, compact JSON."""
        return json.dumps(self._items, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The inverse of `to_json`."""
        return cls.from_plain(json.loads(text))

    @classmethod
    def from_plain(cls, items: Mapping[str, object]) -> Architecture:
        """From what a JSON reader gives, where tuples came back as lists."""
        plain: dict[str, Picked] = {}
        for name, value in items.items():
            if isinstance(value, (list, tuple)):
                plain[name] = tuple(value)
            elif isinstance(value, (str, int, float)):
                plain[name] = value
            else:
                raise ArchitectureError(name, got=repr(value), expected="text, a number or a list of them")
        return cls(plain)

    def describe(self) -> str:
        """One line for people: inputs first, then the layers, or the cell and its edges.

        >>> Architecture({"input/lookback": 20, "layer0/op": "conv3", "layer0/width": 16}).describe()
        'lookback 20 | conv3 16'
        >>> Architecture({"cells": 2, "cell/width": 8, "cell/edge0-2/op": "ema4", "cell/edge1-2/op": "zero"}).describe()
        'cells 2 | 8 | 0-2 ema4, 1-2 zero'
        >>> Architecture({"input/lookback": 5, "input/column/rsi_14": "rank", "layer0/op": "dense"}).describe()
        'lookback 5, rank rsi_14 | dense'
        >>> Architecture({"layer0/op": "dense", "quant/weights": "4", "quant/activations": "5"}).describe()
        'dense | weights 4, activations 5'
        """
        parts: dict[str, list[str]] = {}
        columns = ops_in_words(self._items)
        for name, value in self._items.items():
            head, _, tail = name.partition("/")
            if name in ("depth", "cell/output") or value in ("none", 0.0) or isinstance(value, tuple):
                continue
            if name == "cells":
                parts[name] = [f"cells {value}"]
            elif tail.startswith("edge"):
                parts.setdefault("edges", []).append(f"{tail.removeprefix('edge').removesuffix('/op')} {value}")
            elif name.startswith(COLUMN):
                if columns not in parts.setdefault(head, []):
                    parts[head].append(columns)
            elif name in QUANTISED:
                if value != "float":
                    parts.setdefault(head, []).append(QUANTISED[name].format(value))
            elif head == "input":
                words = tail.removeprefix("group/").removeprefix("feature/")
                if value == "off":
                    continue
                parts.setdefault(head, []).append(words if value == "on" else f"{words} {value}")
            else:
                parts.setdefault(head, []).append(f"drop {value}" if tail == "dropout" else str(value))
        return " | ".join(
            (", " if head in ("input", "edges", "quant") else " ").join(words) for head, words in parts.items()
        )
