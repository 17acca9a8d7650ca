"""Compound scaling: depth, width and lookback grow together (Tan & Le, ICML 2019, arXiv:1905.11946).

    scale       depth d = alpha^phi, width w = beta^phi, resolution r = gamma^phi       eq. 3
    constraint  alpha * beta^2 * gamma^2 = 2, so that phi doubles the work so often     eq. 3
    rounding    layers upwards, widths to what the hardware likes                       authors' code

Resolution is the lookback here.  The exponents of the paper are those of an image network: its work grows with the area
of the image, so with r^2, and every layer is as wide as the scale says.  A network of ours reads the lookback in one
filter bank, F r products beside the layers, so with r at most; a layer costs w^2, but the first one and the head w; and
d only multiplies layers.  So `exponents` measures them for a network, and `measured` keeps what doubles its real count.

A new layer takes op, norm and the rest of the layer at its place in the small network, as EfficientNet repeats the
blocks of a stage.  Sizes go to the nearest on offer, by ratio.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tradenas.errors import SpaceError
from tradenas.space import Architecture, Choice, Picked, SearchSpace

__all__ = ["Factors", "exponents", "grid", "scaled"]

LAYER = re.compile(r"layer(\d+)/(.+)")
#: Factors that are tried for each of the three, in the grid.
STEPS = tuple(1.0 + 0.1 * i for i in range(11))
SIZES = ("depth", "width", "lookback")
#: How far the work of a point of the grid may be from what was asked for, as a factor.
NEAR = 1.2


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What one step of phi multiplies.

    Attributes:
        depth: layers, or cells (alpha).
        width: channels (beta).
        lookback: rows that are read (gamma).
    """

    depth: float = 1.0
    width: float = 1.0
    lookback: float = 1.0

    def power(self, phi: float) -> Factors:
        """Those of phi steps."""
        return Factors(depth=self.depth**phi, width=self.width**phi, lookback=self.lookback**phi)

    @property
    def paper(self) -> float:
        """By how much the work of an image network would grow: alpha beta^2 gamma^2.

        >>> round(Factors(depth=1.2, width=1.1, lookback=1.15).paper, 2)
        1.92
        """
        return self.depth * self.width**2 * self.lookback**2


def scaled(space: SearchSpace, base: Architecture, factors: Factors) -> Architecture:
    """An architecture of a space, grown by some factors as far as the space goes.

    >>> from tradenas.space import Chain
    >>> space = Chain(depths=(1, 2, 4), widths=(8, 16, 24), lookbacks=(5, 10, 20)).space()
    >>> grown = scaled(space, space.smallest(), Factors(depth=1.5, width=2.2, lookback=1.9))
    >>> grown["depth"], grown["layer1/width"], grown["input/lookback"]
    (2, 16, 10)

    Raises:
        SpaceError: neither a chain nor cells.
    """
    deep = _deep(space)
    depth = nearest(space[deep], int(str(base[deep])) * factors.depth, upwards=True)

    def pick(choice: Choice) -> Picked:
        layer = LAYER.fullmatch(choice.name)
        source = choice.name
        if layer is not None:
            source = f"layer{int(layer[1]) * int(str(base[deep])) // depth}/{layer[2]}"
        value = base.get(source, choice.options[0] if choice.take == 1 else choice.options[: choice.take])
        if choice.name == deep:
            return depth
        if choice.name.endswith("/width"):
            return nearest(choice, int(str(value)) * factors.width)
        if choice.name == "input/lookback":
            return nearest(choice, int(str(value)) * factors.lookback)
        return value

    return space.check(space.walk(pick))


def nearest(choice: Choice, size: float, *, upwards: bool = False) -> int:
    """The option that is nearest by ratio, or the first one that is as large; the largest where none is."""
    options = sorted(int(str(o)) for o in choice.options)
    if upwards:
        return next((o for o in options if o >= size - 1e-9), options[-1])
    return min(options, key=lambda o: abs(math.log(o / size)))


def exponents(space: SearchSpace, base: Architecture, work: Callable[[Architecture], float]) -> dict[str, float]:
    """How the work of a network grows: log of the work over log of the size, for each size doubled by itself.

    A size of which the space has no more is left out.
    """
    found: dict[str, float] = {}
    for name in SIZES:
        grown = scaled(space, base, Factors(**{name: 2.0}))
        if grown != base:
            by = _size(space, grown, name) / _size(space, base, name)
            found[name] = math.log(work(grown) / work(base)) / math.log(by)
    return found


def grid(
    space: SearchSpace,
    base: Architecture,
    work: Callable[[Architecture], float],
    *,
    growth: float,
    constraint: Literal["measured", "paper"],
    num: int,
) -> list[tuple[Factors, Architecture]]:
    """Ways to make a network `growth` times the work, each another architecture.

    Args:
        space: that has the larger sizes.
        base: the small network.
        work: what an architecture costs.
        growth: of the work at phi = 1 (2 in the paper).
        constraint: whether the `measured` work grows so, or alpha beta^2 gamma^2 as in the `paper`.
        num: most of them; of more, some from end to end of the order from wide to deep.

    Returns:
        Each architecture with the factors that stand for it: as `measured` those nearest to what its sizes became, in
        the `paper` those nearest to the constraint.
    """
    found: dict[Architecture, tuple[float, Factors]] = {}
    for factors in _every():
        architecture = scaled(space, base, factors)
        if architecture == base:
            continue
        by = factors.paper if constraint == "paper" else work(architecture) / work(base)
        off = abs(math.log(by / growth))
        far = off if constraint == "paper" else _apart(space, base, architecture, factors)
        if off <= math.log(NEAR) and (architecture not in found or far < found[architecture][0]):
            found[architecture] = (far, factors)
    order = sorted(found.items(), key=lambda item: (item[1][1].depth, item[1][1].lookback, item[1][1].width))
    at = sorted({round(i * (len(order) - 1) / max(1, num - 1)) for i in range(num)}) if order else []
    return [(order[i][1][1], order[i][0]) for i in at]


def _apart(space: SearchSpace, base: Architecture, grown: Architecture, factors: Factors) -> float:
    """Between factors and what sizes became, in logs."""
    return math.fsum(
        abs(math.log(_size(space, grown, name) / _size(space, base, name) / getattr(factors, name))) for name in SIZES
    )


def _every() -> Iterator[Factors]:
    for depth, width, lookback in itertools.product(STEPS, STEPS, STEPS):
        yield Factors(depth=depth, width=width, lookback=lookback)


def _deep(space: SearchSpace) -> str:
    for name in ("depth", "cells"):
        if name in space:
            return name
    raise SpaceError("compound scaling", got="a space without depth", expected="a chain, or cells")


def _size(space: SearchSpace, architecture: Architecture, name: str) -> float:
    if name == "depth":
        return float(str(architecture[_deep(space)]))
    if name == "lookback":
        return float(str(architecture["input/lookback"]))
    widths = [float(str(v)) for n, v in architecture.items() if n.endswith("/width")]
    return math.exp(math.fsum(math.log(w) for w in widths) / len(widths))
