"""From an architecture that is too dear to one near it that is not: change after change, the cheapest in worth first.

A choice at a time takes another value: of all changes that bring the costs nearer to the limits the one that loses
least worth for what it brings; where all limits are met, changes back that gain worth and keep them met.  Greedy: it
ends at an architecture that fits wherever single changes lead to one, and is not proved to be the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tradenas.space import Architecture, Choice, Picked, SearchSpace

__all__ = ["Worth", "nearest"]

#: What a value of a choice is worth; only differences within a choice matter.
Worth = Callable[[Choice, Picked], float]

#: Values of one choice that are tried; of a choice of several options together there may be thousands.
MOST_VALUES = 64
#: Distance to the limits that a change without loss of worth would be divided by.
TINY = 1e-9


def nearest(
    space: SearchSpace,
    start: Mapping[str, Picked],
    violation: Callable[[Architecture], float],
    worth: Worth = lambda choice, value: 0.0,  # noqa: ARG005
) -> Architecture | None:
    """An architecture without violation near `start`; None where single changes lead to none.

    Args:
        space: of the architectures.
        start: a value for choices of the space; those without one that become active take their worthiest.
        violation: how far an architecture is beyond the limits, 0 where it is not.
        worth: what is lost where a value changes.

    >>> space = SearchSpace([Choice(name="a", options=(1, 2, 3)), Choice(name="b", options=(1, 2, 3))])
    >>> over = lambda found: max(0.0, found["a"] + 2 * found["b"] - 6)
    >>> worth = lambda choice, value: 10.0 * value if choice.name == "a" else value
    >>> nearest(space, {"a": 3, "b": 3}, over, worth)
    Architecture(3 | 1)
    """
    values = {c.name: _some(c) for c in space.choices}
    now = {c.name: start[c.name] if c.name in start else _worthiest(c, values[c.name], worth) for c in space.choices}
    best = space.walk(lambda c: now[c.name])
    far = violation(best)
    while far > 0.0:
        found: tuple[float, float, str, str, Picked, Architecture] | None = None
        for name, value, lost, changed in _changes(space, best, now, values, worth):
            nearer = far - violation(changed)
            if nearer > 0.0:
                price = (max(lost, 0.0) + TINY) / nearer
                one = (price, -nearer, name, repr(value), value, changed)
                found = one if found is None or one[:4] < found[:4] else found
        if found is None:
            return None
        now[found[2]], best = found[4], found[5]
        far = violation(best)
    return _richer(space, best, now, values, violation, worth)


def _richer(
    space: SearchSpace,
    best: Architecture,
    now: dict[str, Picked],
    values: Mapping[str, list[Picked]],
    violation: Callable[[Architecture], float],
    worth: Worth,
) -> Architecture:
    """Gains worth where that keeps the limits met; every change gains, so it ends."""
    while True:
        gains = [
            (lost, name, repr(value), value, changed)
            for name, value, lost, changed in _changes(space, best, now, values, worth)
            if lost < -TINY and violation(changed) <= 0.0
        ]
        if not gains:
            return best
        _, name, _, value, best = min(gains, key=lambda one: one[:3])
        now[name] = value


def _some(choice: Choice) -> list[Picked]:
    found = []
    for value in choice.values():
        found.append(value)
        if len(found) == MOST_VALUES:
            break
    return found


def _changes(
    space: SearchSpace, best: Architecture, now: Mapping[str, Picked], values: Mapping[str, list[Picked]], worth: Worth
) -> list[tuple[str, Picked, float, Architecture]]:
    """Every change of one active choice: name, value, worth lost, architecture."""
    found = []
    for choice in space.choices:
        if choice.name in best:
            had = worth(choice, best[choice.name])
            for value in values[choice.name]:
                if value != best[choice.name]:
                    changed = space.walk(_picking(now, choice.name, value))
                    if changed != best:
                        found.append((choice.name, value, had - worth(choice, value), changed))
    return found


def _worthiest(choice: Choice, values: list[Picked], worth: Worth) -> Picked:
    return max(values, key=lambda value: worth(choice, value))


def _picking(now: Mapping[str, Picked], name: str, value: Picked) -> Callable[[Choice], Picked]:
    return lambda choice: value if choice.name == name else now[choice.name]
