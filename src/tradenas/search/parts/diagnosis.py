"""What alphas say while they learn: how undecided they are, and how much of their weight skips take.

entropy     -sum_o p_o log p_o / log O of the weights of a choice scaled to sum 1: 1 where all options weigh alike,
            0 where one has all the weight
gates       mean over options of -(p log p + (1 - p) log (1 - p)) / log 2, for weights that do not compete
            (FairDARTS): two open gates are decided, though they share the weight
skips       p of `skip`, mean over the ops on offer; 1 / O where nothing was learnt
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from tradenas.search.parts.early_stop import Stop
from tradenas.search.parts.sizes import is_op
from tradenas.space import SearchSpace

__all__ = ["account", "entropy", "gate_entropy", "told_of_ops"]

#: Decimals of weights and entropies in a record, which are of twenty choices and fifty epochs.
DIGITS = 5


def entropy(weights_O: Tensor) -> float:
    """Of weights that compete, 0 or more each: from 0 (one has all) to 1 (all alike).

    >>> import torch
    >>> entropy(torch.tensor([0.5, 0.5])), entropy(torch.tensor([3.0, 0.0, 0.0]))
    (1.0, 0.0)
    """
    p_O = weights_O.detach().double() / weights_O.detach().double().sum()
    return _sum_of(p_O) / math.log(len(p_O))


def gate_entropy(gates_O: Tensor) -> float:
    """Of gates that do not compete, from 0 to 1 each: from 0 (every one open or shut) to 1 (all half open).

    >>> import torch
    >>> gate_entropy(torch.tensor([0.5, 0.5])), gate_entropy(torch.tensor([1.0, 1.0, 0.0]))
    (1.0, 0.0)
    """
    p_O = gates_O.detach().double()
    return (_sum_of(p_O) + _sum_of(1.0 - p_O)) / (len(p_O) * math.log(2.0))


def _sum_of(p_O: Tensor) -> float:
    """-sum p log p, to which a p of 0 adds nothing."""
    return abs(float((p_O * p_O.clamp_min(1e-300).log()).sum()))


def told_of_ops(
    space: SearchSpace, strengths: Mapping[str, Tensor], entropies: Mapping[str, float]
) -> dict[str, float]:
    """Means over the choices of ops: `entropy`, and `skips` where skip is on offer; neither where ops are given."""
    ops = [c for c in space.choices if is_op(c) and c.name in strengths]
    skips = [
        float(strengths[c.name][c.options.index("skip")] / strengths[c.name].sum()) for c in ops if "skip" in c.options
    ]
    told = {"entropy": [entropies[c.name] for c in ops], "skips": skips}
    return {name: math.fsum(values) / len(values) for name, values in told.items() if values}


def account(
    space: SearchSpace,
    trail: Sequence[tuple[Mapping[str, Tensor], Mapping[str, float]]],
    even: Mapping[str, Tensor],
    *,
    logs: Sequence[Mapping[str, float]],
    measured: Sequence[tuple[int, float]],
    stopped: Stop | None,
) -> dict[str, Any]:
    """What the alphas of one supernet went through, as JSON: a pure function of its state, so that a resume agrees.

    Args:
        space: what was searched.
        trail: strengths and entropies of each choice after each epoch.
        even: strengths where nothing was learnt.
        logs: losses, entropy and share of skips of each epoch.
        measured: epochs with their dominant eigenvalue.
        stopped: why it ended before its time.

    Returns:
        `choices` with their options, `even` weights, and for each epoch `entropy` and `strengths`; `epochs`,
        `eigenvalues` and `stopped`.
    """

    def plain(weights_O: Tensor) -> list[float]:
        return [round(float(w), DIGITS) for w in weights_O]

    return {
        "choices": [
            {
                "name": name,
                "options": list(space[name].options),
                "even": plain(even[name]),
                "entropy": [round(entropies[name], DIGITS) for _, entropies in trail],
                "strengths": [plain(strengths[name]) for strengths, _ in trail],
            }
            for name in even
        ],
        "epochs": [{name: log.get(name) for name in ("loss", "alpha_loss", "entropy", "skips")} for log in logs],
        "eigenvalues": [{"epoch": epoch, "value": value} for epoch, value in measured],
        "stopped": None if stopped is None else asdict(stopped),
    }
