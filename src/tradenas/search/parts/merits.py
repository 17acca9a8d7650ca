"""What each option of a space is worth, told from paths that were scored; and which options a space can do without."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tradenas.search.base import Candidate
from tradenas.search.parts.find import Allowed, anything
from tradenas.space import Architecture, Choice, Option, SearchSpace
from tradenas.train.evaluate import merit

__all__ = ["covering", "option_merits", "worst"]

#: Draws in a row that bring no new path with an option, after which there is taken to be none.
MAX_MISSES = 50


def covering(
    space: SearchSpace, rng: np.random.Generator, *, times: int, allowed: Allowed = anything
) -> list[Architecture]:
    """Different random paths, so many that each option is in `times` of them, where there are as many.

    A path is drawn for the option that lacks one, uniform in all else; deep layers first, since their paths serve the
    options of the others as well.  A few hundred paths do what uniform draws need thousands for.
    """
    found: dict[Architecture, None] = {}
    seen: Counter[tuple[str, object]] = Counter()
    for choice in reversed([c for c in space.choices if c.take == 1]):
        for option in choice.options:
            misses = 0
            while seen[choice.name, option] < times and misses < MAX_MISSES:
                path = with_option(space, choice, option, rng)
                known = path in found or path.get(choice.name) != option
                misses = misses + 1 if known or not allowed(path) else 0
                if not misses:
                    found[path] = None
                    seen.update(path.items())
    return list(found)


def with_option(space: SearchSpace, choice: Choice, option: Option, rng: np.random.Generator) -> Architecture:
    """A random path in which `choice` is active and takes `option`."""
    wanted: dict[str, tuple[Option, ...]] = {choice.name: (option,)}
    waiting = [choice]
    while waiting:
        for name, allowed in waiting.pop().when.items():
            wanted[name] = tuple(o for o in wanted.get(name, allowed) if o in allowed)
            waiting.append(space[name])

    def pick(c: Choice) -> Option:
        options = wanted.get(c.name, c.options)
        return options[int(rng.integers(len(options)))]

    return space.walk(pick)


def option_merits(candidates: Sequence[Candidate], metric: str) -> dict[str, dict[Option, float]]:
    """The mean merit of the paths that have each option; a path without a score counts as the worst that has one.

    >>> some = [Candidate(Architecture({"op": op}), {"ic": ic}) for op, ic in (("a", 0.1), ("a", 0.3), ("b", 0.4))]
    >>> {op: round(mean, 3) for op, mean in option_merits(some, "ic")["op"].items()}
    {'a': 0.2, 'b': 0.4}
    """
    merits = [merit(c.scores, metric) for c in candidates]
    worst = min((m for m in merits if math.isfinite(m)), default=0.0)
    told: dict[str, dict[Option, list[float]]] = defaultdict(lambda: defaultdict(list))
    for candidate, value in zip(candidates, merits, strict=True):
        for name, option in candidate.architecture.items():
            if not isinstance(option, tuple):
                told[name][option].append(max(value, worst))
    return {name: {o: float(np.mean(v)) for o, v in options.items()} for name, options in told.items()}


def worst(
    space: SearchSpace, merits: Mapping[str, Mapping[Option, float]], *, share: float
) -> list[tuple[str, Option, float]]:
    """The options to drop, worst first, and what each is behind the best of its own choice.

    Never the best of a choice, none without a merit, and of choices that may not all go one way (be off) never the
    best of the other ways.

    Args:
        share: of all options that might be dropped; at least one of them is.
    """
    behind = [
        (choice.name, option, max(merits[choice.name].values()) - merits[choice.name][option])
        for choice in space.choices
        if choice.name in merits
        for option in choice.options
        if option in merits[choice.name] and option != _needed(space, choice, merits[choice.name])
    ]
    behind = [one for one in behind if one[2] > 0.0]
    behind.sort(key=lambda one: (-one[2], one[0], str(one[1])))
    return behind[: max(1, int(share * len(behind)))]


def _needed(space: SearchSpace, choice: Choice, merits: Mapping[Option, float]) -> Option | None:
    """The option that has to stay, so that not all choices of `not_all` can only go the same way."""
    if choice.name not in space.not_all:
        return None
    others = [o for o in choice.options if o != space.not_all[choice.name]]
    return max(others, key=lambda o: merits.get(o, -math.inf), default=None)
