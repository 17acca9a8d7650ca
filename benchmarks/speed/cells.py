"""A DARTS search step on cells, merged (`follow = "sum"`), against the authors' formulation and its convolutions alone.

What `steps.py` measures, with the marks beside it: two cells of three nodes with the default ops, 1,024 targets in
segments of 64, whole search steps (alpha step and weight step); second order is exact here and by finite differences
there, as each does it.  One pass (forward and backward) stands against the matrix products of every merged kernel,
replayed into tensors that are there.  Each as it runs, in compiled code where there is a compiler, and in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import steps
from turns import turns

from speed.figure import Figure
from tradenas.nn.native import off


def figures(full: bool) -> Iterator[Figure]:
    for style, width in (("default", 16), ("default", 32), ("default", 64), ("authors", 32)):
        ours, theirs = steps.Search(steps.cell(style, width, follow="sum")), steps.peer_of(style, width)
        train, valid = ((b.x_BTF.transpose(1, 2).contiguous(), b.y_BS) for b in (ours.train, ours.valid))

        def step(order: int, theirs=theirs, train=train, valid=valid) -> None:
            theirs.alpha_step(train, valid, order=order)
            theirs.weight_step(train)

        took = turns(
            {
                "ours 1": ours.step("first"), "pytorch 1": in_pytorch(ours.step("first")),
                "theirs 1": lambda step=step: step(1),
                "ours 2": ours.step("exact"), "pytorch 2": in_pytorch(ours.step("exact")),
                "theirs 2": lambda step=step: step(2),
                "pass": lambda ours=ours: ours.forward_backward(ours.mixture()),
                "pytorch pass": in_pytorch(lambda ours=ours: ours.forward_backward(ours.mixture())),
                "products": steps.products(ours),
            },
            9 if full else 5,
        )  # fmt: skip
        where = f"{style} ops, width {width}"
        for order, name in ((1, "first"), (2, "second")):
            plain = took.over(f"theirs {order}", f"pytorch {order}")
            yield Figure.of(
                f"DARTS step of {name} order, authors' / ours, {where}",
                took.ratios(f"theirs {order}", f"ours {order}"), bar=5,
                note=f"{took.best(f'ours {order}'):.0f} ms; in PyTorch {plain}",
            )  # fmt: skip
        yield Figure.of(
            f"merged DARTS pass / its convolutions alone, {where}", took.ratios("pass", "products"), bar=1.5,
            at_least=False, note=f"{took.best('pass'):.1f} ms; in PyTorch {took.over('pytorch pass', 'products')}",
        )  # fmt: skip


def in_pytorch(run: Callable[[], None]) -> Callable[[], None]:
    """The same without compiled code."""

    def run_off() -> None:
        with off():
            run()

    return run_off
