"""Gated cells on traced numbers: `tradenas.formats.reference.gated`, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tradenas.formats.program import Fixed, GatedCell
from tradenas.formats.verilog.fixed import saturate
from tradenas.typing import FloatArray

__all__ = ["next_state"]

Numbers = list[Any]


def next_state(
    step: GatedCell,
    x: Numbers,
    hidden: Numbers,
    matrix: Callable[[FloatArray, Numbers, FloatArray], Numbers],
    table: Callable[[Any, str, Fixed], Any],
) -> Numbers:
    """The state after one more row.

    Args:
        step: the cell.
        x: its input at that row.
        hidden: its state before.
        matrix: bias + weight @ numbers, of weight, numbers, bias.
        table: of a number, a function and a format: the function, rounded.
    """
    c = step.channels
    read = matrix(step.weight_input, x, step.bias_input)

    def rounded(sums: Numbers, function: str, fixed: Fixed) -> Numbers:
        return [table(saturate(v, step.source), function, fixed) for v in sums]

    if step.cell == "mingru":
        update, new = rounded(read[:c], "sigmoid", step.gate), rounded(read[c:], "tanh", step.state)
        return [saturate(h + z * (n - h), step.state) for h, z, n in zip(hidden, update, new, strict=True)]
    kept = matrix(step.weight_hidden, hidden, step.bias_hidden)
    gates = rounded([a + b for a, b in zip(read[: 2 * c], kept[: 2 * c], strict=True)], "sigmoid", step.gate)
    reset, update = gates[:c], gates[c:]
    sums = [a + r * saturate(b, step.source) for a, r, b in zip(read[2 * c :], reset, kept[2 * c :], strict=True)]
    new = rounded(sums, "tanh", step.state)
    return [saturate(n + z * (h - n), step.state) for h, z, n in zip(hidden, update, new, strict=True)]
