"""An ordered set of choices."""

from __future__ import annotations

import math
from collections import defaultdict
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

    Args:
        choices: each after those that it depends on.
        not_all: of these choices (always active, one option each), not all take their option named here.  Where all
            but the last have taken theirs, the last may not: `walk` does not ask where one other option is left, and
            takes the first of the others where the answer is the one that may not be.
    """

    def __init__(self, choices: Sequence[Choice], *, not_all: Mapping[str, Option] | None = None) -> None:
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
        self.not_all = self._bounded(not_all or {})

    def _bounded(self, wanted: Mapping[str, Option]) -> dict[str, Option]:
        """The named options in the order of the choices."""
        for name, option in wanted.items():
            choice = self[name]
            if choice.when or choice.take > 1 or option not in choice.options:
                raise SpaceError(
                    f"not_all[{name}]", got=repr(option), expected="an option of a choice that is always active"
                )
        if wanted and all(self[name].options == (option,) for name, option in wanted.items()):
            raise SpaceError(", ".join(wanted), got=_all(wanted), expected="another option of one of them")
        return {c.name: wanted[c.name] for c in self.choices if c.name in wanted}

    def allowed(self, choice: Choice, picked: Mapping[str, Picked]) -> tuple[Option, ...]:
        """The options of `choice` that are open, given what was picked before: all, or all but the one of `not_all`."""
        if choice.name in self.not_all:
            *others, last = self.not_all
            if choice.name == last and all(picked[name] == self.not_all[name] for name in others):
                return tuple(o for o in choice.options if o != self.not_all[last])
        return choice.options

    @property
    def patience(self) -> int:
        """Draws in a row that bring nothing new, after which it is taken to hold nothing new."""
        return 1000

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

    def asks(self, choice: Choice, picked: Mapping[str, Picked]) -> bool:
        """Whether `walk` would ask for `choice`, given what was picked before: it is active, and free."""
        open_ = self.allowed(choice, picked)
        return self.active(choice, picked) and (len(open_) > 1 or open_ == choice.options)

    def walk(self, pick: Callable[[Choice], Picked]) -> Architecture:
        """An architecture, by asking `pick` for every choice that is active and free."""
        picked: dict[str, Picked] = {}
        for choice in self.choices:
            if self.active(choice, picked):
                open_ = self.allowed(choice, picked)
                value = pick(choice) if self.asks(choice, picked) else open_[0]
                picked[choice.name] = open_[0] if open_ != choice.options and value not in open_ else value
        return Architecture(picked)

    def _lacks(self, picked: Mapping[str, Picked]) -> bool:
        return bool(self.not_all) and all(picked[name] == option for name, option in self.not_all.items())

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture, each active choice uniform over its options; drawn again where `not_all` fails."""
        picked = self._drawn(rng)
        while self._lacks(picked):
            picked = self._drawn(rng)
        return Architecture(picked)

    def _drawn(self, rng: np.random.Generator) -> dict[str, Picked]:
        picked: dict[str, Picked] = {}
        for choice in self.choices:
            if self.active(choice, picked):
                picked[choice.name] = draw(choice, rng)
        return picked

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
        if self._lacks(picked):
            raise ArchitectureError(
                ", ".join(self.not_all), got=_all(self.not_all), expected="another option of one of them"
            )
        return Architecture(picked)

    def restrict(self, options: Mapping[str, Sequence[Option]]) -> SearchSpace:
        """The space with fewer options; conditions that can no longer hold take their choices away."""
        for name, kept in options.items():
            for option in kept:
                self[name].index(option)
        kept_of = {n: options.get(n, self[n].options) for n in self.not_all}
        free = {n: o for n, o in self.not_all.items() if any(other != o for other in kept_of[n])}
        if self.not_all and not free:
            raise SpaceError(
                ", ".join(self.not_all), got=f"{_all(self.not_all)} left", expected="another option of one of them"
            )
        if len(free) == 1:  # it may not take it any more
            options = {**options, **{n: [other for other in kept_of[n] if other != o] for n, o in free.items()}}
        bound = all(o in options.get(n, self[n].options) for n, o in free.items())
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
        return SearchSpace(tuple(kept_choices.values()), not_all=free if bound else None)

    def fix(self, architecture: Mapping[str, Picked]) -> SearchSpace:
        """The space that holds this one architecture."""
        architecture = self.check(architecture)
        only = SearchSpace([c for c in self.choices if c.name in architecture], not_all=self.not_all)
        return only.restrict({n: sorted(_taken(p), key=self[n].index) for n, p in architecture.items()})

    def size(self) -> int:
        """How many architectures there are, counted exactly without listing them."""
        if self.not_all:
            free = SearchSpace(self.choices)
            return free.size() - free.restrict({n: [o] for n, o in self.not_all.items()}).size()
        # What was picked so far, as far as a later choice asks for it, with the number of ways to get there.
        ways: dict[tuple[tuple[str, Picked], ...], int] = {(): 1}
        for at, choice in enumerate(self.choices):
            asked = {name for later in self.choices[at + 1 :] for name in later.when}
            after: dict[tuple[tuple[str, Picked], ...], int] = defaultdict(int)
            for state, number in ways.items():
                known = tuple((name, value) for name, value in state if name in asked)
                if not self.active(choice, dict(state)):
                    after[known] += number
                elif choice.name not in asked:
                    after[known] += number * math.comb(len(choice.options), choice.take)
                else:
                    for value in choice.values():
                        after[*known, (choice.name, value)] += number
            ways = after
        return sum(ways.values())

    def __iter__(self) -> Iterator[Architecture]:
        """Every architecture, in the order of the options.  Mind `size()` first."""

        def extend(at: int, picked: dict[str, Picked]) -> Iterator[Architecture]:
            if at == len(self.choices):
                yield Architecture(picked)
            elif self.active(self.choices[at], picked):
                choice = self.choices[at]
                open_ = self.allowed(choice, picked)
                for value in choice.values() if open_ == choice.options else open_:
                    yield from extend(at + 1, {**picked, choice.name: value})
            else:
                yield from extend(at + 1, picked)

        return extend(0, {})


def _all(named: Mapping[str, Option]) -> str:
    return f"all of them {' or '.join(dict.fromkeys(repr(option) for option in named.values()))}"
