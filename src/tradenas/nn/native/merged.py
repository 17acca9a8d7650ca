"""What a network of cells computes where its mixed ops merge, as the tables that `cells.c` goes through.

Every value has only the rows that scored ones hang on; which ops merge `tradenas.nn.merge` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from tradenas.nn.cells import CellStack
from tradenas.nn.native.tables import DIAGONAL, FIXED, MAX, OUTSIDE, SHARE, TAPPED, TAPS, Builder, Tables, padded
from tradenas.nn.ops.filters import Max5
from tradenas.nn.reading import Reading
from tradenas.nn.slot import After
from tradenas.nn.together import Pair

if TYPE_CHECKING:
    from tradenas.nn.network import Network

__all__ = ["Follow", "tables"]

NORMS = {"none": 0, "layer": 1, "batch": 2}
ACTIVATIONS = {"relu": 0, "gelu": 1, "tanh": 2, "sigmoid": 3, "leaky_relu": 4}


@dataclass(frozen=True, kw_only=True)
class Follow:
    """What follows the sum of a node: names of norm and activation, and a rate of dropout."""

    norm: str
    activation: str
    dropout: float


def tables(
    network: Network, live: Sequence[Pair], depth: int, width: int, follow: Follow, *, taps: int, segments: int,
    scored: int, drops: bool,
) -> Tables | None:  # fmt: skip
    """The plan of a network of cells under a mixture that opens the edges `live`; None for ops that are not known.

    Args:
        depth: cells in front of the head that reads.
        taps: length of the inputs' filters.
        drops: whether masks of dropout are drawn.
    """
    stack = network.stack
    assert stack is not None
    build = Builder(Tables(segments, scored, follow.norm == "batch"))
    cells = stack.heard(live, (depth,))
    ahead = max((stack.cell(k).ahead[i] for k in cells for i, _ in live if stack.cell(k).before(i) == -1), default=0)
    features = network.inputs.features
    raw = build.value(scored + ahead + taps - 1, features, flows=False)
    build.link(OUTSIDE, raw, raw)
    filtered = build.value(scored + ahead, features)
    build.link(TAPPED, raw, filtered, taps=taps, param=TAPS, stride=taps, kernel=build.room(taps * padded(features)))
    build.values[filtered]["sums"] = 1
    blocks: dict[int, dict[str, int]] = {}
    if cells and stack.stem is not None:
        stem = build.value(scored + ahead, width)
        build.dense(raw, stem, stack.stem, bias=stack.stem)
        build.dense(filtered, stem, stack.stem, begins=features)
        blocks[-1] = {"stem": stem}
    for k in cells:
        made = _cell(build, stack, k, live, blocks, width, follow, drops=drops)
        if made is None:
            return None
        blocks[k] = made
    head = network.heads[str(depth)]
    assert isinstance(head, Reading)
    build.known[0, "head"] = build.param(head, "bias")
    for name, value in blocks.get(depth - 1, {}).items():
        build.values[value]["head"] = build.param(head.parts[name], "weight")
    plan = build.done()
    plan.needs = build.values[raw]["rows"]
    return plan


def _cell(
    build: Builder, stack: CellStack, k: int, live: Sequence[Pair], blocks: Mapping[int, Mapping[str, int]],
    width: int, follow: Follow, *, drops: bool,
) -> dict[str, int] | None:  # fmt: skip
    """The values of one cell; its output nodes by name."""
    body, scored = stack.cell(k), build.plan.scored
    node: dict[int, int] = {}
    for i in sorted({i for i, _ in live if i < stack.graph.inputs}):
        node[i] = build.value(scored + body.ahead[i], width)
        read = body.reads[str(i)]
        assert isinstance(read, Reading)
        for name, part in read.parts.items():
            if name in blocks[body.before(i)]:
                build.dense(blocks[body.before(i)][name], node[i], part)
    alpha = dict(zip(live, _starts(len(stack.ops[p].options) for p in live), strict=False))
    once: dict[tuple[int, str], int] = {}
    for j in sorted({j for _, j in live}):
        entering = [i for i, other in live if other == j]
        for i in entering:  # what is there once a source comes first, as values are made in order
            merge = body.layer((i, j)).merge
            assert merge is not None
            for name, taps in [*zip(merge.filters, merge.bank.taps, strict=True), *((n, None) for n in merge.free)]:
                if (i, name) in once:
                    continue
                if taps is None and type(body.layer((i, j)).ops[name]) is not Max5:
                    return None
                rows = max(scored + body.ahead[m] for s, m in live if s == i and name in stack.ops[s, m].options)
                once[i, name] = value = build.value(rows, width)
                if taps is None:
                    build.link(MAX, node[i], value, taps=5)
                else:
                    room = build.room(len(taps) * padded(width))
                    build.link(FIXED, node[i], value, taps=len(taps), fixed=build.keep(taps.tolist()), kernel=room)
        node[j] = build.value(scored + body.ahead[j], width)
        for i in entering:
            layer, at = body.layer((i, j)), alpha[i, j]
            merge = layer.merge
            assert merge is not None
            if not merge.lags:
                continue
            link, place = build.conv(node[i], node[j], merge.lags)
            for name in merge.mixing:
                if not build.op(layer.ops[name], link, place, at + merge.at[name]):
                    return None
            for name in merge.inside:
                taken = merge.inside_OL[merge.at[name]].tolist()
                lags = [lag for lag, tap in zip(merge.lags, taken, strict=True) if tap]
                kept = build.keep(tap for tap in taken if tap)
                build.term(DIAGONAL, link, [place[lag] for lag in lags], alpha=at + merge.at[name], fixed=kept)
        for i in entering:
            merge = body.layer((i, j)).merge
            assert merge is not None
            for name in (*merge.filters, *merge.free):
                build.link(SHARE, once[i, name], node[j], alpha=alpha[i, j] + merge.at[name])
        _after(build, body.nodes[str(j)], node[j], follow, drops=drops)
    return {str(j): node[j] for j in stack.graph.outputs if j in node}


def _after(build: Builder, after: nn.Module, value: int, follow: Follow, *, drops: bool) -> None:
    assert isinstance(after, After)
    row = build.values[value]
    row["norm"] = NORMS[follow.norm]
    if row["norm"]:
        norm = after.norms[follow.norm]
        row["gain"], row["shift"] = build.param(norm, "gain"), build.param(norm, "shift")
    row["act"] = ACTIVATIONS[follow.activation]
    if drops:
        build.plan.masks.append(value)


def _starts(sizes: Iterable[int]) -> list[int]:
    return np.cumsum([0, *sizes]).tolist()
