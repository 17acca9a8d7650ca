"""Which architectures to look at next: the part of a search that a table could be searched with as well."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tradenas.errors import ConfigError, SpaceError
from tradenas.registry import Registry
from tradenas.space import Architecture, SearchSpace

__all__ = ["FINDERS", "Finder", "History", "anything", "find"]

FINDERS: Registry[type[Finder]] = Registry("finder")

Allowed = Callable[[Architecture], bool]


def anything(architecture: Architecture) -> bool:  # noqa: ARG001
    """Every architecture is allowed."""
    return True


@dataclass(frozen=True, kw_only=True)
class History:
    """All that was scored so far, in the order in which it was.

    Attributes:
        architectures: which.
        merits: of each, more is better; `-inf` for one that failed.
        values: other numbers of each by name, as they are: metrics, `params`, `macs`, other costs that the rule weighs.
            NaN where there is none.
        violations: of each how far it is beyond a budget, 0 where it fits; empty where nothing is limited, or where
            nothing beyond a limit is ever scored.
    """

    architectures: tuple[Architecture, ...] = ()
    merits: tuple[float, ...] = ()
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    violations: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.architectures)

    def key(self, i: int, fronts: Sequence[int] = ()) -> tuple[float, int, float, str]:
        """What orders: what fits first, then the nearest to the limits (Deb 2000); front if there are any; merit.

        Ties go by digest, so that an order never depends on how it came about.
        """
        far = self.violations[i] if self.violations else 0.0
        return (far, fronts[i] if fronts else 0, -self.merits[i], self.architectures[i].digest)

    def best_first(self, fronts: Sequence[int] = ()) -> list[Architecture]:
        """All of them in the order of `key`."""
        return [self.architectures[i] for i in sorted(range(len(self)), key=lambda i: self.key(i, fronts))]


@dataclass(frozen=True, kw_only=True)
class Finder(abc.ABC):
    """A rule that proposes architectures, a generation at a time: a pure function, so that resuming needs no state.

    Attributes:
        population: architectures in a generation.
    """

    population: int = 50

    def __post_init__(self) -> None:
        if self.population < 1:
            raise ConfigError("search.find.population", got=self.population, expected="1 or more")

    def sizes(self, num: int) -> list[int]:
        """How many architectures each generation has, `num` in all."""
        return [min(self.population, num - done) for done in range(0, num, self.population)]

    def check(self, space: SearchSpace, num: int) -> None:  # noqa: ARG002
        """Says so where this rule cannot search `space` with `num` scores."""
        if not space.choices:
            raise SpaceError("SearchSpace", got="no choices", expected="at least one", fix="offer something to choose")

    def weighs(self) -> tuple[str, ...]:
        """The costs that the rule asks for in `History.values`, by their names in `tradenas.cost.COSTS`."""
        return ()

    def fronts(self, history: History) -> tuple[int, ...]:  # noqa: ARG002
        """For each architecture its front, 0 first, where the rule weighs several objectives; nothing otherwise."""
        return ()

    @abc.abstractmethod
    def propose(
        self,
        space: SearchSpace,
        history: History,
        count: int,
        *,
        generation: int,
        seed: int,
        allowed: Allowed = anything,
    ) -> list[Architecture]:
        """Up to `count` architectures that are allowed and not in `history`; fewer where there are no more."""


def find(
    finder: Finder,
    space: SearchSpace,
    score: Callable[[Sequence[Architecture]], Sequence[Mapping[str, float]]],
    *,
    num: int,
    merit: Callable[[Mapping[str, float]], float],
    seed: int = 0,
    allowed: Allowed = anything,
    violation: Callable[[Architecture], float] | None = None,
) -> History:
    """Searches anything that can score architectures, a table of results for instance.

    Args:
        score: numbers of each architecture by name.
        num: architectures to score.
        merit: the one number of which more is better.
        allowed: what may be scored at all: a hard limit.
        violation: how far an architecture is beyond limits that only rank (Deb 2000: what fits before what does not).

    >>> from tradenas.search.parts.uniform import Uniform
    >>> from tradenas.space import Chain
    >>> space = Chain(depths=(1,), ops=("dense",), widths=(4, 8, 16), lookbacks=(5,)).space()
    >>> widths = lambda wanted: [{"width": float(a["layer0/width"])} for a in wanted]
    >>> found = find(Uniform(population=4), space, widths, num=8, merit=lambda values: values["width"])
    >>> len(found), found.best_first()[0]["layer0/width"]
    (8, 16)
    """
    finder.check(space, num)
    history = History()
    for generation, count in enumerate(finder.sizes(num)):
        wanted = finder.propose(space, history, count, generation=generation, seed=seed, allowed=allowed)
        told = score(wanted)
        names = set(history.values).union(*told)
        history = History(
            architectures=history.architectures + tuple(wanted),
            merits=history.merits + tuple(merit(values) for values in told),
            values={
                name: history.values.get(name, (float("nan"),) * len(history))
                + tuple(values.get(name, float("nan")) for values in told)
                for name in sorted(names)
            },
            violations=() if violation is None else history.violations + tuple(violation(a) for a in wanted),
        )
    return history
