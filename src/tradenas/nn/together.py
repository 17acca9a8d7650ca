"""Which edges of a stack of cells run together, and their kernels (`tradenas.nn.merge`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from tradenas.nn.elastic import Width
from tradenas.nn.merge import Kernels, Merge
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.slot import Layer, weighted_sum
from tradenas.space import Option

__all__ = ["Pair", "Together", "together"]

Pair = tuple[int, int]
#: Edges that run together, source by source, how, and their kernels.
Together = tuple[list[Pair], Merge, Kernels]


def together(
    cells: Sequence[int],
    layer: Callable[[int, Pair], Layer],
    live: Mapping[Pair, Tensor | None],
    alike: Collection[int],
    width: Width,
    mixture: Mixture,
) -> dict[int, dict[Pair, Together]]:
    """For each cell the edges that are mixtures of linear ops which nothing but the sum of a node follows.

    Args:
        cells: that run; all have the same choices, so that their kernels are made at once.
        layer: the ops of an edge of a cell.
        live: the edges that are open, with their shares.
        alike: nodes whose rows are there from the start and as many in each: they run at once if they lead to the same
            nodes.
    """
    channels = width if isinstance(width, int) else len(width)
    mixed: dict[tuple[Option, ...], list[tuple[Pair, Tensor]]] = {}
    for pair, share in sorted(live.items(), key=lambda item: item[0]):
        one = layer(cells[0], pair)
        which = weighting(one.op, mixture)
        if isinstance(which, Tensor) and one.mix is weighted_sum and one.merge and one.merge.worthwhile:
            mixed.setdefault(one.op.options, []).append((pair, which if share is None else which * share))
    found: dict[int, dict[Pair, Together]] = {k: {} for k in cells}
    for edges in mixed.values():
        groups = _groups([pair for pair, _ in edges], alike)
        layers = [layer(k, pair) for k in cells for pair, _ in edges]
        merge = layers[0].merge
        assert merge is not None
        weights = torch.stack([weights for _, weights in edges]).repeat(len(cells), 1)
        sizes = [(len({i for i, _ in group}), len({j for _, j in group})) for group in groups] * len(cells)
        made = merge.kernels([one.ops for one in layers], weights, channels, sizes)
        for (k, group), kernels in zip(itertools.product(cells, groups), made, strict=True):
            found[k] |= dict.fromkeys(group, (group, merge, kernels))
    return found


def _groups(pairs: Sequence[Pair], alike: Collection[int]) -> list[list[Pair]]:
    """Edges in the order of their sources, cut where they leave another node; of alike nodes in one, where it goes."""
    groups = [list(group) for _, group in itertools.groupby(pairs, key=lambda pair: pair[0])]
    first = [group for group in groups if group[0][0] in alike]
    if len(first) > 1 and len({tuple(j for _, j in group) for group in first}) == 1:
        groups = [[pair for group in first for pair in group], *(group for group in groups if group not in first)]
    return groups
