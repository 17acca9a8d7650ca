"""From the small network of a search to the one that is trained from scratch: the same cell, more of it, and wider."""

from __future__ import annotations

from dataclasses import replace

from tradenas.errors import ConfigError
from tradenas.space import Architecture, Blueprint, Cell

__all__ = ["enlarged", "enlarged_space"]


def enlarged_space(space: Blueprint, *, cells: int, width: int) -> Blueprint:
    """The space of the networks that are trained from scratch: that of the search, but for the size.

    Args:
        cells: in a row; 0 leaves what the search has on offer.
        width: channels of every node; 0 leaves it too.

    Raises:
        ConfigError: not a space of cells.
    """
    if not cells and not width:
        return space
    if not isinstance(space, Cell):
        raise ConfigError(
            "trials.cells" if cells else "trials.width",
            got=f"{cells or width} with space.kind {space.kind}",  # type: ignore[attr-defined]
            expected="0: a layer of a chain has an op and a width of its own, so that more of them are other choices",
            fix='offer space.kind = "cell", or search a chain at the size that it is to have',
        )
    return replace(space, cells=(cells,) if cells else space.cells, widths=(width,) if width else space.widths)


def enlarged(architecture: Architecture, *, cells: int, width: int) -> Architecture:
    """The same cell at full size.

    >>> enlarged(Architecture({"cells": 2, "cell/width": 8, "cell/edge0-2/op": "ema4"}), cells=6, width=0)
    Architecture(cells 6 | 8 | 0-2 ema4)
    """
    size = {"cells": cells, "cell/width": width}
    return Architecture({**architecture, **{name: number for name, number in size.items() if number}})
