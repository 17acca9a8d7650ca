"""How often uniform sampling takes each option: the share of training that each part of a supernet can expect."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from tradenas.space.choice import Option, Picked
from tradenas.space.space import SearchSpace

__all__ = ["option_shares"]


def option_shares(space: SearchSpace) -> dict[str, dict[Option, float]]:
    """For each choice, the exact chance of each option to be in an architecture from `space.sample`.

    Shares of a choice add up to the chance that it is active (times its `take`), not to 1: a deep layer's op is
    trained only where the network is deep.

    >>> from tradenas.space import Choice
    >>> shares = option_shares(SearchSpace([
    ...     Choice(name="depth", options=(1, 2)),
    ...     Choice(name="layer1/op", options=("dense", "conv3"), when={"depth": (2,)}),
    ... ]))
    >>> shares["layer1/op"]
    {'dense': 0.25, 'conv3': 0.25}
    """
    shares: dict[str, dict[Option, float]] = {c.name: dict.fromkeys(c.options, 0.0) for c in space.choices}
    # What was picked so far, as far as a later choice asks for it, with its chance.
    states: dict[tuple[tuple[str, Picked], ...], float] = {(): 1.0}
    for at, choice in enumerate(space.choices):
        asked = {name for later in space.choices[at + 1 :] for name in later.when}
        after: dict[tuple[tuple[str, Picked], ...], float] = defaultdict(float)
        for state, chance in states.items():
            known = {name: value for name, value in state if name in asked}
            if not space.active(choice, dict(state)):
                after[tuple(known.items())] += chance
                continue
            each = chance * choice.take / len(choice.options)
            for option in choice.options:
                shares[choice.name][option] += each
            if choice.name not in asked:
                after[tuple(known.items())] += chance
                continue
            values: list[Picked] = list(choice.options)
            if choice.take > 1:
                values = list(combinations(choice.options, choice.take))
            for value in values:
                after[(*known.items(), (choice.name, value))] += chance / len(values)
        states = after
    return shares
