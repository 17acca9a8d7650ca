"""One decision of a search space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from tradenas.errors import ArchitectureError, SpaceError

__all__ = ["Choice", "Option", "Picked"]

Option = str | int | float
Picked = Option | tuple[Option, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A name and the finite, ordered options it may take.

    Args:
        name: `part/what`, for instance `layer0/op`.  No dots: torch keys may not hold them.
        options: smallest first where an order makes sense (widths, depths, lookbacks).
        take: how many options are taken together; above 1 the picked value is a sorted tuple of options.
        when: active only if each named earlier choice took one of these options.

    >>> width = Choice(name="layer0/width", options=(16, 32))
    >>> width.index(32)
    1
    """

    name: str
    options: tuple[Option, ...]
    take: int = 1
    when: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        object.__setattr__(self, "when", {name: tuple(allowed) for name, allowed in self.when.items()})
        if not self.name or "." in self.name:
            raise SpaceError("Choice.name", got=self.name, expected="a name without dots", fix="use '/' to nest")
        if not self.options:
            raise SpaceError(self.name, got="no options", expected="at least one")
        if len(set(self.options)) != len(self.options):
            raise SpaceError(self.name, got=str(self.options), expected="distinct options")
        if not 1 <= self.take <= len(self.options):
            raise SpaceError(self.name, got=f"take={self.take}", expected=f"1..{len(self.options)}")

    def values(self) -> Iterator[Picked]:
        """Everything it may take, in the order of its options."""
        return iter(self.options) if self.take == 1 else combinations(self.options, self.take)

    def index(self, option: Option) -> int:
        """Where `option` stands among the options."""
        try:
            return self.options.index(option)
        except ValueError:
            raise ArchitectureError(self.name, got=repr(option), expected=f"one of {list(self.options)}") from None

    def check(self, picked: Picked) -> None:
        """Refuse a value that this choice cannot take."""
        if self.take == 1:
            if isinstance(picked, tuple):
                raise ArchitectureError(self.name, got=repr(picked), expected="one option")
            self.index(picked)
            return
        if not isinstance(picked, tuple) or len(picked) != self.take:
            raise ArchitectureError(self.name, got=repr(picked), expected=f"a tuple of {self.take} options")
        indices = [self.index(option) for option in picked]
        if indices != sorted(set(indices)):
            raise ArchitectureError(self.name, got=repr(picked), expected="distinct options in their order")
