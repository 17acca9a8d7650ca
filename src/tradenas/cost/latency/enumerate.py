"""Which parts the architectures of a space can have, and on how many rows.

A chain's parts hang on the op of a layer, the width before it, its own width and what follows it: every combination is
built once, in the shallowest network that has the layer.  Of cells and of rows only so many are drawn; the parts of a
cell are few, and times between rows are interpolated.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tradenas.cost.latency.parts import Placed
from tradenas.cost.latency.runtimes import Runtime
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Choice, Option, Picked, SearchSpace, is_switch, off_option
from tradenas.space.switches import QUANT

__all__ = ["ROUNDING", "Needed", "covering", "needed", "numbers_open", "pinned", "rounding_kind", "rounding_kinds"]

#: The choice of how values are rounded: it adds steps.
ROUNDING = f"{QUANT}activations"

#: Of each part, by its key, the rows that were seen; and one example of the part.
Needed = dict[tuple[str, int, int], tuple[Placed, set[int]]]


def pinned(space: SearchSpace, values: Mapping[str, Picked]) -> Architecture:
    """The architecture with these values where they are asked for, and the first options elsewhere."""

    def pick(choice: Choice) -> Picked:
        if choice.name in values:
            return values[choice.name]
        return choice.options[0] if choice.take == 1 else choice.options[: choice.take]

    return space.walk(pick)


def covering(network: Network) -> Iterator[Architecture]:
    """Architectures that have between them every part of a chain's layers, or every op of a cell on all edges."""
    space = network.space
    open_: dict[str, Picked] = {
        c.name: next(o for o in c.options if o != off_option(c))
        for c in space.choices
        if is_switch(c.name) and any(o != off_option(c) for o in c.options)
    }
    for kind in rounding_kinds(space):
        yield from _covering(network, open_ | ({} if kind is None else {ROUNDING: kind}))


def numbers_open(network: Network, lies: Callable[[int], str]) -> Iterator[Architecture]:
    """With each lookback, of the numbers of open indicators that lie alike in memory the least, a middle and the most.

    With each first op of a chain: some read only the open channels, others want all of them in their places.

    Args:
        network: over the space.
        lies: `Runtime.lies`; where it says nothing, none.
    """
    space, inputs = network.space, network.inputs
    ways: dict[int, dict[str, Picked]] = {0: {}}
    for choice, members in inputs.closing:
        if (off := off_option(choice)) is not None:
            gone = len(set(members) & set(inputs.columns))
            ways = {n + gone: {**shut, choice.name: off} for n, shut in ways.items()} | ways
    alike: dict[str, list[int]] = defaultdict(list)
    for gone in sorted(ways, reverse=True):
        if gone < len(inputs.columns) and lies(len(inputs.columns) - gone):
            alike[lies(len(inputs.columns) - gone)].append(gone)
    open_ = {c.name: next(o for o in c.options if o != off_option(c)) for c, _ in inputs.closing if len(c.options) > 1}
    for each in alike.values():
        for gone in dict.fromkeys((each[0], each[len(each) // 2], each[-1])):
            for lookback in space["input/lookback"].options:
                for op in space["layer0/op"].options if "layer0/op" in space else ("",):
                    yield pinned(space, {**open_, **ways[gone], "input/lookback": lookback, "layer0/op": op})


def rounding_kind(options: Sequence[Option], option: Option) -> Option:
    """Of options that have the same steps, the first."""
    return next(o for o in options if (o == "float") == (option == "float"))


def rounding_kinds(space: SearchSpace) -> tuple[Option | None, ...]:
    """Precisions of values that differ in their steps; None where the space has no such choice."""
    if ROUNDING not in space:
        return (None,)
    options = space[ROUNDING].options
    return tuple(dict.fromkeys(rounding_kind(options, o) for o in options))


def _covering(network: Network, open_: Mapping[str, Picked]) -> Iterator[Architecture]:
    space = network.space
    yield from _inputs(space, {n: o for n, o in open_.items() if is_switch(n)}, open_)
    names = [c.name for c in space.choices]
    if network.stack is not None:
        edges = [n for n in names if n.startswith("cell/edge")]
        common = [n for n in ("cell/width", "cell/norm", "cell/activation") if n in space]
        ops = list(dict.fromkeys(o for n in edges for o in space[n].options))
        for op, *rest in itertools.product(ops, *(space[n].options for n in common)):
            each = {n: op for n in edges if op in space[n].options}
            yield pinned(space, {**open_, **each, **dict(zip(common, rest, strict=True))})
        return
    known: set[tuple[object, ...]] = set()
    for i in range(len(network.layers)):
        own = [n for n in (f"layer{i}/op", f"layer{i}/width", f"layer{i}/norm", f"layer{i}/activation") if n in space]
        mine = ([f"layer{i - 1}/width"] if i else []) + own
        options = [space[n].options for n in mine]
        deep = min((d for d in space["depth"].options if int(d) > i), key=int)
        if (same := (i > 0, *options)) in known:
            continue
        known.add(same)
        seen: set[Architecture] = set()
        for values in itertools.product(*options):
            a = pinned(space, {**open_, "depth": deep, **dict(zip(mine, values, strict=True))})
            if a not in seen:  # choices that are not active under an op make no difference
                seen.add(a)
                yield a


def _inputs(space: SearchSpace, switches: Mapping[str, Picked], open_: Mapping[str, Picked]) -> Iterator[Architecture]:
    """Every lookback, with all indicators, without each switch, and with as few as there can be."""
    shut = {n: o for n in switches if (o := off_option(space[n])) is not None}
    for lookback in space["input/lookback"].options:
        yield pinned(space, {**open_, "input/lookback": lookback})
        for name, off in shut.items():
            if len(shut) > 1 or not space.not_all:
                yield pinned(space, {**open_, name: off, "input/lookback": lookback})
        if shut:
            last = list(shut)[-1]
            yield pinned(space, {**open_, **shut, last: open_[last], "input/lookback": lookback})


def needed(
    network: Network, runtime: Runtime, *, draws: int = 200, also: Iterable[Architecture] = (), seed: int = 0
) -> Needed:
    """Every part that was found in `covering` architectures and in some that are drawn, with the rows seen of it.

    Args:
        network: over the space.
        runtime: whose parts.
        draws: architectures.
        also: others to look at.
        seed: of them.
    """
    rng = rng_for(seed, "latency", "needed")
    drawn = [network.space.sample(rng) for _ in range(draws)]
    found: Needed = {}
    rows: dict[tuple[str, int, int], set[int]] = defaultdict(set)
    # Of architectures that are looked at for their fronts alone, the other parts are not asked for.
    every = dict.fromkeys([*covering(network), network.space.largest(), *also, *drawn], False)
    for a, front in (every | dict.fromkeys(numbers_open(network, runtime.lies), True) | every).items():
        for placed in runtime.parts(network.standalone(a, seed=0)):
            if front and not placed.part.is_front:
                continue
            key = placed.part.key
            rows[key].add(placed.rows)
            found.setdefault(key, (placed, rows[key]))
    seen = set().union(*(r for (form, *_), r in rows.items() if not form.startswith("front")))
    for part in runtime.unseen(network):
        found.setdefault(part.key, (Placed(part, 1, "crop"), rows[part.key]))
        rows[part.key] |= seen
    return found
