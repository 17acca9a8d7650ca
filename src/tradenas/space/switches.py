"""Choices that say what of the inputs is read, and how each of them says that it is not.

- `input/group/<name>`: off, on; all indicators of a group
- `input/feature/<name>`: off, on; one indicator
- `input/column/<name>`: drop, or what is done to it; one indicator
"""

from __future__ import annotations

from collections.abc import Mapping

from tradenas.space.choice import Choice, Option, Picked

__all__ = ["COLUMN", "FEATURE", "GROUP", "OFF", "closed", "is_single", "is_switch", "off_option"]

GROUP, FEATURE, COLUMN = "input/group/", "input/feature/", "input/column/"
#: The option of each kind under which it is not read.
OFF = {GROUP: "off", FEATURE: "off", COLUMN: "drop"}


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
