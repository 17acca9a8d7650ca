"""DARTS-: robustly stepping out of performance collapse without indicators (Chu et al., ICLR 2021, arXiv:2009.01027).

    mixture   o(x) = beta x + sum_o softmax(alpha)_o o(x): an auxiliary skip beside the mixture     eq. 6
    decay     beta falls linearly from 1 in the first epoch to 0 in the last                        sec. 3.3
    end       as DARTS; the auxiliary skip is gone                                                  algorithm 1

A skip stabilises training besides being an op; the auxiliary one takes over that part, so that the alpha of `skip` says
what it is worth as an op.

Departures: AdamW, first order; where an op changes the number of channels there is nothing to carry and no auxiliary
skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from tradenas.nn import Network
from tradenas.nn.elastic import Width, fit
from tradenas.nn.mixture import Weighting
from tradenas.nn.slot import Branch, Mix, weighted_sum
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.supernet import SupernetState
from tradenas.train.loop import Plan

__all__ = ["AuxiliarySkip", "DARTSMinus"]


class AuxiliarySkip:
    """A mixture with its input added, `beta` times; a single op runs alone."""

    def __init__(self) -> None:
        self.beta = 1.0

    def __call__(self, branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
        y_BTC = weighted_sum(branch, x_BTC, which, width)
        if isinstance(which, Tensor) and self.beta and x_BTC.shape[-1] == y_BTC.shape[-1]:
            y_BTC = y_BTC + self.beta * fit(x_BTC, width)
        return y_BTC


@METHODS.register("darts_minus")
@dataclass(frozen=True, kw_only=True)
class DARTSMinus(Differentiable):
    """DARTS with an auxiliary skip beside every mixture, which fades away."""

    citation: ClassVar[str] = (
        "@inproceedings{chu2021darts, title={{DARTS-}: Robustly Stepping out of Performance Collapse Without "
        "Indicators},\n  author={Chu, Xiangxiang and Wang, Xiaoxing and Zhang, Bo and Lu, Shun and Wei, Xiaolin and "
        "Yan, Junchi},\n  booktitle={ICLR}, year={2021}}"
    )

    kind: Literal["darts_minus"] = "darts_minus"

    def mix(self) -> Mix:
        return AuxiliarySkip()

    def plan(self, task: Task, state: SupernetState, network: Network, *, epoch: int, seed: int) -> Plan:
        assert isinstance(network.mix, AuxiliarySkip)
        network.mix.beta = max(0.0, 1.0 - epoch / max(1, self.training.epochs - 1))
        return super().plan(task, state, network, epoch=epoch, seed=seed)
