"""Choices that say what of the inputs is read, and how each of them says that it is not.

- `input/group/<name>`: off, on; all indicators of a group
- `input/feature/<name>`: off, on; one indicator
- `input/column/<name>`: drop, or what is done to it; one indicator
"""

from __future__ import annotations

from collections.abc import Mapping

from tradenas.space.choice import Choice, Option, Picked

__all__ = [
    "COLUMN", "FEATURE", "GROUP", "OFF", "QUANT", "closed", "is_single", "is_switch", "names_by_op", "off_option",
    "ops_in_words",
]  # fmt: skip

GROUP, FEATURE, COLUMN = "input/group/", "input/feature/", "input/column/"
#: Choices of precision: `quant/weights`, `quant/activations`, `quant/sparsity`.
QUANT = "quant/"
#: The option of each kind under which it is not read.
OFF = {GROUP: "off", FEATURE: "off", COLUMN: "drop"}
#: Columns up to which their ops are told one by one in a line.
FEW = 4


def is_switch(name: str) -> bool:
    """Whether a choice of this name can take indicators away."""
    return name.startswith(tuple(OFF))


def is_single(name: str) -> bool:
    """Whether it speaks of one indicator."""
    return name.startswith((FEATURE, COLUMN))


def off_option(choice: Choice) -> Option | None:
    """The option under which its indicators are not read; None where that is not on offer.

    >>> off_option(Choice(name="input/column/rsi_14", options=("raw", "rank", "drop")))
    'drop'
    """
    off = next((off for prefix, off in OFF.items() if choice.name.startswith(prefix)), None)
    return off if off in choice.options else None


def closed(name: str, architecture: Mapping[str, Picked]) -> bool:
    """Whether the indicators of a switch are not read under an architecture."""
    return architecture[name] == next(off for prefix, off in OFF.items() if name.startswith(prefix))


def names_by_op(architecture: Mapping[str, object]) -> dict[str, list[str]]:
    """The indicators under each op, the op of most first and `drop` last; empty without ops of their own.

    >>> names_by_op({"input/column/a": "drop", "input/column/b": "rank", "input/column/c": "drop"})
    {'rank': ['b'], 'drop': ['a', 'c']}
    """
    found: dict[str, list[str]] = {}
    for name, op in architecture.items():
        if name.startswith(COLUMN):
            found.setdefault(str(op), []).append(name.removeprefix(COLUMN))
    order = sorted(found, key=lambda op: (op == OFF[COLUMN], -len(found[op]), op))
    return {op: found[op] for op in order}


def ops_in_words(architecture: Mapping[str, object]) -> str:
    """What is done to the columns, in a line: one by one where there are few, otherwise how many; empty without.

    >>> ops_in_words({"input/column/a": "rank", "input/column/b": "drop"})
    'rank a, drop b'
    >>> ops_in_words({f"input/column/{i}": "rank" if i else "drop" for i in range(6)})
    '6 columns: 5 rank, 1 drop'
    """
    found = names_by_op(architecture)
    total = sum(map(len, found.values()))
    if total <= FEW:
        return ", ".join(f"{op} {name}" for op, names in found.items() for name in names)
    return f"{total} columns: {', '.join(f'{len(names)} {op}' for op, names in found.items())}"
