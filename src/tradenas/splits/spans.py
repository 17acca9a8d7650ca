"""A run of decision rows, and the three kinds of it that a study is made of."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from tradenas.errors import ConfigError, VaultError
from tradenas.typing import BoolArray, IntArray

__all__ = ["OpenedVault", "SearchZone", "SelectionZone", "Span", "VaultZone"]


def whole(value: object, place: str, *, least: int = 0) -> int:
    """`value` as an int of at least `least`; NumPy integers are welcome, booleans and floats are not."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least:
        raise ConfigError(place, got=value, expected=f"a whole number of at least {least}")
    return number


@dataclass(frozen=True)
class Span:
    """Consecutive decision rows [start, stop): what a model is fitted on, or judged on.

    Args:
        start: first row.
        stop: one past the last row; greater than `start`.

    Raises:
        ConfigError: not whole numbers, negative, or empty.

    >>> span = Span(10, 15)
    >>> len(span), list(span), 15 in span
    (5, [10, 11, 12, 13, 14], False)
    >>> [list(block) for block in span.blocks(2)]
    [[10, 11], [12, 13], [14]]
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", whole(self.start, f"{type(self).__name__}.start"))
        object.__setattr__(self, "stop", whole(self.stop, f"{type(self).__name__}.stop"))
        if self.stop <= self.start:
            raise ConfigError(
                f"{type(self).__name__}",
                got=f"rows {self.start}..{self.stop}",
                expected="stop greater than start",
                fix="give it more rows",
            )

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __contains__(self, row: object) -> bool:
        return row in range(self.start, self.stop)

    @property
    def slice(self) -> slice:
        """For indexing an array that has one entry per row."""
        return slice(self.start, self.stop)

    @property
    def rows(self) -> IntArray:
        """The row numbers."""
        return np.arange(self.start, self.stop, dtype=np.int64)

    def mask(self, total: int) -> BoolArray:
        """True at the rows of this span, in a series of `total` rows.

        Raises:
            ConfigError: the span reaches past the series.
        """
        if self.stop > total:
            raise ConfigError("Span.mask", got=f"{total} rows", expected=f"at least {self.stop}")
        inside = np.zeros(total, bool)
        inside[self.slice] = True
        return inside

    def blocks(self, size: int) -> Iterator[Span]:
        """Consecutive pieces of `size` rows; the last may be shorter."""
        size = whole(size, "Span.blocks", least=1)
        for start in range(self.start, self.stop, size):
            yield Span(start, min(start + size, self.stop))

    def within(self, other: Span) -> bool:
        """Whether every row of this span is a row of `other`."""
        return other.start <= self.start and self.stop <= other.stop

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.start}, {self.stop})"


class SearchZone(Span):
    """Rows on which weights and architecture parameters are trained and candidates ranked."""


class SelectionZone(Span):
    """Rows on which the best candidates are retrained from scratch beside the baselines, and one is chosen."""


class VaultZone(Span):
    """Rows that judge the one chosen.  Sealed: it says where it lies, and gives rows only through `splits.vault`.

    >>> VaultZone(80, 100).slice  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradenas.errors.VaultError: VaultZone(80, 100): got a sealed zone, expected rows asked for through the vault. ...
    """

    def _sealed(self) -> NoReturn:
        raise VaultError(
            repr(self),
            got="a sealed zone",
            expected="rows asked for through the vault",
            fix="use tradenas.splits.vault.Vault(zone, store).open(reason), which counts the look",
        )

    def __iter__(self) -> Iterator[int]:
        self._sealed()

    @property
    def slice(self) -> slice:
        """Sealed."""
        self._sealed()

    @property
    def rows(self) -> IntArray:
        """Sealed."""
        self._sealed()

    def mask(self, total: int) -> BoolArray:  # noqa: ARG002
        """Sealed."""
        self._sealed()

    def blocks(self, size: int) -> Iterator[Span]:  # noqa: ARG002
        """Sealed."""
        self._sealed()


@dataclass(frozen=True, repr=False)
class OpenedVault(Span):
    """The rows of a vault that was opened, and what must be printed beside every figure made from them.

    Attributes:
        watermark: None on the first look; else the text that everything made after it carries.
    """

    watermark: str | None = None
