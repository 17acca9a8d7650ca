"""The tables that `cells.c` goes through, and how they are put together: values, links, terms, and places in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tradenas.nn.ops import Op
from tradenas.nn.ops.conv import Conv3, Conv5, Dilated3, Separable3, Separable5
from tradenas.nn.ops.dense import Dense
from tradenas.typing import FloatArray, IntArray

__all__ = ["Builder", "Tables", "padded"]

VALUE = ("rows", "channels", "u", "y", "g", "bias", "stat", "norm", "act", "gain", "shift", "mask", "first", "links",
         "flows", "head", "sums")  # fmt: skip
LINK = ("kind", "from", "to", "kernel", "back", "taps", "runs", "num", "alpha", "param", "stride", "fixed", "learns")
TERM = ("kind", "link", "alpha", "w", "begins", "so", "si", "w2", "s2", "bias", "lags", "taps", "fixed")
CONV, TAPPED, FIXED, MAX, SHARE, OUTSIDE = range(6)
KERNEL, SEPARABLE, DIAGONAL = range(3)
VECTOR = 16
#: Places of what is given to each call: the weights of the mixture, and the taps of the inputs' filters.
ALPHAS, TAPS = 0, 1


@dataclass
class Tables:
    """The plan of batches of one size.

    Attributes:
        weights: parameters, by the dict of their module and name; in a call they stand behind what is given to it.
        masks: channels of each mask of dropout, in the order in which they are drawn; they stand behind the weights.
        floats: of the arena of one batch.
        work: floats that going backwards takes besides.
        needs: rows that a batch must have.
    """

    segments: int
    scored: int
    batch_norm: bool
    weights: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    floats: int = 0
    work: int = 0
    needs: int = 0
    sizes: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: dict[str, IntArray] = field(default_factory=dict)
    fixed: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


class Builder:
    def __init__(self, plan: Tables) -> None:
        self.plan = plan
        self.values: list[dict[str, int]] = []
        self.links: list[list[dict[str, int]]] = []
        self.terms: list[tuple[dict[str, int], dict[str, int]]] = []
        self.list: list[int] = []
        self.fixed: list[float] = []
        self.known: dict[tuple[int, str], int] = {}
        self.kernels = self.back = self.grads = 0

    def param(self, owner: nn.Module, name: str) -> int:
        key = id(owner), name
        if key not in self.known:
            self.known[key] = 2 + len(self.plan.weights)
            self.plan.weights.append((owner._parameters, name))
        return self.known[key]

    def value(self, rows: int, channels: int, *, flows: bool = True) -> int:
        made = dict.fromkeys(VALUE, 0)
        made |= dict.fromkeys(("bias", "act", "gain", "shift", "mask", "head"), -1)
        self.values.append(made | {"rows": rows, "channels": channels, "flows": int(flows)})
        self.links.append([])
        return len(self.values) - 1

    def link(self, kind: int, source: int, to: int, **more: int) -> dict[str, int]:
        made = dict.fromkeys(LINK, 0) | {"kind": kind, "from": source, "to": to} | more
        self.links[to].append(made)
        return made

    def room(self, floats: int) -> int:
        """Of kernels and what else parameters are packed into."""
        self.kernels += floats
        return self.kernels - floats

    def conv(self, source: int, to: int, lags: Sequence[int]) -> tuple[dict[str, int], dict[int, int]]:
        """A link with a kernel of so many lags, and where each stands in it."""
        ordered = list(_runs(sorted(lags, reverse=True)))
        c_in, c_out = self.values[source]["channels"], self.values[to]["channels"]
        made = self.link(CONV, source, to, taps=len(lags), runs=len(self.list), num=len(ordered))
        made["kernel"] = self.room(len(lags) * c_in * padded(c_out))
        made["back"], self.back = self.back, self.back + len(lags) * c_out * padded(c_in)
        place: dict[int, int] = {}
        for run in ordered:
            self.list += [len(place), run[0], len(run), run[0] - run[1] if len(run) > 1 else 0]
            place |= {lag: len(place) + i for i, lag in enumerate(run)}
        return made, place

    def term(self, kind: int, link: dict[str, int], at: Sequence[int], **more: int) -> None:
        made = dict.fromkeys(TERM, 0) | dict.fromkeys(("alpha", "w", "w2", "bias"), -1)
        made |= {"kind": kind, "lags": len(self.list), "taps": len(at)} | more
        self.list += at
        self.terms.append((made, link))
        if made["bias"] >= 0 and self.values[link["to"]]["bias"] < 0:
            self.values[link["to"]]["bias"] = self.room(padded(self.values[link["to"]]["channels"]))

    def dense(self, source: int, to: int, weight: nn.Module, *, begins: int = 0, bias: nn.Module | None = None) -> None:
        """A dense map by a corner of `weight.weight`."""
        made, _ = self.conv(source, to, (0,))
        more = {} if bias is None else {"bias": self.param(bias, "bias")}
        stride = _shape(weight, "weight")[1]
        self.term(KERNEL, made, (0,), w=self.param(weight, "weight"), begins=begins, so=stride, si=1, **more)

    def keep(self, numbers: Iterable[float]) -> int:
        at = len(self.fixed)
        self.fixed += numbers
        return at

    def op(self, op: Op, link: dict[str, int], place: Mapping[int, int], alpha: int) -> bool:
        """A term of an op with weights; False for one that is not known."""
        link["learns"] = 1
        if type(op) is Dense:
            w, stride, more = (
                (op.linear, "weight"),
                _shape(op.linear, "weight")[1],
                {"bias": self.param(op.linear, "bias")},
            )
            self.term(KERNEL, link, (place[0],), alpha=alpha, w=self.param(*w), so=stride, si=1, **more)
        elif type(op) in (Conv3, Conv5, Dilated3):
            own = _child(op, "conv")
            _, c_in, _, taps = _shape(own, "weight")
            self.term(
                KERNEL, link, [place[lag] for lag in op.lags], alpha=alpha, w=self.param(own, "weight"), so=c_in * taps,
                si=taps, bias=self.param(own, "bias"),
            )  # fmt: skip
        elif type(op) in (Separable3, Separable5):
            mix, own = _child(op, "pointwise"), _child(op, "depthwise")
            self.term(
                SEPARABLE, link, [place[lag] for lag in op.lags], alpha=alpha, w=self.param(mix, "weight"),
                so=_shape(mix, "weight")[1], si=1, w2=self.param(own, "weight"), s2=_shape(own, "weight")[3],
                bias=self.param(mix, "bias"),
            )  # fmt: skip
        else:
            return False
        return True

    def done(self) -> Tables:
        """Gives everything its place."""
        plan, segments = self.plan, self.plan.segments
        chunk = segments if plan.batch_norm else 1
        plan.floats, most, links = self.kernels, 0, 0
        for v, value in enumerate(self.values):
            stride = padded(value["channels"])
            size = segments * value["rows"] * stride
            value["u"] = value["y"] = plan.floats
            plan.floats += size
            if value["norm"] or value["act"] >= 0 or value["mask"] >= 0:
                value["y"], value["stat"] = plan.floats, plan.floats + size
                plan.floats += size + max(2 * segments * value["rows"], 2 * stride)
            value["g"] = chunk * self.grads
            self.grads += value["rows"] * stride
            for link in self.links[v]:
                if link["kind"] == FIXED:
                    most = max(most, (value["rows"] + 3 * link["taps"]) * stride)
            value["first"], value["links"] = links, len(self.links[v])
            links += len(self.links[v])
        flat = [link for each in self.links for link in each]
        number = {id(link): i for i, link in enumerate(flat)}
        for term, link in self.terms:
            term["link"] = number[id(link)]
        for v, value in enumerate(self.values):  # whether alphas come before it
            known = any(
                k["learns"] or k["kind"] == SHARE or self.values[k["from"]]["flows"] == 2 for k in self.links[v]
            )
            value["flows"] = 2 if known and value["flows"] else value["flows"]
        plan.work = self.back + self.kernels + chunk * self.grads + most
        head_bias = next((p for (_, name), p in self.known.items() if name == "head"), -1)
        plan.sizes = np.array(
            [len(self.values), len(flat), len(self.terms), segments, plan.scored, chunk, head_bias, 0, self.kernels,
             self.back, self.grads, 0, 0, 0], np.int64,
        )  # fmt: skip
        plan.rows = {
            "values": np.array([list(v.values()) for v in self.values], np.int64),
            "links": np.array([list(k.values()) for k in flat], np.int64),
            "terms": np.array([list(m.values()) for m, _ in self.terms], np.int64),
            "list": np.array(self.list, np.int64),
        }
        plan.fixed = np.array(self.fixed, np.float32)
        return plan


def _runs(lags: list[int]) -> Iterable[list[int]]:
    """Falling lags in as few runs of equal steps as taking the longest first gives."""
    while lags:
        best = [lags[0]]
        for a in lags:
            for step in {a - b for b in lags if b < a}:
                run = [lag for n in range(len(lags)) if (lag := a - n * step) in lags]
                run = run[: next((n + 1 for n, (x, y) in enumerate(pairwise(run)) if x - y != step), len(run))]
                best = max(best, run, key=len)
        yield best
        lags = [lag for lag in lags if lag not in best]


def padded(channels: int) -> int:
    return -(-channels // VECTOR) * VECTOR


def _child(op: Op, name: str) -> nn.Module:
    return op._modules[name]  # type: ignore[return-value]


def _shape(owner: nn.Module, name: str) -> torch.Size:
    found = owner._parameters[name]
    assert isinstance(found, Tensor)
    return found.shape
