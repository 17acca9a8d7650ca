"""An ordered set of choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.registry import did_you_mean
from tradenas.space.architecture import Architecture
from tradenas.space.choice import Choice, Option, Picked

__all__ = ["SearchSpace", "draw"]


def draw(choice: Choice, rng: np.random.Generator) -> Picked:
    """One uniform value of a choice."""
    if choice.take == 1:
        return choice.options[int(rng.integers(len(choice.options)))]
    taken = rng.choice(len(choice.options), size=choice.take, replace=False)
    return tuple(choice.options[i] for i in sorted(taken.tolist()))


def _taken(picked: Picked) -> set[Option]:
    return set(picked) if isinstance(picked, tuple) else {picked}


class SearchSpace:
    """What may be chosen: an ordered set of choices, each of which may depend on earlier ones.

    Pure data: no torch, no arrays, no networks.

    >>> space = SearchSpace([
    ...     Choice(name="depth", options=(1, 2)),
    ...     Choice(name="layer0/op", options=("dense", "conv3")),
    ...     Choice(name="layer1/op", options=("dense", "conv3"), when={"depth": (2,)}),
    ... ])
    >>> space.size(), len(list(space)), space.smallest()["depth"]
    (6, 6, 1)
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self._by_name = {c.name: c for c in self.choices}
        if len(self._by_name) != len(self.choices):
            twice = [n for n in self._by_name if sum(c.name == n for c in self.choices) > 1]
            raise SpaceError("SearchSpace", got=f"{twice[0]!r} twice", expected="each name once")
        seen: set[str] = set()
        for choice in self.choices:
            for name, allowed in choice.when.items():
                if name not in seen:
                    raise SpaceError(
                        f"{choice.name}.when", got=name, expected="an earlier choice", fix="put that choice first"
                    )
                if missing := set(allowed) - set(self._by_name[name].options):
                    raise SpaceError(
                        f"{choice.name}.when[{name}]", got=str(sorted(map(str, missing))), expected="options of it"
                    )
            seen.add(choice.name)

    def __getitem__(self, name: str) -> Choice:
        try:
            return self._by_name[name]
        except KeyError:
            raise SpaceError(
                "SearchSpace", got=repr(name), expected="a choice of it", fix=did_you_mean(name, list(self._by_name))
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __repr__(self) -> str:
        return f"SearchSpace({len(self.choices)} choices, {self.size():,} architectures)"

    def active(self, choice: Choice, picked: Mapping[str, Picked]) -> bool:
        """Whether `choice` has to be made, given what was picked before."""
        return all(
            name in picked and bool(_taken(picked[name]) & set(allowed)) for name, allowed in choice.when.items()
        )

    def walk(self, pick: Callable[[Choice], Picked]) -> Architecture:
        """An architecture, by asking `pick` for every choice that is active."""
        picked: dict[str, Picked] = {}
        for choice in self.choices:
            if self.active(choice, picked):
                picked[choice.name] = pick(choice)
        return Architecture(picked)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture, each active choice uniform over its options."""
        return self.walk(lambda choice: draw(choice, rng))

    def smallest(self) -> Architecture:
        """The first options everywhere."""
        return self.walk(lambda c: c.options[0] if c.take == 1 else c.options[: c.take])

    def largest(self) -> Architecture:
        """The last options everywhere."""
        return self.walk(lambda c: c.options[-1] if c.take == 1 else c.options[-c.take :])

    def check(self, architecture: Mapping[str, Picked]) -> Architecture:
        """The architecture itself, or an error that names the first choice it gets wrong."""
        picked: dict[str, Picked] = {}
        for choice in self.choices:
            if self.active(choice, picked):
                if choice.name not in architecture:
                    raise ArchitectureError(choice.name, got="nothing", expected=f"one of {list(choice.options)}")
                choice.check(architecture[choice.name])
                picked[choice.name] = architecture[choice.name]
        for name in architecture:
            if name not in picked:
                raise ArchitectureError(name, got=repr(architecture[name]), expected="no such active choice")
        return Architecture(picked)

    def restrict(self, options: Mapping[str, Sequence[Option]]) -> SearchSpace:
        """The space with fewer options; conditions that can no longer hold take their choices away."""
        for name, kept in options.items():
            for option in kept:
                self[name].index(option)
        kept_choices: dict[str, Choice] = {}
        for choice in self.choices:
            if any(n not in kept_choices for n in choice.when):
                continue
            when = {n: tuple(o for o in allowed if o in kept_choices[n].options) for n, allowed in choice.when.items()}
            if not all(when.values()):
                continue
            when = {n: allowed for n, allowed in when.items() if len(allowed) < len(kept_choices[n].options)}
            left = [o for o in choice.options if o in options.get(choice.name, choice.options)]
            kept_choices[choice.name] = replace(choice, options=tuple(left), when=when)
        return SearchSpace(tuple(kept_choices.values()))

    def fix(self, architecture: Mapping[str, Picked]) -> SearchSpace:
        """The space that holds this one architecture."""
        architecture = self.check(architecture)
        only = SearchSpace([c for c in self.choices if c.name in architecture])
        return only.restrict({n: sorted(_taken(p), key=self[n].index) for n, p in architecture.items()})

    def size(self) -> int:
        """How many architectures there are, counted exactly without listing them."""
        needed = {name for choice in self.choices for name in choice.when}
        return self._count(0, {}, needed)

    def _count(self, at: int, picked: dict[str, Picked], needed: set[str]) -> int:
        total = 1
        for i in range(at, len(self.choices)):
            choice = self.choices[i]
            if not self.active(choice, picked):
                continue
            if choice.name in needed:
                groups: dict[tuple[bool, ...], list[Picked]] = {}
                for value in _values(choice):
                    key = tuple(
                        bool(_taken(value) & set(later.when[choice.name]))
                        for later in self.choices[i + 1 :]
                        if choice.name in later.when
                    )
                    groups.setdefault(key, []).append(value)
                return total * sum(
                    len(same) * self._count(i + 1, {**picked, choice.name: same[0]}, needed) for same in groups.values()
                )
            total *= sum(1 for _ in _values(choice))
        return total

    def __iter__(self) -> Iterator[Architecture]:
        """Every architecture, in the order of the options.  Mind `size()` first."""

        def extend(at: int, picked: dict[str, Picked]) -> Iterator[Architecture]:
            if at == len(self.choices):
                yield Architecture(picked)
            elif self.active(self.choices[at], picked):
                for value in _values(self.choices[at]):
                    yield from extend(at + 1, {**picked, self.choices[at].name: value})
            else:
                yield from extend(at + 1, picked)

        return extend(0, {})


def _values(choice: Choice) -> Iterator[Picked]:
    from itertools import combinations

    return iter(choice.options) if choice.take == 1 else iter(combinations(choice.options, choice.take))
