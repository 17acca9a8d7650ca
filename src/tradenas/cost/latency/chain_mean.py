"""The mean latency of a chain under weights, at the mean rows behind each layer.

Given the depth d, layers are drawn independently of each other, but the rows on which a layer runs are those that the
layers behind it read, and one more:

    R_i = 1 + sum_(i < j < d) sum_o p_j(o) reach(o)
    E[t | d] = front(R_-1) + sum_i sum_(o, v, w, n, a) p(o) p(v) p(w) p(n) p(a) T_i[o, v, w, n, a](R_i) + head(w_d)

with o the op, v and w the widths before and after, n the norm, a the activation, and T between whole rows on a straight
line.  That is the mean where T is straight in its rows; elsewhere it is the value at the mean.  Under indices, or
weights of 0 and 1, nothing is rounded, except that `exact` sees what programs leave out across layers (a crop goes into
the weights of what reads it).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tradenas.cost.latency.enumerate import ROUNDING, pinned, rounding_kind, rounding_kinds
from tradenas.cost.latency.parts import Placed
from tradenas.cost.latency.runtimes import Runtime
from tradenas.cost.latency.table import Table
from tradenas.cost.probabilities import chances, values_of
from tradenas.nn import Mixture, Network
from tradenas.nn.slot import Layer
from tradenas.space import Picked, is_switch, off_option

__all__ = ["ChainMean"]


class _Slot(NamedTuple):
    """A layer: the choices that its time hangs on, in the order of the axes of its table."""

    at: int
    names: tuple[str, ...]


class ChainMean:
    """See the head of this module.

    Args:
        network: over a chain.
        table: of its space.
        runtime: of the table.
        given: choices of the whole network that are settled: whether values are rounded.
    """

    def __init__(
        self, network: Network, table: Table, runtime: Runtime, given: Mapping[str, Picked] | None = None
    ) -> None:
        self.network, self.table, self.runtime, self.given = network, table, runtime, given or {}
        #: Rounding adds steps, to how many bits makes no difference: one of these for each that does.
        self.kinds: dict[Picked, ChainMean] = {}
        for option in rounding_kinds(network.space) if given is None else ():
            if option is not None:
                self.kinds[option] = ChainMean(network, table, runtime, {ROUNDING: option})
        self.space = space = network.space
        self.slots = []
        for i in range(len(network.layers)):
            names = [f"layer{i}/op", *([f"layer{i - 1}/width"] if i else []), f"layer{i}/width"]
            names += [n for n in (f"layer{i}/norm", f"layer{i}/activation") if n in space]
            self.slots.append(_Slot(i, tuple(names)))
        self._pieces: dict[tuple[Any, ...], list[Placed]] = {}
        self._tables: dict[tuple[Any, ...], Tensor] = {}
        self.switches = [c.name for c in space.choices if is_switch(c.name) and len(c.options) > 1 and off_option(c)]
        self.members = {c.name: m for c, m in network.inputs.closing}
        #: Switches closed one after the other: how many indicators are open then, and what closes them.
        self.steps: list[tuple[int, dict[str, Picked]]] = []
        for number in range(len(self.switches) + 1):
            shut: dict[str, Picked] = {n: off_option(space[n]) or "" for n in self.switches[:number]}
            open_ = self._open(shut)
            if open_ and (not self.steps or open_ < self.steps[-1][0]):
                self.steps.append((open_, shut))

    def _open(self, shut: Mapping[str, Picked]) -> int:
        gone = {j for name in shut for j in self.members[name]}
        return sum(j not in gone for j in self.network.inputs.columns)

    def expected(self, mixture: Mixture) -> Tensor:
        """Mean microseconds over what a mixture draws; differentiable by its weights."""
        found = chances(self.space, mixture)
        if not self.kinds:
            return self._mean(found)
        options = self.space[ROUNDING].options
        total = torch.zeros((), dtype=torch.float64)
        for option, share in zip(options, found[ROUNDING], strict=True):
            total = total + share * self.kinds[rounding_kind(options, option)]._mean(found)
        return total

    def _mean(self, found: Mapping[str, Tensor]) -> Tensor:
        reaches = [self._reach(slot.at, found) for slot in self.slots]
        open_ = self._features(found)
        total = torch.zeros((), dtype=torch.float64)
        for share, depth in zip(found["depth"], self.space["depth"].options, strict=True):
            d = int(str(depth))
            behind = [1.0 + sum(reaches[i + 1 : d], torch.zeros((), dtype=torch.float64)) for i in range(-1, d)]
            if self.runtime.whole_window:
                behind = [behind[0] + self._lookback(found) - 1.0] * len(behind)
            front, *at = behind
            value = self._line(open_, partial(self._front, rows=front, found=found))
            value = value + self._line(open_, partial(self._layer, self.slots[0], rows=at[0], found=found))
            for slot in self.slots[1:d]:
                value = value + self._layer(slot, 0, at[slot.at], found)
            value = value + self._head(d, at[d - 1], found)
            total = total + share * value
        return (total + self.table.fit.a) * self.table.us

    def _features(self, found: Mapping[str, Tensor]) -> Tensor:
        """Mean number of indicators that are read."""
        total = torch.zeros((), dtype=torch.float64)
        for j in self.network.inputs.columns:
            stays = torch.ones((), dtype=torch.float64)
            for name in self.switches:
                if j in self.members[name]:
                    choice = self.space[name]
                    stays = stays * (1.0 - found[name][choice.options.index(off_option(choice) or "")])
            total = total + stays
        return total

    def _lookback(self, found: Mapping[str, Tensor]) -> Tensor:
        rows = [float(str(o)) for o in self.space["input/lookback"].options]
        return (found["input/lookback"] * torch.tensor(rows, dtype=torch.float64)).sum()

    def _reach(self, i: int, found: Mapping[str, Tensor]) -> Tensor:
        """Mean rows that a layer reads before its own."""
        layer = self.network.layers[i]
        assert isinstance(layer, Layer)
        ops = [value if isinstance(value, tuple) else (value,) for value in values_of(self.space[f"layer{i}/op"])]
        rows = [max(layer.reach(str(o)) for o in each) for each in ops]
        return (found[f"layer{i}/op"] * torch.tensor(rows, dtype=torch.float64)).sum()

    def _line(self, open_: Tensor, value: Callable[[int], Tensor]) -> Tensor:
        """Between two numbers of open indicators."""
        numbers = [n for n, _ in self.steps]
        k = next((k for k, n in enumerate(numbers) if n <= float(open_.detach()) + 1e-9), len(numbers) - 1)
        if k == 0 or len(numbers) == 1:
            return value(k)
        share = (open_ - numbers[k]) / (numbers[k - 1] - numbers[k])
        return value(k) if float(share.detach()) == 0.0 else value(k) + share * (value(k - 1) - value(k))

    def _front(self, step: int, rows: Tensor | float, found: Mapping[str, Tensor]) -> Tensor:
        def values(at: int) -> Tensor:
            each = [
                self._value(self._parts(0, step, {"input/lookback": n, "depth": self._least(0)}, "front"), at)
                for n in self.space["input/lookback"].options
            ]
            return torch.tensor(each, dtype=torch.float64)

        return self._at(("front", step), rows, values) @ found["input/lookback"]

    def _least(self, i: int) -> Picked:
        """The shallowest depth that has layer i."""
        return min((d for d in self.space["depth"].options if int(str(d)) > i), key=lambda d: int(str(d)))

    def _layer(self, slot: _Slot, step: int, rows: Tensor | float, found: Mapping[str, Tensor]) -> Tensor:
        options = tuple(tuple(values_of(self.space[n])) for n in slot.names)

        def values(at: int) -> Tensor:
            table = torch.empty([len(o) for o in options], dtype=torch.float64)
            for place in itertools.product(*(range(len(o)) for o in options)):
                picked: dict[str, Picked] = {n: o[k] for n, o, k in zip(slot.names, options, place, strict=True)}
                picked["depth"] = self._least(slot.at)
                table[place] = self._value(self._parts(slot.at, step, picked, f"layer{slot.at}/"), at)
            return table

        # Layers that offer the same share one table.
        value = self._at((slot.at > 0, step, options), rows, values)
        for name in slot.names:
            value = torch.tensordot(found[name], value, dims=1)
        return value

    def _head(self, depth: int, rows: Tensor | float, found: Mapping[str, Tensor]) -> Tensor:
        name = f"layer{depth - 1}/width"
        op = next(o for o in self.space[f"layer{depth - 1}/op"].options if o not in ("skip", "zero"))

        def values(at: int) -> Tensor:
            known: dict[str, Picked] = {f"layer{depth - 1}/op": op, "depth": depth}
            parts = [self._parts(depth - 1, 0, {name: w, **known}, "head") for w in self.space[name].options]
            each = [self._value(of_width, at) for of_width in parts]
            return torch.tensor(each, dtype=torch.float64)

        return self._at(("head", depth), rows, values) @ found[name]

    def _parts(self, i: int, step: int, picked: Mapping[str, Picked], owner: str) -> list[Placed]:
        """Of a network with these values those parts that an owner has; rows are as with one row behind."""
        key = (i, step, owner, *sorted((n, v) for n, v in picked.items() if n != "depth"))
        if key not in self._pieces:
            shut = self.steps[step][1]
            open_ = {n: next(o for o in self.space[n].options if o != off_option(self.space[n])) for n in self.switches}
            a = pinned(self.space, {**open_, **shut, **self.given, **picked})
            parts = self.runtime.parts(self.network.standalone(a, seed=0))
            mine = [p for p in parts if _owner(p.owner) == owner]
            if owner == "front":  # its rows are those that the layers of this network read of it
                rows = mine[0].rows - 1 if mine and not self.runtime.stream else 0
                mine = [p._replace(rows=p.rows - rows) for p in mine]
            self._pieces[key] = mine
        return self._pieces[key]

    def _value(self, parts: list[Placed], rows: int) -> float:
        """Of some parts on so many rows, as they count in a network."""
        fit, entries, total = self.table.fit, self.table.entries, 0.0
        for p in parts:
            at = 1 if self.runtime.stream else rows if self.runtime.whole_window else p.rows - 1 + rows
            total += fit.b * entries(*p.part.key, at) + fit.c
        return total

    def _at(self, key: tuple[Any, ...], rows: Tensor | float, values: Callable[[int], Tensor]) -> Tensor:
        """A table between two whole numbers of rows."""
        near = float(rows.detach()) if isinstance(rows, Tensor) else rows
        near = round(near, 9)
        low = math.floor(near)
        if self.runtime.stream:
            low, near = 1, 1.0
        for at in (low, low + 1) if near > low else (low,):
            if (*key, at) not in self._tables:
                self._tables[*key, at] = values(at)
        first = self._tables[*key, low]
        return first if near == low else first + (rows - low) * (self._tables[*key, low + 1] - first)


def _owner(name: str) -> str:
    head = name.partition("/")[0]
    return f"{head}/" if head.startswith("layer") else "head" if head == "head" else "front"
