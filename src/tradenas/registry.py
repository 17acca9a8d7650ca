"""Names to classes: the one lookup behind every `kind = "..."` of a study file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from tradenas.errors import ConfigError

__all__ = ["Registry", "did_you_mean"]

T = TypeVar("T")


def did_you_mean(word: str, known: list[str]) -> str:
    """A hint for a misspelt name, or the list of the names there are.

    >>> did_you_mean("spso", ["spos", "darts"])
    "did you mean 'spos'?"
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(sorted(known))}"


class Registry(Generic[T]):
    """A table of named things of one sort, open to other packages by entry points.

    A third party adds one with `[project.entry-points."tradenas.<sort>"]`; it is loaded when first asked for.

    >>> OPS: Registry[type] = Registry("op")
    >>> @OPS.register("skip")
    ... class Skip: ...
    >>> OPS["skip"].__name__
    'Skip'
    """

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        def add(thing: T) -> T:
            if name in self._known:
                raise ConfigError(f"{self.sort} {name!r}", got="a second registration", expected="one")
            self._known[name] = thing
            return thing

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            for point in entry_points(group=f"tradenas.{self.sort}", name=name):
                self._known[name] = point.load()
        try:
            return self._known[name]
        except KeyError:
            raise ConfigError(
                self.sort, got=repr(name), expected="a known name", fix=did_you_mean(name, list(self))
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)
