"""A space whose samples meet a budget: hard limits for everything that draws architectures.

    sample    drawn again until it fits, so it is uniform over what fits and its draws are                rejection
              mended where `TRIES` draws did not: the nearest that fits, choice after choice              `nearest`

A share of 1 % that fits takes a hundred draws a sample, and costs are known without training, so rejection is nearly
free.  Where next to nothing fits, what is mended is no longer uniform: it lies at the edge of the budget.  Everything
else about a space is as it was: a finder's mutations and crossovers are rejected one by one (`Allowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tradenas.cost import PriceList, nearest, satisfiability
from tradenas.errors import BudgetError
from tradenas.search.base import Candidate, Task
from tradenas.search.parts.reward import worth
from tradenas.space import Architecture, Choice, Option, Picked, SearchSpace

__all__ = ["Affordable", "affordable", "best_first", "kept", "refuse_unless_met", "still_met", "with_one_that_fits"]

#: Draws in a row that do not fit, after which one is mended; and from then on.
TRIES, FEWER = 300, 10
#: Samples that bring nothing new, after which the tightest of spaces is taken to hold no more.
PATIENCE = 30


class Affordable(SearchSpace):
    """A space that draws only what is allowed.

    Args:
        space: to draw from.
        violation: how far beyond the limits an architecture is, 0 where it is allowed.

    >>> from tradenas.seeds import rng_for
    >>> digits = [Choice(name=name, options=tuple(range(10))) for name in "abcdef"]
    >>> few = Affordable(SearchSpace(digits), lambda a: max(0, sum(a.values()) - 1))
    >>> rng = rng_for(0, "a")
    >>> [sum(few.sample(rng).values()) <= 1 for _ in range(3)]
    [True, True, True]
    """

    def __init__(self, space: SearchSpace, violation: Callable[[Architecture], float]) -> None:
        super().__init__(space.choices, not_all=space.not_all)
        self.inner, self.violation, self.tries = space, violation, TRIES
        self.drawn = self.given = 0

    @property
    def patience(self) -> int:
        """As many draws as any space is given, however many samples these make."""
        share = self.given / self.drawn if self.drawn else 1.0
        return max(PATIENCE, round(share * super().patience))

    def sample(self, rng: np.random.Generator) -> Architecture:
        self.given += 1
        for _ in range(self.tries):
            self.drawn += 1
            drawn = self.inner.sample(rng)
            if not self.violation(drawn):
                return drawn
        self.tries = FEWER
        found = nearest(self.inner, drawn, self.violation, worth=_stays(drawn, rng))
        return drawn if found is None else found  # which whoever draws then rejects


def _stays(drawn: Architecture, rng: np.random.Generator) -> Callable[[Choice, Picked], float]:
    """What was drawn is worth most, and of all else what chance says: ways down differ from draw to draw."""
    told: dict[tuple[str, Picked], float] = {}

    def worth_of(choice: Choice, value: Picked) -> float:
        if drawn.get(choice.name) == value:
            return 1.0
        if (choice.name, value) not in told:
            told[choice.name, value] = float(rng.random())
        return told[choice.name, value]

    return worth_of


def affordable(space: SearchSpace, prices: PriceList | None) -> SearchSpace:
    """The space itself where nothing is limited, or where limits only rank."""
    if prices is None or not prices.limits or prices.rule == "dominance":
        return space
    return Affordable(space, prices.violation)


def refuse_unless_met(space: SearchSpace, prices: PriceList, *, place: str = "budget") -> None:
    """Refuses limits that nothing meets, before anything is trained.

    Args:
        space: of the architectures.
        prices: the limits, and what they are of.
        place: where they are, for the error.

    Raises:
        BudgetError: with the smallest that each limit could be, and whose it is.
    """
    if prices.limits and nearest(space, space.smallest(), prices.violation) is None:
        satisfiability(space, prices).require(place)


def still_met(
    space: SearchSpace, dropped: Sequence[tuple[str, Option, float]], prices: PriceList
) -> list[tuple[str, Option, float]]:
    """Of options to be dropped, worst first, those without which something still fits."""
    if not prices.limits:
        return list(dropped)
    left = {c.name: list(c.options) for c in space.choices}
    taken: list[tuple[str, Option, float]] = []
    for one in dropped:
        fewer = {**left, one[0]: [o for o in left[one[0]] if o != one[1]]}
        smaller = space.restrict(fewer)
        if nearest(smaller, smaller.smallest(), prices.violation) is not None:
            left, taken = fewer, [*taken, one]
    return taken


def with_one_that_fits(space: SearchSpace, left: dict[str, list[Option]], prices: PriceList) -> dict[str, list[Option]]:
    """What is left of a space, with options added where without them nothing would fit: those of one that does."""
    smaller = space.restrict(left)
    if not prices.limits or nearest(smaller, smaller.smallest(), prices.violation) is not None:
        return left
    found = nearest(space, space.smallest(), prices.violation)
    if found is None:
        return left
    taken = {name: value if isinstance(value, tuple) else (value,) for name, value in found.items()}
    return {
        name: [o for o in space[name].options if o in options or o in taken.get(name, ())]
        for name, options in left.items()
    }


def kept(candidates: Sequence[Candidate], prices: PriceList | None) -> list[Candidate]:
    """Those that fit: what is beyond a limit may have been scored on the way, but is no candidate.

    Raises:
        BudgetError: none of them does.
    """
    if prices is None or not prices.limits:
        return list(candidates)
    found = [c for c in candidates if prices.fits(c.architecture)]
    if candidates and not found:
        raise BudgetError(
            "search", got=f"none of {len(candidates)} scored architectures within the budget",
            expected="at least one", fix='score more, or set budget.rule = "reject", which scores nothing else',
        )  # fmt: skip
    return found


def best_first(task: Task, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Standalone candidates that fit, by the objective, ties by digest."""
    left = kept(candidates, task.prices)
    return sorted(left, key=lambda c: (-worth(task, c.architecture, c.scores), c.architecture.digest))
