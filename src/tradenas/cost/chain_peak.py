"""The peak of a chain's activations as parts, so that it has a smooth value under weights (`SmoothMax`).

While layer i runs, its input, its own values and the signal of the filters are held, and nothing else.  What is held
during each step of a layer is a table over its op and its two widths, and so is what the head holds where it ends.
"""

from __future__ import annotations

from typing import Any

import torch

from tradenas.cost.additive import AdditiveCost, Term
from tradenas.cost.count import bits_of, feature_terms, table_over
from tradenas.cost.liveness import Plan
from tradenas.cost.lowering import lower
from tradenas.cost.maxima import Part
from tradenas.errors import SpaceError
from tradenas.nn import Network

__all__ = ["peak_parts"]


def peak_parts(network: Network, precision: str | int = "float32", *, rows: int = 1) -> list[Part]:
    """Bytes held during each step of a chain, of which `PeakBytes` is the most.

    Args:
        network: over a chain.
        precision: of activations.
        rows: 1 for a streaming step; the length of the window otherwise.

    Raises:
        SpaceError: a body of cells, whose steps depend on the whole graph.
    """
    if network.stack is not None:
        raise SpaceError("peak_parts", got="cells", expected="a chain", fix="PeakBytes is exact for cells as well")
    space, per, parts = network.space, rows * bits_of(precision) / 8, list[Part]()

    def part(terms: list[Term], *there: Term) -> None:
        parts.append(Part(AdditiveCost(space, terms).scaled(per), AdditiveCost(space, there)))

    for i in range(len(network.layers)):
        op, width, before = f"layer{i}/op", f"layer{i}/width", f"layer{i - 1}/width"
        widest = max(int(str(w)) for w in space[width].options)
        ones = Term((op,), table_over(space, (op,), lambda o: 1.0))  # noqa: ARG005
        options = [str(o) for o in space[op].options]
        for step in range(max(len(held(network, i, o, 2 * widest, widest)) for o in options)):

            def during(c_in: Any, o: Any, w: Any, i: int = i, step: int = step) -> float:
                each = held(network, i, o, c_in, w)
                return each[min(step, len(each) - 1)]

            if i == 0:
                terms = feature_terms(network, (op, width), lambda f, o, w, own=during: own(2 * f, o, w))
                part(list(terms), ones)
            else:
                part([Term((before, op, width), table_over(space, (before, op, width), during))], ones)
        if i + 1 in network.depth.options:
            ends = table_over(space, ("depth",), lambda d, end=i + 1: float(d == end))
            head = table_over(space, (width,), lambda w: 2.0 + w)
            part([Term(("depth", width), torch.outer(ends, head))], Term(("depth",), ends))
    return parts


def held(network: Network, i: int, op: str, c_in: int, width: int) -> list[int]:
    """Elements held during each step of an op in a layer; its input stands in two halves in the first layer."""
    plan, layer = Plan(), network.layers[i]
    assert isinstance(layer.ops, torch.nn.ModuleDict)
    signal = plan.add(1)
    x = (plan.add(c_in - c_in // 2), plan.add(c_in // 2)) if i == 0 else (plan.add(c_in),)
    y = lower(layer.ops[op], op, plan, x, c_in, width)  # type: ignore[arg-type]
    steps = len(plan.sizes)
    plan.keep = plan.add(1, signal, y)
    return plan.live()[len(x) + 1 : steps] or [1 + c_in]
