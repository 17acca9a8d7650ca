"""Which op an edge needs, by what the supernet loses without it (DARTS-PT: Wang et al., ICLR 2021, arXiv:2108.04392).

    edges   in a random order: the weight of each op is set to 0 in turn, the others as they are;   algorithm 1
            the op without which validation is worst stays alone on the edge
    nodes   in a random order: of the ways in, the one that is missed least goes, until as many      algorithm 1,
            are left as the node takes                                                               project_edge
    tuning  weights and alphas are trained on between decisions, the rate of the weights from a     sec. 4.1,
            tenth of what it was, falling as a cosine                                               pt_project

An alpha says how much an op is used, not what would be missed: where the signal can pass by another way, skips get
large alphas and are worth little.

Departures: `tune` epochs in all, evenly between the decisions, where the paper has five after each; the optimiser keeps
its moments; validation is the study's `rank_by` on the alphas' own rows, where the authors take the accuracy there.
Only ops and ways in are decided so; inputs, widths and depths are read off their alphas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tradenas.search.parts.sizes import is_op
from tradenas.seeds import rng_for
from tradenas.space import Choice, Option, SearchSpace
from tradenas.train.loop import Optimisation

__all__ = ["CITATION", "Tuning", "as_weights", "due", "in_order", "needed"]


CITATION = (
    "@inproceedings{wang2021rethinking, title={Rethinking Architecture Selection in Differentiable NAS},\n"
    "  author={Wang, Ruochen and Cheng, Minhao and Chen, Xiangning and Tang, Xiaocheng and Hsieh, Cho-Jui},\n"
    "  booktitle={ICLR}, year={2021}}"
)


@dataclass(frozen=True, kw_only=True)
class Tuning(Optimisation):
    """The schedule of epochs that come after a training has ended.

    Attributes:
        before: epochs that the training had; `epochs` counts them too.

    >>> tuning = Tuning(epochs=30, before=20, lr=1.0)
    >>> [round(tuning.lr_at(step, 60), 4) for step in (40, 50, 60)]
    [0.1, 0.05, 0.0]
    """

    before: int = 0

    @classmethod
    def after(cls, training: Optimisation, epochs: int) -> Tuning:
        """So many epochs after a training."""
        shared = {f.name: getattr(training, f.name) for f in fields(Optimisation)}
        return cls(**{**shared, "epochs": training.epochs + epochs, "before": training.epochs})

    def lr_at(self, step: float, total: int) -> float:
        begun = total * self.before / self.epochs
        return self.lr / 10.0 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - begun) / max(1.0, total - begun))))


def in_order(space: SearchSpace, *, seed: int) -> list[Choice]:
    """What is to be decided: all edges (or layers) in a random order, then all nodes in a random order."""
    rng = rng_for(seed, "perturbation", "order")
    ops = [c for c in space.choices if is_op(c) and len(c.options) > 1]
    nodes = [c for c in space.choices if c.name.endswith("/from") and len(c.options) > c.take]
    return [group[int(i)] for group in (ops, nodes) for i in rng.permutation(len(group))]


def due(num: int, epoch: int, epochs: int) -> range:
    """Which of `num` decisions are taken before an epoch of tuning.

    >>> [list(due(5, e, 3)) for e in range(3)], [list(due(2, e, 4)) for e in range(4)]
    ([[0, 1], [2, 3], [4]], [[0], [], [1], []])
    """
    return range(-(-num * epoch // epochs), -(-num * (epoch + 1) // epochs))


def needed(
    choice: Choice, weights_O: Tensor, judge: Callable[[Tensor, Option], float], *, leave_out: Collection[Option] = ()
) -> tuple[int, ...]:
    """The options that a choice keeps: those whose absence costs most.

    Args:
        choice: of one op, or of several ways into a node.
        weights_O: of its options in the supernet.
        judge: merit of the supernet under other weights of this choice, in which the option named is missing.
        leave_out: options that may not be kept while there are others.

    Returns:
        Indices, in rising order.  Of equal options the first is kept.
    """
    left = [i for i, option in enumerate(choice.options) if option not in leave_out] or list(range(len(choice.options)))
    if choice.take == 1:
        without = [judge(_less(weights_O, [i]), choice.options[i]) for i in left]
        return (left[without.index(min(without))],)
    gone: list[int] = []
    while len(left) > choice.take:
        without = [judge(_less(weights_O, [*gone, i]), choice.options[i]) for i in left]
        gone.append(left.pop(max(range(len(left)), key=lambda at: (without[at], at))))
    return tuple(left)


def _less(weights_O: Tensor, gone: Sequence[int]) -> Tensor:
    return weights_O.index_fill(0, torch.tensor(gone, device=weights_O.device), 0.0)


def as_weights(
    space: SearchSpace, decided: Mapping[str, Sequence[int]], alphas: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Decisions as weights of 0 and 1, where the alphas live."""
    device = next(iter(alphas.values())).device if alphas else None
    found = {}
    for name, kept in decided.items():
        found[name] = torch.zeros(len(space[name].options), device=device)
        found[name][list(kept)] = 1.0
    return found
