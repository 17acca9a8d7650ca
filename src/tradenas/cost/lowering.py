"""The steps inside an op, as far as they hold values of their own: a residual block has a hidden row, a GRU has gates.

One function a kind of op turns the input's values into steps of a `Plan`.  Norms, activations and dropout work in
place on what an op made.  Sizes are elements per row; a network keeps its length, so that a window of T rows holds T
times as much.
"""

from __future__ import annotations

from collections.abc import Callable

from tradenas.cost.liveness import Plan
from tradenas.errors import SpaceError
from tradenas.nn import OPS, Op
from tradenas.nn.ops.attention import WINDOW

__all__ = ["LOWERINGS", "REMEMBERED", "Lowering", "lower"]

#: Op, plan, values that are its input, their channels, width: the value that is its output.
Lowering = Callable[[Op, Plan, tuple[int, ...], int, int], int]

#: Ops that remember what they made of earlier rows and not those rows, and how many values a channel of output: keys
#: and values of `attention`, what `leader` maps.  Computed again from the rows, they would cost more than `count` says.
REMEMBERED = {"attention": 2, "leader": 1, "mingru": 1, "mingru8": 1, "mingru4": 1}


def lower(op: Op, name: str, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:
    """Adds the steps of an op; the number of its output.

    Args:
        op: the op.
        name: of it, in `OPS`.
        plan: to add to.
        x: the values side by side that are its input.
        c_in: channels of them all.
        width: of the output.

    Raises:
        SpaceError: nobody said what the op holds.
    """
    if name not in LOWERINGS:
        raise SpaceError(
            f"peak memory of {name!r}", got="an op without a lowering", expected=f"one of {sorted(LOWERINGS)}",
            fix="add it to tradenas.cost.lowering.LOWERINGS",
        )  # fmt: skip
    return LOWERINGS[name](op, plan, x, c_in, width)


def _one(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    return plan.add(width, *x)


def _skip(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    """The input itself, or a prefix of it; zeros behind it need a place."""
    return x[0] if len(x) == 1 and width <= c_in else plan.add(width, *x)


def _separable(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    return plan.add(width, plan.add(c_in, *x))


def _gated(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    value, gate = plan.add(width, *x), plan.add(width, *x)
    return plan.add(width, value, gate, inplace=True)


def _residual(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    outer = plan.add(width, plan.add(width, *x))
    return plan.add(width, outer, *x, inplace=True)


def _then(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    """Mapped row by row, then mixed over assets."""
    return plan.add(width, plan.add(width, *x))


def _attention(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    return _attended(plan, x, width, WINDOW)


def _cross_attention(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    return _attended(plan, x, width, op.assets)


def _attended(plan: Plan, x: tuple[int, ...], width: int, others: int) -> int:
    query, key, value = (plan.add(width, *x) for _ in range(3))
    return plan.add(width, plan.add(others, query, key), value)


def _mingru(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
    """What each row adds and what it keeps; the states are made in the place of one, row after row."""
    new, kept = plan.add(width, *x), plan.add(width, *x)
    first = plan.add(width, new, kept, inplace=True)
    return plan.add(width, first, kept)


def _recurrent(gates: int, states: int) -> Lowering:
    """One cell step, which the others repeat in the same place: gates from the input and from the state."""

    def lowering(op: Op, plan: Plan, x: tuple[int, ...], c_in: int, width: int) -> int:  # noqa: ARG001
        state = plan.add(states * width)
        inner, outer = plan.add(gates * width, *x), plan.add(gates * width, state)
        new = plan.add(states * width, state, inner, outer, inplace=True)
        return new if states == 1 else plan.add(width, new)

    return lowering


LOWERINGS: dict[str, Lowering] = {
    **{name: _one for name in OPS if name.startswith(("conv", "dilated", "ema", "mean", "max", "difference"))},
    **dict.fromkeys(("dense", "zero", "market", "relative"), _one),
    **dict.fromkeys(("separable3", "separable5"), _separable),
    **dict.fromkeys(("correlation", "leader"), _then),
    "skip": _skip, "gated": _gated, "residual": _residual, "attention": _attention,
    **dict.fromkeys(("mingru", "mingru8", "mingru4"), _mingru),
    "cross_attention": _cross_attention, "gru": _recurrent(3, 1), "lstm": _recurrent(4, 2),
}  # fmt: skip
