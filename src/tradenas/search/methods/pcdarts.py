"""PC-DARTS: partial channel connections (Xu et al., ICLR 2020, arXiv:1907.05737).

    mixture   the first C / K channels go through the ops, the others pass by              eq. 2
    shuffle   channels are dealt anew after each edge, so that all take part in turns      sec. 3.2
    edges     y_j = sum_i softmax(beta_j)_i o_ij(x_i), by softmax over the ways into j     eq. 3
    warm-up   no alpha step in the first 15 epochs of 50                                   sec. 4.1
    end       alpha weights times beta weights                                             sec. 3.3

Departures: AdamW; first order, as there; a node that takes all nodes before it has no betas, and weighs them alike.
Candidates are scored with partial channels, as the weights were trained, and trained from scratch with all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tradenas.errors import ConfigError, SpaceError
from tradenas.nn import Network
from tradenas.nn.elastic import Width
from tradenas.nn.mixture import Weighting
from tradenas.nn.slot import Branch, Mix, weighted_sum
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.learner import Alphas
from tradenas.space import Choice, SearchSpace

__all__ = ["PCDARTS", "Partial", "shuffled"]


def shuffled(x_BTC: Tensor, groups: int) -> Tensor:
    """Channels dealt into `groups` hands and taken up again card by card (ShuffleNet, arXiv:1707.01083).

    >>> shuffled(torch.arange(6), 2).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    return x_BTC.unflatten(-1, (groups, -1)).transpose(-1, -2).flatten(-2)  # type: ignore[no-untyped-call, no-any-return]


@dataclass(frozen=True)
class Partial:
    """Ops see one channel of `parts`; 1 is all of them."""

    parts: int

    def __call__(self, branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
        assert isinstance(width, int)
        seen = width // self.parts
        y_BTC = weighted_sum(branch, x_BTC[..., :seen], which, seen)
        return shuffled(torch.cat([y_BTC, x_BTC[..., seen:]], dim=-1), self.parts)


@METHODS.register("pcdarts")
@dataclass(frozen=True, kw_only=True)
class PCDARTS(Differentiable):
    """A part of the channels is searched at a time, at that part of the memory and the work.

    Attributes:
        parts: the ops see one channel of so many (K).
        alphas: with the warm-up, three epochs in ten.
    """

    citation: ClassVar[str] = (
        "@inproceedings{xu2020pcdarts, title={PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture "
        "Search},\n  author={Xu, Yuhui and Xie, Lingxi and Zhang, Xiaopeng and Chen, Xin and Qi, Guo-Jun and Tian, Qi "
        "and Xiong, Hongkai},\n  booktitle={ICLR}, year={2020}}"
    )

    kind: Literal["pcdarts"] = "pcdarts"
    parts: int = 4
    alphas: Alphas = field(default_factory=lambda: Alphas(warm_up=0.3))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts < 1:
            raise ConfigError("search.parts", got=self.parts, expected="1 or more")

    def mix(self) -> Mix:
        return Partial(self.parts)

    def network(self, task: Task, *, seed: int) -> Network:
        widths = task.space["cell/width"].options if "cells" in task.space else ()
        if len(widths) != 1 or int(widths[0]) % self.parts:
            raise SpaceError(
                "search.kind pcdarts",
                got=f"cells of widths {list(widths)}" if widths else "no cells",
                expected=f"cells of one width that {self.parts} divides: channels that pass by an op need a place",
                fix='offer space.kind = "cell" with one width, or set search.parts',
            )
        return super().network(task, seed=seed)

    def learnt(self, space: SearchSpace) -> list[Choice]:
        return [c for c in space.choices if len(c.options) > c.take]
